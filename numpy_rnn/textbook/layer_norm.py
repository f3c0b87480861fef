"""Layer normalisation: each row gets mean 0 and variance 1, then a learned scale and shift.

Symbols
    x_k            element k of one row of x, k = 1, ..., H. A row is one timestep of one sequence
    weight, bias   scale and shift: the same ones for every row
    eps            a small constant, so that a row of equal elements is no division by zero
    T, B, H        numbers of timesteps, sequences and elements in a row
    L              the loss: one number, computed elsewhere from y
    dX             the gradient dL/dX, shaped like X: its element j is the change of L per change of
                   element j of X, all consequences included

Forward, for every row
    (0)  given: x, weight, bias, eps
    (1)  mean = (x_1 + ... + x_H) / H
    (2)  d_k = x_k - mean
    (3)  variance = (d_1^2 + ... + d_H^2) / H
    (4)  s = 1 / sqrt(variance + eps)
    (5)  u_k = d_k * s
    (6)  y_k = weight_k * u_k + bias_k

Paths from x_k to the loss
        x_k ---------> d_k ---------------------> u_k ---> y_k ---dy_k---> L
         |             ^ |                         ^
         |             | +---> variance ---> s ----+      s leads to every u of the row
         +---> mean ---+                                  mean leads to every d of the row

    Two arrows leave x_k and two leave d_k. One leaves y_k: its gradient dy_k is given.

Backward, for every row. (k') is the gradient of what equation (k) defines, (0') of what is given.
Add one term per arrow. To come back along an arrow v -> y, multiply dy by the derivative of y with
respect to v.
    (6') dy_k                                          given
    (5') du_k = dy_k * weight_k                        the one arrow from u_k
    (4') ds = sum_k du_k * d_k                         s is in every u_k, with factor d_k
    (3') dvariance = ds * (-1/2) * s^3                 s = (variance + eps)^(-1/2), a power
    (2') dd_k = du_k * s + dvariance * 2 * d_k / H     two arrows: to u_k, and to variance
    (1') dmean = -sum_k dd_k                           mean is in every d_k, with factor -1
    (0') dx_k = dd_k + dmean / H                       two arrows: to d_k, and to mean
         dweight_k = sum of dy_k * u_k over all rows   one arrow to each row
         dbias_k = sum of dy_k over all rows           one arrow to each row, factor 1

    In the code, .sum(axis=0) adds up the rows of one timestep, and += the timesteps. Term t is the
    effect on L of using weight or bias at step t. The terms are the ledger: run this page,
    or functional.layer_norm_backward with keep="t".

Ba, Kiros & Hinton (2016).
"""

from __future__ import annotations

import numpy as np

from numpy_rnn.functional.types import Array, Cache


def layer_norm_forward(
    x: Array, weight: Array, bias: Array, *, eps: float = 1e-5
) -> tuple[Array, Cache]:
    """Return every row of x normalised, scaled and shifted, (T, B, H), and the cache.

    Parameters
    ----------
    x, weight, bias, eps : (T, B, H), (H,) and (H,) arrays, and float

    Examples
    --------
    >>> x = np.array([[[1.0, 2.0, 3.0]]])
    >>> y, cache = layer_norm_forward(x, np.ones(3), np.zeros(3), eps=0.0)
    >>> y.round(4)
    array([[[-1.2247,  0.    ,  1.2247]]])
    """
    mean = x.mean(axis=-1, keepdims=True)  # (1) (T, B, 1)
    d = x - mean  # (2) (T, B, H)
    variance = (d**2).mean(axis=-1, keepdims=True)  # (3) (T, B, 1)
    s = 1 / np.sqrt(variance + eps)  # (4) (T, B, 1)
    u = d * s  # (5) (T, B, H)
    y = u * weight + bias  # (6) (T, B, H)
    return y, (d, s, u, weight)


def layer_norm_backward(dy: Array, cache: Cache) -> tuple[Array, Array, Array]:
    """Return dx, dweight and dbias, each shaped like its argument.

    dy : (T, B, H), the gradient of L with respect to y.
    """
    d, s, u, weight = cache
    H = d.shape[-1]
    dweight, dbias = np.zeros_like(weight), np.zeros_like(weight)  # (0') (H,), (H,)
    for t in range(len(dy)):
        dweight += (dy[t] * u[t]).sum(axis=0)  # (0') (H,)
        dbias += dy[t].sum(axis=0)  # (0') (H,)
    du = dy * weight  # (5') (T, B, H)
    ds = (du * d).sum(axis=-1, keepdims=True)  # (4') (T, B, 1)
    dvariance = ds * -0.5 * s**3  # (3') (T, B, 1)
    dd = du * s + dvariance * 2 * d / H  # (2') (T, B, H)
    dmean = -dd.sum(axis=-1, keepdims=True)  # (1') (T, B, 1)
    dx = dd + dmean / H  # (0') (T, B, H)
    return dx, dweight, dbias


if __name__ == "__main__":
    from numpy_rnn.textbook.example import show

    show(layer_norm_forward, layer_norm_backward, {"x": "T B 3", "weight": "3", "bias": "3"})
