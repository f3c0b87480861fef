"""Layers beside torch.nn in float64: outputs, states and every gradient."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from numpy_rnn.functional.types import Array
from numpy_rnn.layers import RNN, CrossEntropyLoss, Layer, Linear, MSELoss, Sequential

TOLERANCE = 1e-12


def equal(got: Array, want: torch.Tensor | None) -> None:
    assert want is not None
    expected = want.detach().numpy()
    assert got.shape == expected.shape
    # A sum whose terms cancel keeps the rounding of its terms, here about 1e-16.
    scale = max(np.abs(expected).max(initial=0), 1e-2)
    assert np.abs(got - expected).max(initial=0) <= TOLERANCE * scale


def tensor(array: Array) -> torch.Tensor:
    return torch.from_numpy(array.copy()).requires_grad_()


def load(theirs: torch.nn.Module, ours: Layer) -> None:
    """Both ways: ours takes PyTorch's state dict as it is, and PyTorch takes ours."""
    ours.load_state_dict({k: v.numpy() for k, v in theirs.state_dict().items()})
    theirs.load_state_dict({k: torch.from_numpy(v) for k, v in ours.state_dict().items()})


def gradients_equal(ours: Layer, theirs: torch.nn.Module) -> None:
    names = dict(theirs.named_parameters())
    assert list(names) == list(ours.parameters.shapes)
    for name, parameter in names.items():
        equal(ours.parameters.grads[name], parameter.grad)


@given(
    T=st.integers(1, 6),
    B=st.integers(1, 4),
    D=st.integers(1, 4),
    H=st.integers(1, 5),
    nonlinearity=st.sampled_from(["tanh", "relu"]),
    bias=st.booleans(),
    batch_first=st.booleans(),
    batched=st.booleans(),
    with_state=st.booleans(),
    seed=st.integers(0, 2**31),
)
def test_rnn(
    T: int,
    B: int,
    D: int,
    H: int,
    nonlinearity: str,
    bias: bool,
    batch_first: bool,
    batched: bool,
    with_state: bool,
    seed: int,
) -> None:
    rng = np.random.default_rng(seed)
    options: dict[str, Any] = {
        "nonlinearity": nonlinearity,
        "bias": bias,
        "batch_first": batch_first,
    }
    ours, theirs = RNN(D, H, **options), torch.nn.RNN(D, H, dtype=torch.float64, **options)
    load(theirs, ours)
    lead = ((B, T) if batch_first else (T, B)) if batched else (T,)
    x = rng.standard_normal((*lead, D))
    h0 = rng.standard_normal((1, B, H) if batched else (1, H))
    dy, dh_n = rng.standard_normal((*lead, H)), rng.standard_normal(h0.shape)
    tx, th0 = tensor(x), tensor(h0)

    ty, th_n = theirs(tx, th0) if with_state else theirs(tx)
    (ty * torch.from_numpy(dy)).sum().add((th_n * torch.from_numpy(dh_n)).sum()).backward()
    y, h_n = ours.forward(x, h0 if with_state else None)
    dx, dh0 = ours.backward(dy, dh_n)

    equal(y, ty)
    equal(h_n, th_n)
    assert dx is not None
    equal(dx, tx.grad)
    if with_state:
        equal(dh0, th0.grad)
    gradients_equal(ours, theirs)


@given(
    leading=st.lists(st.integers(0, 3), max_size=3),
    D=st.integers(1, 4),
    G=st.integers(1, 4),
    bias=st.booleans(),
)
def test_linear(leading: list[int], D: int, G: int, bias: bool) -> None:
    rng = np.random.default_rng(0)
    ours, theirs = Linear(D, G, bias=bias), torch.nn.Linear(D, G, bias=bias, dtype=torch.float64)
    load(theirs, ours)
    x, dy = rng.standard_normal((*leading, D)), rng.standard_normal((*leading, G))
    tx = tensor(x)
    ty = theirs(tx)
    (ty * torch.from_numpy(dy)).sum().backward()
    equal(ours.forward(x), ty)
    dx = ours.backward(dy)
    assert dx is not None
    equal(dx, tx.grad)
    gradients_equal(ours, theirs)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_mse_loss(reduction: Any) -> None:
    rng = np.random.default_rng(0)
    y, target = rng.standard_normal((2, 5, 3, 4))
    ty = tensor(y)
    want = torch.nn.MSELoss(reduction=reduction)(ty, torch.from_numpy(target))
    dloss = rng.standard_normal(want.shape)
    (want * torch.from_numpy(np.asarray(dloss))).sum().backward()
    ours = MSELoss(reduction)
    equal(np.asarray(ours.forward(y, target)), want)
    equal(ours.backward(dloss), ty.grad)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("ignore_index", [-100, 2])
@pytest.mark.parametrize("shape", [(5, 3), (7,)])
def test_cross_entropy_loss(reduction: Any, ignore_index: int, shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    y, targets = rng.standard_normal((*shape, 4)), rng.integers(0, 4, shape)
    targets.flat[0] = ignore_index
    ty = tensor(y)
    theirs = torch.nn.CrossEntropyLoss(ignore_index=ignore_index, reduction=reduction)
    want = theirs(ty.reshape(-1, 4), torch.from_numpy(targets.ravel()))
    dloss = rng.standard_normal(targets.shape if reduction == "none" else ())
    (want * torch.from_numpy(np.asarray(dloss).reshape(want.shape))).sum().backward()
    ours = CrossEntropyLoss(reduction, ignore_index=ignore_index)
    equal(np.asarray(ours.forward(y, targets)).reshape(want.shape), want)
    equal(ours.backward(dloss), ty.grad)


def test_a_mask_is_the_same_as_ignoring() -> None:
    rng = np.random.default_rng(0)
    y, targets = rng.standard_normal((5, 3, 4)), rng.integers(0, 4, (5, 3))
    mask = rng.random((5, 3)) < 0.6
    masked, ignored = CrossEntropyLoss(), CrossEntropyLoss()
    assert masked.forward(y, targets, mask) == ignored.forward(y, np.where(mask, targets, -100))
    np.testing.assert_array_equal(masked.backward(), ignored.backward())


@pytest.mark.parametrize("loss", [MSELoss, CrossEntropyLoss])
def test_sum_over_time_adds_up_pytorchs_mean_of_each_step(loss: Any) -> None:
    rng = np.random.default_rng(0)
    y = rng.standard_normal((5, 3, 4))
    target = (
        rng.integers(0, 4, (5, 3)) if loss is CrossEntropyLoss else rng.standard_normal(y.shape)
    )
    ty = tensor(y)
    reference = getattr(torch.nn, loss.__name__)()
    want = sum(reference(ty[t], torch.from_numpy(target[t])) for t in range(5))
    want.backward()
    ours = loss(reduction="sum_over_time")
    equal(np.asarray(ours.forward(y, target)), want)
    equal(ours.backward(), ty.grad)


def test_a_chain_has_pytorchs_names() -> None:
    class Theirs(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn = torch.nn.RNN(3, 4, dtype=torch.float64)
            self.i2o = torch.nn.Linear(4, 2, dtype=torch.float64)

    rng = np.random.default_rng(0)
    theirs, ours = Theirs(), Sequential(rnn=RNN(3, 4), i2o=Linear(4, 2))
    load(theirs, ours)
    x, dy = rng.standard_normal((5, 2, 3)), rng.standard_normal((5, 2, 2))
    tx = tensor(x)
    ty = theirs.i2o(theirs.rnn(tx)[0])
    (ty * torch.from_numpy(dy)).sum().backward()
    y, _ = ours.forward(x)
    dx, _ = ours.backward(dy)
    equal(y, ty)
    assert dx is not None
    equal(dx, tx.grad)
    gradients_equal(ours, theirs)
    assert list(Sequential(RNN(1, 1), Linear(1, 1)).state_dict())[-2:] == ["1.weight", "1.bias"]
