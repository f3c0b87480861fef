"""Every exhibit is wrong, in the way and at the place that its label says."""

from __future__ import annotations

import copy
import inspect
import traceback
from collections import Counter
from functools import cache
from typing import Any

import numpy as np
import pytest

from numpy_rnn.checking.shapes import SIZES
from numpy_rnn.functional.types import Array
from numpy_rnn.museum import EXHIBITS, ROOMS, Exhibit, Room, diff, patched
from tests.complex_step import as_tuple, complex_step, slice_errors
from tests.museum.test_rooms import run

PAIRS = [exhibit for exhibit in EXHIBITS if isinstance(exhibit.room, Room)]
WRONG = 1e-9  # the smallest error of a "value" is a ten-thousandth; the right pairs have 1e-11


def of_kind(kind: str) -> pytest.MarkDecorator:
    exhibits = [exhibit for exhibit in PAIRS if exhibit.kind == kind]
    names = [f"{exhibit.room.name}, {exhibit.name}" for exhibit in exhibits]
    return pytest.mark.parametrize("exhibit", exhibits, ids=names)


def errors(exhibit: Exhibit, steps: int) -> dict[str, Array]:
    """Of each gradient, the error of every slice, in time where there is time."""
    room, sizes = exhibit.room, {**SIZES, "T": steps}
    assert isinstance(room, Room)
    drawn, outputs, douts = run(room, sizes)
    forward, backward = patched(exhibit)
    found, kept = forward(*drawn)
    for output, other in zip(as_tuple(found), outputs, strict=True):
        np.testing.assert_array_equal(output, other)
    gradients = backward(*copy.deepcopy(douts), kept)
    return {
        name: slice_errors(gradient, expected, 0 if over_time(room, name) else None)
        for name, gradient, expected in zip(
            room.shapes, gradients, right(room.name, steps), strict=True
        )
        if expected is not None
    }


def over_time(room: Room, name: str) -> bool:
    shape = room.shapes[name]
    return isinstance(shape, str) and shape.startswith("T")


@cache
def right(name: str, steps: int) -> list[Array | None]:
    room = next(room for room in ROOMS if room.name == name)
    drawn, _, douts = run(room, {**SIZES, "T": steps})
    return complex_step(room.forward, drawn, douts)


def argument(room: Room, word: str) -> str | None:
    """The argument that a word names: W_hh, or x as dx."""
    return next((name for name in (word, word[1:]) if name in room.shapes), None)


@of_kind("value")
def test_a_value_is_wrong(exhibit: Exhibit) -> None:
    assert max(e.max() for e in errors(exhibit, exhibit.steps).values()) > WRONG


@of_kind("value")
def test_it_is_named_at_the_right_place(exhibit: Exhibit) -> None:
    room = exhibit.room
    assert isinstance(room, Room)
    assert exhibit.named
    found = errors(exhibit, exhibit.steps)
    for word in exhibit.named:
        name = argument(room, word)
        if word.startswith("t = "):
            over = [e for key, e in found.items() if over_time(room, key)]
            assert max(np.flatnonzero(e > WRONG).max() for e in over) == int(word[4:])
        elif word.startswith("gate "):
            assert wrong_gates(exhibit) == {word[5:]}
        else:
            assert name is not None, word
            assert found[name].max() > WRONG, word


def wrong_gates(exhibit: Exhibit) -> set[str]:
    """The blocks that are wrong in the shortest sequence in which anything is."""
    room = exhibit.room
    assert isinstance(room, Room)
    steps = next(
        steps
        for steps in range(1, exhibit.steps + 1)
        if max(e.max() for e in errors(exhibit, steps).values()) > WRONG
    )
    drawn, _, douts = run(room, {**SIZES, "T": steps})
    forward, backward = patched(exhibit)
    gradients = backward(*douts, forward(*drawn)[1])
    wrong = set()
    for shape, gradient, expected in zip(
        room.shapes.values(), gradients, right(room.name, steps), strict=True
    ):
        if isinstance(shape, str) and shape.startswith(f"{len(room.gates)}H"):
            assert expected is not None
            blocks = np.abs(gradient - expected).reshape(len(room.gates), -1).max(axis=1)
            wrong |= {gate for gate, error in zip(room.gates, blocks, strict=True) if error > WRONG}
    return wrong


@of_kind("nonlinear")
def test_a_nonlinear_backward_is_wrong_for_large_or_small_gradients(exhibit: Exhibit) -> None:
    assert isinstance(exhibit.room, Room)
    drawn, _, douts = run(exhibit.room)
    forward, backward = patched(exhibit)
    _, kept = forward(*drawn)
    worst = 0.0
    for factor in (1e3, 1e-12):
        for scaled, expected in zip(
            backward(*(factor * d for d in douts), kept),
            exhibit.room.backward(*douts, exhibit.room.forward(*drawn)[1]),
            strict=True,
        ):
            worst = max(worst, slice_errors(scaled / factor, expected, None).max())
    assert worst > WRONG


@of_kind("float32")
def test_a_float32_backward_has_half_of_the_digits(exhibit: Exhibit) -> None:
    worst = max(e.max() for e in errors(exhibit, exhibit.steps).values())
    assert WRONG < worst < 1e-4


@of_kind("mutates")
def test_a_mutating_backward_changes_what_is_named(exhibit: Exhibit) -> None:
    assert isinstance(exhibit.room, Room)
    drawn, _, douts = run(exhibit.room)
    forward, backward = patched(exhibit)
    _, kept = forward(*drawn)
    names = [*list(inspect.signature(backward).parameters)[:-1], *kept._fields]
    values = [*douts, *kept]
    before = copy.deepcopy(values)
    first = backward(*douts, kept)
    changed = {
        name
        for name, value, other in zip(names, values, before, strict=True)
        if not all(np.array_equal(a, b) for a, b in zip(leaves(value), leaves(other), strict=True))
    }
    assert changed == set(exhibit.named)
    for gradient, expected in zip(first, right(exhibit.room.name, 11), strict=True):
        if expected is not None:
            assert slice_errors(gradient, expected, None).max() <= 1e-11


def leaves(value: Any) -> list[Any]:
    if isinstance(value, list | tuple):
        return [leaf for part in value for leaf in leaves(part)]
    return [value]


@of_kind("random")
def test_a_random_backward_differs_from_itself(exhibit: Exhibit) -> None:
    assert isinstance(exhibit.room, Room)
    drawn, _, douts = run(exhibit.room)
    forward, backward = patched(exhibit)
    _, kept = forward(*drawn)
    assert not np.array_equal(backward(*douts, kept)[0], backward(*douts, kept)[0])


def test_the_museum_is_large_and_no_two_labels_are_alike() -> None:
    labels = Counter((exhibit.room.name, exhibit.name) for exhibit in EXHIBITS)
    assert len(labels) == len(EXHIBITS) >= 110
    for exhibit in EXHIBITS:
        assert exhibit.story.endswith(".")
        assert len(exhibit.story) < 100
        assert diff(exhibit).count("\n") < 8


def test_a_diff_is_the_lines_before_and_after() -> None:
    shown = diff(EXHIBITS[0])
    assert shown == "- dW_hh += dz.T @ h[t]\n+ dW_hh = dz.T @ h[t]"


def test_a_patch_that_does_not_fit_is_an_error() -> None:
    for old, new in (("dz", "dy"), ("nowhere", ""), ("dx[t] =", "dx[t] =")):
        with pytest.raises(ValueError, match=r"times, expected once and something else"):
            patched(EXHIBITS[0]._replace(old=old, new=new))


def test_a_traceback_shows_the_patched_line() -> None:
    exhibit = EXHIBITS[0]._replace(name="division", new="dW_hh += dz.T @ h[t] + 1 // 0")
    drawn, _, douts = run(ROOMS[0])
    forward, backward = patched(exhibit)
    with pytest.raises(ZeroDivisionError) as caught:
        backward(*douts, forward(*drawn)[1])
    shown = "".join(traceback.format_exception(caught.value))
    assert "<museum: elman, division>" in shown
    assert "+ 1 // 0" in shown
    assert "+ 1 // 0" in inspect.getsource(backward)
