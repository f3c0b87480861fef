"""Layer normalisation as a layer: the checker's report, a place in a model."""

from __future__ import annotations

import numpy as np
import pytest

from numpy_rnn import GRU, LSTM, LayerNorm, Linear, Sequential
from numpy_rnn.checking import assert_gradients
from numpy_rnn.functional.contract import Keep
from numpy_rnn.functional.types import Array


@pytest.mark.parametrize("bias", [True, False])
def test_the_checker_passes_it(bias: bool) -> None:
    assert_gradients(LayerNorm(3, bias=bias), "T B 3")
    assert_gradients(
        Sequential(LSTM(3, 4, rng=0), LayerNorm(4, bias=bias), GRU(4, 2, rng=1)), "T B 3"
    )


def test_the_checker_passes_it_without_parameters() -> None:
    model = Sequential(Linear(3, 4, rng=0), LayerNorm(4, elementwise_affine=False))
    assert list(model.state_dict()) == ["0.weight", "0.bias"]
    assert_gradients(model, "T B 3")


@pytest.mark.parametrize(("keep", "lengths"), [("t", (5,)), ("b", (2,)), ("tb", (5, 2))])
def test_what_is_kept_sums_to_the_gradient(keep: Keep, lengths: tuple[int, ...]) -> None:
    layer, rng = LayerNorm(3), np.random.default_rng(0)
    _, _, cache = layer.apply(rng.standard_normal((5, 2, 3)))
    dy = rng.standard_normal((5, 2, 3))
    kept, whole = layer.vjp(cache, dy, keep=keep)[2], layer.vjp(cache, dy)[2]
    assert list(whole) == ["weight", "bias"]
    for name, gradient in whole.items():
        assert kept[name].shape == (*lengths, 3)
        summed = kept[name].sum(axis=tuple(range(len(lengths))))
        np.testing.assert_allclose(summed, gradient, rtol=1e-12)
    _, _, cache = layer.apply(np.ones(3))
    with pytest.raises(ValueError, match="keep is 't', expected an input of axes T, B"):
        layer.vjp(cache, np.ones(3), keep="t")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_model_with_it_streams_in_its_dtype(dtype: type) -> None:
    model = Sequential(
        LSTM(3, 4, rng=0, dtype=dtype), LayerNorm(4, dtype=dtype), GRU(4, 4, rng=1, dtype=dtype)
    )
    x: Array = np.random.default_rng(0).standard_normal((6, 2, 3)).astype(dtype)
    y, _ = model.forward(x)
    state, step = None, model.stepper()
    for x_t, want in zip(x, y, strict=True):
        same, _ = model.step(x_t, state)
        y_t, state = step(x_t, state)
        np.testing.assert_allclose(y_t, same, rtol=1e-5 if dtype is np.float32 else 1e-12)
        assert y_t.dtype == same.dtype == dtype
        np.testing.assert_allclose(y_t, want, rtol=1e-5 if dtype is np.float32 else 1e-12)
