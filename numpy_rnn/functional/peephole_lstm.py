"""LSTM with peepholes: the gates also see the cell state (Gers & Schmidhuber 2000).

    Forward   (1) a_t = W_ih x_t + b_ih + b_hh          t = 1..T, all at once, before the loop
              (2) z_t = a_t + W_hh h_{t-1}              in four blocks: i, f, g, o
              (3) i, f = sigma(z_i + w_i * c_{t-1}, z_f + w_f * c_{t-1}),  g = tanh(z_g)
              (4) c_t = f * c_{t-1} + i * g
              (5) o = sigma(z_o + w_o * c_t)            the new state, not the previous one
              (6) h_t = o * tanh(c_t)

    Backward  t = T..1, dz_{T+1} = dC_{T+1} = 0; dh_t and dc_t are what the loss sends directly
              (6') dH_t = dh_t + W_hh^T dz_{t+1}
              (5') dz_o = dH_t * tanh(c_t) * o (1 - o)
              (4') dC_t = dc_t + dC_{t+1} * P_{t+1} + dH_t * Q_t
                   Q_t = o * (1 - tanh(c_t)^2) + w_o * tanh(c_t) * o (1 - o)
                   P_t = f + w_i * g * i (1 - i) + w_f * c_{t-1} * f (1 - f)
              (3') dz_i = dC_t * g * i (1 - i),         dz_f = dC_t * c_{t-1} * f (1 - f)
                   dz_g = dC_t * i * (1 - g^2)
                   dw_i, dw_f, dw_o = sum_t (dz_i * c_{t-1}, dz_f * c_{t-1}, dz_o * c_t)
                   dh0 = W_hh^T dz_1,  dc0 = dC_1 * P_1
              (2') dW_hh = sum_t dz_t h_{t-1}^T
              (1') dW_ih = sum_t dz_t x_t^T,  dx_t = W_ih^T dz_t,  db_ih = db_hh = sum_t dz_t

dH_t and dC_t are the whole gradients of h_t and c_t. Q and P are the derivatives dh_t / dc_t and
dc_t / dc_{t-1}, each with what passes through the peepholes, so the peepholes cost the backward
loop nothing. A peephole is one weight per unit: a diagonal matrix, held as w = its diagonal. The
tanh in (6) and the whole gradient, where the paper truncates, are those of Graves (2013).

    (7) sigma(u) = (1 + tanh(u / 2)) / 2

neither overflows nor compares numbers. One tanh serves i, f and g; o has to wait for c_t.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from numpy_rnn.functional.contract import Keep, contract, contract_bias
from numpy_rnn.functional.linear import LinearCache, linear_backward, linear_forward
from numpy_rnn.functional.types import Array


class PeepholeLSTMCache(NamedTuple):
    """What :func:`peephole_lstm_backward` needs of the forward pass."""

    projection: LinearCache  # of equation (1)
    h: Array  # (T + 1, B, H); row 0 is h0
    c: Array  # (T + 1, B, H); row 0 is c0
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
    """Run the cell over a sequence.

    Parameters
    ----------
    x : (T, B, D) array, or (T, B) array of int
        Input, or the places of the ones in one-hot rows.
    h0, c0 : (B, H) arrays
        State before the first step.
    W_ih, W_hh : (4H, D) and (4H, H) arrays
        Weights of the input and of the previous h; blocks i, f, g, o.
    b_ih, b_hh : (4H,) arrays
        Biases.
    W_c : (3, H) array
        Peepholes w_i, w_f, w_o. With zeros, this is the LSTM.

    Returns
    -------
    h, c : (T, B, H) arrays
        The state after every step. Read-only: it is also the cache.
    cache : PeepholeLSTMCache
        For :func:`peephole_lstm_backward`.
    """
    H = W_hh.shape[1]
    a, projection = linear_forward(x, W_ih, b_ih + b_hh)  # (1)
    T, B, _ = a.shape
    dtype = np.result_type(a, h0, c0, W_hh, W_c)
    gates = np.asarray(a, dtype)  # (T, B, 4H): a_t, then i, f, g, o
    # In the order that a product with few rows is fastest in; a copy pays from the second step on.
    W_hh_T = W_hh.T if T == 1 else np.ascontiguousarray(W_hh.T)
    h, c = np.empty((2, T + 1, B, H), dtype)
    h[0], c[0] = h0, c0
    tanh_c = np.empty((T, B, H), dtype)
    product, peep = np.empty((B, 4 * H), dtype), np.empty((B, 2, H), dtype)
    peep_flat, work = peep.reshape(B, 2 * H), np.empty((B, H), dtype)
    h_prev, c_prev = h[0], c[0]
    for gates_t, h_t, c_t, tanh_c_t in zip(gates, h[1:], c[1:], tanh_c, strict=True):
        i_f, o = gates_t[:, : 2 * H], gates_t[:, 3 * H :]
        h_prev.dot(W_hh_T, product)
        np.add(gates_t, product, gates_t)  # (2)
        np.multiply(c_prev[:, None], W_c[:2], peep)
        np.add(i_f, peep_flat, i_f)
        np.multiply(i_f, 0.5, i_f)
        np.tanh(gates_t[:, : 3 * H], gates_t[:, : 3 * H])
        np.multiply(i_f, 0.5, i_f)
        np.add(i_f, 0.5, i_f)  # (3), (7)
        np.multiply(i_f[:, H:], c_prev, c_t)
        np.multiply(i_f[:, :H], gates_t[:, 2 * H : 3 * H], work)
        np.add(c_t, work, c_t)  # (4)
        np.multiply(c_t, W_c[2], work)
        np.add(o, work, o)
        np.multiply(o, 0.5, o)
        np.tanh(o, o)
        np.multiply(o, 0.5, o)
        np.add(o, 0.5, o)  # (5), (7)
        np.tanh(c_t, tanh_c_t)
        np.multiply(o, tanh_c_t, h_t)  # (6)
        h_prev, c_prev = h_t, c_t
    h.setflags(write=False)
    c.setflags(write=False)
    gates = gates.reshape(T, B, 4, H)
    return (h[1:], c[1:]), PeepholeLSTMCache(projection, h, c, gates, tanh_c, W_hh, W_c)


def peephole_lstm_backward(
    dh: Array | None, dc: Array | None, cache: PeepholeLSTMCache, keep: Keep = ""
) -> tuple[Array | None, Array, Array, Array, Array, Array, Array, Array]:
    """Gradients of :func:`peephole_lstm_forward`, one per argument: BPTT.

    Parameters
    ----------
    dh, dc : (T, B, H) arrays or None
        What the loss sends to the state at each step; None is zero.
    cache : PeepholeLSTMCache
        From the forward pass.
    keep : {"", "t", "b", "tb"}
        The axes of the sums over time and batch to leave standing.

    Returns
    -------
    dx : (T, B, D) array, or None for an integer x
        Gradient of the input.
    dh0, dc0 : (B, H) arrays
        Gradients of the initial state.
    dW_ih, dW_hh : (4H, D) and (4H, H) arrays, with the kept axes in front
        Gradients of the weights.
    db_ih, db_hh : (4H,) arrays, with the kept axes in front
        Gradients of the biases: equal, in two arrays.
    dW_c : (3, H) array, with the kept axes in front
        Gradient of the peepholes.
    """
    projection, h, c, gates, tanh_c, W_hh, W_c = cache
    dh = np.zeros_like(tanh_c) if dh is None else dh
    dc = np.zeros_like(tanh_c) if dc is None else dc
    dtype = np.result_type(dh, dc, h)
    dh, dc = dh.astype(dtype), dc.astype(dtype)  # copies that become dH and dC
    T, B, H = dh.shape
    i, f, g, o = (gates[:, :, block] for block in range(4))
    dz = np.empty((T, B, 4, H), dtype)  # dz / dC for i, f, g and dz / dH for o, then dz
    np.multiply(g, i * (1 - i), dz[:, :, 0])  # (3')
    np.multiply(c[:-1], f * (1 - f), dz[:, :, 1])
    np.multiply(i, 1 - g * g, dz[:, :, 2])
    np.multiply(tanh_c, o * (1 - o), dz[:, :, 3])  # (5')
    P = f + W_c[0] * dz[:, :, 0] + W_c[1] * dz[:, :, 1]  # (4')
    Q = o * (1 - tanh_c * tanh_c) + W_c[2] * dz[:, :, 3]
    dz_flat = dz.reshape(T, B, 4 * H)
    carry_h, carry_c, work = np.zeros((3, B, H), dtype)
    steps = zip(*(a[::-1] for a in (dh, dc, P, Q, dz, dz_flat)), strict=True)
    for dh_t, dc_t, P_t, Q_t, dz_t, dz_flat_t in steps:
        np.add(dh_t, carry_h, dh_t)  # (6')
        np.multiply(dz_t[:, 3], dh_t, dz_t[:, 3])  # (5')
        np.multiply(dh_t, Q_t, work)
        np.add(work, carry_c, work)
        np.add(dc_t, work, dc_t)  # (4')
        i_f_g = dz_t[:, :3]
        np.multiply(i_f_g, dc_t[:, None], i_f_g)  # (3')
        dz_flat_t.dot(W_hh, carry_h)  # in the end, of dz_1: dh0
        np.multiply(dc_t, P_t, carry_c)  # and dc0
    dw = np.empty((T, B, 3, H), dtype)
    np.multiply(dz[:, :, :2], c[:-1, :, None], dw[:, :, :2])  # (3')
    np.multiply(dz[:, :, 3], c[1:], dw[:, :, 2])
    dW_c = contract_bias(dw.reshape(T, B, 3 * H), keep)
    dW_c = dW_c.reshape(*dW_c.shape[:-1], 3, H)
    dW_hh = contract(dz_flat, h[:-1], keep)  # (2')
    dx, dW_ih, db = linear_backward(dz_flat, projection, keep)  # (1')
    dh0, dc0 = carry_h, carry_c
    return dx, dh0, dc0, dW_ih, dW_hh, db, db.copy(), dW_c
