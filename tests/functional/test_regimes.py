"""Where wrong gradients hide: vanishing, exploding and saturated recurrences."""

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
    if recurrent < 1:  # a check per tensor would not see the first steps at all
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


def test_cross_entropy_of_huge_logits_neither_overflows_nor_loses_its_gradient() -> None:
    y = np.array([[[1e4, -1e4, 0.0]]])
    loss, cache = F.cross_entropy_forward(y, np.array([[1]]))
    assert loss == 2e4
    np.testing.assert_array_equal(F.cross_entropy_backward(1.0, cache)[0], [[[1.0, -1.0, 0.0]]])


def test_cross_entropy_in_which_nothing_counts_is_zero() -> None:
    y = normal(np.random.default_rng(3), 2, 2, 3)
    loss, cache = F.cross_entropy_forward(y, np.full((2, 2), -100))
    assert loss == 0
    assert not F.cross_entropy_backward(1.0, cache)[0].any()


def test_what_does_not_count_has_no_influence_even_if_it_is_nan() -> None:
    y = np.zeros((2, 1, 3))
    y[1] = np.nan
    targets, mask = np.array([[1], [2]]), np.array([[True], [False]])
    loss, cache = F.cross_entropy_forward(y, targets, mask)
    assert loss == np.log(3)
    np.testing.assert_array_equal(F.cross_entropy_backward(1.0, cache)[0][1], np.zeros((1, 3)))


def test_any_integer_type_is_a_symbol() -> None:
    for kind in (np.uint8, np.int32, np.uint64):
        symbols = np.array([[0], [2]], kind)
        y, cache = F.linear_forward(symbols, np.ones((4, 3)), np.zeros(4))
        assert F.linear_backward(np.ones_like(y), cache)[1].tolist() == [[1, 0, 1]] * 4


def test_relu_lets_a_nan_through() -> None:
    h, _ = F.elman_forward(
        np.full((1, 1, 1), np.nan),
        *(np.ones(s) for s in ((1, 1), (1, 1), (1, 1), 1, 1)),
        phi=F.RELU,
    )
    assert np.isnan(h).all()
