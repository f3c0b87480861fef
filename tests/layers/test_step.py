"""A step uses the weights as they are now, for every user of a layer at once."""

from __future__ import annotations

import copy
import pickle
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
import pytest

from numpy_rnn import GRU, LSTM, RNN, PeepholeLSTM, Sequential, init
from numpy_rnn.functional.types import Array
from numpy_rnn.optim import SGD

D, H = 3, 4
X = np.random.default_rng(0).standard_normal((2, D))
KINDS = [RNN, LSTM, PeepholeLSTM, GRU, partial(GRU, reset_after=False)]
each_kind = pytest.mark.parametrize("kind", KINDS)


def by_forward(layer: Any) -> Array:
    y: Array = layer.forward(X[None])[0][0]
    return y


def write(layer: Any) -> None:
    layer.parameters.data[...] *= 2
    layer.parameters.changed()


def step_of_sgd(layer: Any) -> None:
    layer.parameters.grad[...] = 1
    SGD(layer.parameters, lr=0.1).step()


CHANGES: dict[str, Any] = {
    "write": write,
    "sgd": step_of_sgd,
    "init": lambda layer: init.glorot(layer, rng=1),
    "load": lambda layer: layer.load_state_dict(type(layer)(D, H, rng=5).state_dict()),
}


@each_kind
@pytest.mark.parametrize("change", CHANGES)
def test_a_step_sees_a_change(kind: Any, change: str) -> None:
    layer = kind(D, H, rng=0)
    before, _ = layer.step(X)
    CHANGES[change](layer)
    after, _ = layer.step(X)
    assert np.abs(after - before).max() > 1e-3
    np.testing.assert_allclose(after, by_forward(layer), rtol=1e-12)


@each_kind
def test_a_step_sees_a_change_made_through_a_model_that_the_layer_joined(kind: Any) -> None:
    layer = kind(D, H, rng=0)
    layer.step(X)
    model = Sequential(layer)
    for seed in range(1, 4):  # whatever number the version was before, one of them meets it
        model.load_state_dict(Sequential(kind(D, H, rng=seed)).state_dict())
        np.testing.assert_allclose(layer.step(X)[0], by_forward(layer), rtol=1e-12)


def pickled(layer: Any) -> Any:
    return pickle.loads(pickle.dumps(layer))  # noqa: S301 (its own)


@each_kind
@pytest.mark.parametrize("how", [copy.deepcopy, pickled])
def test_a_copy_steps_with_its_own_weights(kind: Any, how: Any) -> None:
    layer = kind(D, H, rng=0)
    y, _ = layer.step(X)
    twin = how(layer)
    write(layer)
    np.testing.assert_array_equal(twin.step(X)[0], y)
    write(twin)
    np.testing.assert_array_equal(twin.step(X)[0], layer.step(X)[0])


@each_kind
@pytest.mark.parametrize("num_layers", [1, 2])
def test_nothing_returned_shares_memory(kind: Any, num_layers: int) -> None:
    layer = kind(D, H, num_layers, rng=0)
    _, state = layer.step(X)
    y, after = layer.step(X, state)
    arrays = [y, X, *(p for s in (state, after) for p in (s if isinstance(s, tuple) else (s,)))]
    for i, a in enumerate(arrays):
        assert a.flags.writeable
        assert not any(np.shares_memory(a, b) for b in arrays[i + 1 :])


@each_kind
def test_threads_may_step_at_once(kind: Any) -> None:
    layer = kind(D, 32, rng=0)
    inputs = np.random.default_rng(1).standard_normal((8, 200, 1 + 1, D))

    def serve(user: int) -> Array:
        state: Any = None
        for x_t in inputs[user]:
            y, state = layer.step(x_t, state)
        last: Array = y
        return last

    alone = [serve(user) for user in range(len(inputs))]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # seconds, so that they meet inside steps
    try:
        with ThreadPoolExecutor(8) as pool:
            together = list(pool.map(serve, range(len(inputs))))
    finally:
        sys.setswitchinterval(interval)
    np.testing.assert_array_equal(together, alone)
