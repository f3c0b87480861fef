"""Dropout as a layer: the mask's share, its scale, its gradient, and nothing in evaluation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from numpy_rnn import LSTM, RNN, Dropout, LastStep, LayerNorm, Linear, Sequential


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_it_zeroes_with_probability_p_and_scales_the_rest(p: float, dtype: str) -> None:
    layer = Dropout(p, rng=0, dtype=dtype)
    x = np.ones((20, 10, 50), dtype)
    y, _, cache = layer.apply(x)
    assert y.dtype == x.dtype
    kept = y != 0
    assert kept.mean() == pytest.approx(1 - p, abs=0.02)
    np.testing.assert_allclose(y[kept], 1 / (1 - p), rtol=1e-6)
    dx, _, _ = layer.vjp(cache, x)
    assert dx is not None
    assert np.array_equal(dx, y)  # the same mask and scale
    assert not np.array_equal(layer.forward(x), y)


def test_evaluation_and_p_zero_leave_everything_as_it_is() -> None:
    x = np.ones((2, 3))
    for layer, mode in ((Dropout(0.5, rng=0), False), (Dropout(0.0, rng=0), True)):
        layer.train(mode)
        assert np.array_equal(layer.forward(x), x)
        assert np.array_equal(layer.backward(x), x)
    assert Dropout(0.0).rngs() == []


def test_probability_one_zeroes_everything() -> None:
    x = np.ones((4, 2, 3))
    layer = Dropout(1, rng=0)
    assert not layer.forward(x).any()
    assert not layer.backward(x).any()
    stack = LSTM(3, 4, 2, dropout=1.0, rng=0)
    y, _ = stack.forward(x)
    assert np.array_equal(y, stack.forward(-x)[0])  # nothing of x reaches the second layer
    assert np.isfinite(y).all()
    stack.eval()
    assert not np.array_equal(stack.predict(x)[0], stack.predict(-x)[0])


def test_a_model_knows_its_generators_once_each() -> None:
    rng = np.random.default_rng(0)
    model = Sequential(
        LSTM(2, 3, 2, dropout=0.5, rng=rng), Dropout(0.5, rng=rng), LSTM(3, 3, rng=1), Dropout(0.5)
    )
    assert len(model.rngs()) == 2
    assert model.rngs()[0] is rng
    assert [id(g) for g in Sequential(model).rngs()] == [id(g) for g in model.rngs()]


def test_a_generator_that_is_handed_in_draws_every_mask() -> None:
    x = np.ones((4, 2, 3))
    models = [
        Sequential(LSTM(3, 4, 2, dropout=0.5, rng=1), Dropout(0.5, rng=seed)) for seed in (2, 3)
    ]
    before = [str(g.bit_generator.state) for model in models for g in model.rngs()]
    first, second = (m.apply(x, rng=np.random.default_rng(9))[0] for m in models)
    np.testing.assert_array_equal(first, second)
    other, _, _ = models[0].apply(x, rng=np.random.default_rng(8))
    assert not np.array_equal(first, other)
    assert before == [str(g.bit_generator.state) for model in models for g in model.rngs()]


def test_layers_without_parameters_take_the_dtype_of_their_model() -> None:
    for dtype in (np.float32, np.float64):
        model = Sequential(
            RNN(3, 4, rng=0, dtype=dtype),
            Dropout(0.5, rng=0),
            LayerNorm(4, elementwise_affine=False),
            LastStep(),
            Linear(4, 2, rng=1, dtype=dtype),
        )
        assert model.parameters.dtype == dtype
        y, state = model.forward(np.ones((5, 2, 3), dtype))
        dx, dstate = model.backward(np.ones((2, 2), dtype))
        assert {a.dtype for a in (y, *state, dx, *dstate)} == {np.dtype(dtype)}
    with pytest.raises(ValueError, match="expected one for all of them"):
        Sequential(RNN(3, 4, dtype=np.float32), Linear(4, 2))


def test_one_layer_with_dropout_is_a_warning_where_the_layer_is_made() -> None:
    for kind in (RNN, LSTM):
        with pytest.warns(
            UserWarning, match=rf"{kind.__name__}: dropout is 0.5 and num_layers is 1"
        ):
            kind(3, 4, dropout=0.5)


def test_what_is_refused() -> None:
    for p, error in ((1.5, ValueError), (-0.1, ValueError), (np.nan, ValueError), ("1", TypeError)):
        with pytest.raises(error, match="Dropout: p is"):
            Dropout(p)  # type: ignore[arg-type]  # wrong on purpose
    layer: Any = Dropout(0.5, dtype="float64")
    with pytest.raises(RuntimeError, match=r"Dropout\(.*\).backward: nothing to go back through"):
        layer.backward(np.ones(3))
    with pytest.raises(TypeError, match="x has dtype float32, expected float64"):
        layer.forward(np.ones(3, np.float32))
    layer.forward(np.ones(3))
    with pytest.raises(ValueError, match=r"dy has shape \(2,\), expected \(3,\)"):
        layer.backward(np.ones(2))
