"""Cross-entropy: minus the logarithm of the probability that softmax gives to the right class.

Symbols
    y_v            score (logit) of class v = 0, ..., V - 1, at one timestep of one sequence
    target         the right class there, an integer
    mask           False where a timestep does not count; nor does it if target is ignore_index
    p_v            probability of class v, by softmax;  nll  minus the logarithm of p_target
    loss           the number returned, in nats
    dloss          its gradient: 1 if training minimises the loss itself. If training minimises a
                   weighted sum of losses, the weight of this one
    dX             the gradient with respect to X, of X's shape: its element j is dloss times the
                   change of the loss per change of element j of X
    T, B, V        numbers of timesteps, sequences and classes

Forward, for every timestep and sequence
    (0)  given: y, targets, mask
    (1)  m = max_v y_v                           (the code compares real parts, so that gradients
    (2)  e_v = exp(y_v - m)                      can be tested with complex numbers)
    (3)  Z = sum_v e_v
    (4)  p_v = e_v / Z
    (5)  nll = -log p_target = log Z - (y_target - m)
    (6)  loss = (sum of nll where it counts) / N     N = how many count   for reduction "mean"
                                                     N = B   for "sum_over_time",   1   for "sum"
         loss = nll, N = 1, for "none"; dloss then has the shape of nll. If nothing counts, N = 1

Paths from y_v to the loss
        y_v ---> e_v ---> Z ---> nll ---> loss       for every v
        y_target ----------------^                   for v = target, a second arrow

    m is subtracted so that exp does not overflow. It cancels: log Z is log(sum_v exp(y_v)) - m, so
    nll is log(sum_v exp(y_v)) - y_target for every m. Nothing depends on m: its gradient is 0.

Backward. (k') is the gradient of what equation (k) defines, (0') of what is given.
Add one term per arrow. To come back along an arrow v -> y, multiply dy by the derivative of y with
respect to v.
    (6') dloss                              given
    (5') dnll = dloss / N                   a nll that counts is in the sum, with factor 1 / N
    (3') dZ = dnll / Z                      log' Z = 1 / Z
    (2') de_v = dZ                          e_v is in Z with factor 1
    (0') dy_v = de_v * e_v - [v = target] * dnll     first arrow: exp' = exp; second: factor -1
              = dnll * (p_v - [v = target])          e_v / Z is p_v, by (4): the code computes this

    [v = target] is 1 for the right class, else 0. Where a step does not count, dy is 0.
    Targets and mask are choices, not numbers that can change by a little: their gradients are None.

Bridle (1990).
"""

from __future__ import annotations

import numpy as np

from numpy_rnn.functional.types import Array, Cache


def cross_entropy_forward(
    y: Array,
    targets: Array,
    mask: Array | None = None,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> tuple[Array, Cache]:
    """Return the loss, a number (for "none" a (T, B) array), and the cache.

    Parameters
    ----------
    y, targets, mask : (T, B, V) array, (T, B) array of int, and (T, B) array of bool or None
    ignore_index, reduction : int, and one of "mean", "sum", "sum_over_time", "none"

    Examples
    --------
    >>> loss, cache = cross_entropy_forward(np.log([[[0.5, 0.25, 0.25]]]), np.array([[0]]))
    >>> round(float(loss), 4)  # log 2
    0.6931
    """
    counts = targets != ignore_index  # (0) (T, B)
    if mask is not None:
        counts = counts & mask  # (0) (T, B)
    N = {"mean": counts.sum(), "sum_over_time": targets.shape[1], "sum": 1, "none": 1}[reduction]
    N = max(int(N), 1)  # the N of (6)
    m = y.real.max(axis=-1, keepdims=True)  # (1) (T, B, 1)
    e = np.exp(y - m)  # (2) (T, B, V)
    Z = e.sum(axis=-1, keepdims=True)  # (3) (T, B, 1)
    p = e / Z  # (4) (T, B, V)
    nll = np.zeros_like(y[..., 0])  # (5) (T, B)
    for t, b in np.argwhere(counts):
        nll[t, b] = np.log(Z[t, b, 0]) - (y[t, b, targets[t, b]] - m[t, b, 0])  # (5) ()
    loss = nll if reduction == "none" else nll.sum() / N  # (6) ()
    return loss, (p, targets, counts, N)


def cross_entropy_backward(dloss: Array | float, cache: Cache) -> tuple[Array, None, None]:
    """Return dy of y's shape, and None for targets and for mask.

    dloss : a number ((T, B) array for "none").
    """
    p, targets, counts, N = cache
    dnll = np.asarray(dloss, p.dtype) / N  # (5') ()
    dy = np.zeros_like(p)  # (0') (T, B, V)
    for t, b in np.argwhere(counts):
        dy[t, b] = p[t, b]  # (0') (V,)
        dy[t, b, targets[t, b]] -= 1  # (0') ()
    dy = dnll[..., None] * dy  # (0') (T, B, V)
    return dy, None, None


if __name__ == "__main__":
    from numpy_rnn.textbook.example import show

    targets = np.array([[0], [2]])
    show(cross_entropy_forward, cross_entropy_backward, {"y": "T B V", "targets": targets})
