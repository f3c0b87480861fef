"""The mean squared error: the average squared distance of an output from its target.

Symbols
    y, target      output, and what it should be;  loss  the number returned
    mask           False where a timestep of a sequence does not count
    dloss          its gradient: 1 if training minimises the loss itself. If training minimises a
                   weighted sum of losses, the weight of this one
    dX             the gradient with respect to X, of X's shape: its element j is dloss times the
                   change of the loss per change of element j of X
    T, B, V        numbers of timesteps, sequences and outputs

Forward, for every element
    (0)  given: y, target, mask
    (1)  difference = y - target       0 where mask is False
    (2)  e = difference^2
    (3)  loss = (sum of e) / N         N = how many count, for reduction "mean";  1 for "sum";
                                       B V for "sum_over_time": a sum of T means
         loss = e, N = 1, for "none"; dloss then has the shape of e. If nothing counts, N = 1

Backward. (k') is the gradient of what equation (k) defines, (0') of what is given.
The one path from y is y ---> difference ---> e ---> loss.
    (3') dloss                         given
    (2') de = dloss / N                e is in the sum, with factor 1 / N
    (1') dy = de * 2 * difference      the gradient of difference, by the derivative of a square.
                                       y is in difference with factor 1, so its gradient is the
                                       same. Where mask is False, it is 0
    (0') dtarget = -dy                 target is in difference with factor -1

Legendre (1805), as the method of least squares.
"""

from __future__ import annotations

import numpy as np

from numpy_rnn.functional.types import Array, Cache


def mse_forward(
    y: Array, target: Array, *, mask: Array | None = None, reduction: str = "mean"
) -> tuple[Array, Cache]:
    """Return the loss, a number (for "none" a (T, B, V) array), and the cache.

    Parameters
    ----------
    y, target, mask : (T, B, V) arrays, and (T, B) array of bool or None
    reduction : {"mean", "sum", "sum_over_time", "none"}

    Examples
    --------
    >>> loss, cache = mse_forward(np.array([[[1.0, 2.0]]]), np.array([[[1.0, 5.0]]]))
    >>> float(loss)
    4.5
    """
    T, B, V = y.shape
    if mask is None:
        mask = np.ones((T, B), bool)  # (0) (T, B)
    N = {"mean": mask.sum() * V, "sum_over_time": B * V, "sum": 1, "none": 1}[reduction]
    N = max(int(N), 1)  # the N of (3)
    difference = np.where(mask[..., None], y - target, 0)  # (1) (T, B, V)
    e = difference**2  # (2) (T, B, V)
    loss = e if reduction == "none" else e.sum() / N  # (3) ()
    return loss, (difference, N)


def mse_backward(dloss: Array | float, cache: Cache) -> tuple[Array, Array]:
    """Return dy and dtarget, each shaped like its argument.

    dloss : a number ((T, B, V) array for "none").
    """
    difference, N = cache
    de = dloss / N  # (2') ()
    dy = de * 2 * difference  # (1') (T, B, V)
    dtarget = -dy  # (0') (T, B, V)
    return dy, dtarget


if __name__ == "__main__":
    from numpy_rnn.textbook.example import show

    show(mse_forward, mse_backward, {"y": "T B V", "target": "T B V"})
