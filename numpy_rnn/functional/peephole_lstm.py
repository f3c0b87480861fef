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

neither overflows nor compares numbers. One tanh serves i, f and g; o has to wait for c_t. The
factors (1/2, 1/2, 1, 1/2) of u are in the weights, the peepholes' too, before the loop begins,
exact because they are powers of two. In (3') and (5') everything but dH and dC, and with it P and
Q, is known before the loop; it is computed for as many steps at a time as a cache holds.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from numpy_rnn.functional.contract import Keep, contract, contract_bias
from numpy_rnn.functional.few_rows import few_rows
from numpy_rnn.functional.linear import LinearCache, affine, linear_backward, linear_forward
from numpy_rnn.functional.one_tanh import after_tanh, before_tanh
from numpy_rnn.functional.rooms import Rooms
from numpy_rnn.functional.types import Array

PIECE = 1 << 16  # numbers in a piece of (3') to (5'): a few hundred kilobytes
_SIGMOIDS = (True, True, False, True)  # of the blocks i, f, g, o


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
    a, projection = linear_forward(
        x, before_tanh(W_ih, _SIGMOIDS), before_tanh(b_ih + b_hh, _SIGMOIDS)
    )  # (1)
    T, B, _ = a.shape
    dtype = np.result_type(a, h0, c0, W_hh, W_c)
    gates = np.asarray(a, dtype)  # (T, B, 4H): a_t, which becomes the gates
    h, c = np.empty((2, T + 1, B, H), dtype)
    h[0], c[0] = h0, c0
    tanh_c = np.empty((T, B, H), dtype)
    product, work = np.empty((B, 4 * H), dtype), _work(H, dtype, B)
    recur = few_rows(before_tanh(W_hh, _SIGMOIDS).T, product, T)
    z_o, weights = product[:, 3 * H :], _around_tanh(W_c, B, dtype)
    blocks = zip(*gates.reshape(T, B, 4, H).transpose(2, 0, 1, 3), strict=True)
    h_prev, c_prev = h[0], c[0]
    for gates_t, i_f_g_o, h_t, c_t, tanh_c_t in zip(
        gates, blocks, h[1:], c[1:], tanh_c, strict=True
    ):
        z = recur(h_prev), z_o
        _cell(gates_t, i_f_g_o, z, c_prev, weights, work, h_t, c_t, tanh_c_t)
        h_prev, c_prev = h_t, c_t
    h.setflags(write=False)
    c.setflags(write=False)
    gates = gates.reshape(T, B, 4, H)
    cache = PeepholeLSTMCache(projection._replace(W=W_ih), h, c, gates, tanh_c, W_hh, W_c)
    return (h[1:], c[1:]), cache


def peephole_lstm_stepper(
    W_ih: Array, W_hh: Array, b_ih: Array, b_hh: Array, W_c: Array
) -> Callable[[Array, Array, Array], tuple[Array, Array]]:
    """Arrange the weights for single steps, of which no gradient is wanted.

    Parameters
    ----------
    W_ih, W_hh, b_ih, b_hh, W_c : arrays
        As for :func:`peephole_lstm_forward`, of one dtype: that of every step, whatever it is
        given. What is returned uses copies.

    Returns
    -------
    step : callable
        ``step(x_t, h_prev, c_prev)`` takes (B, D), (1, B, H) and (1, B, H) arrays (an integer x_t
        is (B,)) and returns h_t and c_t, new arrays like the ones before.
    """
    H = W_hh.shape[1]
    W_ih_T = np.ascontiguousarray(before_tanh(W_ih, _SIGMOIDS).T)
    W_hh_T = np.ascontiguousarray(before_tanh(W_hh, _SIGMOIDS).T)
    b = before_tanh(b_ih + b_hh, _SIGMOIDS)[None]
    rooms = Rooms(partial(_room, H, W_hh.dtype))
    return partial(_step, W_ih_T, b, W_hh_T, _around_tanh(W_c, 1, W_hh.dtype), rooms)


def _room(H: int, dtype: np.dtype[Any], B: int) -> tuple[Any, ...]:
    gates = np.empty((B, 4 * H), dtype)
    i_f_g_o = tuple(gates[:, k * H : (k + 1) * H] for k in range(4))
    return gates, i_f_g_o, _work(H, dtype, B), np.empty((B, H), dtype)


def _step(
    W_ih_T: Array,
    b: Array,
    W_hh_T: Array,
    weights: tuple[Array, ...],
    rooms: Rooms,
    x_t: Array,
    h_prev: Array,
    c_prev: Array,
) -> tuple[Array, Array]:
    room = gates, i_f_g_o, work, tanh_c = rooms.take(len(x_t))
    affine(x_t, W_ih_T, b, gates)  # (1)
    Wh = h_prev[0].dot(W_hh_T)
    z = Wh, Wh[:, 3 * len(W_hh_T) :]
    h, c = _cell(gates, i_f_g_o, z, c_prev[0], weights, work, tanh_c=tanh_c)
    rooms.give(room)
    return h[None], c[None]


def _around_tanh(W_c: Array, B: int, dtype: np.dtype[Any]) -> tuple[Array, ...]:
    """Return the peepholes with the factor 1/2 in them, and what comes after the tanh."""
    H = W_c.shape[1]
    w = np.empty((3, B, H), dtype)
    w[...] = 0.5 * W_c[:, None]
    return *w, np.full((B, H), 0.5, dtype), *after_tanh(B, H, _SIGMOIDS, dtype)


def _work(H: int, dtype: np.dtype[Any], B: int) -> tuple[Array, ...]:
    peep = np.zeros((B, 4 * H), dtype)  # of g and o it stays zero
    return peep, peep[:, :H], peep[:, H : 2 * H], np.empty((B, H), dtype)


def _cell(
    gates: Array,
    i_f_g_o: tuple[Array, Array, Array, Array],
    z: tuple[Array, Array],
    c_prev: Array,
    weights: tuple[Array, ...],
    work: tuple[Array, ...],
    h: Array | None = None,
    c: Array | None = None,
    tanh_c: Array | None = None,
) -> tuple[Array, Array]:
    """Write (2) to (6) to the arrays given, new ones for None; a_t becomes the gates.

    z is W_hh h_{t-1}, which becomes z_t, and its block o. The tanh is also taken of that block,
    for nothing: NumPy is faster on all four than on three of them.
    """
    (z_t, z_o), (i, f, g, o) = z, i_f_g_o
    w_i, w_f, w_o, half, factor, offset = weights
    peep, peep_i, peep_f, product = work
    np.add(gates, z_t, z_t)  # (2)
    np.multiply(c_prev, w_i, peep_i)
    np.multiply(c_prev, w_f, peep_f)
    np.add(z_t, peep, z_t)
    np.tanh(z_t, gates)
    np.multiply(gates, factor, gates)
    np.add(gates, offset, gates)  # (3), (7)
    c = np.multiply(f, c_prev, c)
    np.add(c, np.multiply(i, g, product), c)  # (4)
    np.add(z_o, np.multiply(c, w_o, product), product)
    np.tanh(product, product)
    np.multiply(product, half, product)
    np.add(product, half, o)  # (5), (7)
    return np.multiply(o, np.tanh(c, tanh_c), h), c  # (6)


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
    T, B, _, H = gates.shape
    given = [g for g in (dh, dc) if g is not None]
    dtype = np.result_type(h, *given)
    dz = np.empty((T, B, 4, H), dtype)
    carry_h, carry_c, work = np.zeros((3, B, H), dtype)
    factors = np.empty((B, 4, H), dtype)  # dC, dC, dC, dH: what the slopes are multiplied by
    of_i_f_g, of_o, dC_t = factors[:, :3], factors[:, 3], carry_c[:, None]
    dz_flat = dz.reshape(T, B, 4 * H)
    recur = few_rows(W_hh, carry_h, T)
    steps = max(1, PIECE // max(1, B * 4 * H))
    for start in reversed(range(0, T, steps)):
        piece = slice(start, start + steps)
        P, Q = _slopes(gates[piece], c[:-1][piece], tanh_c[piece], W_c, dz[piece])
        for k in reversed(range(len(P))):
            t = start + k
            if dh is not None:
                np.add(carry_h, dh[t], carry_h)  # (6')
            np.multiply(carry_h, Q[k], work)
            np.add(carry_c, work, carry_c)  # (4')
            if dc is not None:
                np.add(carry_c, dc[t], carry_c)
            of_i_f_g[...], of_o[...] = dC_t, carry_h
            dz_t = dz[t]
            np.multiply(dz_t, factors, dz_t)  # (3'), (5')
            np.multiply(carry_c, P[k], carry_c)
            recur(dz_flat[t])
    dw = np.empty((T, B, 3, H), dtype)
    np.multiply(dz[:, :, :2], c[:-1, :, None], dw[:, :, :2])  # (3')
    np.multiply(dz[:, :, 3], c[1:], dw[:, :, 2])
    dW_c = contract_bias(dw.reshape(T, B, 3 * H), keep)
    dW_c = dW_c.reshape(*dW_c.shape[:-1], 3, H)
    dW_hh = contract(dz_flat, h[:-1], keep)  # (2')
    dx, dW_ih, db = linear_backward(dz_flat, projection, keep)  # (1')
    dh0, dc0 = carry_h, carry_c  # of dz_1 and dC_1
    return dx, dh0, dc0, dW_ih, dW_hh, db, db.copy(), dW_c


def _slopes(
    gates: Array, c_prev: Array, tanh_c: Array, W_c: Array, out: Array
) -> tuple[Array, Array]:
    """Write the factors of dC and dH in (3') and (5') to `out`, return P and Q of (4')."""
    i, f, g, o = (gates[:, :, block] for block in range(4))
    np.subtract(1, gates, out)
    np.multiply(out, gates, out)  # right for the three sigma
    np.multiply(g, g, out[:, :, 2])
    np.subtract(1, out[:, :, 2], out[:, :, 2])
    for gate, other in enumerate((g, c_prev, i, tanh_c)):
        np.multiply(out[:, :, gate], other, out[:, :, gate])
    P = f + W_c[0] * out[:, :, 0] + W_c[1] * out[:, :, 1]
    Q = o * (1 - tanh_c * tanh_c) + W_c[2] * out[:, :, 3]
    return P, Q
