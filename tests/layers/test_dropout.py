"""Dropout as a layer: the mask's share, its scale, its gradient, and nothing in evaluation."""

from __future__ import annotations

import numpy as np
import pytest

from numpy_rnn import LSTM, Dropout, Sequential


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_it_zeroes_with_probability_p_and_scales_the_rest(p: float, dtype: str) -> None:
    layer = Dropout(p, rng=0, dtype=dtype)
    x = np.ones((20, 10, 50), dtype)
    y = layer.forward(x)
    assert y.dtype == x.dtype
    kept = y != 0
    assert kept.mean() == pytest.approx(1 - p, abs=0.02)
    np.testing.assert_allclose(y[kept], 1 / (1 - p), rtol=1e-6)
    assert np.array_equal(layer.gradients(x)[0], y)  # the same mask and scale
    assert not np.array_equal(layer.forward(x), y)


def test_evaluation_and_p_zero_leave_everything_as_it_is() -> None:
    x = np.ones((2, 3))
    for layer, mode in ((Dropout(0.5, rng=0), False), (Dropout(0.0, rng=0), True)):
        layer.train(mode)
        assert np.array_equal(layer.forward(x), x)
        assert np.array_equal(layer.gradients(x)[0], x)
    assert Dropout(0.0).generators() == []


def test_a_model_knows_its_generators_once_each() -> None:
    rng = np.random.default_rng(0)
    model = Sequential(
        LSTM(2, 3, 2, dropout=0.5, rng=rng), Dropout(0.5, rng=rng), LSTM(3, 3, rng=1), Dropout(0.5)
    )
    assert len(model.generators()) == 2
    assert model.generators()[0] is rng


def test_what_is_refused() -> None:
    with pytest.raises(ValueError, match="p is 1"):
        Dropout(1)
    layer = Dropout(0.5)
    with pytest.raises(RuntimeError, match=r"Dropout.backward: nothing to go back through"):
        layer.backward(np.ones(3))
    with pytest.raises(TypeError, match="x has dtype float32, expected float64"):
        layer.forward(np.ones(3, np.float32))
    layer.forward(np.ones(3))
    with pytest.raises(ValueError, match=r"dy has shape \(2,\), expected \(3,\)"):
        layer.backward(np.ones(2))
