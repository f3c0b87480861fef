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


def states(layer: Any, *leading: int, size: int | None = None) -> Any:
    parts = tuple(np.zeros((*leading, size or n)) for n in layer.state_sizes)
    return parts if len(parts) > 1 else parts[0]


@pytest.mark.parametrize("kind", [*KINDS, partial(LSTM, proj_size=2)])
@pytest.mark.parametrize(
    ("x", "leading", "size", "message"),
    [
        # NumPy would repeat each of these over the batch or the units, or leave a layer out.
        (X, (1, 1), None, "has shape (1, 1, N), expected (1, 2, N)"),
        (X, (2,), None, "has shape (2, N), expected (1, 2, N)"),
        (X, (1, 2), 1, "has shape (1, 2, 1), expected (1, 2, N)"),
        (X, (2, 2), None, "has shape (2, 2, N), expected (1, 2, N)"),
        (X[0], (1, 1), None, "has shape (1, 1, N), expected (1, N)"),
        (X[:, :1], (1, 2), None, "x_t has shape (2, 1), expected (B, 3) or (3,)"),
        (X[None], (1, 2), None, "x_t has shape (1, 2, 3), expected (B, 3) or (3,)"),
        (np.array([[0, 1]]), (1, 2), None, "x_t has shape (1, 2), expected (B,) or ()"),
    ],
)
def test_a_step_takes_no_shape_but_its_own(
    kind: Any, x: Array, leading: tuple[int, ...], size: int | None, message: str
) -> None:
    layer = kind(D, H, rng=0)
    with pytest.raises(ValueError, match=r"expected \(") as caught:
        layer.step(x, states(layer, *leading, size=size))
    name = f"{type(layer).__name__}(3, 4).step: "
    N = layer.state_sizes[0]
    assert str(caught.value).startswith(name)
    assert str(caught.value).endswith(message.replace("N", str(N)))


@each_kind
def test_a_step_takes_the_components_of_its_state_and_no_others(kind: Any) -> None:
    layer = kind(D, H, rng=0)
    n = len(layer.state_sizes)
    message = (
        r"step: state is a tuple of 3, expected a tuple of 2 arrays$"
        if n > 1
        else r"step: state has shape \(3, 1, 2, 4\), expected \(1, 2, 4\)$"
    )
    with pytest.raises(ValueError, match=message):
        layer.step(X, (np.zeros((1, 2, H)),) * 3)


@each_kind
@pytest.mark.parametrize("symbol", [D, D + H, 99])
def test_a_symbol_that_is_none_is_not_looked_up(kind: Any, symbol: int) -> None:
    layer = kind(D, H, rng=0)
    with pytest.raises(IndexError, match=f"index {symbol} is out of bounds for axis 0 with size 3"):
        layer.step(np.array([0, symbol]))


def test_a_state_may_come_as_a_list() -> None:
    layer, x = LSTM(3, 4, rng=0), np.ones((2, 3))
    _, state = layer.step(x)
    for got, want in zip(layer.step(x, [*state])[1], layer.step(x, state)[1], strict=True):
        np.testing.assert_array_equal(got, want)
