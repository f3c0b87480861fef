"""Gradients given to backward: absent, of another dtype, complex, or of too few steps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from numpy_rnn import functional as F  # noqa: N812 (as PyTorch's users write it)
from tests.case import Case, H, V, normal
from tests.cases import CASES
from tests.complex_step import as_tuple, is_real

T, B = 4, 3

# A pair with states has them between the input and the weights.
RECURRENT = [case for case in CASES if case.summed and min(case.summed) > 1]
each_recurrent_case = pytest.mark.parametrize("case", RECURRENT, ids=lambda case: case.name)


def run(case: Case, dtype: type) -> tuple[tuple[Any, ...], Any]:
    """Random gradients for the outputs in float64, and a cache in `dtype`."""
    rng = np.random.default_rng(0)
    arguments = case.arguments(rng, T, B)
    arguments = tuple(a.astype(dtype) if is_real(a) else a for a in arguments)
    outputs, cache = case.forward(*arguments)
    return tuple(normal(rng, *np.shape(out)) for out in as_tuple(outputs)), cache


@each_recurrent_case
def test_none_is_a_gradient_of_zeros(case: Case) -> None:
    douts, cache = run(case, np.float64)
    for position in range(len(douts)):
        before, after = douts[:position], douts[position + 1 :]
        zeros = np.zeros_like(douts[position])
        for got, want in zip(
            case.backward(*before, None, *after, cache),
            case.backward(*before, zeros, *after, cache),
            strict=True,
        ):
            np.testing.assert_array_equal(got, want)


@each_recurrent_case
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_with_none_alone_all_gradients_are_zeros_of_the_dtype(case: Case, dtype: type) -> None:
    douts, cache = run(case, dtype)
    for gradient in case.backward(*(None,) * len(douts), cache):
        assert gradient is None or (gradient.dtype == dtype and not gradient.any())


@each_recurrent_case
def test_a_wider_gradient_is_not_rounded_to_the_caches_dtype(case: Case) -> None:
    douts, cache = run(case, np.float32)
    tiny = 2.0**-200  # zero in float32
    for gradient, scaled in zip(
        case.backward(*douts, cache),
        case.backward(*(tiny * dout for dout in douts), cache),
        strict=True,
    ):
        if gradient is not None:
            assert gradient.dtype == scaled.dtype == np.float64
            assert scaled.any()
            np.testing.assert_allclose(scaled / tiny, gradient, rtol=1e-12)


@each_recurrent_case
def test_a_narrower_gradient_does_not_round_what_it_meets(case: Case) -> None:
    douts, cache = run(case, np.float64)
    narrow = tuple(dout.astype(np.float32) for dout in douts)
    for got, want in zip(
        case.backward(*narrow, cache),
        case.backward(*(dout.astype(np.float64) for dout in narrow), cache),
        strict=True,
    ):
        assert got is None or got.dtype == np.float64
        np.testing.assert_array_equal(got, want)


@each_recurrent_case
def test_a_complex_gradient_goes_through_a_real_cache(case: Case) -> None:
    douts, cache = run(case, np.float64)
    real = case.backward(*douts, cache)
    for position, dout in enumerate(douts):
        other = normal(np.random.default_rng(1), *dout.shape)
        alone = [other if p == position else None for p in range(len(douts))]
        one = [d + 1j * other if p == position else d for p, d in enumerate(douts)]
        imaginary = case.backward(*alone, cache)
        for got, re, im in zip(case.backward(*one, cache), real, imaginary, strict=True):
            if got is not None:
                assert got.dtype == np.complex128
                np.testing.assert_allclose(got, re + 1j * im, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize(
    "case",
    # mingru and lru have no loop of their own to be of another length.
    [case for case in RECURRENT if not case.name.startswith(("mingru", "lru"))],
    ids=lambda case: case.name,
)
@pytest.mark.parametrize("keep", ["", "t", "b", "tb"])
def test_a_gradient_of_one_step_does_not_pass_for_all(case: Case, keep: Any) -> None:
    douts, cache = run(case, np.float64)
    for position in range(len(douts)):
        before, after = douts[:position], douts[position + 1 :]
        with pytest.raises((ValueError, IndexError)):
            case.backward(*before, douts[position][:1], *after, cache, keep=keep)


@pytest.mark.parametrize("steps", [2, T + 1])
def test_a_factor_for_some_steps_does_not_pass_for_all(steps: int) -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="zip"):
        F.scan_forward(normal(rng, steps, B, H), normal(rng, T, B, H), normal(rng, B, H))
    with pytest.raises(ValueError, match="zip"):
        F.contract_one_hot(normal(rng, 1, B, H), rng.integers(0, V, (steps, B)), V)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_one_complex_argument_makes_everything_complex(case: Case) -> None:
    rng = np.random.default_rng(2)
    arguments = case.arguments(rng, T, B)
    outputs, _ = case.forward(*arguments)
    douts = [normal(rng, *np.shape(out)) for out in as_tuple(outputs)]
    for position in [p for p, argument in enumerate(arguments) if is_real(argument)]:
        one = list(arguments)
        one[position] = one[position] + 0.1j * normal(rng, *one[position].shape)
        both = [case.forward(*one), case.forward(*(a + 0j if is_real(a) else a for a in one))]
        got, want = ((*as_tuple(out), *case.backward(*douts, cache)) for out, cache in both)
        for a, b in zip(got, want, strict=True):
            if b is not None:
                np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_an_output_that_is_also_in_the_cache_is_read_only(case: Case) -> None:
    outputs, cache = case.forward(*case.arguments(np.random.default_rng(0), T, B))
    kept = [array for array in cache if isinstance(array, np.ndarray)]
    for out in as_tuple(outputs):
        if any(np.shares_memory(out, array) for array in kept):
            assert not out.flags.writeable
            assert not any(np.shares_memory(out, a) and a.flags.writeable for a in kept)
