"""The textbook's page and the fast function are equal: outputs and every gradient."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from numpy_rnn import functional
from tests.complex_step import as_tuple, slice_errors
from tests.textbook.pages import CELLS, PAGES, REDUCTIONS, SIZES, Page, draw, in_regime, masked_mse

TOLERANCE = 1e-12
OPTIONS = {"activations", "clip", "input_forget", "reset_after"}  # of the general cells
FAST = {"projected_lstm": "lstm"}  # one fast pair with an optional W_hr

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.title)
each_cell = pytest.mark.parametrize("page", CELLS, ids=lambda page: page.title)


def fast(page: Page, way: str) -> Callable[..., Any]:
    function: Callable[..., Any] = getattr(functional, f"{FAST.get(page.name, page.name)}_{way}")
    return function


def check_equal(
    page: Page,
    arguments: tuple[Any, ...],
    *,
    last_only: bool = False,
    absolute: float = 0,
    planted: float = 1,
) -> None:
    """Compare outputs and gradients of the two, each time slice on its own scale.

    `planted` is a factor on one gradient of the fast one: other than 1, the check has to fail.
    """
    rng = np.random.default_rng(7)
    outputs, cache = page.forward(*arguments)
    fast_outputs, fast_cache = fast(page, "forward")(*arguments, **page.options)
    douts = tuple(np.asarray(rng.standard_normal(np.shape(out))) for out in as_tuple(outputs))
    if last_only:
        for dout in douts:
            dout[:-1] = 0
    gradients = page.backward(*douts, cache)
    fast_gradients = list(fast(page, "backward")(*douts, fast_cache))
    if page.name == "lstm":
        assert fast_gradients.pop() is None  # of the W_hr that there is none of
    changed = max(p for p, gradient in enumerate(fast_gradients) if gradient is not None)
    fast_gradients[changed] = fast_gradients[changed] * planted
    axes = [0] * len(as_tuple(outputs)) + [
        0 if position in page.over_time else None for position in range(len(gradients))
    ]
    for axis, one, other in zip(
        axes,
        (*as_tuple(outputs), *gradients),
        (*as_tuple(fast_outputs), *fast_gradients),
        strict=True,
    ):
        if one is None or other is None:
            assert one is other is None
        elif np.abs(one - other).max(initial=0) > absolute:
            errors = slice_errors(other, one, axis if np.ndim(one) else None)
            assert errors.max(initial=0) <= TOLERANCE, errors


@each_page
def test_textbook_equals_fast(page: Page) -> None:
    check_equal(page, draw(page, np.random.default_rng(0), SIZES))


@each_page
@pytest.mark.parametrize(("T", "B"), [(0, 0), (0, 1), (0, 3), (1, 0), (1, 1), (1, 3), (2, 1)])
def test_textbook_equals_fast_in_the_smallest_sizes(page: Page, T: int, B: int) -> None:
    check_equal(page, draw(page, np.random.default_rng(1), SIZES | {"T": T, "B": B}))


@each_cell
@pytest.mark.parametrize(
    ("recurrent", "inputs"), [(0.02, 1.0), (0.05, 0.1), (3.0, 0.01), (1.5, 0.3)]
)
def test_textbook_equals_fast_when_gradients_vanish_or_explode(
    page: Page, recurrent: float, inputs: float
) -> None:
    check_equal(page, in_regime(page, recurrent, inputs, T=25), last_only=True)


@each_cell
@pytest.mark.parametrize("scale", [30.0, 1e4])
def test_textbook_equals_fast_when_units_saturate(page: Page, scale: float) -> None:
    # 1 - h^2 is as exact as h is: its error is 1e-16 of the incoming gradient, not of itself.
    check_equal(page, in_regime(page, 0.1, scale, T=11), absolute=1e-14 * scale)


@each_page
def test_the_check_fails_on_a_gradient_that_is_off_by_a_billionth(page: Page) -> None:
    with pytest.raises(AssertionError):
        check_equal(page, draw(page, np.random.default_rng(0), SIZES), planted=1 + 1e-9)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize(("T", "B"), [(11, 3), (1, 1), (0, 2), (2, 0)])
def test_textbook_equals_fast_for_a_masked_mean_squared_error(
    reduction: str, T: int, B: int
) -> None:
    sizes = SIZES | {"T": T, "B": B}
    page = masked_mse(reduction, sizes)
    check_equal(page, draw(page, np.random.default_rng(3), sizes))


@pytest.mark.parametrize("way", ["forward", "backward"])
@each_page
def test_the_arguments_are_the_same(page: Page, way: str) -> None:
    # But for what only the fast ones have: other activations, the axes to keep, a projection.
    ours = inspect.signature(page.function(way)).parameters
    theirs = inspect.signature(fast(page, way)).parameters
    assert list(ours) == [name for name in theirs if name in ours]
    assert set(theirs) - set(ours) <= {"phi", "keep", "W_hr", *OPTIONS}
    assert [a.kind for a in ours.values()] == [theirs[name].kind for name in ours]


def test_cross_entropy_of_huge_logits_and_of_steps_that_do_not_count() -> None:
    page = Page("cross_entropy", {})
    y = np.array([[[1e4, -1e4, 0.0]], [[np.nan, 0, 1]], [[3.0, 2.0, 1.0]]])
    targets, mask = np.array([[1], [2], [-100]]), np.array([[True], [False], [True]])
    check_equal(page, (y, targets, mask))
    check_equal(page, (y, np.full((3, 1), -100)))
    loss, cache = page.forward(y, targets, mask)
    assert loss == 2e4
    np.testing.assert_array_equal(page.backward(1.0, cache)[0][0], [[1, -1, 0]])
