"""LSTM with a projection."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from numpy_rnn.functional.types import Array


def sigmoid(z: Array) -> Array:
    """Return 1 / (1 + exp(-z)), computed from tanh, which cannot overflow."""
    s: Array = (1 + np.tanh(z / 2)) / 2
    return s


class ProjectedLSTMCache(NamedTuple):
    """What :func:`projected_lstm_backward` needs from the forward pass."""

    x: Array  # (T, B, D)
    h: list[Array]  # (T + 1, B, P): h_0 to h_T
    c: list[Array]  # (T + 1, B, H): c_0 to c_T
    m: list[Array]  # (T, B, H)
    gates: Sequence[tuple[Array, ...]]  # (T, 4, B, H): i, f, g, o
    W_ih: Array  # (4H, D)
    W_hh: Array  # (4H, P)
    b_ih: Array  # (4H,)
    b_hh: Array  # (4H,)
    W_hr: Array  # (P, H)


def projected_lstm_forward(
    x: Array,
    h0: Array,
    c0: Array,
    W_ih: Array,
    W_hh: Array,
    b_ih: Array,
    b_hh: Array,
    W_hr: Array,
) -> tuple[tuple[Array, Array], ProjectedLSTMCache]:
    """Return h and c at every timestep."""
    h, c, m, gates = [h0], [c0], [], []
    for t in range(len(x)):
        z = x[t] @ W_ih.T + b_ih + h[t] @ W_hh.T + b_hh  # (1) (B, 4H)
        z_i, z_f, z_g, z_o = np.split(z, 4, axis=1)  # (1) (B, H)
        i, f, o = sigmoid(z_i), sigmoid(z_f), sigmoid(z_o)  # (2) (B, H)
        g = np.tanh(z_g)  # (3) (B, H)
        c.append(f * c[t] + i * g)  # (4) (B, H)
        m.append(o * np.tanh(c[t + 1]))  # (5) (B, H)
        h.append(m[t] @ W_hr.T)  # (6) (B, P)
        gates.append((i, f, g, o))
    cache = ProjectedLSTMCache(x, h, c, m, gates, W_ih, W_hh, b_ih, b_hh, W_hr)
    return (np.stack(h)[1:], np.stack(c)[1:]), cache


def projected_lstm_backward(dh: Array, dc: Array, cache: ProjectedLSTMCache) -> tuple[Array, ...]:
    """Return the gradient of every argument of :func:`projected_lstm_forward`."""
    x, h, c, m, gates, W_ih, W_hh, b_ih, b_hh, W_hr = cache
    dh_next = np.zeros_like(h[0])  # (6') (B, P)
    dc_next = np.zeros_like(c[0])  # (4') (B, H)
    dx = np.zeros_like(x)  # (0') (T, B, D)
    dW_ih, dW_hh = np.zeros_like(W_ih), np.zeros_like(W_hh)  # (0') (4H, D), (4H, P)
    db_ih, db_hh = np.zeros_like(b_ih), np.zeros_like(b_hh)  # (0') (4H,), (4H,)
    dW_hr = np.zeros_like(W_hr)  # (0') (P, H)
    for t in reversed(range(len(x))):
        i, f, g, o = gates[t]  # (B, H)
        tanh_c = np.tanh(c[t + 1])  # (5) (B, H)
        dh_t = dh[t] + dh_next  # (6') (B, P)
        dW_hr += dh_t.T @ m[t]  # (0') (P, H)
        dm = dh_t @ W_hr  # (5') (B, H)
        dc_t = dc[t] + dc_next + dm * o * (1 - tanh_c**2)  # (4') (B, H)
        di = dc_t * g  # (2') (B, H)
        df = dc_t * c[t]  # (2') (B, H)
        dg = dc_t * i  # (3') (B, H)
        do = dm * tanh_c  # (2') (B, H)
        dz_i = di * i * (1 - i)  # (1') (B, H)
        dz_f = df * f * (1 - f)  # (1') (B, H)
        dz_g = dg * (1 - g**2)  # (1') (B, H)
        dz_o = do * o * (1 - o)  # (1') (B, H)
        dz = np.concatenate([dz_i, dz_f, dz_g, dz_o], axis=1)  # (1') (B, 4H)
        dx[t] = dz @ W_ih  # (0') (B, D)
        dW_ih += dz.T @ x[t]  # (0') (4H, D)
        dW_hh += dz.T @ h[t]  # (0') (4H, P)
        db_ih += dz.sum(axis=0)  # (0') (4H,)
        db_hh += dz.sum(axis=0)  # (0') (4H,)
        dh_next = dz @ W_hh  # (6') (B, P)
        dc_next = dc_t * f  # (4') (B, H)
    return dx, dh_next, dc_next, dW_ih, dW_hh, db_ih, db_hh, dW_hr
