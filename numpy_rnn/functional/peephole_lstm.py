"""LSTM with peepholes. The equations are in textbook/peephole_lstm.py.

Here, in the textbook's order, only the input projection and the sums over time are taken out of
the loops: each is one product for the whole sequence (linear.py, contract.py).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from numpy_rnn.functional.contract import Keep, contract, contract_bias
from numpy_rnn.functional.linear import LinearCache, linear_backward, linear_forward
from numpy_rnn.functional.types import Array


class PeepholeLSTMCache(NamedTuple):
    """Values of the forward pass that :func:`peephole_lstm_backward` needs."""

    projection: LinearCache  # of the input
    h: Array  # (T + 1, B, H), row 0 is h0
    c: Array  # (T + 1, B, H), row 0 is c0
    gates: Array  # (T, B, 4, H): i, f, g, o
    tanh_c: Array  # (T, B, H)
    W_hh: Array  # (4H, H)
    W_c: Array  # (3, H)


def peephole_lstm_forward(
    x: Array,
    h0: Array,
    c0: Array,
    W_ih: Array,
    W_hh: Array,
    b_ih: Array,
    b_hh: Array,
    W_c: Array,
) -> tuple[tuple[Array, Array], PeepholeLSTMCache]:
    """Run the cell over a sequence (Gers & Schmidhuber 2000; Gers et al. 2002).

    Parameters
    ----------
    x : (T, B, D) array, or (T, B) array of int
        Input; integers stand for one-hot rows.
    h0, c0 : (B, H) arrays
        State before the first step.
    W_ih, W_hh : (4H, D) and (4H, H) arrays
        Weights of the input and of the previous h; blocks i, f, g, o.
    b_ih, b_hh : (4H,) arrays
        Biases.
    W_c : (3, H) array
        Peephole weights of i, f (from the previous cell state) and o (from the new one).

    Returns
    -------
    h, c : (T, B, H) arrays
        The state after every step. Read-only, because it is also the cache.
    cache : PeepholeLSTMCache
        For :func:`peephole_lstm_backward`.

    Examples
    --------
    >>> import numpy as np
    >>> x, zero, b = np.ones((5, 1, 2)), np.zeros((1, 3)), np.zeros(12)
    >>> weights = np.ones((12, 2)), np.ones((12, 3)), b, b, np.ones((3, 3))
    >>> (h, c), cache = peephole_lstm_forward(x, zero, zero, *weights)
    >>> h.shape
    (5, 1, 3)
    """
    H = W_hh.shape[1]
    a, projection = linear_forward(x, W_ih, b_ih + b_hh)
    T, B, _ = a.shape
    h = np.empty((T + 1, B, H), np.result_type(a, h0, c0, W_hh, W_c))
    c, tanh_c = np.empty_like(h), np.empty_like(h[1:])
    gates = np.empty((T, B, 4, H), h.dtype)
    h[0], c[0] = h0, c0
    W_hh_T, (w_i, w_f, w_o) = W_hh.T.copy(), W_c
    for t in range(T):
        z_i, z_f, z_g, z_o = np.split(a[t] + h[t] @ W_hh_T, 4, axis=1)
        i, f, g, o = gates[t].swapaxes(0, 1)
        i[...] = _sigmoid(z_i + w_i * c[t])
        f[...] = _sigmoid(z_f + w_f * c[t])  # (2)
        g[...] = np.tanh(z_g)  # (3)
        c[t + 1] = f * c[t] + i * g  # (4)
        o[...] = _sigmoid(z_o + w_o * c[t + 1])  # (5)
        tanh_c[t] = np.tanh(c[t + 1])
        h[t + 1] = o * tanh_c[t]  # (6)
    h.setflags(write=False)
    c.setflags(write=False)
    return (h[1:], c[1:]), PeepholeLSTMCache(projection, h, c, gates, tanh_c, W_hh, W_c)


def _sigmoid(z: Array) -> Array:
    s: Array = 0.5 + 0.5 * np.tanh(0.5 * z)
    return s


def peephole_lstm_backward(
    dh: Array | None, dc: Array | None, cache: PeepholeLSTMCache, keep: Keep = ""
) -> tuple[Array | None, Array, Array, Array, Array, Array, Array, Array]:
    """Return the gradients of :func:`peephole_lstm_forward`, one per argument: BPTT.

    The arguments and results of every backward are explained in functional/__init__.py.
    """
    projection, h, c, gates, tanh_c, W_hh, W_c = cache
    T, B, _, H = gates.shape
    dtype = np.result_type(h, *[d for d in (dh, dc) if d is not None])
    w_i, w_f, w_o = W_c
    dz = np.empty((T, B, 4, H), dtype)
    dz_flat = dz.reshape(T, B, 4 * H)
    # between steps: what step t + 1 sends back to h_t and c_t
    dh_t, dc_t = np.zeros((B, H), dtype), np.zeros((B, H), dtype)
    for t in reversed(range(T)):
        i, f, g, o = gates[t].swapaxes(0, 1)
        dz_i, dz_f, dz_g, dz_o = dz[t].swapaxes(0, 1)
        if dh is not None:
            dh_t = dh_t + dh[t]  # (6')
        dz_o[...] = dh_t * tanh_c[t] * o * (1 - o)  # (5')
        dc_t = dc_t + dh_t * o * (1 - tanh_c[t] * tanh_c[t]) + w_o * dz_o  # (4')
        if dc is not None:
            dc_t = dc_t + dc[t]
        dz_i[...] = dc_t * g * i * (1 - i)
        dz_f[...] = dc_t * c[t] * f * (1 - f)  # (2'), (1')
        dz_g[...] = dc_t * i * (1 - g * g)  # (3'), (1')
        dh_t = dz_flat[t] @ W_hh
        dc_t = dc_t * f + w_i * dz_i + w_f * dz_f
    dw = np.empty((T, B, 3, H), dtype)  # what each step contributes to dW_c
    np.multiply(dz[:, :, :2], c[:-1, :, None], dw[:, :, :2])
    np.multiply(dz[:, :, 3], c[1:], dw[:, :, 2])
    dW_c = contract_bias(dw.reshape(T, B, 3 * H), keep)
    dW_c = dW_c.reshape(*dW_c.shape[:-1], 3, H)
    dW_hh = contract(dz_flat, h[:-1], keep)
    dx, dW_ih, db = linear_backward(dz_flat, projection, keep)
    return dx, dh_t, dc_t, dW_ih, dW_hh, db, db.copy(), dW_c
