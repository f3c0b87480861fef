"""The textbook code is right: what is wrong in the museum is the patches."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from numpy_rnn.checking.shapes import SIZES
from numpy_rnn.functional.types import Array
from numpy_rnn.museum import EXHIBITS, ROOMS, Room, arguments
from tests.complex_step import as_tuple, complex_step, is_real, slice_errors
from tests.museum.library import LIBRARY

each_room = pytest.mark.parametrize("room", ROOMS, ids=lambda room: room.name)


def run(room: Room, sizes: Any = SIZES) -> tuple[tuple[Array, ...], tuple[Array, ...], Any]:
    """Arguments, outputs and a random gradient for each output."""
    rng = np.random.default_rng(0)
    drawn = arguments(room, rng, sizes)
    outputs = as_tuple(room.forward(*drawn)[0])
    return drawn, outputs, tuple(np.asarray(rng.standard_normal(np.shape(o))) for o in outputs)


def close(actual: Any, expected: Any) -> None:
    if expected is None:
        assert actual is None
    else:
        np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-13 * np.abs(expected).max())


def test_every_room_has_exhibits_and_an_equal_in_the_library() -> None:
    assert [room.name for room in ROOMS] == list(LIBRARY)
    assert {room.name for room in ROOMS} <= {exhibit.room.name for exhibit in EXHIBITS}


@each_room
@pytest.mark.parametrize("sizes", [SIZES, {**SIZES, "T": 1, "B": 1}], ids=["standard", "one"])
def test_a_room_equals_the_library(room: Room, sizes: Any) -> None:
    drawn, outputs, douts = run(room, sizes)
    expected_outputs, expected = LIBRARY[room.name](drawn, douts)
    for actual, output in zip(outputs, expected_outputs, strict=True):
        close(actual, output)
    gradients = room.backward(*douts, room.forward(*drawn)[1])
    for gradient, other in zip(gradients, expected, strict=True):
        close(gradient, other)


@each_room
def test_a_room_equals_the_complex_step(room: Room) -> None:
    drawn, _, douts = run(room)
    gradients = room.backward(*douts, room.forward(*drawn)[1])
    expected = complex_step(room.forward, drawn, douts)
    for gradient, other, shape in zip(gradients, expected, room.shapes.values(), strict=True):
        if other is None:
            assert gradient is None
        else:
            axis = 0 if isinstance(shape, str) and shape.startswith("T") else None
            assert slice_errors(gradient, other, axis).max() <= 1e-11


@each_room
def test_a_room_follows_the_dtype(room: Room) -> None:
    drawn, _, douts = run(room)
    halves = [a.astype(np.float32) if is_real(a) else a for a in drawn]
    _, cache = room.forward(*halves)
    gradients = room.backward(*(d.astype(np.float32) for d in douts), cache)
    assert {g.dtype for g in gradients if g is not None} == {np.dtype(np.float32)}
