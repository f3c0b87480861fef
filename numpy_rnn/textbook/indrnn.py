"""IndRNN."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from numpy_rnn.functional.types import Array


class IndRNNCache(NamedTuple):
    """What :func:`indrnn_backward` needs from the forward pass."""

    x: Array  # (T, B, D)
    h: list[Array]  # (T + 1, B, H): h_0 to h_T
    W_ih: Array  # (H, D)
    w_hh: Array  # (H,)
    b_ih: Array  # (H,)


def indrnn_forward(
    x: Array, h0: Array, W_ih: Array, w_hh: Array, b_ih: Array
) -> tuple[Array, IndRNNCache]:
    """Return h at every timestep."""
    h = [h0]
    for t in range(len(x)):
        z = x[t] @ W_ih.T + b_ih + h[t] * w_hh  # (1) (B, H)
        h.append(np.where(z.real < 0, 0, z))  # (2) (B, H)
    return np.stack(h)[1:], IndRNNCache(x, h, W_ih, w_hh, b_ih)


def indrnn_backward(dh: Array, cache: IndRNNCache) -> tuple[Array, ...]:
    """Return the gradient of every argument of :func:`indrnn_forward`."""
    x, h, W_ih, w_hh, b_ih = cache
    dh_next = np.zeros_like(h[0])  # (2') (B, H)
    dx = np.zeros_like(x)  # (0') (T, B, D)
    dW_ih, dw_hh = np.zeros_like(W_ih), np.zeros_like(w_hh)  # (0') (H, D), (H,)
    db_ih = np.zeros_like(b_ih)  # (0') (H,)
    for t in reversed(range(len(x))):
        dh_t = dh[t] + dh_next  # (2') (B, H)
        dz = dh_t * (h[t + 1].real > 0)  # (1') (B, H)
        dx[t] = dz @ W_ih  # (0') (B, D)
        dW_ih += dz.T @ x[t]  # (0') (H, D)
        dw_hh += (dz * h[t]).sum(axis=0)  # (0') (H,)
        db_ih += dz.sum(axis=0)  # (0') (H,)
        dh_next = dz * w_hh  # (2') (B, H)
    return dx, dh_next, dW_ih, dw_hh, db_ih
