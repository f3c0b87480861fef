"""The whole grid of torch.nn's options in float64: outputs, states and every gradient."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from numpy_rnn.functional.types import Array
from numpy_rnn.layers import GRU, LSTM, RNN
from numpy_rnn.optim import Adam
from tests.layers.test_against_torch import equal, gradients_equal, load, tensor

KINDS: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "tanh": (RNN, torch.nn.RNN, {"nonlinearity": "tanh"}),
    "relu": (RNN, torch.nn.RNN, {"nonlinearity": "relu"}),
    "lstm": (LSTM, torch.nn.LSTM, {}),
    "projected lstm": (LSTM, torch.nn.LSTM, {"proj_size": 2}),
    "gru": (GRU, torch.nn.GRU, {}),
}


def parts(state: Any) -> tuple[Any, ...]:
    return state if isinstance(state, tuple) else (state,)


def whole(values: list[Any]) -> Any:
    return tuple(values) if len(values) > 1 else values[0]


def equal_per_step(got: Array, want: torch.Tensor | None, time_axis: int) -> None:
    """Each time slice by itself, relative to its own largest entry."""
    assert want is not None
    equal(got, want)
    expected = want.detach().numpy()
    others = tuple(axis for axis in range(got.ndim) if axis != time_axis)
    error = np.abs(got - expected).max(axis=others, initial=0)
    # A slice may be what is left where larger numbers cancel: no sum is better than its terms'
    # last bits.
    last_bits = 4 * np.finfo(float).eps * np.abs(expected).max(initial=0)
    assert (error <= 1e-12 * np.abs(expected).max(axis=others, initial=0) + last_bits).all()


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=80)
@given(
    sizes=st.tuples(st.integers(1, 5), st.integers(1, 4), st.integers(1, 3), st.integers(3, 5)),
    num_layers=st.integers(1, 3),
    bias=st.booleans(),
    batch_first=st.booleans(),
    bidirectional=st.booleans(),
    batched=st.booleans(),
    with_state=st.booleans(),
    padded=st.booleans(),
    seed=st.integers(0, 2**31),
)
def test_every_option_is_pytorchs(
    kind: str,
    sizes: tuple[int, int, int, int],
    num_layers: int,
    bias: bool,
    batch_first: bool,
    bidirectional: bool,
    batched: bool,
    with_state: bool,
    padded: bool,
    seed: int,
) -> None:
    T, B, D, H = sizes
    rng = np.random.default_rng(seed)
    ours_kind, theirs_kind, extra = KINDS[kind]
    options = extra | {
        "num_layers": num_layers,
        "bias": bias,
        "batch_first": batch_first,
        "bidirectional": bidirectional,
    }
    ours, theirs = ours_kind(D, H, **options), theirs_kind(D, H, dtype=torch.float64, **options)
    load(theirs, ours)
    padded = padded and batched
    lead = ((B, T) if batch_first else (T, B)) if batched else (T,)
    lengths = rng.integers(1, T + 1, B) if padded else None
    if lengths is not None:
        lengths[rng.integers(B)] = T  # PyTorch pads to the longest row
    L = num_layers * (1 + bidirectional)
    x = rng.standard_normal((*lead, D))
    state = [
        rng.standard_normal((L, B, size) if batched else (L, size)) for size in ours.state_sizes
    ]
    tx, tstate = tensor(x), [tensor(component) for component in state]

    packed: Any = tx
    if lengths is not None:
        packed = pack_padded_sequence(
            tx, torch.from_numpy(lengths), batch_first=batch_first, enforce_sorted=False
        )
    ty, tfinal = theirs(packed, whole(tstate)) if with_state else theirs(packed)
    if lengths is not None:
        ty, _ = pad_packed_sequence(ty, batch_first=batch_first)
    y, final = ours.forward(x, whole(state) if with_state else None, lengths=lengths)

    dy = rng.standard_normal(y.shape)
    dfinal = [rng.standard_normal(component.shape) for component in parts(final)]
    loss = (ty * torch.from_numpy(dy)).sum()
    for component, d in zip(parts(tfinal), dfinal, strict=True):
        loss = loss + (component * torch.from_numpy(d)).sum()
    loss.backward()
    dx, dstate = ours.backward(dy, whole(dfinal))

    time_axis = 1 if batched and batch_first else 0
    equal_per_step(y, ty, time_axis)
    equal_per_step(dx, tx.grad, time_axis)
    for got, want in zip(parts(final), parts(tfinal), strict=True):
        equal(got, want)
    if with_state:
        for got, leaf in zip(parts(dstate), tstate, strict=True):
            equal(got, leaf.grad)
    gradients_equal(ours, theirs)


@pytest.mark.parametrize("kind", KINDS)
def test_dropout_with_the_same_masks_gives_the_same_numbers(kind: str) -> None:
    ours_kind, theirs_kind, extra = KINDS[kind]
    ours = ours_kind(3, 4, 3, dropout=0.4, rng=0, **extra)
    size = ours.state_sizes[0]
    cells = [theirs_kind(n, 4, dtype=torch.float64, **extra) for n in (3, size, size)]
    for layer, cell in enumerate(cells):
        weights = ours.state_dict()
        cell.load_state_dict(
            {
                name: torch.from_numpy(weights[name.replace("_l0", f"_l{layer}")])
                for name in cell.state_dict()
            }
        )
    rng = np.random.default_rng(1)
    x, dy = rng.standard_normal((6, 2, 3)), rng.standard_normal((6, 2, size))
    y, _, cache = ours.apply(x)
    masks = [torch.from_numpy(mask.mask / 0.6) for mask in cache.masks]
    assert len(masks) == 2
    tx = tensor(x)
    t = tx
    for cell, mask in zip(cells, [*masks, torch.ones(())], strict=True):
        t = cell(t)[0] * mask
    loss = (t * torch.from_numpy(dy)).sum()
    loss.backward()  # type: ignore[no-untyped-call]  # PyTorch's hints lack it
    equal(y, t)
    dx, _, gradients = ours.vjp(cache, dy)
    assert dx is not None
    equal(dx, tx.grad)
    for layer, cell in enumerate(cells):
        for name, parameter in cell.named_parameters():
            equal(gradients[name.replace("_l0", f"_l{layer}")], parameter.grad)
    y_eval, _, cache = ours.eval().apply(x)
    assert not np.array_equal(y_eval, y)
    assert cache.masks == []


def test_a_hundred_steps_of_adam_on_a_stacked_bidirectional_lstm() -> None:
    rng = np.random.default_rng(0)
    ours = LSTM(3, 6, 2, bidirectional=True, rng=0)
    theirs = torch.nn.LSTM(3, 6, 2, bidirectional=True, dtype=torch.float64)
    load(theirs, ours)
    x, target = rng.standard_normal((9, 4, 3)), rng.standard_normal((9, 4, 12))
    # The default eps of 1e-8 would divide the rounding error of a gradient near zero by it.
    adam = Adam(ours.parameters, lr=0.01, eps=1e-3)
    reference = torch.optim.Adam(theirs.parameters(), lr=0.01, eps=1e-3)
    for _ in range(100):
        y, _ = ours.forward(x)
        ours.zero_grad()
        ours.backward(y - target)
        adam.step()
        reference.zero_grad()
        (0.5 * (theirs(torch.from_numpy(x))[0] - torch.from_numpy(target)) ** 2).sum().backward()
        reference.step()
    for name, parameter in theirs.named_parameters():
        want = parameter.detach().numpy()
        got = ours.parameters.values[name]
        assert np.abs(got - want).max() <= 1e-10 * np.abs(want).max()
