"""Mean squared error."""

from __future__ import annotations

from typing import NamedTuple

from numpy_rnn.functional.types import Array


class MSECache(NamedTuple):
    """What :func:`mse_backward` needs from the forward pass."""

    difference: Array  # (T, B, V)
    N: int


def mse_forward(y: Array, target: Array, *, reduction: str = "mean") -> tuple[Array, MSECache]:
    """Return the squared distance of y from its target."""
    T, B, V = y.shape
    N = {"mean": T * B * V, "sum_over_time": B * V, "sum": 1, "none": 1}[reduction]
    difference = y - target  # (1) (T, B, V)
    e = difference**2  # (2) (T, B, V)
    loss = e if reduction == "none" else e.sum() / max(N, 1)  # (3) ()
    return loss, MSECache(difference, max(N, 1))


def mse_backward(dloss: Array | float, cache: MSECache) -> tuple[Array, Array]:
    """Return the gradient of every argument of :func:`mse_forward`."""
    difference, N = cache
    de = dloss / N  # (2') ()
    dy = de * 2 * difference  # (0') (T, B, V)
    return dy, -dy
