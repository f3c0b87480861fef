"""Softmax and the negative log-likelihood of an integer target, in one pair.

    Forward   (1) p = exp(y - m) / Z,  Z = sum_v exp(y_v - m),  m = max_v Re(y_v)
              (2) e[t,b] = -log p_target = log Z - (y_target - m)
              (3) L = s sum e over the (t, b) that count       s = scale, of reduction.py
    Backward  (3') w[t,b] = s dloss where (t, b) counts, else 0
              (2') dy = w (p - one_hot(target)),  since d log Z / dy = p

The shift m keeps exp from overflowing and cancels in p and in (2), so it has no gradient; the
real part of the maximum keeps the function analytic. Where a step does not count, its logits
have no influence, whatever they are.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from numpy_rnn.functional.reduction import Reduction, reduction_scale
from numpy_rnn.functional.types import Array


class CrossEntropyCache(NamedTuple):
    """What :func:`cross_entropy_backward` needs of the forward pass."""

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
    """Negative log-likelihood of integer targets under softmax(y).

    Parameters
    ----------
    y : (T, B, V) array
        Logits.
    targets : (T, B) array of int
        The right class at each step, 0 <= target < V, or `ignore_index`.
    mask : (T, B) array of bool, optional
        False where a step does not count (padding).
    ignore_index : int
        A target of this value does not count either.
    reduction : {"mean", "sum", "sum_over_time", "none"}
        "mean" divides by the number of steps that count, "sum_over_time" by B.

    Returns
    -------
    loss : scalar, or (T, B) array for "none"
        Equation (3), or (2); in nats.
    cache : CrossEntropyCache
        For :func:`cross_entropy_backward`.

    Raises
    ------
    ValueError
        If `reduction` is none of the four.
    """
    counts = targets != ignore_index
    if mask is not None:
        counts = counts & mask
    scale = reduction_scale(
        reduction, counted=int(np.count_nonzero(counts)), per_step=targets.shape[1]
    )
    picked = np.where(counts, targets, 0)[..., None]  # (T, B, 1)
    shifted = y - y.real.max(axis=-1, keepdims=True)  # (1)
    p = np.exp(shifted)
    Z = p.sum(axis=-1, keepdims=True)
    p /= Z
    e = (np.log(Z) - np.take_along_axis(shifted, picked, axis=-1))[..., 0]  # (2)
    e = np.where(counts, e, 0)
    loss = e if reduction == "none" else e.sum() * scale  # (3)
    return loss, CrossEntropyCache(p, picked, counts, scale)


def cross_entropy_backward(
    dloss: Array | float, cache: CrossEntropyCache
) -> tuple[Array, None, None]:
    """Gradients of :func:`cross_entropy_forward`, one per argument.

    Parameters
    ----------
    dloss : scalar, or (T, B) array for "none"
        Gradient of the loss: 1.0 where the loss is the end of the computation.
    cache : CrossEntropyCache
        From the forward pass.

    Returns
    -------
    dy : (T, B, V) array
        Equation (2').
    dtargets, dmask : None
        An index and a choice have no gradient.
    """
    p, targets, counts, scale = cache
    w = (dloss * scale * counts.astype(p.real.dtype))[..., None]  # (3')  (T, B, 1)
    dy = np.where(counts[..., None], w * p, 0)
    at_target = np.take_along_axis(dy, targets, axis=-1) - w
    np.put_along_axis(dy, targets, at_target, axis=-1)  # (2')
    return dy, None, None
