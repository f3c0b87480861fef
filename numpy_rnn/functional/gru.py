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

neither overflows nor compares numbers. In (3') and (4') everything but e_t is known before the
loop; it is computed for all steps at once, in the array that becomes ds.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from numpy_rnn.functional.contract import Keep, contract, contract_bias
from numpy_rnn.functional.linear import LinearCache, linear_backward, linear_forward
from numpy_rnn.functional.types import Array


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
    b = b_ih + b_hh
    b[2 * H :] = b_ih[2 * H :]  # b_hn belongs inside r * (...)
    a, projection = linear_forward(x, W_ih, b)  # (1)
    T, B, _ = a.shape
    dtype = np.result_type(a, h0, W_hh)
    n = a[..., 2 * H :].astype(dtype)  # a_n, a copy that becomes n
    gates = a.astype(dtype, copy=False)  # (T, B, 3H): what W_hh h_{t-1} is added to
    gates[..., 2 * H :] = b_hh[2 * H :]
    # In the order that a product with few rows is fastest in; a copy pays from the second step on.
    W_hh_T = W_hh.T if T == 1 else np.ascontiguousarray(W_hh.T)
    h = np.empty((T + 1, B, H), dtype)
    h[0] = h0
    product, work = np.empty((B, 3 * H), dtype), np.empty((B, H), dtype)
    h_prev = h[0]
    for gates_t, n_t, h_t in zip(gates, n, h[1:], strict=True):
        h_prev.dot(W_hh_T, product)
        np.add(gates_t, product, gates_t)  # (2), and the sums of (3)
        rz = gates_t[:, : 2 * H]
        np.multiply(rz, 0.5, rz)
        np.tanh(rz, rz)
        np.multiply(rz, 0.5, rz)
        np.add(rz, 0.5, rz)  # (3), (6)
        np.multiply(gates_t[:, :H], gates_t[:, 2 * H :], work)
        np.add(n_t, work, n_t)
        np.tanh(n_t, n_t)  # (4)
        np.subtract(h_prev, n_t, h_t)
        np.multiply(h_t, gates_t[:, H : 2 * H], h_t)
        np.add(h_t, n_t, h_t)  # (5)
        h_prev = h_t
    h.flags.writeable = False
    return h[1:], GRUCache(projection, h, gates.reshape(T, B, 3, H), n, W_hh)


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
    if dh is None:
        dh = np.zeros_like(n)
    e = dh.astype(np.result_type(dh, h, W_hh))  # (T, B, H), a copy that becomes e
    T, B, H = e.shape
    r, z, s_n = (gates[:, :, block] for block in range(3))
    slope_n = (1 - z) * (1 - n * n)  # da_n / e_t
    ds = np.empty((T, B, 3, H), e.dtype)  # ds_t / e_t, then ds_t
    np.multiply(slope_n, r, ds[:, :, 2])  # (4')
    np.multiply(ds[:, :, 2], s_n * (1 - r), ds[:, :, 0])  # (3')
    np.multiply(h[:-1] - n, z * (1 - z), ds[:, :, 1])
    ds_flat = ds.reshape(T, B, 3 * H)
    carry, work = np.zeros((B, H), e.dtype), np.empty((B, H), e.dtype)
    steps = zip(e[::-1], z[::-1], ds[::-1], ds_flat[::-1], strict=True)
    for e_t, z_t, ds_t, ds_flat_t in steps:
        np.add(e_t, carry, e_t)  # (5')
        np.multiply(ds_t, e_t[:, None], ds_t)  # (4'), (3')
        ds_flat_t.dot(W_hh, carry)
        np.multiply(e_t, z_t, work)
        np.add(carry, work, carry)  # in the end, of e_1 and ds_1: dh0
    dW_hh, db_hh = contract(ds_flat, h[:-1], keep), contract_bias(ds_flat, keep)  # (2')
    np.multiply(e, slope_n, ds[:, :, 2])  # from here on ds is da: they differ in block n alone
    dx, dW_ih, db_ih = linear_backward(ds_flat, projection, keep)  # (1')
    dh0 = carry
    return dx, dh0, dW_ih, dW_hh, db_ih, db_hh
