"""Layer normalisation, with `keep`. The equations are in textbook/layer_norm.py.

Here the gradients of scale and shift are sums by contract.py, so that `keep` applies to them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from numpy_rnn.functional.contract import Keep, contract_bias
from numpy_rnn.functional.types import Array


class LayerNormCache(NamedTuple):
    """What :func:`layer_norm_backward` needs."""

    u: Array  # (T, B, H): the normalised rows
    s: Array  # (T, B, 1): 1 / sqrt(variance + eps)
    weight: Array  # (H,)


def layer_norm_forward(
    x: Array, weight: Array, bias: Array, *, eps: float = 1e-5
) -> tuple[Array, LayerNormCache]:
    """Normalise every row (Ba, Kiros & Hinton 2016).

    Parameters
    ----------
    x, weight, bias : (T, B, H), (H,) and (H,) arrays
    eps : float
        Added to the variance, so that a constant row is no division by zero.

    Returns
    -------
    y, cache : (T, B, H) array, the rows normalised, scaled and shifted, and what backward takes

    Examples
    --------
    >>> import numpy as np
    >>> y, cache = layer_norm_forward(np.array([[[1.0, 3.0]]]), np.ones(2), np.zeros(2))
    >>> y.round(3)
    array([[[-1.,  1.]]])
    """
    d = x - x.mean(axis=-1, keepdims=True)  # (1), (2)
    s = 1 / np.sqrt((d * d).mean(axis=-1, keepdims=True) + eps)  # (3), (4)
    u = d * s  # (5)
    return u * weight + bias, LayerNormCache(u, s, weight)  # (6)


def layer_norm_backward(
    dy: Array, cache: LayerNormCache, keep: Keep = ""
) -> tuple[Array, Array, Array]:
    """Return dx, dweight and dbias (see functional/__init__.py)."""
    u, s, weight = cache
    dweight, dbias = contract_bias(dy * u, keep), contract_bias(dy, keep)  # (0')
    du = dy * weight  # (5')
    along_u = (du * u).mean(axis=-1, keepdims=True)
    dx: Array = s * (du - du.mean(axis=-1, keepdims=True) - u * along_u)  # (4') to (0') in one
    return dx, dweight, dbias
