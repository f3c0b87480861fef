"""The mean squared error: the average squared distance of an output from its target.

Symbols
    y, target      output, and what it should be;  loss  the number returned
    dloss          its gradient: 1 if training minimises the loss itself. If training minimises a
                   weighted sum of losses, the weight of this one
    dX             the gradient with respect to X, of X's shape: its element j is dloss times the
                   change of the loss per change of element j of X
    T, B, V        number of timesteps, sequences in the batch, outputs

Forward, for every element
    (0)  given: y, target
    (1)  difference = y - target
    (2)  e = difference^2
    (3)  loss = (sum of e) / N         N = T B V for reduction "mean",  1 for "sum",
                                       B V for "sum_over_time": the sum of T means
         loss = e, without a sum, for "none"; dloss then has the shape of e

Backward. The gradients of what (n) gives have the number (n'). The one path from y is
y ---> difference ---> e ---> loss.
    (3') dloss                         given
    (2') de = dloss / N                e is in the sum, with factor 1 / N
    (1') dy = de * 2 * difference      the derivative of a square. difference has the same gradient
                                       as y, which is in it with factor 1
    (0') dtarget = -dy                 target is in difference with factor -1

Legendre (1805), as the method of least squares.
"""

from __future__ import annotations

from typing import NamedTuple

from numpy_rnn.functional.types import Array


class MSECache(NamedTuple):
    """What :func:`mse_backward` needs from the forward pass."""

    difference: Array  # (T, B, V)
    N: int


def mse_forward(y: Array, target: Array, *, reduction: str = "mean") -> tuple[Array, MSECache]:
    """Return the loss, a number (for "none" a (T, B, V) array), and the cache.

    Parameters
    ----------
    y, target : (T, B, V) arrays
    reduction : {"mean", "sum", "sum_over_time", "none"}

    Examples
    --------
    >>> import numpy as np
    >>> loss, cache = mse_forward(np.array([[[1.0, 2.0]]]), np.array([[[1.0, 5.0]]]))
    >>> float(loss)
    4.5
    """
    T, B, V = y.shape
    N = {"mean": T * B * V, "sum_over_time": B * V, "sum": 1, "none": 1}[reduction]
    difference = y - target  # (1) (T, B, V)
    e = difference**2  # (2) (T, B, V)
    loss = e if reduction == "none" else e.sum() / max(N, 1)  # (3) ()
    return loss, MSECache(difference, max(N, 1))


def mse_backward(dloss: Array | float, cache: MSECache) -> tuple[Array, Array]:
    """Return dy and dtarget, each of its argument's shape.

    Parameters
    ----------
    dloss, cache : number ((T, B, V) array for "none") and MSECache
    """
    difference, N = cache
    de = dloss / N  # (2') ()
    dy = de * 2 * difference  # (1') (T, B, V)
    dtarget = -dy  # (0') (T, B, V)
    return dy, dtarget


if __name__ == "__main__":
    from numpy_rnn.textbook.example import show

    show(mse_forward, mse_backward, {"y": "T B V", "target": "T B V"})
