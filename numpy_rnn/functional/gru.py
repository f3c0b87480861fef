"""GRU, reset gate after the recurrent product (Cho et al. 2014, arXiv:1406.1078v1; PyTorch's).

    Forward   (1) a_t = W_ih x_t + b_ih                 t = 1..T, all at once, before the loop
              (2) s_t = W_hh h_{t-1} + b_hh             a_t and s_t have three blocks: r, z, n
              (3) r = sigma(a_r + s_r),  z = sigma(a_z + s_z)
              (4) n = tanh(a_n + r * s_n)
              (5) h_t = n + z * (h_{t-1} - n)           = (1 - z) * n + z * h_{t-1}

    Backward  t = T..1, e_{T+1} = ds_{T+1} = 0; dh_t is only what the loss sends to h_t directly
              (5') e_t = dh_t + z_{t+1} * e_{t+1} + W_hh^T ds_{t+1}
              (4') da_n = e_t * (1 - z) * (1 - n^2),    ds_n = da_n * r
              (3') da_r = ds_r = da_n * s_n * r (1 - r)
                   da_z = ds_z = e_t * (h_{t-1} - n) * z (1 - z)
                   dh0 = z_1 * e_1 + W_hh^T ds_1
              (2') dW_hh = sum_t ds_t h_{t-1}^T,  db_hh = sum_t ds_t
              (1') dW_ih = sum_t da_t x_t^T,  db_ih = sum_t da_t,  dx_t = W_ih^T da_t

e_t is the whole gradient of h_t. What h_t sends back directly is only multiplied by z: where z
is near 1, gradients do not vanish. The biases are not interchangeable here: b_hn is reset with
the state, b_in is not. The form with r * h_{t-1} inside the product is gru_reset_before.py.

    (6) sigma(u) = (1 + tanh(u / 2)) / 2

neither overflows nor compares numbers. The factors (1/2, 1/2, 1) of u are in the weights before
the loop begins, exact because they are powers of two. In (3') and (4') everything but e_t is
known before the loop; it is computed for as many steps at a time as a cache holds, in the arrays
that become ds and da_n. Inside the loops, arrays meet arrays of their own shape and are written
into existing ones: NumPy takes twice as long to repeat a row or a number over an array as to
read one.
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

PIECE = 1 << 16  # numbers in a piece of (3') and (4'): a few hundred kilobytes
_SIGMOIDS = (True, True, False)  # of the blocks r, z, and s_n, which stays as it is


class GRUCache(NamedTuple):
    """What :func:`gru_backward` needs of the forward pass."""

    projection: LinearCache  # of equation (1)
    h: Array  # (T + 1, B, H); row 0 is h0
    gates: Array  # (T, B, 3, H): r, z, s_n
    n: Array  # (T, B, H)
    W_hh: Array  # (3H, H)


def gru_forward(
    x: Array, h0: Array, W_ih: Array, W_hh: Array, b_ih: Array, b_hh: Array
) -> tuple[Array, GRUCache]:
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
        Biases.

    Returns
    -------
    h : (T, B, H) array
        The state after every step. Read-only: it is also the cache.
    cache : GRUCache
        For :func:`gru_backward`.
    """
    H = W_hh.shape[1]
    a, projection = linear_forward(
        x, before_tanh(W_ih, _SIGMOIDS), before_tanh(_outer_bias(b_ih, b_hh), _SIGMOIDS)
    )  # (1)
    T, B, _ = a.shape
    dtype = np.result_type(a, h0, W_hh)
    n = a[..., 2 * H :].astype(dtype)  # a_n, a copy that becomes n
    gates = np.asarray(a, dtype)  # (T, B, 3H): what W_hh h_{t-1} is added to
    gates[..., 2 * H :] = b_hh[2 * H :]
    h = np.empty((T + 1, B, H), dtype)
    h[0] = h0
    product, work = np.empty((B, 3 * H), dtype), np.empty((B, H), dtype)
    recur = few_rows(before_tanh(W_hh, _SIGMOIDS).T, product, T)
    of_tanh = after_tanh(B, H, _SIGMOIDS, dtype)
    blocks = gates.reshape(T, B, 3, H).transpose(2, 0, 1, 3)
    r_z_s = zip(gates[..., : 2 * H], *blocks, strict=True)
    h_prev = h[0]
    for gates_t, r_z_s_t, n_t, h_t in zip(gates, r_z_s, n, h[1:], strict=True):
        _cell(gates_t, r_z_s_t, n_t, h_prev, recur(h_prev), of_tanh, h_t, work)
        h_prev = h_t
    h.setflags(write=False)
    return h[1:], GRUCache(projection._replace(W=W_ih), h, gates.reshape(T, B, 3, H), n, W_hh)


def gru_backward(
    dh: Array | None, cache: GRUCache, keep: Keep = ""
) -> tuple[Array | None, Array, Array, Array, Array, Array]:
    """Gradients of :func:`gru_forward`, one per argument: BPTT.

    Parameters
    ----------
    dh : (T, B, H) array or None
        What the loss sends to the state at each step; None is zero.
    cache : GRUCache
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
        Gradients of the biases: they differ in block n.
    """
    projection, h, gates, n, W_hh = cache
    T, B, _, H = gates.shape
    dtype = h.dtype if dh is None else np.result_type(dh, h)
    ds = np.empty((T, B, 3, H), dtype)  # ds_t / e_t, then ds_t
    da_n = np.empty((T, B, H), dtype)  # da_n / e_t, then da_n
    e, work = np.zeros((B, H), dtype), np.empty((B, H), dtype)
    factors = np.empty((B, 3, H), dtype)  # e_t for each block
    e_t, z, ds_flat = e[:, None], gates[:, :, 1], ds.reshape(T, B, 3 * H)
    recur = few_rows(W_hh, e, T)
    steps = max(1, PIECE // max(1, B * 3 * H))
    for start in reversed(range(0, T, steps)):
        piece = slice(start, start + steps)
        _slopes(gates[piece], h[:-1][piece], n[piece], ds[piece], da_n[piece])
        backwards = (array[piece][::-1] for array in (ds, ds_flat, da_n, z))
        for t, ds_t, ds_t_flat, da_n_t, z_t in zip(
            reversed(range(T)[piece]), *backwards, strict=True
        ):
            if dh is not None:
                np.add(e, dh[t], e)  # (5')
            factors[...] = e_t
            np.multiply(ds_t, factors, ds_t)  # (4'), (3')
            np.multiply(da_n_t, e, da_n_t)  # (4')
            np.multiply(e, z_t, work)
            recur(ds_t_flat)
            np.add(e, work, e)  # in the end, of e_1 and ds_1: dh0
    dW_hh, db_hh = contract(ds_flat, h[:-1], keep), contract_bias(ds_flat, keep)  # (2')
    ds[:, :, 2] = da_n  # from here on ds is da: they differ in block n alone
    dx, dW_ih, db_ih = linear_backward(ds_flat, projection, keep)  # (1')
    dh0 = e
    return dx, dh0, dW_ih, dW_hh, db_ih, db_hh


def _slopes(gates: Array, h_prev: Array, n: Array, ds: Array, da_n: Array) -> None:
    """Write the factors of e_t in (3') and (4') to `ds` and `da_n`."""
    r, z, s_n = gates[:, :, 0], gates[:, :, 1], gates[:, :, 2]
    np.multiply(1 - z, 1 - n * n, da_n)
    np.multiply(da_n, r, ds[:, :, 2])
    np.multiply(ds[:, :, 2], s_n * (1 - r), ds[:, :, 0])
    np.multiply(h_prev - n, z * (1 - z), ds[:, :, 1])


def gru_stepper(
    W_ih: Array, W_hh: Array, b_ih: Array, b_hh: Array
) -> Callable[[Array, Array], tuple[Array]]:
    """Arrange the weights for single steps, of which no gradient is wanted.

    Parameters
    ----------
    W_ih, W_hh, b_ih, b_hh : arrays
        As for :func:`gru_forward`, of one dtype: that of every step, whatever it is
        given. What is returned uses copies.

    Returns
    -------
    step : callable
        ``step(x_t, h_prev)`` takes (B, D) and (1, B, H) arrays (an integer x_t is (B,)) and
        returns h_t, a new array like h_prev, in a tuple.
    """
    H = W_hh.shape[1]
    W_ih_T = np.ascontiguousarray(before_tanh(W_ih, _SIGMOIDS).T)
    b = before_tanh(_outer_bias(b_ih, b_hh), _SIGMOIDS)[None]
    W_hh_T = np.ascontiguousarray(before_tanh(W_hh, _SIGMOIDS).T)
    of_tanh = after_tanh(1, H, _SIGMOIDS, W_hh.dtype)
    rooms = Rooms(partial(_room, H, W_hh.dtype))
    return partial(_step, W_ih_T, b, b_hh[None, 2 * H :].copy(), W_hh_T, of_tanh, rooms)


def _room(H: int, dtype: np.dtype[Any], B: int) -> tuple[Any, ...]:
    gates, (n, work) = np.empty((B, 3 * H), dtype), np.empty((2, 1, B, H), dtype)
    r, z, s_n = (gates[None, :, k * H : (k + 1) * H] for k in range(3))
    return gates, (gates[:, : 2 * H], r, z, s_n), n, work


def _step(
    W_ih_T: Array,
    b: Array,
    b_hn: Array,
    W_hh_T: Array,
    of_tanh: tuple[Array, Array],
    rooms: Rooms,
    x_t: Array,
    h_prev: Array,
) -> tuple[Array]:
    room = gates, r_z_s, n, work = rooms.take(len(x_t))
    affine(x_t, W_ih_T, b, gates)  # (1)
    s_n = r_z_s[3]
    n[...], s_n[...] = s_n, b_hn
    h = _cell(gates, r_z_s, n, h_prev, h_prev[0].dot(W_hh_T), of_tanh, None, work)
    rooms.give(room)
    return (h,)


def _cell(
    gates: Array,
    r_z_s: tuple[Array, Array, Array, Array],
    n: Array,
    h_prev: Array,
    Wh: Array,
    of_tanh: tuple[Array, Array],
    h: Array | None = None,
    work: Array | None = None,
) -> Array:
    """Write (2) to (5) to the arrays given, new ones for None; a_n becomes n."""
    factor, offset = of_tanh
    np.add(gates, Wh, gates)  # (2), and the sums of (3)
    rz, r, z, s_n = r_z_s
    np.tanh(rz, rz)
    np.multiply(gates, factor, gates)
    np.add(gates, offset, gates)  # (3), (6)
    np.add(n, np.multiply(r, s_n, work), n)
    np.tanh(n, n)  # (4)
    h = np.subtract(h_prev, n, h)
    np.multiply(h, z, h)
    return np.add(h, n, h)  # (5)


def _outer_bias(b_ih: Array, b_hh: Array) -> Array:
    """Return the biases that are added before the loop: b_hn belongs inside r * (...)."""
    b: Array = b_ih + b_hh
    b[-(len(b) // 3) :] = b_ih[-(len(b) // 3) :]
    return b
