"""GRU, reset before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from numpy_rnn.functional.types import Array


def sigmoid(z: Array) -> Array:
    """Return 1 / (1 + exp(-z)), computed from tanh, which cannot overflow."""
    s: Array = (1 + np.tanh(z / 2)) / 2
    return s


class GRUResetBeforeCache(NamedTuple):
    """What :func:`gru_reset_before_backward` needs from the forward pass."""

    x: Array  # (T, B, D)
    h: list[Array]  # (T + 1, B, H): h_0 to h_T
    gates: Sequence[tuple[Array, ...]]  # (T, 3, B, H): r, z, n
    W_ih: Array  # (3H, D)
    W_hh: Array  # (3H, H)
    b_ih: Array  # (3H,)
    b_hh: Array  # (3H,)


def gru_reset_before_forward(
    x: Array, h0: Array, W_ih: Array, W_hh: Array, b_ih: Array, b_hh: Array
) -> tuple[Array, GRUResetBeforeCache]:
    """Return h at every timestep."""
    W_hr, W_hz, W_hn = np.split(W_hh, 3)  # (0) (H, H)
    h, gates = [h0], []
    for t in range(len(x)):
        a = x[t] @ W_ih.T + b_ih + b_hh  # (1) (B, 3H)
        a_r, a_z, a_n = np.split(a, 3, axis=1)  # (1) (B, H)
        r = sigmoid(a_r + h[t] @ W_hr.T)  # (2) (B, H)
        z = sigmoid(a_z + h[t] @ W_hz.T)  # (3) (B, H)
        m = r * h[t]  # (4) (B, H)
        n = np.tanh(a_n + m @ W_hn.T)  # (5) (B, H)
        h.append((1 - z) * n + z * h[t])  # (6) (B, H)
        gates.append((r, z, n))
    return np.stack(h)[1:], GRUResetBeforeCache(x, h, gates, W_ih, W_hh, b_ih, b_hh)


def gru_reset_before_backward(dh: Array, cache: GRUResetBeforeCache) -> tuple[Array, ...]:
    """Return the gradient of every argument of :func:`gru_reset_before_forward`."""
    x, h, gates, W_ih, W_hh, b_ih, b_hh = cache
    W_hr, W_hz, W_hn = np.split(W_hh, 3)  # (0) (H, H)
    dh_next = np.zeros_like(h[0])  # (6') (B, H)
    dx, dW_ih = np.zeros_like(x), np.zeros_like(W_ih)  # (0') (T, B, D), (3H, D)
    dW_hr, dW_hz, dW_hn = (np.zeros_like(W_hr) for _ in range(3))  # (0') (H, H)
    db_ih, db_hh = np.zeros_like(b_ih), np.zeros_like(b_hh)  # (0') (3H,), (3H,)
    for t in reversed(range(len(x))):
        r, z, n = gates[t]  # (B, H)
        dh_t = dh[t] + dh_next  # (6') (B, H)
        dn = dh_t * (1 - z)  # (5') (B, H)
        da_n = dn * (1 - n**2)  # (1') (B, H)
        dm = da_n @ W_hn  # (4') (B, H)
        dz = dh_t * (h[t] - n)  # (3') (B, H)
        da_z = dz * z * (1 - z)  # (1') (B, H)
        dr = dm * h[t]  # (2') (B, H)
        da_r = dr * r * (1 - r)  # (1') (B, H)
        da = np.concatenate([da_r, da_z, da_n], axis=1)  # (1') (B, 3H)
        dx[t] = da @ W_ih  # (0') (B, D)
        dW_ih += da.T @ x[t]  # (0') (3H, D)
        dW_hr += da_r.T @ h[t]  # (0') (H, H)
        dW_hz += da_z.T @ h[t]  # (0') (H, H)
        dW_hn += da_n.T @ (r * h[t])  # (0') (H, H)
        db_ih += da.sum(axis=0)  # (0') (3H,)
        db_hh += da.sum(axis=0)  # (0') (3H,)
        dh_next = dh_t * z + dm * r + da_r @ W_hr + da_z @ W_hz  # (6') (B, H)
    dW_hh = np.concatenate([dW_hr, dW_hz, dW_hn])  # (0') (3H, H)
    return dx, dh_next, dW_ih, dW_hh, db_ih, db_hh
