"""Initialisation schemes: each is what its source says, on every layer and direction."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from numpy_rnn import GRU, LSTM, RNN, Linear, init

LAYERS: list[Any] = [
    lambda **o: RNN(3, 6, 2, bidirectional=True, **o),
    lambda **o: LSTM(3, 6, 2, bidirectional=True, **o),
    lambda **o: GRU(3, 6, 2, bidirectional=True, **o),
    lambda **o: LSTM(3, 6, proj_size=2, **o),
]
each_layer = pytest.mark.parametrize("make", LAYERS)


def blocks(layer: Any, name: str) -> list[Any]:
    """Each gate's part of each parameter of this name."""
    H = layer.hidden_size
    return [
        value[start : start + H]
        for key, value in layer.parameters.values.items()
        if name in key
        for start in range(0, len(value), H)
    ]


@each_layer
def test_glorot(make: Any) -> None:
    layer = make(rng=0)
    init.glorot(layer, rng=1)
    for name in ("weight_ih", "weight_hh"):
        for block in blocks(layer, name):
            bound = np.sqrt(6 / sum(block.shape))
            assert 0.5 * bound < np.abs(block).max() <= bound
    assert not any(block.any() for block in blocks(layer, "bias"))


def test_glorot_of_a_linear_layer() -> None:
    layer = Linear(30, 70)
    init.glorot(layer, rng=0)
    assert 0.24 < np.abs(layer.parameters.values["weight"]).max() <= np.sqrt(6 / 100)


@each_layer
def test_orthogonal(make: Any) -> None:
    layer = make(rng=0)
    before = layer.parameters.values["weight_ih_l0"].copy()
    init.orthogonal(layer, rng=1, gain=1.5)
    for block in blocks(layer, "weight_hh"):
        np.testing.assert_allclose(block.T @ block, 2.25 * np.eye(block.shape[1]), atol=1e-12)
    np.testing.assert_array_equal(layer.parameters.values["weight_ih_l0"], before)


@each_layer
def test_identity(make: Any) -> None:
    layer = make(rng=0)
    init.identity(layer, gain=0.5)
    for block in blocks(layer, "weight_hh"):
        np.testing.assert_array_equal(block, 0.5 * np.eye(*block.shape))
    assert not any(block.any() for block in blocks(layer, "bias"))


def test_an_irnn_adds_up_its_inputs() -> None:
    layer = RNN(1, 1, nonlinearity="relu", rng=0)
    init.identity(layer)
    layer.parameters.values["weight_ih_l0"][...] = 1
    y, _ = layer.forward(np.array([[1.0], [2.0], [3.0]]))
    assert y.ravel().tolist() == [1, 3, 6]


def test_forget_bias() -> None:
    layer = LSTM(3, 4, 2, bidirectional=True, rng=0)
    before = layer.state_dict()
    init.forget_bias(layer, 2.0)
    for name, value in layer.parameters.values.items():
        if "bias" in name:
            assert (value[4:8] == (2.0 if "ih" in name else 0.0)).all()
            value[4:8] = before[name][4:8]
        np.testing.assert_array_equal(value, before[name])


def test_chrono() -> None:
    lstm, gru = LSTM(3, 500, rng=0), GRU(3, 500, rng=0)
    init.chrono(lstm, 100, rng=1)
    init.chrono(gru, 100, rng=1)
    i, f = lstm.parameters.values["bias_ih_l0"].reshape(4, 500)[:2]
    np.testing.assert_array_equal(i, -f)
    assert not lstm.parameters.values["bias_hh_l0"][:1000].any()
    for log_u in (f, gru.parameters.values["bias_ih_l0"][500:1000]):
        assert log_u.min() >= 0
        assert np.log(90) < log_u.max() <= np.log(99)
        assert abs(np.exp(log_u).mean() - 50) < 4  # standard error 1.3


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: init.forget_bias(GRU(2, 3)), "has no such gate biases, expected a gated layer"),
        (lambda: init.forget_bias(LSTM(2, 3, bias=False)), "has no such gate biases"),
        (lambda: init.chrono(RNN(2, 3), 10), "has no such gate biases"),
        (lambda: init.chrono(LSTM(2, 3), 2), "chrono: longest is 2, expected at least 3"),
        (lambda: init.orthogonal(Linear(2, 3)), r"Linear\(2, 3\) has no recurrent weights"),
    ],
)
def test_a_scheme_that_does_not_fit(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
