"""The gated cells and layer normalisation equal PyTorch's, and what PyTorch lacks, its autograd."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from numpy_rnn.functional.general_gru import (
    gru_reset_before_backward,
    gru_reset_before_forward,
)
from numpy_rnn.functional.general_lstm import peephole_lstm_backward, peephole_lstm_forward
from numpy_rnn.functional.gru import gru_backward, gru_forward
from numpy_rnn.functional.layer_norm import layer_norm_backward, layer_norm_forward
from numpy_rnn.functional.types import Array
from tests.case import Case, D, H, normal
from tests.cases import CASE, gru_arguments, peephole_lstm_arguments
from tests.complex_step import as_tuple, complex_step, slice_errors

CELLS = [CASE[name] for name in ("gru", "gru reset before", "peephole lstm")]
each_cell = pytest.mark.parametrize("case", CELLS, ids=lambda case: case.name)
each_size = pytest.mark.parametrize(("T", "B"), [(11, 3), (1, 1), (40, 2)])


def assert_equal(ours: Any, theirs: Any) -> None:
    """Equal to 1e-12 of the largest entry of each tensor."""
    for a, b in zip(ours, theirs, strict=True):
        expected = np.asarray(b)
        assert a.shape == expected.shape
        error, scale = np.abs(a - expected).max(), np.abs(expected).max()
        assert error <= 1e-12 * scale, (error, scale)


def leaves(*arrays: Array) -> list[torch.Tensor]:
    return [torch.tensor(a, requires_grad=True) for a in arrays]


def load(module: Any, *weights: Array) -> None:
    """W_ih, W_hh, b_ih and b_hh, in the order of the module's parameters."""
    with torch.no_grad():
        for parameter, weight in zip(module.parameters(), weights, strict=True):
            parameter.copy_(torch.from_numpy(weight))


def detached(tensors: Any) -> list[Array]:
    return [t.detach().numpy() for t in tensors]


@each_size
def test_gru_is_pytorchs(T: int, B: int) -> None:
    rng = np.random.default_rng(T)
    arguments = gru_arguments(rng, T, B)
    dh = normal(rng, T, B, H)
    module = torch.nn.GRU(D, H, dtype=torch.float64)
    load(module, *arguments[2:])
    x, h0 = leaves(*arguments[:2])
    out, _ = module(x, h0[None])
    torch.autograd.backward((out,), (torch.from_numpy(dh),))
    h, cache = gru_forward(*arguments)
    assert_equal([h], detached([out]))
    assert_equal(gru_backward(dh, cache), [t.grad for t in (x, h0, *module.parameters())])


@each_size
def test_peephole_lstm_without_peepholes_is_pytorchs_lstm(T: int, B: int) -> None:
    rng = np.random.default_rng(T)
    arguments = (*peephole_lstm_arguments(rng, T, B)[:-1], np.zeros((3, H)))
    dh, dc = normal(rng, T, B, H), np.zeros((T, B, H))
    dc[-1] = normal(rng, B, H)  # PyTorch returns c after the last step alone
    module = torch.nn.LSTM(D, H, dtype=torch.float64)
    load(module, *arguments[3:-1])
    x, h0, c0 = leaves(*arguments[:3])
    out, (_, c_last) = module(x, (h0[None], c0[None]))
    torch.autograd.backward((out, c_last), (torch.from_numpy(dh), torch.from_numpy(dc[-1:])))
    (h, c), cache = peephole_lstm_forward(*arguments)
    assert_equal([h, c[-1:]], detached([out, c_last]))
    gradients = peephole_lstm_backward(dh, dc, cache)[:-1]
    assert_equal(gradients, [t.grad for t in (x, h0, c0, *module.parameters())])


def peephole_lstm_loop(*arguments: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    x, h, c, W_ih, W_hh, b_ih, b_hh, W_c = arguments
    hs, cs = [], []
    for x_t in x:
        i, f, g, o = (W_ih @ x_t.T + W_hh @ h.T + (b_ih + b_hh)[:, None]).T.chunk(4, dim=1)
        i, f = torch.sigmoid(i + W_c[0] * c), torch.sigmoid(f + W_c[1] * c)
        c = f * c + i * torch.tanh(g)
        h = torch.sigmoid(o + W_c[2] * c) * torch.tanh(c)
        hs.append(h)
        cs.append(c)
    return torch.stack(hs), torch.stack(cs)


def gru_reset_before_loop(*arguments: torch.Tensor) -> torch.Tensor:
    x, h, W_ih, W_hh, b_ih, b_hh = arguments
    hs = []
    for x_t in x:
        r, z, n = (W_ih @ x_t.T + (b_ih + b_hh)[:, None]).T.chunk(3, dim=1)
        W_hr, W_hz, W_hn = W_hh.chunk(3)
        r, z = torch.sigmoid(r + h @ W_hr.T), torch.sigmoid(z + h @ W_hz.T)
        n = torch.tanh(n + (r * h) @ W_hn.T)
        h = (1 - z) * n + z * h
        hs.append(h)
    return torch.stack(hs)


@each_size
@pytest.mark.parametrize(
    ("name", "loop"),
    [("gru reset before", gru_reset_before_loop), ("peephole lstm", peephole_lstm_loop)],
)
def test_equals_pytorchs_autograd_of_the_plain_loop(
    name: str, loop: Callable[..., Any], T: int, B: int
) -> None:
    rng, case = np.random.default_rng(T), CASE[name]
    arguments = case.arguments(rng, T, B)
    outputs, cache = case.forward(*arguments)
    douts = [normal(rng, T, B, H) for _ in as_tuple(outputs)]
    tensors = leaves(*arguments)
    theirs = as_tuple(loop(*tensors))
    torch.autograd.backward(theirs, [torch.from_numpy(d) for d in douts])
    assert_equal(as_tuple(outputs), detached(theirs))
    assert_equal(case.backward(*douts, cache), [t.grad for t in tensors])


@each_size
@pytest.mark.parametrize("options", [{}, {"eps": 0.5}])
def test_layer_norm_is_pytorchs(T: int, B: int, options: dict[str, Any]) -> None:
    rng = np.random.default_rng(T)
    arguments = normal(rng, T, B, H, scale=3.0) + 1, normal(rng, H), normal(rng, H)
    dy = normal(rng, T, B, H)
    x, weight, bias = leaves(*arguments)
    out = torch.nn.functional.layer_norm(x, (H,), weight, bias, **options)
    torch.autograd.backward((out,), (torch.from_numpy(dy),))
    y, cache = layer_norm_forward(*arguments, **options)
    assert_equal([y], detached([out]))
    assert_equal(layer_norm_backward(dy, cache), [t.grad for t in (x, weight, bias)])


def test_layer_norm_of_a_constant_row_is_the_bias() -> None:
    bias = np.arange(4.0)
    y, cache = layer_norm_forward(np.full((1, 1, 4), 7.0), np.ones(4), bias)
    np.testing.assert_array_equal(y, bias[None, None])
    assert np.isfinite(layer_norm_backward(np.ones((1, 1, 4)), cache)[0]).all()


def with_reset_gate(arguments: tuple[Any, ...], pre_activation: float) -> tuple[Any, ...]:
    """The same arguments with b_ir so far out that the reset gate is 0 or 1, exactly."""
    b_ih = arguments[4].copy()
    b_ih[:H] = pre_activation
    return *arguments[:4], b_ih, arguments[5]


def test_an_open_reset_gate_makes_the_two_grus_equal() -> None:
    rng = np.random.default_rng(0)
    arguments = with_reset_gate(gru_arguments(rng, 11, 3), 1e3)
    dh = normal(rng, 11, 3, H)
    after, cache_after = gru_forward(*arguments)
    before, cache_before = gru_reset_before_forward(*arguments)
    assert_equal([before], [after])
    assert_equal(gru_reset_before_backward(dh, cache_before), gru_backward(dh, cache_after))


def test_a_closed_reset_gate_also_closes_the_bias_of_the_state_in_one_of_them() -> None:
    arguments = with_reset_gate(gru_arguments(np.random.default_rng(1), 11, 3), -1e3)
    after, _ = gru_forward(*arguments)
    without = *arguments[:5], arguments[5] * (np.arange(3 * H) < 2 * H)
    assert_equal([after], [gru_reset_before_forward(*without)[0]])
    assert np.abs(after - gru_reset_before_forward(*arguments)[0]).max() > 0.01


@each_cell
@pytest.mark.parametrize("missing", [{0}, {1}, {0, 1}], ids=str)
def test_no_gradient_for_an_output_is_a_gradient_of_zero(case: Case, missing: set[int]) -> None:
    rng = np.random.default_rng(2)
    outputs, cache = case.forward(*case.arguments(rng, 5, 2))
    douts = [normal(rng, 5, 2, H) for _ in as_tuple(outputs)]
    zeros = [d * (k not in missing) for k, d in enumerate(douts)]
    nones = [None if k in missing else d for k, d in enumerate(douts)]
    for a, b in zip(case.backward(*zeros, cache), case.backward(*nones, cache), strict=True):
        np.testing.assert_array_equal(a, b)


@each_cell
@pytest.mark.parametrize("scale", [30.0, 1e4])
def test_saturated_gates_give_finite_gradients(case: Case, scale: float) -> None:
    # 1 - z is as exact as z is: its error is 1e-16 of the incoming gradient, not of itself.
    rng = np.random.default_rng(3)
    x, *others = case.arguments(rng, 11, 2)
    arguments = scale * x, *others
    outputs, cache = case.forward(*arguments)
    douts = [normal(rng, 11, 2, H) for _ in as_tuple(outputs)]
    expected = complex_step(case.forward, arguments, douts)
    for got, want in zip(case.backward(*douts, cache), expected, strict=True):
        assert want is not None
        np.testing.assert_allclose(got, want, rtol=1e-11, atol=1e-14 * scale)
    _, cache = case.forward(*(a.astype(np.float32) for a in arguments))
    assert all(np.isfinite(g).all() for g in case.backward(*douts, cache))


@each_cell
@pytest.mark.parametrize("recurrent", [0.02, 3.0])
def test_each_timestep_is_right_however_little_reaches_it(case: Case, recurrent: float) -> None:
    rng = np.random.default_rng(4)
    arguments = list(case.arguments(rng, 25, 2))
    W_hh = case.summed[1]
    arguments[W_hh] = arguments[W_hh] * recurrent
    outputs, cache = case.forward(*arguments)
    douts = [np.zeros((25, 2, H)) for _ in as_tuple(outputs)]
    for dout in douts:
        dout[-1] = normal(rng, 2, H)  # the loss at the last step alone
    gradients = case.backward(*douts, cache)
    for position, want in enumerate(complex_step(case.forward, arguments, douts)):
        assert want is not None
        errors = slice_errors(gradients[position], want, 0 if position == 0 else None)
        assert errors.max() <= 1e-11, (position, errors)
