"""Layer normalisation."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from numpy_rnn.functional.types import Array


class LayerNormCache(NamedTuple):
    """What :func:`layer_norm_backward` needs from the forward pass."""

    d: Array  # (T, B, H)
    s: Array  # (T, B, 1)
    u: Array  # (T, B, H)
    weight: Array  # (H,)


def layer_norm_forward(
    x: Array, weight: Array, bias: Array, *, eps: float = 1e-5
) -> tuple[Array, LayerNormCache]:
    """Return every row of x normalised, scaled and shifted."""
    mean = x.mean(axis=-1, keepdims=True)  # (1) (T, B, 1)
    d = x - mean  # (2) (T, B, H)
    variance = (d**2).mean(axis=-1, keepdims=True)  # (3) (T, B, 1)
    s = 1 / np.sqrt(variance + eps)  # (4) (T, B, 1)
    u = d * s  # (5) (T, B, H)
    y = u * weight + bias  # (6) (T, B, H)
    return y, LayerNormCache(d, s, u, weight)


def layer_norm_backward(dy: Array, cache: LayerNormCache) -> tuple[Array, Array, Array]:
    """Return the gradient of every argument of :func:`layer_norm_forward`."""
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
