"""Elman cell."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from numpy_rnn.functional.types import Array


class ElmanCache(NamedTuple):
    """What :func:`elman_backward` needs from the forward pass."""

    x: Array  # (T, B, D)
    h: list[Array]  # (T + 1, B, H): h_0 to h_T
    W_ih: Array  # (H, D)
    W_hh: Array  # (H, H)
    b_ih: Array  # (H,)
    b_hh: Array  # (H,)


def elman_forward(
    x: Array, h0: Array, W_ih: Array, W_hh: Array, b_ih: Array, b_hh: Array
) -> tuple[Array, ElmanCache]:
    """Return h at every timestep."""
    h = [h0]
    for t in range(len(x)):
        z = x[t] @ W_ih.T + b_ih + h[t] @ W_hh.T + b_hh  # (1) (B, H)
        h.append(np.tanh(z))  # (2) (B, H)
    return np.stack(h)[1:], ElmanCache(x, h, W_ih, W_hh, b_ih, b_hh)


def elman_backward(dh: Array, cache: ElmanCache) -> tuple[Array, ...]:
    """Return the gradient of every argument of :func:`elman_forward`."""
    x, h, W_ih, W_hh, b_ih, b_hh = cache
    T = len(x)
    dh_next = np.zeros_like(h[0])  # (2') (B, H)
    dx = np.zeros_like(x)  # (0') (T, B, D)
    dW_ih, dW_hh = np.zeros_like(W_ih), np.zeros_like(W_hh)  # (0') (H, D), (H, H)
    db_ih, db_hh = np.zeros_like(b_ih), np.zeros_like(b_hh)  # (0') (H,), (H,)
    for t in reversed(range(T)):
        dh_t = dh[t] + dh_next  # (2') (B, H)
        dz = dh_t * (1 - h[t + 1] ** 2)  # (1') (B, H)
        dx[t] = dz @ W_ih  # (0') (B, D)
        dW_ih += dz.T @ x[t]  # (0') (H, D)
        dW_hh += dz.T @ h[t]  # (0') (H, H)
        db_ih += dz.sum(axis=0)  # (0') (H,)
        db_hh += dz.sum(axis=0)  # (0') (H,)
        dh_next = dz @ W_hh  # (2') (B, H)
    return dx, dh_next, dW_ih, dW_hh, db_ih, db_hh
