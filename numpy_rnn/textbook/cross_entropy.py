"""Cross-entropy."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from numpy_rnn.functional.types import Array


class CrossEntropyCache(NamedTuple):
    """What :func:`cross_entropy_backward` needs from the forward pass."""

    p: Array  # (T, B, V)
    targets: Array  # (T, B)
    counts: Array  # (T, B)
    N: int


def cross_entropy_forward(
    y: Array,
    targets: Array,
    mask: Array | None = None,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> tuple[Array, CrossEntropyCache]:
    """Return -log p of the target, where p = softmax(y)."""
    counts = targets != ignore_index  # (0) (T, B)
    if mask is not None:
        counts = counts & mask  # (0) (T, B)
    N = {"mean": counts.sum(), "sum_over_time": targets.shape[1], "sum": 1, "none": 1}[reduction]
    N = max(int(N), 1)
    m = y.real.max(axis=-1, keepdims=True)  # (1) (T, B, 1)
    e = np.exp(y - m)  # (2) (T, B, V)
    Z = e.sum(axis=-1, keepdims=True)  # (3) (T, B, 1)
    p = e / Z  # (4) (T, B, V)
    nll = np.zeros_like(y[..., 0])  # (5) (T, B)
    for t, b in np.argwhere(counts):
        nll[t, b] = np.log(Z[t, b, 0]) - (y[t, b, targets[t, b]] - m[t, b, 0])  # (5) ()
    loss = nll if reduction == "none" else nll.sum() / N  # (6) ()
    return loss, CrossEntropyCache(p, targets, counts, N)


def cross_entropy_backward(
    dloss: Array | float, cache: CrossEntropyCache
) -> tuple[Array, None, None]:
    """Return the gradient of every argument of :func:`cross_entropy_forward`."""
    p, targets, counts, N = cache
    dnll = np.asarray(dloss, p.dtype) / N  # (5') ()
    dy = np.zeros_like(p)  # (0') (T, B, V)
    for t, b in np.argwhere(counts):
        dy[t, b] = p[t, b]  # (0') (V,)
        dy[t, b, targets[t, b]] -= 1  # (0') ()
    dy = dnll[..., None] * dy  # (0') (T, B, V)
    return dy, None, None
