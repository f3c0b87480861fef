"""minGRU."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from numpy_rnn.functional.types import Array


def sigmoid(z: Array) -> Array:
    """Return 1 / (1 + exp(-z)), computed from tanh, which cannot overflow."""
    s: Array = (1 + np.tanh(z / 2)) / 2
    return s


class MinGRUCache(NamedTuple):
    """What :func:`mingru_backward` needs from the forward pass."""

    x: Array  # (T, B, D)
    h: list[Array]  # (T + 1, B, H): h_0 to h_T
    gates: Sequence[tuple[Array, ...]]  # (T, 2, B, H): z, n
    W_ih: Array  # (2H, D)
    b_ih: Array  # (2H,)


def mingru_forward(x: Array, h0: Array, W_ih: Array, b_ih: Array) -> tuple[Array, MinGRUCache]:
    """Return h at every timestep."""
    h, gates = [h0], []
    for t in range(len(x)):
        a = x[t] @ W_ih.T + b_ih  # (1) (B, 2H)
        a_z, n = np.split(a, 2, axis=1)  # (1) (B, H)
        z = sigmoid(a_z)  # (2) (B, H)
        h.append((1 - z) * h[t] + z * n)  # (3) (B, H)
        gates.append((z, n))
    return np.stack(h)[1:], MinGRUCache(x, h, gates, W_ih, b_ih)


def mingru_backward(dh: Array, cache: MinGRUCache) -> tuple[Array, ...]:
    """Return the gradient of every argument of :func:`mingru_forward`."""
    x, h, gates, W_ih, b_ih = cache
    dh_next = np.zeros_like(h[0])  # (3') (B, H)
    dx = np.zeros_like(x)  # (0') (T, B, D)
    dW_ih, db_ih = np.zeros_like(W_ih), np.zeros_like(b_ih)  # (0') (2H, D), (2H,)
    for t in reversed(range(len(x))):
        z, n = gates[t]  # (B, H)
        dh_t = dh[t] + dh_next  # (3') (B, H)
        dz = dh_t * (n - h[t])  # (2') (B, H)
        da_z = dz * z * (1 - z)  # (1') (B, H)
        dn = dh_t * z  # (1') (B, H)
        da = np.concatenate([da_z, dn], axis=1)  # (1') (B, 2H)
        dx[t] = da @ W_ih  # (0') (B, D)
        dW_ih += da.T @ x[t]  # (0') (2H, D)
        db_ih += da.sum(axis=0)  # (0') (2H,)
        dh_next = dh_t * (1 - z)  # (3') (B, H)
    return dx, dh_next, dW_ih, db_ih
