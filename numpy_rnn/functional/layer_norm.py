"""Layer normalisation: each row gets mean 0 and variance 1, then a scale and a shift of its own.

    Forward   (1) d = x - mean(x)                       means are over the last axis, H
              (2) s = 1 / sqrt(mean(d^2) + eps)
              (3) u = d * s
              (4) y = weight * u + bias
    Backward  (4') du = weight * dy,  dweight = sum_t sum_b dy * u,  dbias = sum_t sum_b dy
              (1') dx = s * (du - mean(du) - u * mean(du * u))

(1') is (3'), (2') and (1') in one: the outer s is the way through d in (3), the last term the way
through s, since ds = -s^3 mean(d * dd), and the mean in the middle the way through mean(x).
Without eps the result would be orthogonal to 1 and to u, for no change of x along them changes
u. Ba, Kiros & Hinton (2016). The square is d * d, not |d|^2, which would not be analytic.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from numpy_rnn.functional.contract import Keep, contract_bias
from numpy_rnn.functional.types import Array


class LayerNormCache(NamedTuple):
    """What :func:`layer_norm_backward` needs of the forward pass."""

    u: Array  # (T, B, H)
    s: Array  # (T, B, 1)
    weight: Array  # (H,)


def layer_norm_forward(
    x: Array, weight: Array, bias: Array, *, eps: float = 1e-5
) -> tuple[Array, LayerNormCache]:
    """Normalise every row.

    Parameters
    ----------
    x : (T, B, H) array
        Input rows.
    weight, bias : (H,) arrays
        Scale and shift of each unit.
    eps : float
        Added to the variance, so that a constant row is no division by zero.

    Returns
    -------
    y : (T, B, H) array
        Equation (4).
    cache : LayerNormCache
        For :func:`layer_norm_backward`.
    """
    d = x - x.mean(axis=-1, keepdims=True)  # (1)
    s = 1 / np.sqrt((d * d).mean(axis=-1, keepdims=True) + eps)  # (2)
    u = d * s  # (3)
    return u * weight + bias, LayerNormCache(u, s, weight)  # (4)


def layer_norm_backward(
    dy: Array, cache: LayerNormCache, keep: Keep = ""
) -> tuple[Array, Array, Array]:
    """Gradients of :func:`layer_norm_forward`, one per argument.

    Parameters
    ----------
    dy : (T, B, H) array
        Gradient of the output.
    cache : LayerNormCache
        From the forward pass.
    keep : {"", "t", "b", "tb"}
        The axes of the sums over time and batch to leave standing.

    Returns
    -------
    dx : (T, B, H) array
        Gradient of the input.
    dweight, dbias : (H,) arrays, with the kept axes in front
        Gradients of the scale and the shift.
    """
    u, s, weight = cache
    dweight, dbias = contract_bias(dy * u, keep), contract_bias(dy, keep)  # (4')
    du = dy * weight
    along_u = (du * u).mean(axis=-1, keepdims=True)
    dx: Array = s * (du - du.mean(axis=-1, keepdims=True) - u * along_u)  # (1')
    return dx, dweight, dbias
