"""Layer normalisation as a layer has PyTorch's numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from numpy_rnn import LayerNorm
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
