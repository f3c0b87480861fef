"""Losses: reductions, what counts, and numbers that could overflow."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from numpy_rnn import functional as F  # noqa: N812 (as PyTorch's users write it)
from numpy_rnn.functional.losses import reduction_scale
from tests.case import V, normal

T, B = 4, 3


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
