"""LSTM (Hochreiter & Schmidhuber 1997; forget gate: Gers et al. 2000; projection: Sak et al. 2014).

    Forward   (1) a_t = W_ih x_t + b_ih + b_hh          t = 1..T, all at once, before the loop
              (2) z_t = a_t + W_hh h_{t-1}              in four blocks: i, f, g, o
              (3) i, f, o = sigma(z_i, z_f, z_o),  g = tanh(z_g)
              (4) c_t = f * c_{t-1} + i * g
              (5) h_t = o * tanh(c_t)                   with projection h_t = W_hr (o * tanh(c_t))

    Backward  t = T..1, dz_{T+1} = dc_{T+1} = 0; dh_t and dc_t on the right are what the loss sends
              (5') dh = dh_t + W_hh^T dz_{t+1};         with projection dm = W_hr^T dh, else dm = dh
              (4') dc = dc_t + f_{t+1} * dc_{t+1} + dm * o * (1 - tanh(c_t)^2)
              (3') dz_i = dc * g * i (1 - i),           dz_f = dc * c_{t-1} * f (1 - f)
                   dz_g = dc * i * (1 - g^2),           dz_o = dm * tanh(c_t) * o (1 - o)
                   dh0 = W_hh^T dz_1,  dc0 = f_1 * dc_1
              (2') dW_hh = sum_t dz_t h_{t-1}^T,  dW_hr = sum_t dh (o * tanh(c_t))^T
              (1') dW_ih = sum_t dz_t x_t^T,  dx_t = W_ih^T dz_t,  db_ih = db_hh = sum_t dz_t

What c_t sends to c_{t-1} is only multiplied by f: where f is near 1, gradients do not vanish.

    (6) sigma(z) = (1 + tanh(z / 2)) / 2

so one tanh serves all four gates. The factors (1/2, 1/2, 1, 1/2) of z are in the weights before
the loop begins, exact because they are powers of two; after the tanh the same factors and
(1/2, 1/2, 0, 1/2) turn it into the gates. In (3') everything but dc and dm is known before the
loop; it is computed for as many steps at a time as a cache holds, in the array that becomes dz.
Inside the loops, arrays meet arrays of their own shape and are written into existing ones: NumPy
takes twice as long to repeat a row or a number over an array as to read one.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from numpy_rnn.functional.contract import Keep, contract
from numpy_rnn.functional.few_rows import few_rows
from numpy_rnn.functional.linear import LinearCache, linear_backward, linear_forward
from numpy_rnn.functional.one_tanh import after_tanh, before_tanh
from numpy_rnn.functional.rooms import Rooms
from numpy_rnn.functional.types import Array

PIECE = 1 << 16  # numbers in a piece of (3'): a few hundred kilobytes
_SIGMOIDS = (True, True, False, True)  # of the blocks i, f, g, o


class LSTMCache(NamedTuple):
    """What :func:`lstm_backward` needs of the forward pass."""

    projection: LinearCache  # of equation (1)
    h: Array  # (T + 1, B, P), row 0 is h0; P = H without projection
    c: Array  # (T + 1, B, H), row 0 is c0
    gates: Array  # (T, B, 4, H): i, f, g, o
    tanh_c: Array  # (T, B, H)
    W_hh: Array  # (4H, P)
    W_hr: Array | None  # (P, H)


def lstm_forward(
    x: Array,
    h0: Array,
    c0: Array,
    W_ih: Array,
    W_hh: Array,
    b_ih: Array,
    b_hh: Array,
    W_hr: Array | None = None,
) -> tuple[tuple[Array, Array], LSTMCache]:
    """Run the cell over a sequence.

    Parameters
    ----------
    x : (T, B, D) array, or (T, B) array of int
        Input, or the places of the ones in one-hot rows.
    h0, c0 : (B, P) and (B, H) arrays
        State before the first step. P = H without projection.
    W_ih, W_hh : (4H, D) and (4H, P) arrays
        Weights of the input and of the previous h; blocks i, f, g, o.
    b_ih, b_hh : (4H,) arrays
        Biases.
    W_hr : (P, H) array, optional
        Projection of the output.

    Returns
    -------
    h, c : (T, B, P) and (T, B, H) arrays
        The state after every step. Read-only: it is also the cache.
    cache : LSTMCache
        For :func:`lstm_backward`.
    """
    H = len(W_hh) // 4
    a, projection = linear_forward(
        x, before_tanh(W_ih, _SIGMOIDS), before_tanh(b_ih + b_hh, _SIGMOIDS)
    )  # (1)
    T, B, _ = a.shape
    dtype = np.result_type(a, h0, c0, W_hh, W_hh if W_hr is None else W_hr)
    gates = np.asarray(a, dtype)  # (T, B, 4H): a_t, which becomes the gates
    h = np.empty((T + 1, *h0.shape), dtype)
    c = np.empty((T + 1, B, H), dtype)
    tanh_c = np.empty((T, B, H), dtype)
    h[0], c[0] = h0, c0
    z, work = np.empty((B, 4 * H), dtype), np.empty((B, H), dtype)
    recur = few_rows(before_tanh(W_hh, _SIGMOIDS).T, z, T)
    weights = None if W_hr is None else W_hr.T, *after_tanh(B, H, _SIGMOIDS, dtype)
    blocks = zip(*gates.reshape(T, B, 4, H).transpose(2, 0, 1, 3), strict=True)
    h_prev, c_prev = h[0], c[0]
    for gates_t, i_f_g_o, h_t, c_t, tanh_c_t in zip(
        gates, blocks, h[1:], c[1:], tanh_c, strict=True
    ):
        np.add(gates_t, recur(h_prev), gates_t)  # (2)
        _cell(gates_t, i_f_g_o, c_prev, weights, h_t, c_t, tanh_c_t, work)
        h_prev, c_prev = h_t, c_t
    h.setflags(write=False)
    c.setflags(write=False)
    cache = LSTMCache(
        projection._replace(W=W_ih), h, c, gates.reshape(T, B, 4, H), tanh_c, W_hh, W_hr
    )
    return (h[1:], c[1:]), cache


def lstm_stepper(
    W_ih: Array, W_hh: Array, b_ih: Array, b_hh: Array, W_hr: Array | None = None
) -> Callable[[Array, Array, Array], tuple[Array, Array]]:
    """Arrange the weights for single steps, of which no gradient is wanted.

    Parameters
    ----------
    W_ih, W_hh, b_ih, b_hh, W_hr : arrays
        As for :func:`lstm_forward`, of one dtype: that of every step, whatever it is
        given. What is returned uses copies.

    Returns
    -------
    step : callable
        ``step(x_t, h_prev, c_prev)`` takes (B, D), (1, B, P) and (1, B, H) arrays (an integer x_t
        is (B,)) and returns h_t and c_t, new arrays like the ones before.
    """
    D, P = W_ih.shape[1], W_hh.shape[1]
    whole = np.concatenate([W_ih, W_hh, (b_ih + b_hh)[:, None]], axis=1)
    W = np.ascontiguousarray(before_tanh(whole, _SIGMOIDS).T)  # (D + P + 1, 4H)
    W_hr_T = None if W_hr is None else W_hr.T.copy()
    factor, offset = after_tanh(1, len(W_hh) // 4, _SIGMOIDS, W_hh.dtype)
    rooms = Rooms(partial(_room, D, P, len(W_hh) // 4, W.dtype))
    parts = W[:D], W[D:-1], W[-1:]
    return partial(_step, W, parts, (W_hr_T, factor, offset), rooms)


def _room(D: int, P: int, H: int, dtype: np.dtype[Any], B: int) -> tuple[Any, ...]:
    x_h_1, gates = np.ones((B, D + P + 1), dtype), np.empty((B, 4 * H), dtype)
    blocks = tuple(gates[None, :, k * H : (k + 1) * H] for k in range(4))
    tanh_c, work = np.empty((2, 1, B, H), dtype)
    return gates, x_h_1, x_h_1[:, :D], x_h_1[None, :, D : D + P], blocks, tanh_c, work


def _step(
    W: Array,
    parts: tuple[Array, Array, Array],
    weights: tuple[Array | None, Array, Array],
    rooms: Rooms,
    x_t: Array,
    h_prev: Array,
    c_prev: Array,
) -> tuple[Array, Array]:
    room = gates, x_h_1, x, h, i_f_g_o, tanh_c, work = rooms.take(len(x_t))
    if x_t.ndim == 1:
        W_ih_T, W_hh_T, b = parts
        np.add(W_ih_T.take(x_t, axis=0), h_prev[0].dot(W_hh_T), gates)
        np.add(gates, b, gates)  # (1), (2)
    else:
        x[...], h[...] = x_t, h_prev
        x_h_1.dot(W, gates)  # (1), (2)
    after = _cell(gates, i_f_g_o, c_prev, weights, tanh_c=tanh_c, work=work)
    rooms.give(room)
    return after


def _cell(
    gates: Array,
    i_f_g_o: tuple[Array, Array, Array, Array],
    c_prev: Array,
    weights: tuple[Array | None, Array, Array],
    h: Array | None = None,
    c: Array | None = None,
    tanh_c: Array | None = None,
    work: Array | None = None,
) -> tuple[Array, Array]:
    """Write (3) to (5) to the arrays given, new ones for None; z_t becomes the gates."""
    W_hr_T, factor, offset = weights
    np.tanh(gates, gates)
    np.multiply(gates, factor, gates)
    np.add(gates, offset, gates)  # (3), (6)
    i, f, g, o = i_f_g_o
    c = np.multiply(f, c_prev, c)
    np.add(c, np.multiply(i, g, work), c)  # (4)
    if W_hr_T is None:
        h = np.multiply(o, np.tanh(c, tanh_c), h)  # (5)
    else:
        h = np.matmul(np.multiply(o, np.tanh(c, tanh_c), work), W_hr_T, h)  # (5)
    return h, c


def lstm_backward(
    dh: Array | None, dc: Array | None, cache: LSTMCache, keep: Keep = ""
) -> tuple[Array | None, Array, Array, Array, Array, Array, Array, Array | None]:
    """Gradients of :func:`lstm_forward`, one per argument: BPTT.

    Parameters
    ----------
    dh, dc : (T, B, P) and (T, B, H) arrays or None
        What the loss sends to the state at each step; None is zero.
    cache : LSTMCache
        From the forward pass.
    keep : {"", "t", "b", "tb"}
        The axes of the sums over time and batch to leave standing.

    Returns
    -------
    dx : (T, B, D) array, or None for an integer x
        Gradient of the input.
    dh0, dc0 : (B, P) and (B, H) arrays
        Gradients of the initial state.
    dW_ih, dW_hh : (4H, D) and (4H, P) arrays, with the kept axes in front
        Gradients of the weights.
    db_ih, db_hh : (4H,) arrays, with the kept axes in front
        Gradients of the biases: equal, in two arrays.
    dW_hr : (P, H) array, with the kept axes in front, or None without projection
        Gradient of the projection.
    """
    projection, h, c, gates, tanh_c, W_hh, W_hr = cache
    T, B, _, H = gates.shape
    given = [g for g in (dh, dc) if g is not None]
    dtype = np.result_type(h, *given)
    dz = np.empty((T, B, 4, H), dtype)
    dh_sums = None if W_hr is None else np.empty(h[1:].shape, dtype)  # dh of (5'), for dW_hr
    dm = carry_h = np.zeros(h.shape[1:], dtype)  # W_hh^T dz_{t+1}, to which dh_t is added
    carry_c, work = np.zeros((B, H), dtype), np.empty((B, H), dtype)
    factors = np.empty((B, 4, H), dtype)  # dc, dc, dc, dm: what the slopes are multiplied by
    of_i_f_g, of_o, dc_t = factors[:, :3], factors[:, 3], carry_c[:, None]
    dz_flat, f = dz.reshape(T, B, 4 * H), gates[:, :, 1]
    recur = few_rows(W_hh, carry_h, T)
    steps = max(1, PIECE // max(1, B * 4 * H))
    for start in reversed(range(0, T, steps)):
        piece = slice(start, start + steps)
        tanh_gain = _gate_slopes(gates[piece], c[:-1][piece], tanh_c[piece], dz[piece])
        backwards = (array[piece][::-1] for array in (dz, dz_flat, f))
        for t, tanh_gain_t, dz_t, dz_t_flat, f_t in zip(
            reversed(range(T)[piece]), tanh_gain[::-1], *backwards, strict=True
        ):
            if dh is not None:
                np.add(carry_h, dh[t], carry_h)  # (5')
            if W_hr is not None and dh_sums is not None:
                dh_sums[t] = carry_h
                dm = carry_h.dot(W_hr)
            np.multiply(dm, tanh_gain_t, work)
            np.add(carry_c, work, carry_c)  # (4')
            if dc is not None:
                np.add(carry_c, dc[t], carry_c)
            of_i_f_g[...], of_o[...] = dc_t, dm
            np.multiply(dz_t, factors, dz_t)  # (3')
            np.multiply(carry_c, f_t, carry_c)
            recur(dz_t_flat)
    dW_hh = contract(dz_flat, h[:-1], keep)  # (2')
    dW_hr = None if dh_sums is None else contract(dh_sums, gates[:, :, 3] * tanh_c, keep)
    dx, dW_ih, db = linear_backward(dz_flat, projection, keep)  # (1')
    dh0, dc0 = carry_h, carry_c  # of dz_1 and dc_1
    return dx, dh0, dc0, dW_ih, dW_hh, db, db.copy(), dW_hr


def _gate_slopes(gates: Array, c_prev: Array, tanh_c: Array, out: Array) -> Array:
    """Write the factors of dc and dm in (3') to `out`, return that of dm in (4')."""
    i, g, o = gates[:, :, 0], gates[:, :, 2], gates[:, :, 3]
    np.subtract(1, gates, out)
    np.multiply(out, gates, out)  # right for the three sigma
    np.multiply(g, g, out[:, :, 2])
    np.subtract(1, out[:, :, 2], out[:, :, 2])
    for gate, other in enumerate((g, c_prev, i, tanh_c)):
        np.multiply(out[:, :, gate], other, out[:, :, gate])
    gain = np.multiply(tanh_c, tanh_c)
    np.subtract(1, gain, gain)
    np.multiply(gain, o, gain)
    return gain
