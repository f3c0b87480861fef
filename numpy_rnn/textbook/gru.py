"""GRU, reset after."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from numpy_rnn.functional.types import Array


def sigmoid(z: Array) -> Array:
    """Return 1 / (1 + exp(-z)), computed from tanh, which cannot overflow."""
    s: Array = (1 + np.tanh(z / 2)) / 2
    return s


class GRUCache(NamedTuple):
    """What :func:`gru_backward` needs from the forward pass."""

    x: Array  # (T, B, D)
    h: list[Array]  # (T + 1, B, H): h_0 to h_T
    gates: Sequence[tuple[Array, ...]]  # (T, 4, B, H): r, z, n, s_n
    W_ih: Array  # (3H, D)
    W_hh: Array  # (3H, H)
    b_ih: Array  # (3H,)
    b_hh: Array  # (3H,)


def gru_forward(
    x: Array, h0: Array, W_ih: Array, W_hh: Array, b_ih: Array, b_hh: Array
) -> tuple[Array, GRUCache]:
    """Return h at every timestep."""
    h, gates = [h0], []
    for t in range(len(x)):
        a = x[t] @ W_ih.T + b_ih  # (1) (B, 3H)
        s = h[t] @ W_hh.T + b_hh  # (2) (B, 3H)
        a_r, a_z, a_n = np.split(a, 3, axis=1)  # (1) (B, H)
        s_r, s_z, s_n = np.split(s, 3, axis=1)  # (2) (B, H)
        r = sigmoid(a_r + s_r)  # (3) (B, H)
        z = sigmoid(a_z + s_z)  # (4) (B, H)
        n = np.tanh(a_n + r * s_n)  # (5) (B, H)
        h.append((1 - z) * n + z * h[t])  # (6) (B, H)
        gates.append((r, z, n, s_n))
    return np.stack(h)[1:], GRUCache(x, h, gates, W_ih, W_hh, b_ih, b_hh)


def gru_backward(dh: Array, cache: GRUCache) -> tuple[Array, ...]:
    """Return the gradient of every argument of :func:`gru_forward`."""
    x, h, gates, W_ih, W_hh, b_ih, b_hh = cache
    T = len(x)
    dh_next = np.zeros_like(h[0])  # (6') (B, H)
    dx = np.zeros_like(x)  # (0') (T, B, D)
    dW_ih, dW_hh = np.zeros_like(W_ih), np.zeros_like(W_hh)  # (0') (3H, D), (3H, H)
    db_ih, db_hh = np.zeros_like(b_ih), np.zeros_like(b_hh)  # (0') (3H,), (3H,)
    for t in reversed(range(T)):
        r, z, n, s_n = gates[t]  # (B, H)
        dh_t = dh[t] + dh_next  # (6') (B, H)
        dn = dh_t * (1 - z)  # (5') (B, H)
        dz = dh_t * (h[t] - n)  # (4') (B, H)
        da_n = dn * (1 - n**2)  # (1') (B, H)
        dr = da_n * s_n  # (3') (B, H)
        da_r = dr * r * (1 - r)  # (1') (B, H)
        da_z = dz * z * (1 - z)  # (1') (B, H)
        da = np.concatenate([da_r, da_z, da_n], axis=1)  # (1') (B, 3H)
        ds = np.concatenate([da_r, da_z, da_n * r], axis=1)  # (2') (B, 3H)
        dx[t] = da @ W_ih  # (0') (B, D)
        dW_ih += da.T @ x[t]  # (0') (3H, D)
        dW_hh += ds.T @ h[t]  # (0') (3H, H)
        db_ih += da.sum(axis=0)  # (0') (3H,)
        db_hh += ds.sum(axis=0)  # (0') (3H,)
        dh_next = dh_t * z + ds @ W_hh  # (6') (B, H)
    return dx, dh_next, dW_ih, dW_hh, db_ih, db_hh
