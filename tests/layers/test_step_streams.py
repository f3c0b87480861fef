"""Steps are pure functions of (x_t, state): streams, batches and threads do not meet."""

from __future__ import annotations

import copy
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from numpy_rnn import (
    LSTM,
    Linear,
    Sequential,
)
from numpy_rnn.functional.types import Array
from tests.layers.models import MODELS, an_input, flat, normal_like, same_trees
from tests.layers.stepping import (
    X,
    each_cell,
    each_method,
    each_stream,
    stepping,
)
from tests.layers.test_sequences import D, H


@each_stream
@each_method
def test_a_step_disturbs_no_pending_backward_and_no_other_step(name: str, method: str) -> None:
    layer, untouched = MODELS[name](), MODELS[name]()
    x = an_input(layer, 0)
    for each in (layer, untouched):
        y = each.forward(x)
    dy = np.ones_like(y[0] if layer.stateful else y)
    step = stepping(layer, method)
    state = normal_like(layer.zero_state(x.shape[1]), np.random.default_rng(1))
    first, other = step(x[0], state), step(x[1])
    kept = copy.deepcopy((first, other))
    same_trees(step(x[0], state), first)
    same_trees((first, other), kept)
    same_trees(layer.backward(dy), untouched.backward(dy))


@each_cell
@each_method
@pytest.mark.parametrize("num_layers", [1, 2])
def test_nothing_returned_shares_memory(kind: Any, num_layers: int, method: str) -> None:
    step = stepping(kind(D, H, num_layers, rng=0), method)
    for x in (X, X[0]):
        _, state = step(x)
        y, after = step(x, state)
        again, third = step(x, state)
        arrays = [y, x, again, *flat((state, after, third))]
        for i, a in enumerate(arrays):
            assert a.flags.writeable
            assert not any(np.shares_memory(a, b) for b in arrays[i + 1 :])


@each_cell
@given(batches=st.lists(st.integers(0, 4), min_size=1, max_size=6), seed=st.integers(0, 99))
def test_a_stepper_takes_batches_of_any_size_in_turn(
    kind: Any, batches: list[int], seed: int
) -> None:
    layer = kind(D, H, 2, rng=0)
    step, rng = layer.stepper(), np.random.default_rng(seed)
    for B in batches:
        x, state = rng.standard_normal((B, D)), normal_like(layer.zero_state(B), rng)
        same_trees(step(x, state), layer.step(x, state), rtol=1e-12, atol=1e-14)


def test_a_stream_in_a_stepper_is_not_another_streams() -> None:
    layer = Sequential(LSTM(D, H, 2, rng=0), Linear(H, 2, rng=1))
    step, rng = layer.stepper(), np.random.default_rng(0)
    inputs = rng.standard_normal((2, 5, 1, D))
    alone = []
    for stream in inputs:
        state = None
        for x_t in stream:
            y, state = step(x_t, state)
        alone.append((y, state))
    states: list[Any] = [None, None]
    outputs: list[Any] = [None, None]
    for t in range(5):
        for user in (0, 1):
            outputs[user], states[user] = step(inputs[user, t], states[user])
    same_trees(list(zip(outputs, states, strict=True)), alone)


@each_cell
@each_method
def test_threads_may_step_at_once(kind: Any, method: str) -> None:
    layer = kind(D, 32, rng=0)
    inputs = np.random.default_rng(1).standard_normal((6, 60, 1 + 1, D))

    def serve(user: int) -> Array:
        step, state = stepping(layer, method), None  # a stepper for each thread
        for x_t in inputs[user]:
            y, state = step(x_t, state)
        last: Array = y
        return last

    alone = [serve(user) for user in range(len(inputs))]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # seconds, so that they meet inside steps
    try:
        with ThreadPoolExecutor(6) as pool:
            together = list(pool.map(serve, range(len(inputs))))
    finally:
        sys.setswitchinterval(interval)
    np.testing.assert_array_equal(together, alone)
