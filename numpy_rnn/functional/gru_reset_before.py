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

neither overflows nor compares numbers. The factors of e_t and dm in (2'), (3') and (4') are
known before the loop and are computed for all steps at once, in the array that becomes da.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from numpy_rnn.functional.contract import Keep, contract
from numpy_rnn.functional.linear import LinearCache, linear_backward, linear_forward
from numpy_rnn.functional.types import Array


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
    a, projection = linear_forward(x, W_ih, b_ih + b_hh)  # (1)
    T, B, _ = a.shape
    dtype = np.result_type(a, h0, W_hh)
    gates = np.asarray(a, dtype)  # (T, B, 3H): a_t, then r, z, n
    W_rz_T, W_hn_T = W_hh[: 2 * H].T, W_hh[2 * H :].T
    # In the order that a product with few rows is fastest in; a copy pays from the second step on.
    if T > 1:
        W_rz_T, W_hn_T = np.ascontiguousarray(W_rz_T), np.ascontiguousarray(W_hn_T)
    h = np.empty((T + 1, B, H), dtype)
    h[0] = h0
    product = np.empty((B, 2 * H), dtype)
    m, work = np.empty((B, H), dtype), np.empty((B, H), dtype)
    h_prev = h[0]
    for gates_t, h_t in zip(gates, h[1:], strict=True):
        rz, n = gates_t[:, : 2 * H], gates_t[:, 2 * H :]
        h_prev.dot(W_rz_T, product)
        np.add(rz, product, rz)
        np.multiply(rz, 0.5, rz)
        np.tanh(rz, rz)
        np.multiply(rz, 0.5, rz)
        np.add(rz, 0.5, rz)  # (2), (6)
        np.multiply(rz[:, :H], h_prev, m)  # (3)
        m.dot(W_hn_T, work)
        np.add(n, work, n)
        np.tanh(n, n)  # (4)
        np.subtract(h_prev, n, h_t)
        np.multiply(h_t, rz[:, H:], h_t)
        np.add(h_t, n, h_t)  # (5)
        h_prev = h_t
    h.setflags(write=False)
    return h[1:], GRUResetBeforeCache(projection, h, gates.reshape(T, B, 3, H), W_hh)


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
    if dh is None:
        dh = np.zeros_like(h[1:])
    e = dh.astype(np.result_type(dh, h))  # (T, B, H), a copy that becomes e
    T, B, H = e.shape
    r, z, n = (gates[:, :, block] for block in range(3))
    da = np.empty((T, B, 3, H), e.dtype)  # da_r / dm, da_z / e and da_n / e, then da
    np.multiply(h[:-1], r * (1 - r), da[:, :, 0])  # (3')
    np.multiply(h[:-1] - n, z * (1 - z), da[:, :, 1])  # (2')
    np.multiply(1 - z, 1 - n * n, da[:, :, 2])  # (4')
    da_flat = da.reshape(T, B, 3 * H)
    W_rz, W_hn = W_hh[: 2 * H], W_hh[2 * H :]
    carry, dm, work = np.zeros((3, B, H), e.dtype)
    steps = zip(e[::-1], gates[::-1], da[::-1], da_flat[::-1], strict=True)
    for e_t, gates_t, da_t, da_flat_t in steps:
        np.add(e_t, carry, e_t)  # (5')
        zn = da_t[:, 1:]
        np.multiply(zn, e_t[:, None], zn)  # (2'), (4')
        da_flat_t[:, 2 * H :].dot(W_hn, dm)  # (4')
        np.multiply(da_t[:, 0], dm, da_t[:, 0])  # (3')
        da_flat_t[:, : 2 * H].dot(W_rz, carry)
        np.multiply(e_t, gates_t[:, 1], work)
        np.add(carry, work, carry)
        np.multiply(dm, gates_t[:, 0], work)
        np.add(carry, work, carry)  # in the end, of step 1: dh0
    dW_rz = contract(da_flat[..., : 2 * H], h[:-1], keep)  # (2')
    dW_hn = contract(da_flat[..., 2 * H :], r * h[:-1], keep)
    dx, dW_ih, db = linear_backward(da_flat, projection, keep)  # (1')
    dh0, dW_hh = carry, np.concatenate((dW_rz, dW_hn), axis=-2)
    return dx, dh0, dW_ih, dW_hh, db, db.copy()
