"""Room: layer normalisation, y = weight (x - mean) / sqrt(variance + eps) + bias."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import numpy as np

from numpy_rnn.functional.types import Array
from numpy_rnn.museum.exhibit import Exhibit, Room


class LayerNormCache(NamedTuple):
    """What backward needs: the normalised rows u and 1 / sqrt(variance + eps), s."""

    x: Array
    u: Array
    s: Array
    weight: Array


def layer_norm_forward(
    x: Array, weight: Array, bias: Array, eps: float = 1e-5
) -> tuple[Array, LayerNormCache]:
    """Normalise every row."""
    mean = x.mean(axis=-1, keepdims=True)
    variance = ((x - mean) ** 2).mean(axis=-1, keepdims=True)
    s = 1 / np.sqrt(variance + eps)
    u = (x - mean) * s
    return u * weight + bias, LayerNormCache(x, u, s, weight)


def layer_norm_backward(dy: Array, cache: LayerNormCache) -> tuple[Array, Array, Array]:
    """Go back through u, the variance and the mean, one at a time."""
    x, u, s, weight = cache
    H = x.shape[-1]
    d = x - x.mean(axis=-1, keepdims=True)
    dweight = (dy * u).sum(axis=(0, 1))
    dbias = dy.sum(axis=(0, 1))
    du = dy * weight
    dvariance = (du * d).sum(axis=-1, keepdims=True) * -0.5 * s**3
    dd = du * s + dvariance * 2 * d / H
    dx = dd - dd.mean(axis=-1, keepdims=True)
    return dx, dweight, dbias


LAYER_NORM = Room(
    "layer norm",
    layer_norm_forward,
    layer_norm_backward,
    {"x": "T B H", "weight": "H", "bias": "H"},
)
_bug = partial(Exhibit, LAYER_NORM)

LAYER_NORM_EXHIBITS = [
    _bug(
        "way through the mean forgotten",
        "dx = dd - dd.mean(axis=-1, keepdims=True)",
        "dx = dd",
        "The mean is taken for a constant, as it is at evaluation in batch normalisation.",
        ("dx",),
    ),
    _bug(
        "way through the variance forgotten",
        "dd = du * s + dvariance * 2 * d / H",
        "dd = du * s",
        "The variance is taken for a constant, as it is at evaluation in batch normalisation.",
        ("dx",),
    ),
    _bug(
        "n - 1 for n",
        "dvariance * 2 * d / H",
        "dvariance * 2 * d / (H - 1)",
        "The variance of statistics, in backward only.",
        ("dx",),
    ),
    _bug(
        "factor 2 forgotten",
        "dvariance * 2 * d / H",
        "dvariance * d / H",
        "It cancels with the 1/2 of the root, and was cancelled twice.",
        ("dx",),
    ),
    _bug(
        "scale forgotten",
        "du = dy * weight",
        "du = dy",
        "Right as long as the weight is what it starts from: one.",
        ("dx",),
    ),
    _bug(
        "scale's gradient from x",
        "dweight = (dy * u)",
        "dweight = (dy * x)",
        "weight multiplies the normalised rows, not the rows.",
        ("weight",),
    ),
    _bug(
        "shift's gradient over time only",
        "dbias = dy.sum(axis=(0, 1))",
        "dbias = dy.sum(axis=0)[0]",
        "A sum over one axis of two, and the index that made the shapes agree.",
        ("bias",),
    ),
]
