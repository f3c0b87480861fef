"""Skip connections, initial states, masks from the input, and reversed sequences."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest

from numpy_rnn import LSTM, RNN, Embedding, Layer, Linear, Sequential
from numpy_rnn.functional.types import Array
from numpy_rnn.layers.wrappers import Flip, InitialState, Masked, Residual

RNG = np.random.default_rng(0)
INITIAL = ((RNG.standard_normal((2, 3)), RNG.standard_normal((2, 3))),)
X = RNG.standard_normal((6, 2, 2))
X[2, 0] = X[3] = X[1, 0, 0] = 0.5  # the last in one of its features only


def layers() -> tuple[Layer, ...]:
    return LSTM(2, 3, 2, rng=0), Linear(3, 2, rng=1)


MODELS: dict[str, Any] = {
    "residual": lambda: Residual(*layers()),
    "initial": lambda: InitialState(*layers(), initial=INITIAL),
    "masked": lambda: Masked(*layers(), mask_value=0.5),
    "flip": lambda: Sequential(Flip(), *layers(), Flip()),
    "nested": lambda: Sequential(Linear(2, 2, rng=2), Residual(*layers()), RNN(2, 1, rng=3)),
}


def expected(kind: str, x: Array) -> Array:
    """Return the outputs, by other means."""
    plain = Sequential(*layers())
    if kind == "residual":
        return np.asarray(plain.predict(x)[0] + x)
    if kind == "initial":
        state = tuple(tuple(np.repeat(p[:, None], 2, axis=1) for p in part) for part in INITIAL)
        return np.asarray(plain.predict(x, state)[0])
    if kind == "flip":
        return np.asarray(plain.predict(x[::-1])[0][::-1])
    lstm, linear = layers()
    y = np.zeros((6, 2, 3))
    states: list[Any] = [None, None]
    for row in range(2):
        for t in range(6):
            if (x[t, row] != 0.5).any():
                y[t, row], states[row] = lstm.step(x[t, row], states[row])
            elif t:
                y[t, row] = y[t - 1, row]
    return np.asarray(linear.predict(y))


@pytest.mark.parametrize("kind", ["residual", "initial", "masked", "flip"])
def test_outputs(kind: str) -> None:
    model = MODELS[kind]()
    pickled = pickle.loads(pickle.dumps(model))  # noqa: S301 (made here)
    for same in (model, copy.deepcopy(model), pickled):
        np.testing.assert_allclose(same.predict(X)[0], expected(kind, X), atol=1e-14)
        np.testing.assert_allclose(same.forward(X)[0], expected(kind, X), atol=1e-14)


@pytest.mark.parametrize("kind", MODELS)
def test_gradients(kind: str) -> None:
    model = MODELS[kind]()
    y, _, cache = model.apply(X)
    dy = np.random.default_rng(1).standard_normal(y.shape)
    dx, _, gradients = model.vjp(cache, dy)
    direction = np.random.default_rng(2).standard_normal(X.shape)
    if kind == "masked":
        direction[2, 0] = direction[3] = 0  # any other value is not masked
        np.testing.assert_array_equal(dx[2, 0], 0)
    weights = np.random.default_rng(3).standard_normal(model.parameters.data.shape)

    def loss(step: float) -> float:
        moved = copy.deepcopy(model)
        moved.parameters.data[...] = model.parameters.data + step * weights
        return float((moved.predict(X + step * direction)[0] * dy).sum())

    h = 1e-3
    numeric = 8 * (loss(h) - loss(-h)) - (loss(2 * h) - loss(-2 * h))
    flat = np.concatenate([gradients[name].ravel() for name in model.parameters.shapes])
    analytic = (dx * direction).sum() + flat @ weights
    assert abs(numeric / (12 * h) - analytic) < 1e-9 * max(1, abs(analytic))


@pytest.mark.parametrize("kind", ["residual", "initial"])
@pytest.mark.parametrize("batched", [True, False])
def test_blocks_and_steps_carry_the_state(kind: str, batched: bool) -> None:
    model = MODELS[kind]()
    x = np.random.default_rng(4).standard_normal((200, 3, 2) if batched else (200, 2))
    whole, _ = model.predict(x)  # in chunks
    step, state, after, y = model.stepper(), None, None, []
    for x_t in x:
        y_t, state = step(x_t, state)
        other, after = model.step(x_t, after)
        np.testing.assert_allclose(other, y_t, atol=1e-14)
        y.append(y_t)
    np.testing.assert_allclose(np.stack(y), whole, atol=1e-13)
    first, state = model.predict(x[:150])
    second, _ = model.predict(x[150:], state)
    np.testing.assert_allclose(np.concatenate([first, second]), whole, atol=1e-13)
    np.testing.assert_allclose(model.apply(x)[0], whole, atol=1e-13)


def test_a_reset_goes_back_to_the_initial_state() -> None:
    model = MODELS["initial"]()
    x = np.random.default_rng(4).standard_normal((200, 1, 2))
    reset = np.zeros((200, 1), bool)
    reset[100] = True
    for y in (model.predict(x, reset=reset)[0], model.apply(x, reset=reset)[0]):
        np.testing.assert_allclose(y[100:], model.predict(x[100:])[0], atol=1e-13)
    assert model.zero_state(4)[0][0].shape == (2, 4, 3)
    np.testing.assert_array_equal(model.zero_state(4)[0][1][:, 3], INITIAL[0][1])


def test_masked_tokens_and_steps() -> None:
    model = Masked(Embedding(5, 2, rng=0), LSTM(2, 3, rng=0), mask_value=0)
    tokens = np.array([[1, 0, 2, 0], [0, 0, 3, 4]]).T
    y, _ = model.predict(tokens)
    np.testing.assert_array_equal(y[1, 0], y[0, 0])
    np.testing.assert_array_equal(y[:2, 1], 0)
    np.testing.assert_allclose(y[2, 0], model.predict(np.array([1, 2]))[0][1], atol=1e-15)
    for step in (model.step, model.stepper()):
        step(np.array([1, 2]))
        with pytest.raises(ValueError, match="x_t is masked"):
            step(np.array([1, 0]))


def test_no_gradient_reaches_what_is_masked() -> None:
    model = Masked(Linear(2, 3, rng=0), mask_value=0.5)
    y, _, cache = model.apply(X)
    dx, _, _ = model.vjp(cache, np.ones_like(y))
    assert dx is not None
    np.testing.assert_array_equal(dx.any(axis=-1), (X != 0.5).any(axis=-1))


def test_a_mask_is_not_cut_into_chunks() -> None:
    model = Sequential(Linear(2, 2, bias=False, rng=2), Masked(*layers(), mask_value=0))
    x = np.random.default_rng(4).standard_normal((200, 1, 2))
    x[50:150] = 0
    y, _ = model.predict(x)
    np.testing.assert_array_equal(y[149], y[49])
    np.testing.assert_allclose(y, model.apply(x)[0], atol=1e-13)


def test_wrong_initial_states() -> None:
    with pytest.raises(ValueError, match=r"initial has shape \(1, 3\), expected \(2, 3\)"):
        InitialState(*layers(), initial=((INITIAL[0][0][:1], INITIAL[0][1]),))
    with pytest.raises(ValueError, match="zip"):
        InitialState(*layers(), initial=INITIAL * 2)
