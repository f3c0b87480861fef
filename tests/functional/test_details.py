"""Details of the pairs: absent and wider gradients, counted steps, symbols out of range."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from numpy_rnn import functional as F  # noqa: N812 (as PyTorch's users write it)
from numpy_rnn.functional.losses import reduction_scale
from numpy_rnn.functional.types import Array
from tests.case import Case, D, H, V, normal
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


@pytest.mark.parametrize("steps", [0, 1, 4])
def test_mse_is_the_mean_the_sum_or_the_squares_themselves(steps: int) -> None:
    rng = np.random.default_rng(0)
    y, target = normal(rng, steps, B, V), normal(rng, steps, B, V)
    squares = (y - target) ** 2
    losses: dict[Any, Any] = {
        "mean": squares.sum() / max(1, squares.size),
        "sum": squares.sum(),
        "sum_over_time": squares.sum() / (B * V),
        "none": squares,
    }
    for reduction, expected in losses.items():
        loss, _ = F.mse_forward(y, target, reduction=reduction)
        np.testing.assert_allclose(loss, expected, rtol=1e-14, strict=True)
    np.testing.assert_array_equal(F.mse_forward(y, target)[0], losses["mean"])


@pytest.mark.parametrize("classes", [1, V])
def test_cross_entropy_is_the_mean_the_sum_or_the_errors_themselves(classes: int) -> None:
    rng = np.random.default_rng(0)
    y, targets = normal(rng, T, B, classes), rng.integers(0, classes, (T, B))
    targets[0, 1] = -100
    errors = np.zeros((T, B))
    for t, b in zip(*np.nonzero(targets != -100), strict=True):
        errors[t, b] = np.log(np.exp(y[t, b]).sum()) - y[t, b, targets[t, b]]
    losses: dict[Any, Any] = {
        "mean": errors.sum() / (T * B - 1),
        "sum": errors.sum(),
        "sum_over_time": errors.sum() / B,
        "none": errors,
    }
    for reduction, expected in losses.items():
        loss, _ = F.cross_entropy_forward(y, targets, reduction=reduction)
        np.testing.assert_allclose(loss, expected, rtol=1e-13, atol=1e-15, strict=True)
    assert F.cross_entropy_forward(y, targets)[0] == pytest.approx(losses["mean"], rel=1e-13)


def test_an_unknown_reduction_is_an_error() -> None:
    expected = "reduction is 'x', expected 'mean', 'sum', 'sum_over_time' or 'none'"
    with pytest.raises(ValueError, match=f"^{expected}$"):
        reduction_scale("x", counted=1, per_step=1)  # type: ignore[arg-type]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_relu_is_the_positive_part(dtype: type) -> None:
    z: Array = np.linspace(-2, 2, 41).astype(dtype)
    h = F.RELU.value(z, np.empty_like(z))
    np.testing.assert_array_equal(h, np.maximum(z, 0), strict=True)
    np.testing.assert_array_equal(F.RELU.slope(h), z > 0)


@pytest.mark.parametrize("p", [0.0, 0.3, 0.75])
def test_dropout_scales_what_stays(p: float) -> None:
    rng = np.random.default_rng(0)
    x, mask = normal(rng, T, B, H), rng.random((T, B, H)) >= p
    y, _ = F.dropout_forward(x, mask, p=p)
    np.testing.assert_allclose(y, np.where(mask, x / (1 - p), 0), rtol=1e-15)


@pytest.mark.parametrize("batch", [1, 3])
def test_cross_entropy_over_time_divides_by_the_batch_whatever_counts(batch: int) -> None:
    rng = np.random.default_rng(0)
    y, targets = normal(rng, T, batch, V), rng.integers(0, V, (T, batch))
    mask = np.ones((T, batch), bool)
    targets[1, 0], mask[2, 0] = -100, False
    loss, cache = F.cross_entropy_forward(y, targets, mask, reduction="sum_over_time")
    dy, _, _ = F.cross_entropy_backward(1.0, cache)

    total, expected = 0.0, np.zeros_like(y)
    for t, b in np.ndindex(T, batch):
        if targets[t, b] != -100 and mask[t, b]:
            p = np.exp(y[t, b]) / np.exp(y[t, b]).sum()
            total -= np.log(p[targets[t, b]])
            expected[t, b] = (p - np.eye(V)[targets[t, b]]) / batch
    np.testing.assert_allclose(loss, total / batch, rtol=1e-13)
    np.testing.assert_allclose(dy, expected, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize(
    ("reduction", "counted", "per_step", "scale"),
    [
        ("mean", 0, 3, 1),
        ("mean", 1, 3, 1),
        ("mean", 8, 3, 1 / 8),
        ("sum_over_time", 8, 0, 1),
        ("sum_over_time", 8, 1, 1),
        ("sum_over_time", 8, 2, 1 / 2),
        ("sum", 8, 3, 1),
        ("none", 8, 3, 1),
    ],
)
def test_reduction_scale(reduction: Any, counted: int, per_step: int, scale: float) -> None:
    assert reduction_scale(reduction, counted=counted, per_step=per_step) == scale


@pytest.mark.parametrize("beyond", [0, 3, 1000])
def test_a_symbol_beyond_the_table_does_not_wrap(beyond: int) -> None:
    weights = np.ones((H, D)), np.ones((H, H)), np.ones(H), np.ones(H)
    for symbol in (D + beyond, -D - 1 - beyond):
        symbols = np.array([[0, symbol]])
        with pytest.raises(IndexError):
            F.embedding_forward(symbols, np.ones((D, H)))
        with pytest.raises(IndexError):
            F.linear_forward(symbols, weights[0], weights[2])
        with pytest.raises(IndexError):
            F.elman_forward(symbols, np.zeros((2, H)), *weights)
