"""Each array that a page assigns has its shape and its equation beside it, and both hold."""

from __future__ import annotations

import inspect
import linecache
import re
from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from numpy_rnn.textbook.example import COMMENT, Event, trace
from tests.complex_step import as_tuple
from tests.textbook.pages import PAGES, SIZES, Page, draw

FIRST = {page.name: page for page in reversed(PAGES)}  # of each page, the row without options
# The comments' letters: G outputs of a linear map and E numbers of an embedding, the registry's H.
LETTERS = SIZES | {"G": SIZES["H"], "E": SIZES["H"]}
each_page = pytest.mark.parametrize("page", FIRST.values(), ids=list(FIRST))


def module_of(page: Page) -> ModuleType:
    return import_module(f"numpy_rnn.textbook.{page.name}")


def shape_of(comment: str) -> tuple[int, ...]:
    """Turn the contents of a comment's brackets, such as "T + 1, B, 4H", into numbers."""
    product = re.sub(r"(\d)([A-Z])", r"\1 * \2", comment)
    shape: tuple[int, ...] = eval(f"({product})" if product else "()", dict(LETTERS))  # noqa: S307
    return shape


def check(events: list[Event]) -> None:
    """Compare the comment of every line that has run with the arrays that it has assigned."""
    for event in events:
        arrays = [isinstance(value, np.ndarray | np.inexact) for value in event.values]
        line = event.text.strip()
        if not any(arrays) or line.endswith(" = cache"):  # of values known from above
            continue
        assert event.shapes, f"no shape: {line}"
        assert event.number or " = gates[t] " in line, f"no equation: {line}"
        shapes = event.shapes * len(arrays) if len(event.shapes) == 1 else event.shapes
        for value, shape, is_array in zip(event.values, shapes, arrays, strict=True):
            assert not is_array or np.shape(value) == shape_of(shape), f"{np.shape(value)}: {line}"


def run(
    page: Page,
    forward: Callable[..., Any] | None = None,
    backward: Callable[..., Any] | None = None,
) -> tuple[list[Event], list[Event], Any, Any]:
    rng = np.random.default_rng(0)
    forward, backward = forward or page.function("forward"), backward or page.function("backward")
    (outputs, cache), events = trace(forward, *draw(page, rng, SIZES), **page.options)
    douts = [np.asarray(rng.standard_normal(np.shape(out))) for out in as_tuple(outputs)]
    gradients, back_events = trace(backward, *douts, cache)
    return events, back_events, cache, gradients


@each_page
def test_comments_hold(page: Page) -> None:
    assert len(set(SIZES.values())) == len(SIZES)
    events, back_events, _, _ = run(page)
    check(events)
    check(back_events)


@each_page
def test_every_comment_was_looked_at(page: Page) -> None:
    events, back_events, _, _ = run(page)
    for way, seen in (("forward", events), ("backward", back_events)):
        lines = inspect.getsource(page.function(way)).splitlines(keepends=True)
        assert {line for line in lines if COMMENT.search(line)} == {
            event.text for event in seen if event.shapes
        }


def patched(function: Callable[..., Any], before: str, after: str) -> Callable[..., Any]:
    """Return a function with one part of its text, comments included, replaced."""
    text = inspect.getsource(function)
    assert text.count(before) == 1
    name = f"<{before} -> {after}>"
    text = text.replace(before, after)
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    namespace = dict(function.__globals__)
    exec(compile(text, name, "exec"), namespace)  # noqa: S102 (our own source, changed)
    result: Callable[..., Any] = namespace[function.__name__]
    return result


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        (
            "dz = dh_t * (1 - h[t + 1] ** 2)  # (1') (B, H)",
            "dz = dh_t * (1 - h[t + 1] ** 2)  # (1') (H, B)",
            "(3, 5)",
        ),
        ("db_ih += dz.sum(axis=0)  # (0') (H,)", "db_ih += dz.sum(axis=0)  # (0') (D,)", "(5,)"),
        ("(H, D), (H, H)", "(H, D), (H, D)", "(5, 5)"),
        ("dx[t] = dz @ W_ih  # (0') (B, D)", "dx[t] = dz @ W_ih  # (0')", "dx[t]"),
        ("dh_t = dh[t] + dh_next  # (2') (B, H)", "dh_t = dh[t] + dh_next", "no shape: dh_t"),
        (
            "dh_t = dh[t] + dh_next  # (2') (B, H)",
            "dh_t = dh[t] + dh_next  # (B, H)",
            "no equation: dh_t",
        ),
    ],
)
def test_a_wrong_or_missing_comment_is_found(before: str, after: str, message: str) -> None:
    page = FIRST["elman"]
    _, events, _, _ = run(page, backward=patched(page.function("backward"), before, after))
    with pytest.raises(AssertionError, match=re.escape(message)):
        check(events)


def test_a_wrong_comment_on_an_appended_state_is_found() -> None:
    page = FIRST["elman"]
    wrong = patched(page.function("forward"), "(2) (B, H)", "(2) (B, D)")
    with pytest.raises(AssertionError, match=r"h\.append"):
        check(run(page, forward=wrong)[0])


@each_page
def test_every_number_is_that_of_an_equation_of_the_derivation(page: Page) -> None:
    head = inspect.getdoc(module_of(page)) or ""
    equations = set(re.findall(r"^ +(\(\d+'?\)) ", head, re.MULTILINE))
    events, back_events, _, _ = run(page)
    used = {event.number for event in (*events, *back_events)} - {""}
    assert used <= equations
    assert "(0')" in used


@each_page
def test_the_ledger_adds_up_to_the_gradient(page: Page) -> None:
    _, events, _, gradients = run(page)
    returned = {f"d{name}": gradient for name, gradient in zip(page.shapes, gradients, strict=True)}
    added: dict[str, Any] = {}
    for event in events:
        if event.added is not None:
            name = event.names[0].partition("[")[0]
            added[name] = added.get(name, 0) + event.added
    for name in added.keys() & returned.keys():
        np.testing.assert_allclose(added[name], returned[name], rtol=1e-12, atol=1e-13)
    weights = {"W", "b", "w", "weight", "bias", "nu", "theta", "gamma"}
    assert bool(added) == any(name.partition("_")[0] in weights for name in page.shapes)


@each_page
def test_forward_and_backward_are_at_most_sixty_lines(page: Page) -> None:
    lines = 0
    for way in ("forward", "backward"):
        text = re.sub(r'""".*?"""', "", inspect.getsource(page.function(way)), flags=re.DOTALL)
        lines += sum(bool(line.strip()) for line in text.splitlines())
    assert lines <= 60
