"""Every check that needs no other library, for every row of the registry's pairs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.case import Case, normal
from tests.cases import CASES
from tests.complex_step import as_tuple, complex_step, is_real, slice_errors

CASES_WITH_WEIGHTS = [case for case in CASES if case.summed]
SCALAR_LOSSES = [
    case for case in CASES if case.name.split()[-1] in ("mean", "sum", "sum_over_time")
]

each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
each_case_with_weights = pytest.mark.parametrize(
    "case", CASES_WITH_WEIGHTS, ids=lambda case: case.name
)
each_scalar_loss = pytest.mark.parametrize("case", SCALAR_LOSSES, ids=lambda case: case.name)
# Sequence length and batch size: none, one and several of each.
SHAPES = [(0, 2), (2, 0), (1, 1), (1, 3), (2, 1), (3, 2), (5, 3)]

# Measured over 600 random inputs a case: at most 1.1e-13 (cross-entropy; the others 1e-14).
TOLERANCE = 1e-11


def run(case: Case, seed: int, T: int, B: int) -> tuple[tuple[Any, ...], tuple[Any, ...], Any]:
    """Arguments, a random gradient for every output, and the cache."""
    rng = np.random.default_rng(seed)
    arguments = case.arguments(rng, T, B)
    outputs, cache = case.forward(*arguments)
    douts = tuple(normal(rng, *np.shape(out)) for out in as_tuple(outputs))
    return arguments, douts, cache


def check_complex_step(case: Case, seed: int, T: int, B: int) -> None:
    arguments, douts, cache = run(case, seed, T, B)
    gradients = case.backward(*douts, cache)
    assert len(gradients) == len(arguments)
    for position, expected in enumerate(complex_step(case.forward, arguments, douts)):
        if expected is None:
            assert gradients[position] is None
        else:
            axis = 0 if position in case.over_time else None
            errors = slice_errors(gradients[position], expected, axis)
            assert errors.max(initial=0) <= TOLERANCE, (position, errors)


@each_case
def test_equals_the_complex_step(case: Case) -> None:
    check_complex_step(case, seed=0, T=11, B=3)


@each_case
def test_equals_the_complex_step_for_any_shape(case: Case) -> None:
    for seed, (T, B) in enumerate(SHAPES):
        check_complex_step(case, seed, T, B)


@each_case
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex128])
@pytest.mark.parametrize("T", [0, 4])
def test_dtype_in_is_dtype_out(case: Case, dtype: type, T: int) -> None:
    arguments, douts, _ = run(case, 1, T, 2)
    arguments = tuple(a.astype(dtype) if is_real(a) else a for a in arguments)
    outputs, cache = case.forward(*arguments)
    gradients = case.backward(*(dout.astype(dtype) for dout in douts), cache)
    for array in (*as_tuple(outputs), *gradients):
        assert array is None or array.dtype == dtype


@each_scalar_loss
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_python_number_as_gradient_leaves_the_dtype(case: Case, dtype: type) -> None:
    arguments = case.arguments(np.random.default_rng(0), 4, 2)
    arguments = tuple(a.astype(dtype) if is_real(a) else a for a in arguments)
    loss, cache = case.forward(*arguments)
    assert loss.shape == ()
    assert case.backward(1.0, cache)[0].dtype == dtype


def freeze(value: Any) -> None:
    """Make every array in a cache refuse to be written to."""
    if isinstance(value, np.ndarray):
        value.flags.writeable = False
    elif isinstance(value, tuple):
        for part in value:
            freeze(part)


@each_case
def test_inputs_caches_and_incoming_gradients_stay_as_they_are(case: Case) -> None:
    arguments, douts, _ = run(case, 2, 4, 2)
    freeze(arguments)
    freeze(douts)
    _, cache = case.forward(*arguments)
    freeze(cache)
    case.backward(*douts, cache)  # writing to any of them would raise


@each_case
def test_backward_twice_gives_the_same_bits(case: Case) -> None:
    _, douts, cache = run(case, 3, 5, 3)
    first, second = case.backward(*douts, cache), case.backward(*douts, cache)
    for a, b in zip(first, second, strict=True):
        assert (a is None and b is None) or a.tobytes() == b.tobytes()


@each_case
def test_gradients_are_arrays_of_their_own(case: Case) -> None:
    arguments, douts, cache = run(case, 4, 5, 3)
    gradients = [g for g in case.backward(*douts, cache) if g is not None]
    for i, gradient in enumerate(gradients):
        for other in (*gradients[i + 1 :], *arguments, *douts):
            assert not np.shares_memory(gradient, other)


@each_case
def test_backward_is_linear(case: Case) -> None:
    rng = np.random.default_rng(0)
    for seed, (T, B) in enumerate(SHAPES):
        _, douts, cache = run(case, seed, T, B)
        for factor in (0.0, -2.7):
            others = tuple(normal(rng, *np.shape(d)) for d in douts)
            combined = tuple(factor * d + o for d, o in zip(douts, others, strict=True))
            for a, b, c in zip(
                case.backward(*douts, cache),
                case.backward(*others, cache),
                case.backward(*combined, cache),
                strict=True,
            ):
                if a is not None:
                    np.testing.assert_allclose(factor * a + b, c, rtol=1e-10, atol=1e-11)


@each_case_with_weights
def test_what_is_kept_sums_to_the_gradient(case: Case) -> None:
    for seed, (T, B) in enumerate(SHAPES):
        check_kept(case, seed, T, B)


def check_kept(case: Case, seed: int, T: int, B: int) -> None:
    _, douts, cache = run(case, seed, T, B)
    total = case.backward(*douts, cache)
    for keep, lengths in (("t", (T,)), ("b", (B,)), ("tb", (T, B))):
        kept = case.backward(*douts, cache, keep=keep)
        for position, gradient in enumerate(total):
            if position in case.summed:
                assert kept[position].shape == (*lengths, *gradient.shape)
                summed = kept[position].sum(axis=tuple(range(len(lengths))))
                np.testing.assert_allclose(summed, gradient, rtol=1e-11, atol=1e-12)
            elif gradient is not None:
                np.testing.assert_array_equal(kept[position], gradient)


@each_case_with_weights
def test_an_unknown_keep_is_an_error(case: Case) -> None:
    _, douts, cache = run(case, 5, 3, 2)
    with pytest.raises(ValueError, match="keep is 'x', expected one of"):
        case.backward(*douts, cache, keep="x")


@each_case_with_weights
def test_per_example_gradients_are_those_of_each_example_alone(case: Case) -> None:
    arguments, douts, cache = run(case, 6, 5, 3)
    kept = case.backward(*douts, cache, keep="b")
    for b in range(3):
        # Sequences (T, B, ...) and states (B, ...) are cut to the one row.
        alone = tuple(
            a
            if a is None
            else a[:, b : b + 1]
            if a.shape[:2] == (5, 3)
            else a[b : b + 1]
            if a.shape[:1] == (3,) and position not in case.summed
            else a
            for position, a in enumerate(arguments)
        )
        _, cache_b = case.forward(*alone)
        gradients = case.backward(*(d[:, b : b + 1] for d in douts), cache_b)
        for position in case.summed:
            np.testing.assert_allclose(
                kept[position][b], gradients[position], rtol=1e-12, atol=1e-13
            )
