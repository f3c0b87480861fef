"""Losses: what counts, how it is reduced, which dtype it has, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from numpy_rnn.functional.types import Array
from numpy_rnn.layers import CrossEntropyLoss, Loss, MSELoss

RNG = np.random.default_rng(0)
Y = RNG.standard_normal((5, 2, 3))
TARGET = RNG.integers(0, 3, (5, 2))
REDUCTIONS: list[Any] = ["mean", "sum", "sum_over_time", "none"]
each_reduction = pytest.mark.parametrize("reduction", REDUCTIONS)


@each_reduction
@pytest.mark.parametrize("kind", [MSELoss, CrossEntropyLoss])
def test_the_reduction_is_the_first_argument_of_every_loss(kind: Any, reduction: Any) -> None:
    assert kind(reduction).reduction == kind(reduction=reduction).reduction == reduction


def test_ignore_index_is_given_by_name_and_is_a_whole_number() -> None:
    assert CrossEntropyLoss(ignore_index=2).ignore_index == 2
    with pytest.raises(TypeError, match="positional"):
        CrossEntropyLoss("sum", 2)  # type: ignore[call-arg]  # wrong on purpose
    with pytest.raises(TypeError, match="ignore_index is 'sum', expected a whole number"):
        CrossEntropyLoss(ignore_index="sum")  # type: ignore[arg-type]  # wrong on purpose
    with pytest.raises(
        ValueError, match=r"CrossEntropyLoss: reduction is 2, expected one of 'mean'"
    ):
        CrossEntropyLoss(2)  # type: ignore[arg-type]  # wrong on purpose


def test_one_row_of_logits_after_another_is_time() -> None:
    loss, column = (CrossEntropyLoss("sum_over_time") for _ in range(2))
    y, target = Y[:, 0], TARGET[:, 0]
    errors = CrossEntropyLoss("none").forward(y, target)
    np.testing.assert_allclose(loss.forward(y, target), errors.sum(), rtol=1e-14)
    column.forward(y[:, None], target[:, None])
    np.testing.assert_array_equal(loss.backward(), column.backward()[:, 0])


@pytest.mark.parametrize("ignore_index", [-100, -1, 3, 99, 1])
@each_reduction
def test_an_ignored_target_is_a_masked_one(ignore_index: int, reduction: Any) -> None:
    mask = TARGET != 1
    ignoring = CrossEntropyLoss(reduction, ignore_index=ignore_index)
    masked = CrossEntropyLoss(reduction)
    ignored = np.where(mask, TARGET, ignore_index)
    losses = ignoring.forward(Y, ignored), masked.forward(Y, TARGET, mask)
    np.testing.assert_array_equal(*losses)
    assert ignoring.count(ignored) == masked.count(TARGET, mask) == np.count_nonzero(mask)
    dloss = np.ones_like(losses[0])
    dy = ignoring.backward(dloss)
    np.testing.assert_array_equal(dy, masked.backward(dloss))
    assert not dy[~mask].any()
    assert dy[mask].all()


def test_unsigned_targets_are_targets() -> None:
    loss = CrossEntropyLoss()
    assert loss.predict(Y, TARGET.astype(np.uint8)) == loss.predict(Y, TARGET)


def mse_by_loop(y: Array, target: Array, mask: Array, reduction: str) -> tuple[Any, Array]:
    """Loss and gradient, one element at a time."""
    T, B, V = y.shape
    counted = V * sum(bool(mask[t, b]) for t in range(T) for b in range(B))
    divisor = {"mean": max(counted, 1), "sum_over_time": B * V}.get(reduction, 1)
    errors, dy = np.zeros_like(y), np.zeros_like(y)
    for t, b, v in np.ndindex(y.shape):
        if mask[t, b]:
            difference = y[t, b, v] - target[t, b, v]
            errors[t, b, v] = difference**2 / divisor
            dy[t, b, v] = 2 * difference / divisor
    return (errors if reduction == "none" else errors.sum()), dy


@each_reduction
@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_mse_counts_what_the_mask_counts_and_nothing_else(reduction: Any, share: float) -> None:
    rng = np.random.default_rng(1)
    target, mask = rng.standard_normal(Y.shape), rng.random(Y.shape[:2]) < share
    want, dwant = mse_by_loop(Y, target, mask, reduction)
    target[~mask] = np.nan  # a padded target may hold anything
    loss = MSELoss(reduction)
    got = loss.forward(Y, target, mask)
    np.testing.assert_allclose(got, want, rtol=1e-14, atol=1e-300)
    dy = loss.backward(np.ones(np.shape(got)))
    np.testing.assert_allclose(dy, dwant, rtol=1e-14, atol=1e-300)
    assert not dy[~mask].any()
    assert loss.count(target, mask) == Y.shape[2] * np.count_nonzero(mask)
    assert np.isnan(target[~mask]).all()  # the caller's array is as it was


def test_mse_of_unmasked_nan_is_an_error_that_names_its_place() -> None:
    target, mask = Y.copy(), np.ones(Y.shape[:2], bool)
    mask[1], target[1], target[3, 0, 2] = False, np.nan, np.nan
    with pytest.raises(ValueError, match=r"MSELoss.forward: target is nan at index \(3, 0, 2\)"):
        MSELoss().forward(Y, target, mask)


@pytest.mark.parametrize("shape", [(3,), (1, 3), (2, 3), (1, 1, 3), (5, 1, 3), (5, 2, 1)])
@pytest.mark.parametrize("masked", [False, True])
def test_a_target_is_never_broadcast(shape: tuple[int, ...], masked: bool) -> None:
    mask = np.ones(Y.shape[:2], bool) if masked else None
    with pytest.raises(ValueError, match=r"MSELoss.forward: target has shape .*, expected \(5, 2"):
        MSELoss().forward(Y, np.ones(shape), mask)


def test_the_gradient_of_a_loss_takes_the_dtype_of_the_loss() -> None:
    y = Y.astype(np.float32)
    loss = MSELoss()
    loss.forward(y, 0 * y)
    assert loss.backward(np.float64(1)).dtype == np.float32


def test_empty_batches_have_no_loss_and_no_gradient() -> None:
    for shape in ((0, 3), (2, 0, 3), (0, 2, 3)):
        for reduction in REDUCTIONS[:3]:
            losses: list[tuple[Loss, Array]] = [
                (MSELoss(reduction), np.zeros(shape)),
                (CrossEntropyLoss(reduction), np.zeros(shape[:-1], int)),
            ]
            for loss, target in losses:
                assert loss.forward(np.zeros(shape), target) == 0
                assert loss.backward().shape == shape


@pytest.mark.parametrize("kind", [MSELoss, CrossEntropyLoss])
def test_a_loss_has_the_same_core_and_skin_as_a_layer(kind: Any) -> None:
    target = TARGET if kind is CrossEntropyLoss else 2 * Y
    loss = kind()
    value, cache = loss.apply(Y, target)
    dy = loss.vjp(cache)
    np.testing.assert_array_equal(loss.vjp(cache, 2.0), 2 * dy)
    with pytest.raises(RuntimeError, match="nothing to go back through"):
        loss.backward()  # apply, vjp and predict are not remembered
    assert loss.predict(Y, target) == loss(Y, target) == value
    loss.predict(-Y, target)
    np.testing.assert_array_equal(loss.backward(), dy)
    with pytest.raises(RuntimeError, match="nothing to go back through"):
        loss.backward()
    for _ in range(2):
        loss.forward(Y, target)
    with pytest.raises(RuntimeError, match="another forward took the place of the first"):
        loss.backward()


@pytest.mark.parametrize("kind", [MSELoss, CrossEntropyLoss])
@each_reduction
def test_a_loss_may_be_written_to_before_backward(kind: Any, reduction: Any) -> None:
    y, target = Y.copy(), TARGET.copy() if kind is CrossEntropyLoss else 2 * Y
    mask = np.ones(TARGET.shape, bool)
    loss = kind(reduction)
    value, cache = kind(reduction).apply(Y, target.copy(), mask)
    got = loss.forward(y, target, mask)
    dloss = np.ones(np.shape(value))
    want = loss.vjp(cache, dloss)
    for array in (y, target, mask, *([got] if reduction == "none" else [])):
        array[...] = 0
    np.testing.assert_array_equal(loss.backward(dloss), want)


def test_the_cache_of_another_loss_is_refused() -> None:
    _, mse = MSELoss().apply(Y, Y)
    _, cross_entropy = CrossEntropyLoss().apply(Y, TARGET)
    for loss, cache in ((MSELoss(), cross_entropy), (CrossEntropyLoss(), mse), (MSELoss(), Y)):
        with pytest.raises(
            TypeError, match=r"backward: cache is a .*, expected one from its own apply"
        ):
            loss.vjp(cache)  # wrong on purpose


def test_a_count_takes_no_mask_of_another_shape() -> None:
    assert MSELoss().count(Y) == Y.size
    assert CrossEntropyLoss().count(TARGET) == TARGET.size
    for mask in (np.ones(5, bool), np.ones(2, bool), np.ones((2, 5), bool)):
        for loss, target in ((MSELoss(), Y), (CrossEntropyLoss(), TARGET)):
            with pytest.raises(ValueError, match=r"count: mask has shape .*, expected \(5, 2\)"):
                loss.count(target, mask)
