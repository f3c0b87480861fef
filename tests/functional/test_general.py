"""The general cells: without options the plain ones, with options a loop through autograd."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from numpy_rnn import functional as F  # noqa: N812 (as PyTorch's users write it)
from numpy_rnn.checking.regimes import REGIMES
from numpy_rnn.checking.shapes import SIZES, draw, draw_gradients
from numpy_rnn.functional.activations import check_activation
from tests.case import Case, normal
from tests.cases import CASE
from tests.complex_step import as_tuple, slice_errors
from tests.functional.test_gated_against_torch import assert_equal, detached, leaves

PLAIN: dict[str, tuple[Any, Any]] = {
    "lstm": (F.general_lstm_forward, F.general_lstm_backward),
    "gru": (lambda *a: F.general_gru_forward(*a, reset_after=True), F.general_gru_backward),
}


@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize("regime", REGIMES, ids=lambda regime: regime.name)
def test_without_options_it_is_the_fast_pair(name: str, regime: Any) -> None:
    case, (forward, backward) = CASE[name], PLAIN[name]
    for T, B in ((11, 3), (1, 1), (0, 2), (2, 0)):
        rng = np.random.default_rng(0)
        arguments = [*draw(rng, case.shapes, SIZES | {"T": T, "B": B}, regime)[0].values()]
        outputs, cache = case.forward(*arguments)
        douts = draw_gradients(rng, as_tuple(outputs), T, regime)
        general, general_cache = forward(*arguments)
        want = (*as_tuple(outputs), *case.backward(*douts, cache))
        got = (*as_tuple(general), *backward(*douts, general_cache))
        over_time = {*range(len(douts)), *(len(douts) + p for p in case.over_time)}
        for position, (a, b) in enumerate(zip(got, want, strict=True)):
            if b is None:
                assert a is None
                continue
            errors = slice_errors(a, b, 0 if position in over_time else None)
            # 1 - h^2 is as exact as h is.
            small = np.abs(a - b).max(initial=0) <= (1e-13 if regime.name == "saturated" else 0)
            assert small or errors.max(initial=0) <= 1e-12, (position, errors)


def in_torch(spec: Any, z: torch.Tensor, clip: float | None) -> torch.Tensor:
    """PyTorch's function for the nonlinearities that the registry's rows use."""
    name, constants = check_activation(spec)
    a, b = (*constants, 0.0, 0.0)[:2]
    z = z if clip is None else z.clamp(-clip, clip)
    functions: Any = torch.nn.functional
    found: torch.Tensor = {
        "tanh": torch.tanh,
        "sigmoid": torch.sigmoid,
        "relu": torch.relu,
        "softsign": functions.softsign,
        "hard_sigmoid": lambda u: (a * u + b).clamp(0, 1),
        "leaky_relu": lambda u: functions.leaky_relu(u, a),
        "elu": lambda u: functions.elu(u, a),
        "scaled_tanh": lambda u: a * torch.tanh(b * u),
        "softplus": lambda u: torch.logaddexp(u, torch.zeros_like(u)),
    }[name](z)
    return found


def lstm_loop(case: Case, *arguments: Any) -> tuple[torch.Tensor, torch.Tensor]:
    x, h, c, W_ih, W_hh, b_ih, b_hh, W_c = arguments
    options = case.forward.keywords  # type: ignore[attr-defined]  # a partial
    phi, psi, chi = options["activations"]
    clip, hs, cs = options.get("clip"), [], []
    w_i, w_f, w_o = torch.zeros(3, h.shape[1]) if W_c is None else W_c
    for x_t in x:
        z_i, z_f, z_g, z_o = (x_t @ W_ih.T + h @ W_hh.T + b_ih + b_hh).chunk(4, dim=1)
        i = in_torch(phi, z_i + w_i * c, clip)
        f = 1 - i if options.get("input_forget") else in_torch(phi, z_f + w_f * c, clip)
        c = f * c + i * in_torch(psi, z_g, clip)
        h = in_torch(phi, z_o + w_o * c, clip) * in_torch(chi, c, None)
        hs.append(h)
        cs.append(c)
    return torch.stack(hs), torch.stack(cs)


def gru_loop(case: Case, *arguments: Any) -> torch.Tensor:
    x, h, W_ih, W_hh, b_ih, b_hh = arguments
    options = case.forward.keywords  # type: ignore[attr-defined]  # a partial
    phi, psi = options["activations"]
    clip, hs = options.get("clip"), []
    for x_t in x:
        a_r, a_z, a_n = (x_t @ W_ih.T + b_ih).chunk(3, dim=1)
        s_r, s_z, s_n = (h @ W_hh.T + b_hh).chunk(3, dim=1)
        r, z = in_torch(phi, a_r + s_r, clip), in_torch(phi, a_z + s_z, clip)
        b_n = b_hh[-h.shape[1] :]
        inner = r * s_n if options.get("reset_after") else (r * h) @ W_hh.chunk(3)[2].T + b_n
        n = in_torch(psi, a_n + inner, clip)
        h = (1 - z) * n + z * h
        hs.append(h)
    return torch.stack(hs)


def elman_loop(_: Case, *arguments: Any) -> torch.Tensor:
    x, h, W_ih, W_hh, b_ih, b_hh = arguments
    hs = []
    for x_t in x:
        h = in_torch("tanh", x_t @ W_ih.T + h @ W_hh.T + b_ih + b_hh, 1.5)
        hs.append(h)
    return torch.stack(hs)


@pytest.mark.parametrize("name", [n for n in CASE if n.startswith(("general", "elman clipped"))])
def test_equals_pytorchs_autograd_of_the_loop(name: str) -> None:
    case, rng = CASE[name], np.random.default_rng(1)
    loop: Any = {"elman": elman_loop}.get(name[:5], lstm_loop if "lstm" in name else gru_loop)
    arguments = tuple(
        None if a is None else 2 * a for a in case.arguments(rng, 11, 3)
    )  # so that every branch is taken
    outputs, cache = case.forward(*arguments)
    douts = [normal(rng, *out.shape) for out in as_tuple(outputs)]
    present = [a for a in arguments if a is not None]
    tensors = leaves(*present)
    theirs = as_tuple(loop(case, *tensors, *[None] * (len(arguments) - len(present))))
    torch.autograd.backward(theirs, [torch.from_numpy(d) for d in douts])
    assert_equal(as_tuple(outputs), detached(theirs))
    gradients = [g for g in case.backward(*douts, cache) if g is not None]
    assert_equal(gradients, [t.grad for t in tensors])
