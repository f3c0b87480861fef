"""Mean squared error.

Forward   (1) e = (y - target)^2
          (2) L = s sum e                   s = scale, of reduction.py
Backward  (1') dy = 2 s dloss (y - target),  dtarget = -dy
"""

from __future__ import annotations

from typing import NamedTuple

from numpy_rnn.functional.reduction import Reduction, reduction_scale
from numpy_rnn.functional.types import Array


class MSECache(NamedTuple):
    """What :func:`mse_backward` needs of the forward pass."""

    difference: Array  # (T, B, V)
    scale: float


def mse_forward(
    y: Array, target: Array, *, reduction: Reduction = "mean"
) -> tuple[Array, MSECache]:
    """Squared distance of an output from its target.

    Parameters
    ----------
    y, target : (T, B, V) arrays
        Output and what it should be.
    reduction : {"mean", "sum", "sum_over_time", "none"}
        "sum_over_time" is the sum over timesteps of the mean over classes and batch.

    Returns
    -------
    loss : scalar, or (T, B, V) array for "none"
        Equation (2), or (1).
    cache : MSECache
        For :func:`mse_backward`.

    Raises
    ------
    ValueError
        If `reduction` is none of the four.
    """
    difference = y - target
    T = len(difference)
    scale = reduction_scale(
        reduction, counted=difference.size, per_step=difference.size // max(T, 1)
    )
    squared = difference * difference  # (1)
    loss = squared if reduction == "none" else squared.sum() * scale  # (2)
    return loss, MSECache(difference, scale)


def mse_backward(dloss: Array | float, cache: MSECache) -> tuple[Array, Array]:
    """Gradients of :func:`mse_forward`, one per argument.

    Parameters
    ----------
    dloss : scalar, or (T, B, V) array for "none"
        Gradient of the loss: 1.0 where the loss is the end of the computation.
    cache : MSECache
        From the forward pass.

    Returns
    -------
    dy, dtarget : (T, B, V) arrays
        Equation (1').
    """
    dy = (2 * cache.scale * dloss) * cache.difference  # (1')
    return dy, -dy
