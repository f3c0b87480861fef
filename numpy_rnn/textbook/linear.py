"""Linear layer."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from numpy_rnn.functional.types import Array


class LinearCache(NamedTuple):
    """What :func:`linear_backward` needs from the forward pass."""

    x: Array  # (T, B, D)
    W: Array  # (G, D)
    b: Array  # (G,)


def linear_forward(x: Array, W: Array, b: Array) -> tuple[Array, LinearCache]:
    """Return y at every timestep."""
    y = x @ W.T + b  # (1) (T, B, G)
    return y, LinearCache(x, W, b)


def linear_backward(dy: Array, cache: LinearCache) -> tuple[Array, Array, Array]:
    """Return the gradient of every argument of :func:`linear_forward`."""
    x, W, b = cache
    dx, dW, db = (
        np.zeros_like(x),
        np.zeros_like(W),
        np.zeros_like(b),
    )  # (0') (T, B, D), (G, D), (G,)
    for t in range(len(x)):
        dx[t] = dy[t] @ W  # (0') (B, D)
        dW += dy[t].T @ x[t]  # (0') (G, D)
        db += dy[t].sum(axis=0)  # (0') (G,)
    return dx, dW, db
