"""The metrics, against closed forms and finite differences."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from numpy_rnn import GRU, LRU, LSTM, RNN, IndRNN, MinGRU
from numpy_rnn.apps.explain.metrics import by_distance, gates, saturation, top_layer
from numpy_rnn.checking import attribution
from numpy_rnn.checking.ledger import jacobians as jacobians_of_batch
from numpy_rnn.functional.types import Array

T, D, H = 7, 3, 4
KINDS = [RNN, LSTM, GRU, IndRNN, MinGRU, LRU]


def attribution_of_one(layer: Any, x: Array, dy: Array) -> Array:
    """|dL_t/dh_s| of one sequence."""
    return attribution(layer, x[:, None], dy[:, None])[0]


def jacobians(layer: Any, x: Array) -> Array:
    """Of one sequence."""
    return np.array([J[0] for J in jacobians_of_batch(layer, x[:, None], None)][::-1])


def adding_layer(rng: np.random.Generator) -> tuple[RNN, Array]:
    """A relu layer with all units on: a linear recurrence with the returned matrix."""
    layer = RNN(D, H, nonlinearity="relu", bias=False)
    W = rng.uniform(0, 0.5, (H, H))
    layer.parameters.values["weight_hh_l0"][...] = W
    layer.parameters.values["weight_ih_l0"][...] = 1
    return layer, W


def test_the_attribution_of_a_linear_recurrence_is_a_power_of_its_matrix() -> None:
    rng = np.random.default_rng(0)
    layer, W = adding_layer(rng)
    x, dy = rng.random((T, D)), rng.standard_normal((T, H))
    A = attribution_of_one(layer, x, dy)
    for t in range(T):
        for s in range(T):
            power = np.linalg.matrix_power(W.T, t - s) @ dy[t] if s <= t else np.zeros(H)
            np.testing.assert_allclose(A[t, s], np.linalg.norm(power), rtol=1e-12)


def test_the_jacobian_of_a_linear_recurrence_is_its_matrix() -> None:
    rng = np.random.default_rng(1)
    layer, W = adding_layer(rng)
    J = jacobians(layer, rng.random((T, D)))
    for J_t in J:
        np.testing.assert_allclose(J_t, W, rtol=1e-13)


@pytest.mark.parametrize("kind", KINDS)
def test_the_jacobian_is_what_a_small_change_of_the_state_does(kind: Any) -> None:
    rng = np.random.default_rng(2)
    layer = kind(D, H, rng=1)
    x, state = rng.standard_normal((T, D)), None
    J = jacobians(layer, x)
    for t in range(T):
        _, after = layer.step(x[t : t + 1], state)
        if state is not None:
            base, moved = flat(state), 1e-6 * rng.standard_normal(J.shape[1])
            change = flat(layer.step(x[t : t + 1], like(state, base + moved))[1]) - flat(
                layer.step(x[t : t + 1], like(state, base - moved))[1]
            )
            np.testing.assert_allclose(J[t] @ moved, change / 2, rtol=1e-6, atol=1e-12)
        state = after


def flat(state: Any) -> Array:
    parts = state if isinstance(state, tuple) else (state,)
    return np.concatenate([part.ravel() for part in parts])


def like(state: Any, numbers: Array) -> Any:
    if not isinstance(state, tuple):
        return numbers.reshape(state.shape)
    pieces = np.split(numbers, np.cumsum([part.size for part in state])[:-1])
    return tuple(piece.reshape(part.shape) for piece, part in zip(pieces, state, strict=True))


@pytest.mark.parametrize("kind", KINDS)
def test_attribution_is_the_product_of_the_jacobians(kind: Any) -> None:
    rng = np.random.default_rng(3)
    layer = kind(D, H, rng=1)
    x, K = rng.standard_normal((T, D)), layer.state_sizes[0]
    dy = rng.standard_normal((T, K))
    A, J = attribution_of_one(layer, x, dy), jacobians(layer, x)
    for t in range(T):
        d = np.zeros(J.shape[1])
        d[:K] = dy[t]
        for s in reversed(range(t + 1)):
            np.testing.assert_allclose(A[t, s], np.linalg.norm(d[:K]), rtol=1e-10)
            d = d @ J[s]
        assert not A[t, t + 1 :].any()


def test_by_distance_is_the_median_ratio() -> None:
    A = np.array([[2.0, 0, 0], [1, 4, 0], [3, 2, 1]])
    np.testing.assert_allclose(by_distance(A), [1, np.median([1 / 4, 2 / 1]), 3])


def test_saturation_counts_units() -> None:
    h = np.array([[0.96, -0.99, 0.5, 0.95], [0, 0, 0, 0]])
    assert saturation(h).tolist() == [0.5, 0]


def test_a_relu_is_saturated_where_it_is_zero() -> None:
    h = np.array([[0.0, 3.0, 0.5, 0.96], [0, 0, 0, 0]])
    assert saturation(h, relu=True).tolist() == [0.25, 1]


@pytest.mark.parametrize("kind", [RNN, LSTM, GRU])
@pytest.mark.parametrize("layers", [1, 3])
def test_the_top_layer_of_a_stack_computes_the_same_alone(kind: Any, layers: int) -> None:
    layer = kind(D, H, layers, rng=4)
    x = np.random.default_rng(5).standard_normal((T, 2, D))
    alone, read = top_layer(layer, x)
    assert alone.num_layers == 1
    np.testing.assert_array_equal(alone.predict(read)[0], layer.predict(x)[0])
    if layers > 1:
        dy = np.zeros((T, 2, H))
        dy[-1] = 1
        layer.forward(x)
        layer.backward(dy)
        expected = layer.parameters.grads[f"weight_hh_l{layers - 1}"]
        alone.forward(read)
        alone.backward(dy)
        np.testing.assert_allclose(alone.parameters.grads["weight_hh_l0"], expected, rtol=1e-12)


@pytest.mark.parametrize(
    "layer",
    [
        RNN(D, H, 2, "relu", bias=False, rng=0),
        LSTM(D, H, 2, proj_size=2, rng=0),
        LSTM(D, H, 2, activations=("hard_sigmoid", "tanh", "relu"), clip=0.5, rng=0),
        GRU(D, H, 2, reset_after=False, rng=0),
    ],
    ids=repr,
)
def test_the_top_layer_has_the_options_of_the_stack(layer: Any) -> None:
    x = np.random.default_rng(5).standard_normal((T, 2, D))
    alone, read = top_layer(layer, x)
    np.testing.assert_array_equal(alone.predict(read)[0], layer.predict(x)[0])


def test_gates_of_an_lstm_with_options_are_its_own() -> None:
    options: dict[str, Any] = {"activations": ("hard_sigmoid", "tanh", "tanh"), "clip": 0.5}
    layer = LSTM(D, H, bias=False, input_forget=True, rng=0, **options)
    x = np.random.default_rng(0).standard_normal((T, D))
    h, c = layer._cells[0].forward(x[:, None], *np.zeros((2, 1, H)), *layer.weights())[0]
    found = gates(layer, x, h[:, 0])
    before = np.concatenate([np.zeros((1, H)), c[:-1, 0]])
    W = layer.weights()[0]
    g = np.tanh(np.clip(x @ W[2 * H : 3 * H].T, -0.5, 0.5)[:1])  # of the first step
    np.testing.assert_allclose(found["forget"][:1] * before[:1] + found["input"][:1] * g, c[:1, 0])
    np.testing.assert_array_equal(found["forget"], 1 - found["input"])
    np.testing.assert_allclose(found["output"] * np.tanh(c[:, 0]), h[:, 0], rtol=1e-12)
    projected = LSTM(D, H, proj_size=2, rng=0)
    assert gates(projected, x, projected.predict(x[:, None])[0][:, 0])["output"].shape == (T, H)


def blocks(layer: Any, x: Array, h: Array) -> tuple[Any, Any]:
    """W_ih x + b_ih and W_hh h + b_hh, a row for each gate."""
    values, H = layer.parameters.values, layer.hidden_size
    a = values["weight_ih_l0"] @ x + values["bias_ih_l0"]
    s = values["weight_hh_l0"] @ h + values["bias_hh_l0"]
    return a.reshape(-1, H), s.reshape(-1, H)


def test_gates_are_those_that_make_the_lstms_next_state() -> None:
    layer, x = LSTM(3, 4, rng=0), np.random.default_rng(0).standard_normal((6, 3))
    opened = gates(layer, x, layer.predict(x)[0])
    h, c = np.zeros((2, 1, 4))
    for t in range(6):
        a, s = blocks(layer, x[t], h[0])
        kept = opened["forget"][t] * c[0] + opened["input"][t] * np.tanh(a[2] + s[2])
        _, (h, c) = layer.step(x[t], (h, c))
        np.testing.assert_allclose(c[0], kept, rtol=1e-12)
        np.testing.assert_allclose(h[0], opened["output"][t] * np.tanh(c[0]), rtol=1e-12)


def test_gates_are_those_that_make_the_grus_next_state() -> None:
    layer, x = GRU(3, 4, rng=0), np.random.default_rng(0).standard_normal((6, 3))
    opened = gates(layer, x, layer.predict(x)[0])
    h = np.zeros((1, 4))
    for t in range(6):
        a, s = blocks(layer, x[t], h[0])
        new = np.tanh(a[2] + opened["reset"][t] * s[2])
        expected = new + opened["update"][t] * (h[0] - new)
        _, h = layer.step(x[t], h)
        np.testing.assert_allclose(h[0], expected, rtol=1e-12)
