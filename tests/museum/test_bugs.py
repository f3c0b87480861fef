"""Every bug is wrong, in the way and at the place that the museum states."""

from __future__ import annotations

import copy
import inspect
import traceback
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from numpy_rnn.checking.shapes import SIZES
from numpy_rnn.functional.types import Array
from numpy_rnn.museum import BUGS, REFERENCES, Bug
from numpy_rnn.museum.bug import Kind, read_bugs
from numpy_rnn.museum.registry import RegisteredPair
from tests.complex_step import as_tuple, complex_step, slice_errors
from tests.museum.test_references import run

PAIR_BUGS = [bug for bug in BUGS if isinstance(bug.reference, RegisteredPair)]
WRONG = 1e-9  # the smallest error of a "value" is a ten-thousandth; correct pairs have 1e-11


def of_kind(kind: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("bug", [bug for bug in PAIR_BUGS if bug.kind == kind], ids=str)


def errors(bug: Bug, steps: int) -> dict[str, Array]:
    """Of each gradient, the error of every slice, in time where there is time."""
    reference, sizes = bug.reference, {**SIZES, "T": steps}
    assert isinstance(reference, RegisteredPair)
    drawn, outputs, douts = run(reference, sizes)
    forward, backward = bug.patched()
    found, kept = forward(*drawn)
    for output, other in zip(as_tuple(found), outputs, strict=True):
        np.testing.assert_array_equal(output, other)
    gradients = backward(*copy.deepcopy(douts), kept)
    return {
        name: slice_errors(gradient, expected, 0 if over_time(reference, name) else None)
        for name, gradient, expected in zip(
            reference.shapes, gradients, right(reference.name, steps), strict=True
        )
        if expected is not None
    }


def over_time(reference: RegisteredPair, name: str) -> bool:
    shape = reference.shapes[name]
    return isinstance(shape, str) and shape.startswith("T")


@cache
def right(name: str, steps: int) -> list[Array | None]:
    reference = next(reference for reference in REFERENCES if reference.name == name)
    drawn, _, douts = run(reference, {**SIZES, "T": steps})
    return complex_step(reference.forward, drawn, douts)


def argument(reference: RegisteredPair, word: str) -> str | None:
    """The argument that a word names: W_hh, or x as dx."""
    return next((name for name in (word, word[1:]) if name in reference.shapes), None)


@of_kind("value")
def test_a_value_is_wrong(bug: Bug) -> None:
    assert max(e.max() for e in errors(bug, bug.steps).values()) > WRONG


@of_kind("value")
def test_a_bug_is_at_the_place_that_is_stated(bug: Bug) -> None:
    reference = bug.reference
    assert isinstance(reference, RegisteredPair)
    assert bug.located
    found = errors(bug, bug.steps)
    for word in bug.located:
        name = argument(reference, word)
        if word.startswith("t = "):
            over = [e for key, e in found.items() if over_time(reference, key)]
            assert max(np.flatnonzero(e > WRONG).max() for e in over) == int(word[4:])
        elif word.startswith("gate "):
            assert wrong_gates(bug) == {word[5:]}
        elif word.startswith("row "):
            assert wrong_rows(bug, bug.located[0]) == {int(word[4:])}
        else:
            assert name is not None, word
            assert found[name].max() > WRONG, word


def wrong_rows(bug: Bug, name: str) -> set[int]:
    """The rows of an argument's gradient that are wrong."""
    reference = bug.reference
    assert isinstance(reference, RegisteredPair)
    drawn, _, douts = run(reference, {**SIZES, "T": bug.steps})
    forward, backward = bug.patched()
    position = list(reference.shapes).index(name)
    gradient = backward(*douts, forward(*drawn)[1])[position]
    expected = right(reference.name, bug.steps)[position]
    assert expected is not None
    return {int(row) for row in np.argwhere(np.abs(gradient - expected) > WRONG)[:, 0]}


def wrong_gates(bug: Bug) -> set[str]:
    """The blocks that are wrong in the shortest sequence in which anything is."""
    reference = bug.reference
    assert isinstance(reference, RegisteredPair)
    steps = next(
        steps
        for steps in range(1, bug.steps + 1)
        if max(e.max() for e in errors(bug, steps).values()) > WRONG
    )
    drawn, _, douts = run(reference, {**SIZES, "T": steps})
    forward, backward = bug.patched()
    gradients = backward(*douts, forward(*drawn)[1])
    gates, wrong = reference.gates, set()
    for shape, gradient, expected in zip(
        reference.shapes.values(), gradients, right(reference.name, steps), strict=True
    ):
        if isinstance(shape, str) and shape.startswith(f"{len(gates)}H"):
            assert expected is not None
            blocks = np.abs(gradient - expected).reshape(len(gates), -1).max(axis=1)
            wrong |= {gate for gate, error in zip(gates, blocks, strict=True) if error > WRONG}
    return wrong


@of_kind("nonlinear")
def test_a_nonlinear_backward_is_wrong_for_large_or_small_gradients(bug: Bug) -> None:
    assert isinstance(bug.reference, RegisteredPair)
    drawn, _, douts = run(bug.reference)
    forward, backward = bug.patched()
    _, kept = forward(*drawn)
    worst = 0.0
    for factor in (1e3, 1e-12):
        for scaled, expected in zip(
            backward(*(factor * d for d in douts), kept),
            bug.reference.backward(*douts, bug.reference.forward(*drawn)[1]),
            strict=True,
        ):
            worst = max(worst, slice_errors(scaled / factor, expected, None).max())
    assert worst > WRONG


@of_kind("float32")
def test_a_float32_backward_has_half_of_the_digits(bug: Bug) -> None:
    worst = max(e.max() for e in errors(bug, bug.steps).values())
    assert WRONG < worst < 1e-4


@of_kind("mutates")
def test_a_mutating_backward_changes_what_is_stated(bug: Bug) -> None:
    assert isinstance(bug.reference, RegisteredPair)
    drawn, _, douts = run(bug.reference)
    forward, backward = bug.patched()
    _, kept = forward(*drawn)
    names = [*list(inspect.signature(backward).parameters)[:-1]]
    names += [f"cache[{n}]" for n in range(len(kept))]
    values = [*douts, *kept]
    before = copy.deepcopy(values)
    first = backward(*douts, kept)
    changed = {
        name
        for name, value, other in zip(names, values, before, strict=True)
        if not all(np.array_equal(a, b) for a, b in zip(leaves(value), leaves(other), strict=True))
    }
    assert changed == set(bug.located)
    for gradient, expected in zip(first, right(bug.reference.name, 11), strict=True):
        if expected is not None:
            assert slice_errors(gradient, expected, None).max() <= 1e-11


def leaves(value: Any) -> list[Any]:
    if isinstance(value, list | tuple):
        return [leaf for part in value for leaf in leaves(part)]
    return [value]


@of_kind("random")
def test_a_random_backward_differs_from_itself(bug: Bug) -> None:
    assert isinstance(bug.reference, RegisteredPair)
    drawn, _, douts = run(bug.reference)
    forward, backward = bug.patched()
    _, kept = forward(*drawn)
    assert not np.array_equal(backward(*douts, kept)[0], backward(*douts, kept)[0])


def test_there_are_198_bugs_and_no_two_have_the_same_name() -> None:
    names = Counter(str(bug) for bug in BUGS)
    assert len(names) == len(BUGS) == 198
    assert len(PAIR_BUGS) == 170
    for bug in BUGS:
        assert bug.cause.endswith(".")
        assert len(bug.cause) < 100
        assert bug.diff().count("\n") < 8


def test_a_diff_is_the_lines_before_and_after() -> None:
    patch = "- dh_t = dh[t] + dh_next\n+ dh_t = dh[t]\n+ dh_t += dh[t]"
    before, *after = BUGS[0]._replace(patch=patch).diff().splitlines()
    assert before.startswith("- dh_t = dh[t] + dh_next")
    assert [line.partition("  #")[0] for line in after] == ["+ dh_t = dh[t]", "+ dh_t += dh[t]"]


@pytest.mark.parametrize(
    ("patch", "found"), [("- dz @\n+ dz *", 2), ("- nowhere\n+ x", 0), ("- dx[t] =\n+ dx[t] =", 1)]
)
def test_a_patch_that_does_not_fit_is_an_error(patch: str, found: int) -> None:
    with pytest.raises(ValueError, match=rf"elman.* occurs {found} times in the code, expected"):
        BUGS[0]._replace(patch=patch).patched()


def table(folder: Path, text: str) -> list[Bug]:
    """The bugs of a table for the Elman cell, below a head of four lines."""
    (folder / "elman.txt").write_text("# Head.\n\n[elman]\n\n" + text, encoding="utf-8")
    return read_bugs("elman", {"elman": REFERENCES[0]}, folder)


def test_a_patch_may_replace_several_lines_in_several_places(tmp_path: Path) -> None:
    patch = "- dx[t] = dz @ W_ih\n+ if t:\n+     dx[t] = dz\n- return dx,\n+ return 2 * dx,"
    text = "a | b\n    " + patch.replace("\n", "\n    ") + "\n    Long\n    cause.\n"
    (bug,) = table(tmp_path, text)
    assert (bug.patch, bug.cause) == (patch, "Long cause.")
    code = inspect.getsource(bug.patched()[1])
    assert "        if t:\n            dx[t] = dz" in code
    assert "    return 2 * dx, dh_next" in code


@pytest.mark.parametrize(
    ("first", "kind", "steps"),
    [
        ("a | b, c", "value", 11),
        ("a | b, c | mutates", "mutates", 11),
        ("a | b, c | T = 30", "value", 30),
        ("a | b, c | mutates | T = 30", "mutates", 30),
    ],
)
def test_the_kind_and_the_number_of_steps_are_optional(
    tmp_path: Path, first: str, kind: str, steps: int
) -> None:
    (bug,) = table(tmp_path, first + "\n    - x\n    + y\n    Cause.")
    assert bug == Bug(
        REFERENCES[0], "a", ("b", "c"), "- x\n+ y", "Cause.", cast("Kind", kind), steps
    )


@pytest.mark.parametrize(
    ("first", "rest"),
    [
        ("a | b | wrong", "    - dz\n    + dy\n    Cause."),
        ("a | b | T = many", "    - dz\n    + dy\n    Cause."),
        ("a", "    - dz\n    + dy\n    Cause."),
        ("a | b", "    - dz\n    + dy"),
        ("a | b", "    + dy\n    - dz\n    Cause."),
        ("a | b", "    - dz\n    Cause."),
        ("a | b", "    Cause."),
        ("a | b", "    - dz\n    + dy\n    Cause.\nc | d\n    - dz\n    + dy\n    Cause."),
    ],
)
def test_an_entry_of_another_form_is_an_error_with_its_line(
    tmp_path: Path, first: str, rest: str
) -> None:
    entry = "a | b\n    - dz\n    + dy\n    Cause.\n\n"
    with pytest.raises(
        ValueError, match=r"^read_bugs: elman.txt, line 10: .*, expected "
    ) as caught:
        table(tmp_path, entry + f"{first}\n{rest}\n\n" + entry)
    assert repr(first) in str(caught.value)
    assert "value or nonlinear or float32 or mutates or random" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("head", "line"), [("", 1), ("[lstm]\n\n", 1), ("[elman]\n\n[lstm]\n\n", 3), ("[elman]\n", 1)]
)
def test_an_entry_without_a_reference_is_an_error(tmp_path: Path, head: str, line: int) -> None:
    entry = "a | b\n    - dz\n    + dy\n    Cause.\n"
    (tmp_path / "elman.txt").write_text(head + entry, encoding="utf-8")
    with pytest.raises(ValueError, match=rf"^read_bugs: elman.txt, line {line}: .* of a reference"):
        read_bugs("elman", {"elman": REFERENCES[0]}, tmp_path)


def test_a_table_may_hold_the_bugs_of_several_references(tmp_path: Path) -> None:
    entry = "a | b\n    - dz\n    + dy\n    Cause.\n"
    text = f"# Head.\n\n[lstm]\n\n{entry}\n# A remark.\n\n[elman]\n\n{entry}\n{entry}"
    (tmp_path / "cells.txt").write_text(text, encoding="utf-8")
    bugs = read_bugs("cells", {r.name: r for r in REFERENCES}, tmp_path)
    assert [bug.reference.name for bug in bugs] == ["lstm", "elman", "elman"]


def test_a_traceback_shows_the_patched_line() -> None:
    bug = BUGS[0]._replace(
        name="division", patch="- dW_hh += dz.T @ h[t]\n+ dW_hh += dz.T @ h[t] + 1 // 0"
    )
    drawn, _, douts = run(REFERENCES[0])
    forward, backward = bug.patched()
    with pytest.raises(ZeroDivisionError) as caught:
        backward(*douts, forward(*drawn)[1])
    shown = "".join(traceback.format_exception(caught.value))
    assert "<museum: elman: division>" in shown
    assert "+ 1 // 0" in shown
    assert "+ 1 // 0" in inspect.getsource(backward)
