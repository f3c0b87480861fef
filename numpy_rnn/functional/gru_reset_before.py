"""GRU, reset gate before the recurrent product (Cho et al. 2014, arXiv:1406.1078v3).

    Forward   (1) a_t = W_ih x_t + b_ih + b_hh          t = 1..T, all at once, before the loop
              (2) r = sigma(a_r + W_hr h_{t-1}),  z = sigma(a_z + W_hz h_{t-1})
              (3) m = r * h_{t-1}
              (4) n = tanh(a_n + W_hn m)
              (5) h_t = n + z * (h_{t-1} - n)           = (1 - z) * n + z * h_{t-1}

    Backward  t = T..1, e_{T+1} = 0; dh_t is only what the loss sends to h_t directly
              (5') e_t = dh_t + [z * e + r * dm + W_hr^T da_r + W_hz^T da_z]_{t+1}
              (4') da_n = e_t * (1 - z) * (1 - n^2),    dm = W_hn^T da_n
              (3') da_r = dm * h_{t-1} * r (1 - r)
              (2') da_z = e_t * (h_{t-1} - n) * z (1 - z)
                   dh0 = [z * e + r * dm + W_hr^T da_r + W_hz^T da_z]_1
                   dW_hr, dW_hz = sum_t (da_r, da_z) h_{t-1}^T,  dW_hn = sum_t da_n m^T
              (1') dW_ih = sum_t da_t x_t^T,  dx_t = W_ih^T da_t,  db_ih = db_hh = sum_t da_t

e_t is the whole gradient of h_t. This is the form of Chung et al. (2014) too, who exchange z
and 1 - z, and ONNX's default (linear_before_reset = 0). It needs a second product inside the
loop, because W_hn waits for r; the form that does not is gru.py. W_hr, W_hz and W_hn are the
three blocks of W_hh.

    (6) sigma(u) = (1 + tanh(u / 2)) / 2

neither overflows nor compares numbers. One tanh serves r and z; n has to wait for r. The factors
(1/2, 1/2, 1) of u are in the weights before the loop begins, exact because they are powers of
two. In (2'), (3') and (4') everything but e_t and dm is known before the loop; it is computed for
as many steps at a time as a cache holds, in the array that becomes da.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from numpy_rnn.functional.contract import Keep, contract
from numpy_rnn.functional.few_rows import few_rows
from numpy_rnn.functional.linear import LinearCache, affine, linear_backward, linear_forward
from numpy_rnn.functional.one_tanh import before_tanh
from numpy_rnn.functional.rooms import Rooms
from numpy_rnn.functional.types import Array

PIECE = 1 << 16  # numbers in a piece of (2') to (4'): a few hundred kilobytes
_SIGMOIDS = (True, True, False)  # of the blocks r, z, n


class GRUResetBeforeCache(NamedTuple):
    """What :func:`gru_reset_before_backward` needs of the forward pass."""

    projection: LinearCache  # of equation (1)
    h: Array  # (T + 1, B, H); row 0 is h0
    gates: Array  # (T, B, 3, H): r, z, n
    W_hh: Array  # (3H, H)


def gru_reset_before_forward(
    x: Array, h0: Array, W_ih: Array, W_hh: Array, b_ih: Array, b_hh: Array
) -> tuple[Array, GRUResetBeforeCache]:
    """Run the cell over a sequence.

    Parameters
    ----------
    x : (T, B, D) array, or (T, B) array of int
        Input, or the places of the ones in one-hot rows.
    h0 : (B, H) array
        State before the first step.
    W_ih, W_hh : (3H, D) and (3H, H) arrays
        Weights of the input and of the previous state; blocks r, z, n.
    b_ih, b_hh : (3H,) arrays
        Biases: only their sum matters.

    Returns
    -------
    h : (T, B, H) array
        The state after every step. Read-only: it is also the cache.
    cache : GRUResetBeforeCache
        For :func:`gru_reset_before_backward`.
    """
    H = W_hh.shape[1]
    a, projection = linear_forward(
        x, before_tanh(W_ih, _SIGMOIDS), before_tanh(b_ih + b_hh, _SIGMOIDS)
    )  # (1)
    T, B, _ = a.shape
    dtype = np.result_type(a, h0, W_hh)
    gates = np.asarray(a, dtype)  # (T, B, 3H): a_t, which becomes r, z, n
    h = np.empty((T + 1, B, H), dtype)
    h[0] = h0
    product, m, Wm = (np.empty((B, size), dtype) for size in (2 * H, H, H))
    W_hh_T = before_tanh(W_hh, _SIGMOIDS).T
    of_h = few_rows(W_hh_T[:, : 2 * H], product, T)
    of_m = few_rows(W_hh_T[:, 2 * H :], Wm, T)
    half = np.full((B, 2 * H), 0.5, dtype)
    h_prev = h[0]
    for blocks_t, h_t in zip(zip(*_blocks(gates, H), strict=True), h[1:], strict=True):
        _cell(blocks_t, h_prev, of_h(h_prev), of_m, half, m, h_t)
        h_prev = h_t
    h.setflags(write=False)
    cache = GRUResetBeforeCache(projection._replace(W=W_ih), h, gates.reshape(T, B, 3, H), W_hh)
    return h[1:], cache


def gru_reset_before_stepper(
    W_ih: Array, W_hh: Array, b_ih: Array, b_hh: Array
) -> Callable[[Array, Array], tuple[Array]]:
    """Arrange the weights for single steps, of which no gradient is wanted.

    Parameters
    ----------
    W_ih, W_hh, b_ih, b_hh : arrays
        As for :func:`gru_reset_before_forward`, of one dtype: that of every step, whatever it is
        given. What is returned uses copies.

    Returns
    -------
    step : callable
        ``step(x_t, h_prev)`` takes (B, D) and (1, B, H) arrays (an integer x_t is (B,)) and
        returns h_t, a new array like h_prev, in a tuple.
    """
    H = W_hh.shape[1]
    W_ih_T = np.ascontiguousarray(before_tanh(W_ih, _SIGMOIDS).T)
    b = before_tanh(b_ih + b_hh, _SIGMOIDS)[None]
    W_hh_T = before_tanh(W_hh, _SIGMOIDS).T
    W_rz_T, W_hn_T = W_hh_T[:, : 2 * H].copy(), W_hh_T[:, 2 * H :].copy()
    half = np.full((1, 2 * H), 0.5, W_hh.dtype)
    return partial(_step, W_ih_T, b, W_rz_T, W_hn_T, half, Rooms(partial(_room, H, W_hh.dtype)))


def _room(H: int, dtype: np.dtype[Any], B: int) -> tuple[Any, ...]:
    gates = np.empty((B, 3 * H), dtype)
    return gates, _blocks(gates, H), np.empty((B, H), dtype)


def _step(
    W_ih_T: Array,
    b: Array,
    W_rz_T: Array,
    W_hn_T: Array,
    half: Array,
    rooms: Rooms,
    x_t: Array,
    h_prev: Array,
) -> tuple[Array]:
    room = gates, blocks, m = rooms.take(len(x_t))
    affine(x_t, W_ih_T, b, gates)  # (1)
    h = h_prev[0]
    h = _cell(blocks, h, h.dot(W_rz_T), lambda m: m.dot(W_hn_T), half, m)
    rooms.give(room)
    return (h[None],)


def _blocks(gates: Array, H: int) -> tuple[Array, ...]:
    """Return views: r and z, and each of the three."""
    ends = (0, 2), (0, 1), (1, 2), (2, 3)
    return tuple(gates[..., start * H : stop * H] for start, stop in ends)


def _cell(
    blocks: tuple[Array, ...],
    h_prev: Array,
    Wh: Array,
    of_m: Callable[[Array], Array],
    half: Array,
    m: Array,
    h: Array | None = None,
) -> Array:
    """Write (2) to (5) to the arrays given, a new one for None; a_t becomes r, z, n."""
    rz, r, z, n = blocks
    np.add(rz, Wh, Wh)
    np.tanh(Wh, Wh)
    np.multiply(Wh, half, Wh)
    np.add(Wh, half, rz)  # (2), (6)
    Wm = of_m(np.multiply(r, h_prev, m))  # (3)
    np.add(n, Wm, Wm)
    np.tanh(Wm, n)  # (4)
    h = np.subtract(h_prev, n, h)
    np.multiply(h, z, h)
    return np.add(h, n, h)  # (5)


def gru_reset_before_backward(
    dh: Array | None, cache: GRUResetBeforeCache, keep: Keep = ""
) -> tuple[Array | None, Array, Array, Array, Array, Array]:
    """Gradients of :func:`gru_reset_before_forward`, one per argument: BPTT.

    Parameters
    ----------
    dh : (T, B, H) array or None
        What the loss sends to the state at each step; None is zero.
    cache : GRUResetBeforeCache
        From the forward pass.
    keep : {"", "t", "b", "tb"}
        The axes of the sums over time and batch to leave standing.

    Returns
    -------
    dx : (T, B, D) array, or None for an integer x
        Gradient of the input.
    dh0 : (B, H) array
        Gradient of the initial state.
    dW_ih, dW_hh : (3H, D) and (3H, H) arrays, with the kept axes in front
        Gradients of the weights.
    db_ih, db_hh : (3H,) arrays, with the kept axes in front
        Gradients of the biases: equal, in two arrays.
    """
    projection, h, gates, W_hh = cache
    T, B, _, H = gates.shape
    dtype = h.dtype if dh is None else np.result_type(dh, h)
    da = np.empty((T, B, 3, H), dtype)  # da_r / dm, da_z / e and da_n / e, then da
    e, dm, work = np.zeros((3, B, H), dtype)
    e_t, da_flat = e[:, None], da.reshape(T, B, 3 * H)
    da_r = da[:, :, 0]
    factors = np.ones((B, 3, H), dtype)  # 1, e, e: what the slopes are multiplied by
    of_zn = factors[:, 1:]
    flat_rz, flat_n = da_flat[..., : 2 * H], da_flat[..., 2 * H :]
    r, z = gates[:, :, 0], gates[:, :, 1]
    to_h, to_m = few_rows(W_hh[: 2 * H], e, T), few_rows(W_hh[2 * H :], dm, T)
    steps = max(1, PIECE // max(1, B * 3 * H))
    for start in reversed(range(0, T, steps)):
        piece = slice(start, start + steps)
        _slopes(gates[piece], h[:-1][piece], da[piece])
        for t in reversed(range(start, min(start + steps, T))):
            if dh is not None:
                np.add(e, dh[t], e)  # (5')
            da_t, da_r_t = da[t], da_r[t]
            of_zn[...] = e_t
            np.multiply(da_t, factors, da_t)  # (2'), (4')
            to_m(flat_n[t])  # (4')
            np.multiply(da_r_t, dm, da_r_t)  # (3')
            np.multiply(e, z[t], work)
            to_h(flat_rz[t])
            np.add(e, work, e)
            np.multiply(dm, r[t], work)
            np.add(e, work, e)  # in the end, of step 1: dh0
    dW_rz = contract(flat_rz, h[:-1], keep)  # (2')
    dW_hn = contract(flat_n, r * h[:-1], keep)
    dx, dW_ih, db = linear_backward(da_flat, projection, keep)  # (1')
    dh0, dW_hh = e, np.concatenate((dW_rz, dW_hn), axis=-2)
    return dx, dh0, dW_ih, dW_hh, db, db.copy()


def _slopes(gates: Array, h_prev: Array, out: Array) -> None:
    """Write the factors of e_t and dm in (2'), (3') and (4') to `out`."""
    r, z, n = (gates[:, :, block] for block in range(3))
    np.multiply(h_prev, r * (1 - r), out[:, :, 0])
    np.multiply(h_prev - n, z * (1 - z), out[:, :, 1])
    np.multiply(1 - z, 1 - n * n, out[:, :, 2])
