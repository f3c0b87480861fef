"""Layer normalisation as a layer: PyTorch's numbers, the checker's report, a place in a model."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from numpy_rnn import GRU, LSTM, LayerNorm, Linear, Sequential
from numpy_rnn.checking import assert_gradients
from numpy_rnn.functional.contract import Keep
from numpy_rnn.functional.types import Array
from tests.layers.test_against_torch import equal, gradients_equal, load, tensor


@given(
    leading=st.lists(st.integers(1, 4), max_size=3),
    H=st.integers(4, 8),  # with fewer, dx is what is left of numbers that cancel
    eps=st.sampled_from([1e-5, 0.5]),
    affine=st.booleans(),
    bias=st.booleans(),
    seed=st.integers(0, 2**31),
)
def test_it_is_pytorchs(
    leading: list[int], H: int, eps: float, affine: bool, bias: bool, seed: int
) -> None:
    options: dict[str, Any] = {"elementwise_affine": affine, "bias": bias}
    theirs = torch.nn.LayerNorm(H, eps, **options, dtype=torch.float64)
    ours, rng = LayerNorm((H,), eps, **options), np.random.default_rng(seed)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    for name, value in theirs.state_dict().items():  # both start from the same numbers
        np.testing.assert_array_equal(ours.state_dict()[name], value.numpy())
    ours.parameters.data[...] = rng.standard_normal(ours.parameters.data.size)
    theirs.load_state_dict({k: torch.from_numpy(v) for k, v in ours.state_dict().items()})
    load(theirs, ours)
    x, dy = 3 * rng.standard_normal((*leading, H)) + 1, rng.standard_normal((*leading, H))
    tx = tensor(x)
    ty = theirs(tx)
    ty.backward(torch.from_numpy(dy))
    equal(ours.forward(x), ty)
    dx = ours.backward(dy)
    assert dx is not None
    equal(dx, tx.grad)
    gradients_equal(ours, theirs)


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
