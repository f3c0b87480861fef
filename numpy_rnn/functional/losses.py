"""Losses: mean squared error and softmax cross-entropy.

The equations are in textbook/mse.py and textbook/cross_entropy.py. A loss is a sum of errors times
a number, the scale, which the reduction determines:

    "sum"            L = sum of the errors that count
    "mean"           the same divided by the number of errors that count
    "sum_over_time"  the same divided by the number of errors in one timestep, counted or not
    "none"           no sum: the errors themselves

"mean", "sum" and "none" are PyTorch's. "sum_over_time" is what a loop does that adds up the mean
error of each step. A mask marks steps that do not count, such as padding.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

from numpy_rnn.functional.contract import token_ids
from numpy_rnn.functional.types import Array

Reduction = Literal["mean", "sum", "sum_over_time", "none"]


def reduction_scale(reduction: Reduction, *, counted: int, per_step: int) -> float:
    """Return the number that the sum of the errors is multiplied by, or raise ValueError.

    `counted` is the number of errors that count, `per_step` that of errors in one timestep. If
    nothing counts, the mean is 0 (PyTorch's is NaN), so that the gradient of the batch is zero.
    """
    if reduction in ("sum", "none"):
        return 1.0
    if reduction == "mean":
        return 1.0 / max(counted, 1)
    if reduction == "sum_over_time":
        return 1.0 / max(per_step, 1)
    raise ValueError(
        f"reduction is {reduction!r}, expected 'mean', 'sum', 'sum_over_time' or 'none'"
    )


class MSECache(NamedTuple):
    """What :func:`mse_backward` needs."""

    difference: Array  # (T, B, V), zero where an error does not count
    scale: float


def mse_forward(
    y: Array, target: Array, *, mask: Array | None = None, reduction: Reduction = "mean"
) -> tuple[Array, MSECache]:
    """Return the squared distance of an output from its target.

    Parameters
    ----------
    y, target : (T, B, V) arrays
    mask : (T, B) array of bool, optional
        False where a step does not count.
    reduction : {"mean", "sum", "sum_over_time", "none"}
        "mean" divides by the number of elements that count, "sum_over_time" by B * V.

    Returns
    -------
    loss, cache : scalar ((T, B, V) array for "none") in the squared unit of y, and the cache

    Examples
    --------
    >>> import numpy as np
    >>> loss, cache = mse_forward(np.array([[[1.0, 5.0]]]), np.array([[[0.0, 2.0]]]))
    >>> loss, mse_backward(1.0, cache)[0]
    (np.float64(5.0), array([[[1., 3.]]]))
    """
    difference = y - target
    counted = difference.size
    if mask is not None:
        difference = np.where(mask[..., None], difference, 0)
        counted = int(np.count_nonzero(mask)) * int(np.prod(y.shape[2:]))
    per_step = difference.size // max(len(difference), 1)
    scale = reduction_scale(reduction, counted=counted, per_step=per_step)
    squared = difference * difference  # (2)
    loss = squared if reduction == "none" else squared.sum() * scale  # (3)
    return loss, MSECache(difference, scale)


def mse_backward(dloss: Array | float, cache: MSECache) -> tuple[Array, Array]:
    """Return dy and dtarget, (T, B, V) each.

    `dloss` is the gradient of the loss: 1.0 if the loss is the end of the computation, or a
    (T, B, V) array for "none".
    """
    dy = (2 * cache.scale * dloss) * cache.difference  # (2'), (1')
    return dy, -dy


class CrossEntropyCache(NamedTuple):
    """What :func:`cross_entropy_backward` needs."""

    p: Array  # (T, B, V)
    targets: Array  # (T, B, 1), with 0 where a target does not count
    counts: Array  # (T, B) of bool
    scale: float


def cross_entropy_forward(
    y: Array,
    targets: Array,
    mask: Array | None = None,
    *,
    ignore_index: int = -100,
    reduction: Reduction = "mean",
) -> tuple[Array, CrossEntropyCache]:
    """Return the negative log-likelihood of integer targets under softmax(y).

    Parameters
    ----------
    y : (T, B, V) array
        Logits.
    targets : (T, B) array of int
        Class at each step, 0 <= target < V, or `ignore_index`.
    mask : (T, B) array of bool, optional
        False where a step does not count. Nor does one whose target is `ignore_index`.
    reduction : {"mean", "sum", "sum_over_time", "none"}
        "mean" divides by the number of steps that count, "sum_over_time" by B.

    Returns
    -------
    loss, cache : scalar ((T, B) array for "none") in nats, and what backward takes

    Examples
    --------
    >>> import numpy as np
    >>> loss, cache = cross_entropy_forward(np.zeros((1, 1, 2)), np.array([[0]]))
    >>> loss.round(4), cross_entropy_backward(1.0, cache)[0]
    (np.float64(0.6931), array([[[-0.5,  0.5]]]))
    """
    targets = token_ids(targets)
    counts = targets != ignore_index
    if mask is not None:
        counts = counts & mask
    scale = reduction_scale(
        reduction, counted=int(np.count_nonzero(counts)), per_step=targets.shape[1]
    )
    picked = np.where(counts, targets, 0)[..., None]  # (T, B, 1)
    # Subtracting the largest real part keeps exp from overflowing; it cancels in (4) and (5).
    shifted = y - y.real.max(axis=-1, keepdims=True)
    p = np.exp(shifted)
    Z = p.sum(axis=-1, keepdims=True)
    p /= Z  # (4)
    e = (np.log(Z) - np.take_along_axis(shifted, picked, axis=-1))[..., 0]  # (5)
    e = np.where(counts, e, 0)
    loss = e if reduction == "none" else e.sum() * scale  # (6)
    return loss, CrossEntropyCache(p, picked, counts, scale)


def cross_entropy_backward(
    dloss: Array | float, cache: CrossEntropyCache
) -> tuple[Array, None, None]:
    """Return dy (T, B, V), and None twice: an index and a choice have no gradient.

    dy is p - one_hot(target), scaled, and zero where a step does not count. `dloss` is as in
    :func:`mse_backward`, for "none" a (T, B) array.
    """
    p, targets, counts, scale = cache
    w = (dloss * scale * counts.astype(p.real.dtype))[..., None]  # (5') (T, B, 1)
    dy = np.where(counts[..., None], w * p, 0)
    at_target = np.take_along_axis(dy, targets, axis=-1) - w
    np.put_along_axis(dy, targets, at_target, axis=-1)  # (0')
    return dy, None, None
