"""Initialisation schemes: each agrees with its source, on every layer and direction."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from numpy_rnn import GRU, LRU, LSTM, RNN, IndRNN, Linear, MinGRU, Parameters, init

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
    init.identity_recurrent(layer, gain=0.5)
    for block in blocks(layer, "weight_hh"):
        np.testing.assert_array_equal(block, 0.5 * np.eye(*block.shape))
    assert not any(block.any() for block in blocks(layer, "bias"))


def test_an_irnn_adds_up_its_inputs() -> None:
    layer = RNN(1, 1, nonlinearity="relu", rng=0)
    init.identity_recurrent(layer)
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
    lstm, gru, mingru = LSTM(3, 500, rng=0), GRU(3, 500, rng=0), MinGRU(3, 500, rng=0)
    n = mingru.parameters.values["bias_ih_l0"][500:].copy()
    for layer in (lstm, gru, mingru):
        init.chrono(layer, 100, rng=1)
    z = mingru.parameters.values["bias_ih_l0"][:500]  # takes in the new, the others keep the old
    np.testing.assert_array_equal(mingru.parameters.values["bias_ih_l0"][500:], n)
    i, f = lstm.parameters.values["bias_ih_l0"].reshape(4, 500)[:2]
    np.testing.assert_array_equal(i, -f)
    assert not lstm.parameters.values["bias_hh_l0"][:1000].any()
    for log_u in (f, gru.parameters.values["bias_ih_l0"][500:1000], -z):
        assert log_u.min() >= 0
        assert np.log(90) < log_u.max() <= np.log(99)
        assert abs(np.exp(log_u).mean() - 50) < 4  # standard error 1.3


def test_independent() -> None:
    layer = IndRNN(2, 500, 2, bidirectional=True, rng=0)
    before = layer.state_dict()
    init.indrnn_uniform(layer, 100, rng=1, least=0.5)
    for name, value in layer.parameters.values.items():
        if "weight_hh" in name:
            left = value**100
            assert 0.5 <= left.min() < 0.52
            assert 1.9 < left.max() <= 2
        else:
            np.testing.assert_array_equal(value, before[name])
    init.indrnn_uniform(layer, 7, rng=1)
    assert layer.parameters.values["weight_hh_l1_reverse"].min() < 0.02


def test_ring() -> None:
    layer = LRU(8, 500, 2, bidirectional=True, rng=0)
    init.lru_ring(layer, rng=1, r_min=0.5, r_max=0.9, max_phase=0.3)
    for suffix in ("_l0", "_l0_reverse", "_l1", "_l1_reverse"):
        values = layer.parameters.values
        r = np.exp(-np.exp(values[f"nu_log{suffix}"]))
        assert 0.5 <= r.min() < 0.51
        assert 0.89 < r.max() <= 0.9
        assert (
            abs(np.mean(r**2) - (0.25 + 0.81) / 2) < 0.03
        )  # uniform in area; standard error 0.007
        angle = np.exp(values[f"theta_log{suffix}"])
        assert 0.29 < angle.max() <= 0.3
        assert abs(angle.mean() - 0.15) < 0.02  # standard error 0.004
        np.testing.assert_allclose(np.exp(values[f"gamma_log{suffix}"]) ** 2, 1 - r * r, rtol=1e-9)
        weights = values[f"weight_ih{suffix}"]
        assert abs(weights.std() * np.sqrt(2 * weights.shape[1]) - 1) < 0.05


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_an_lru_starts_from_the_whole_disc(dtype: type) -> None:
    values = LRU(8, 2000, rng=0, dtype=dtype).parameters.values
    r = np.exp(-np.exp(values["nu_log_l0"]))
    assert r.min() < 0.1
    assert 0.99 < r.max() < 1
    assert all(np.isfinite(value).all() for value in values.values())


def test_glorot_leaves_vectors_alone() -> None:
    for layer, name in ((IndRNN(3, 4, rng=0), "weight_hh_l0"), (LRU(3, 4, rng=0), "nu_log_l0")):
        before = layer.state_dict()
        init.glorot(layer, rng=1)
        np.testing.assert_array_equal(layer.parameters.values[name], before[name])
        assert (layer.parameters.values["weight_ih_l0"] != before["weight_ih_l0"]).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: init.forget_bias(GRU(2, 3)), "has no such gate biases, expected a gated layer"),
        (lambda: init.forget_bias(LSTM(2, 3, bias=False)), "has no such gate biases"),
        (lambda: init.chrono(RNN(2, 3), 10), "has no such gate biases"),
        (lambda: init.chrono(LSTM(2, 3), 2), "chrono: longest is 2, expected at least 3"),
        (lambda: init.chrono(LRU(2, 3), 10), "has no such gate biases"),
        (
            lambda: init.orthogonal(IndRNN(2, 3)),
            r"IndRNN\(2, 3\) has no matrix 'weight_hh', expected",
        ),
        (
            lambda: init.identity_recurrent(MinGRU(2, 3)),
            r"MinGRU\(2, 3\) has no matrix 'weight_hh', expected",
        ),
        (lambda: init.indrnn_uniform(RNN(2, 3), 10), "has no vector 'weight_hh', expected one"),
        (lambda: init.indrnn_uniform(IndRNN(2, 3), 0), "longest is 0, expected at least 1"),
        (
            lambda: init.indrnn_uniform(IndRNN(2, 3), 9, least=3),
            "least is 3, expected 0 <= least <= most, which is 2.0",
        ),
        (lambda: init.lru_ring(IndRNN(2, 3)), "has no vector 'nu_log', expected one"),
        (
            lambda: init.lru_ring(LRU(2, 3), r_min=0.9, r_max=0.8),
            "r_min is 0.9, expected 0 <= r_min < r_max, which is 0.8",
        ),
        (lambda: init.lru_ring(LRU(2, 3), max_phase=0), "max_phase is 0, expected a finite number"),
        (lambda: init.orthogonal(Linear(2, 3)), r"Linear\(2, 3\) has no matrix 'weight_hh'"),
    ],
)
def test_a_scheme_that_does_not_fit(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_uniform_fills_the_interval_from_a_seed() -> None:
    parameters = Parameters({"w": (100, 100)}, np.float64)
    init.uniform(parameters, 25, 7)
    assert parameters.data.min() >= -0.2
    assert parameters.data.max() <= 0.2
    assert abs(parameters.data.mean()) < 0.005  # standard error 0.0012
    assert abs(parameters.data.std() - 0.4 / np.sqrt(12)) < 0.002
    again = Parameters({"w": (100, 100)}, np.float32)
    init.uniform(again, 25, np.random.default_rng(7))
    np.testing.assert_array_equal(again.data, parameters.data.astype(np.float32))
