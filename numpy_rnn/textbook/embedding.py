"""Embedding."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from numpy_rnn.functional.types import Array


class EmbeddingCache(NamedTuple):
    """What :func:`embedding_backward` needs from the forward pass."""

    tokens: Array  # (T, B)
    W: Array  # (V, E)


def embedding_forward(tokens: Array, W: Array) -> tuple[Array, EmbeddingCache]:
    """Return the row of W that each token names."""
    y = W[tokens]  # (1) (T, B, E)
    return y, EmbeddingCache(tokens, W)


def embedding_backward(dy: Array, cache: EmbeddingCache) -> tuple[None, Array]:
    """Return the gradient of every argument of :func:`embedding_forward`."""
    tokens, W = cache
    dW = np.zeros_like(W)  # (0') (V, E)
    for t in range(len(tokens)):
        for b in range(len(tokens[t])):
            dW[tokens[t, b]] += dy[t, b]  # (0') (E,)
    return None, dW
