"""A single step of which no gradient is wanted is a step of forward."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from numpy_rnn import functional as F  # noqa: N812 (as PyTorch's users write it)
from numpy_rnn.functional.elman import elman_forward, elman_stepper
from numpy_rnn.functional.gru import gru_forward, gru_stepper
from numpy_rnn.functional.lstm import lstm_forward, lstm_stepper
from numpy_rnn.functional.types import Array
from tests.case import D, Rng
from tests.cases import (
    elman_arguments,
    gru_arguments,
    lstm_arguments,
    projected_lstm_arguments,
)
from tests.complex_step import as_tuple, is_real


class Stepper(NamedTuple):
    """A cell, the function that arranges its weights, and where these begin."""

    arguments: Callable[[Rng, int, int], tuple[Any, ...]]
    forward: Callable[..., Any]
    arrange: Callable[..., Callable[..., tuple[Array, ...]]]
    first: int


STEPPERS = {
    "elman tanh": Stepper(elman_arguments, elman_forward, elman_stepper, 2),
    "elman relu": Stepper(
        elman_arguments, partial(elman_forward, phi=F.RELU), partial(elman_stepper, phi=F.RELU), 2
    ),
    "gru": Stepper(gru_arguments, gru_forward, gru_stepper, 2),
    "lstm": Stepper(lstm_arguments, lstm_forward, lstm_stepper, 3),
    "lstm projected": Stepper(projected_lstm_arguments, lstm_forward, lstm_stepper, 3),
}
each_stepper = pytest.mark.parametrize("stepper", STEPPERS.values(), ids=STEPPERS)
each_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex128])


def prepare(
    stepper: Stepper, T: int, B: int, dtype: type = np.float64, tokens: bool = False, seed: int = 0
) -> tuple[Array, tuple[Array, ...], tuple[Any, ...]]:
    """Input, states as a step takes them, and weights."""
    rng = np.random.default_rng(seed)
    arguments = stepper.arguments(rng, T, B)
    arguments = tuple(a.astype(dtype) if is_real(a) else a for a in arguments)
    x = rng.integers(0, D, (T, B)) if tokens else arguments[0]
    return x, tuple(s[None] for s in arguments[1 : stepper.first]), arguments[stepper.first :]


@each_stepper
@each_dtype
@pytest.mark.parametrize("tokens", [False, True])
def test_step_by_step_is_forward(stepper: Stepper, dtype: type, tokens: bool) -> None:
    x, states, weights = prepare(stepper, 5, 3, dtype, tokens)
    trajectories = as_tuple(stepper.forward(x, *(s[0] for s in states), *weights)[0])
    step, close = stepper.arrange(*weights), 1e-5 if dtype is np.float32 else 1e-13
    for t, x_t in enumerate(x):
        states = step(x_t, *states)
        for got, trajectory in zip(states, trajectories, strict=True):
            assert got.dtype == dtype
            assert got.shape == (1, *trajectory[t].shape)
            np.testing.assert_allclose(got[0], trajectory[t], rtol=close, atol=close)
    x, states, _ = prepare(stepper, 5, 3, dtype, tokens)
    for got, trajectory in zip(step(x, *states), trajectories, strict=True):  # a block
        assert got.dtype == dtype
        np.testing.assert_allclose(got, trajectory, rtol=close, atol=close)


@each_stepper
@given(batches=st.lists(st.integers(0, 4), min_size=1, max_size=5), seed=st.integers(0, 99))
def test_batches_of_any_size_may_take_turns(
    stepper: Stepper, batches: list[int], seed: int
) -> None:
    x, states, weights = prepare(stepper, 1, 4, seed=seed)
    step = stepper.arrange(*weights)
    for B in batches:
        some = tuple(state[:, :B] for state in states)
        want, _ = stepper.forward(x[:, :B], *(s[0] for s in some), *weights)
        for got, trajectory in zip(step(x[0, :B], *some), as_tuple(want), strict=True):
            np.testing.assert_allclose(got, trajectory, rtol=1e-13, atol=1e-13)


@each_stepper
def test_a_step_keeps_its_weights_and_leaves_what_it_is_given(stepper: Stepper) -> None:
    x, states, weights = prepare(stepper, 1, 3)
    step = stepper.arrange(*weights)
    for array in (x, *states):
        array.flags.writeable = False  # writing to one of them would raise
    first = step(x[0], *states)
    copies = [state.copy() for state in first]
    for weight in weights:
        if weight is not None:
            weight[...] = np.nan
    second = step(x[0], *states)
    for a, b, copy in zip(first, second, copies, strict=True):
        np.testing.assert_array_equal(a, copy)
        np.testing.assert_array_equal(b, copy)
    new = (*first, *second)
    for i, a in enumerate(new):
        assert not any(np.shares_memory(a, b) for b in (*new[i + 1 :], x, *states))


def test_one_step_does_not_copy_the_weights() -> None:
    H = 256
    weights = np.ones((H, 1)), np.ones((H, H)), np.ones(H), np.ones(H)
    x, state = np.ones((1, 1, 1)), np.ones((1, H))
    tracemalloc.start()
    F.elman_forward(x, state, *weights)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < H * H * 8 / 2
