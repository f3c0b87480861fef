"""Inputs for which wrong gradients are hard to find: vanishing, exploding and saturated units."""

from __future__ import annotations

import numpy as np
import pytest

from numpy_rnn import functional as F  # noqa: N812 (as PyTorch's users write it)
from numpy_rnn.functional.types import Array
from tests.case import D, H, normal
from tests.complex_step import complex_step, slice_errors


def arguments(
    rng: np.random.Generator, T: int, recurrent: float, inputs: float
) -> tuple[Array, ...]:
    return (
        normal(rng, T, 2, D, scale=inputs),
        normal(rng, 2, H),
        normal(rng, H, D),
        normal(rng, H, H, scale=recurrent),
        normal(rng, H),
        normal(rng, H),
    )


@pytest.mark.parametrize(("recurrent", "inputs"), [(0.02, 1.0), (0.05, 0.1), (3.0, 0.01)])
def test_each_timestep_is_right_however_little_reaches_it(recurrent: float, inputs: float) -> None:
    rng = np.random.default_rng(0)
    args = arguments(rng, 25, recurrent, inputs)
    dh = np.zeros((25, 2, H))
    dh[-1] = normal(rng, 2, H)  # the loss at the last step alone
    _, cache = F.elman_forward(*args)
    gradients = F.elman_backward(dh, cache)
    expected = complex_step(F.elman_forward, args, (dh,))
    if recurrent < 1:  # a check per tensor would miss errors of the first steps
        dx = gradients[0]
        assert dx is not None
        assert np.abs(dx[0]).max() < 1e-15 * np.abs(dx[-1]).max()
    for position, want in enumerate(expected):
        got = gradients[position]
        assert want is not None
        assert got is not None
        errors = slice_errors(got, want, 0 if position == 0 else None)
        assert errors.max() <= 1e-11, (position, errors)


@pytest.mark.parametrize("scale", [30.0, 1e4])
@pytest.mark.parametrize("phi", [F.TANH, F.RELU], ids=["tanh", "relu"])
def test_saturated_units_give_finite_gradients(phi: F.Activation, scale: float) -> None:
    # 1 - h^2 is as exact as h is: its error is 1e-16 of the incoming gradient, not of itself.
    rng = np.random.default_rng(1)
    args = arguments(rng, 11, 0.1, scale)
    dh = normal(rng, 11, 2, H)
    _, cache = F.elman_forward(*args, phi=phi)
    gradients = F.elman_backward(dh, cache)

    def forward(*moved: Array) -> tuple[Array, object]:
        return F.elman_forward(*moved, phi=phi)

    for got, want in zip(gradients, complex_step(forward, args, (dh,)), strict=True):
        assert want is not None
        assert got is not None
        np.testing.assert_allclose(got, want, rtol=1e-11, atol=1e-14 * scale)


def test_denormal_and_zero_inputs_are_no_special_case() -> None:
    rng = np.random.default_rng(2)
    for scale in (0.0, 5e-324, 1e-310):
        args = arguments(rng, 5, 0.5, scale)
        h, cache = F.elman_forward(*args)
        gradients = F.elman_backward(np.ones_like(h), cache)
        assert all(np.isfinite(g).all() for g in gradients if g is not None)
