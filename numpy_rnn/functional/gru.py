"""GRU, reset gate after the recurrent product, arranged for speed.

The equations are in textbook/gru.py. The arrangement is that of lstm.py, (a) to (e): the factors of
dh_t are computed before the loop, in the arrays that become ds and da_n. Below, a_t is the input's
part of the pre-activations and s_t that of the state. They differ in block n, where r multiplies
s_n.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from numpy_rnn.functional.blocking import blocked_matmul, chunks
from numpy_rnn.functional.contract import Keep, contract, contract_bias
from numpy_rnn.functional.linear import (
    LinearCache,
    affine,
    affine_block,
    as_block,
    linear_backward,
    linear_forward,
)
from numpy_rnn.functional.sigmoid_by_tanh import prescale, rescale
from numpy_rnn.functional.types import Array

SIGMOIDS = (True, True, False)  # of the blocks r, z, and s_n, which is not a gate


class GRUCache(NamedTuple):
    """What :func:`gru_backward` needs."""

    projection: LinearCache  # of the input
    h: Array  # (T + 1, B, H); row 0 is h0
    gates: Array  # (T, B, 3, H): r, z, s_n
    n: Array  # (T, B, H)
    W_hh: Array  # (3H, H)


def gru_forward(
    x: Array, h0: Array, W_ih: Array, W_hh: Array, b_ih: Array, b_hh: Array
) -> tuple[Array, GRUCache]:
    """Run the cell over a sequence (Cho et al. 2014, arXiv:1406.1078v1; PyTorch's form).

    Parameters
    ----------
    x, h0 : (T, B, D) and (B, H) arrays
    W_ih, W_hh, b_ih, b_hh : (3H, D), (3H, H), (3H,) and (3H,) arrays, blocks r, z, n
        The biases are not interchangeable: r multiplies b_hn, but not b_in.

    Returns
    -------
    h, cache : (T, B, H) array, the state after every step, and what backward takes

    Examples
    --------
    >>> import numpy as np
    >>> x, h0, b = np.ones((5, 1, 2)), np.zeros((1, 3)), np.zeros(9)
    >>> h, cache = gru_forward(x, h0, np.ones((9, 2)), np.ones((9, 3)), b, b)
    >>> dx, dh0, dW_ih, dW_hh, db_ih, db_hh = gru_backward(np.ones_like(h), cache)
    >>> dW_hh.shape
    (9, 3)
    """
    H = W_hh.shape[1]
    a, projection = linear_forward(
        x, prescale(W_ih, SIGMOIDS), prescale(_outer_bias(b_ih, b_hh), SIGMOIDS)
    )
    T, B, _ = a.shape
    dtype = np.result_type(a, h0, W_hh)
    n = a[..., 2 * H :].astype(dtype)  # at first a_n
    gates = np.asarray(a, dtype)  # (T, B, 3H): at first a_r, a_z, b_hn
    gates[..., 2 * H :] = b_hh[2 * H :]
    h = np.empty((T + 1, B, H), dtype)
    h[0] = h0
    recurrent = blocked_matmul(prescale(W_hh, SIGMOIDS).T, np.empty((B, 3 * H), dtype), T)
    factor, offset = rescale(B, H, SIGMOIDS, dtype)
    product = np.empty((B, H), dtype)
    r_z_s = gates.reshape(T, B, 3, H).transpose(2, 0, 1, 3)
    h_prev = h[0]
    for gates_t, rz, r, z, s_n, n_t, h_t in zip(
        gates, gates[..., : 2 * H], *r_z_s, n, h[1:], strict=True
    ):
        np.add(gates_t, recurrent(h_prev), gates_t)  # (1), (2)
        np.tanh(rz, rz)
        np.multiply(gates_t, factor, gates_t)
        np.add(gates_t, offset, gates_t)  # (3), (4)
        np.add(n_t, np.multiply(r, s_n, product), n_t)
        np.tanh(n_t, n_t)  # (5)
        np.subtract(h_prev, n_t, h_t)
        np.multiply(h_t, z, h_t)
        np.add(h_t, n_t, h_t)  # (6)
        h_prev = h_t
    h.setflags(write=False)
    return h[1:], GRUCache(projection._replace(W=W_ih), h, gates.reshape(T, B, 3, H), n, W_hh)


def gru_backward(
    dh: Array | None, cache: GRUCache, keep: Keep = ""
) -> tuple[Array | None, Array, Array, Array, Array, Array]:
    """Return the gradients of :func:`gru_forward`, in the order of functional/__init__.py.

    db_ih and db_hh differ in block n.
    """
    projection, h, gates, n, W_hh = cache
    T, B, _, H = gates.shape
    dtype = h.dtype if dh is None else np.result_type(dh, h)
    z = gates[:, :, 1]
    ds = np.empty((T, B, 3, H), dtype)  # of a chunk: at first ds / dh_t, then ds
    da_n = np.empty((T, B, H), dtype)  # at first da_n / dh_t, then da_n
    ds_flat = ds.reshape(T, B, 3 * H)
    dh_t = np.zeros((B, H), dtype)  # between steps: what step t + 1 sends back to h_t
    kept = np.empty((B, H), dtype)
    dgates = np.empty((B, 3, H), dtype)  # dh_t for each block
    dh_rows = dh_t[:, None]
    send_back = blocked_matmul(W_hh, dh_t, T)  # dh_t <- ds_{t+1} W_hh
    for chunk in reversed(chunks(T, B * 3 * H)):
        _slopes(gates[chunk], h[:-1][chunk], n[chunk], ds[chunk], da_n[chunk])
        for t in reversed(range(T)[chunk]):
            ds_t, da_n_t = ds[t], da_n[t]
            if dh is not None:
                np.add(dh_t, dh[t], dh_t)  # (6')
            dgates[...] = dh_rows
            np.multiply(ds_t, dgates, ds_t)  # (3'), (2')
            np.multiply(da_n_t, dh_t, da_n_t)  # (5'), (1')
            np.multiply(dh_t, z[t], kept)
            send_back(ds_flat[t])
            np.add(dh_t, kept, dh_t)
    dW_hh, db_hh = contract(ds_flat, h[:-1], keep), contract_bias(ds_flat, keep)
    ds[:, :, 2] = da_n  # from here on da: it differs from ds in block n alone
    dx, dW_ih, db_ih = linear_backward(ds_flat, projection, keep)
    return dx, dh_t, dW_ih, dW_hh, db_ih, db_hh


def _slopes(gates: Array, h_prev: Array, n: Array, ds: Array, da_n: Array) -> None:
    """Write the factors of dh_t in ds and da_n to these arrays."""
    r, z, s_n = gates[:, :, 0], gates[:, :, 1], gates[:, :, 2]
    np.multiply(1 - z, 1 - n * n, da_n)
    np.multiply(da_n, r, ds[:, :, 2])
    np.multiply(ds[:, :, 2], s_n * (1 - r), ds[:, :, 0])
    np.multiply(h_prev - n, z * (1 - z), ds[:, :, 1])


def gru_stepper(
    W_ih: Array, W_hh: Array, b_ih: Array, b_hh: Array
) -> Callable[[Array, Array], tuple[Array]]:
    """Return a function of single steps or blocks, like :func:`elman_stepper`. It owns buffers."""
    H, dtype = W_hh.shape[1], W_hh.dtype
    W_ih_T = np.ascontiguousarray(prescale(W_ih, SIGMOIDS).T)
    W_hh_T = np.ascontiguousarray(prescale(W_hh, SIGMOIDS).T)
    b = prescale(_outer_bias(b_ih, b_hh), SIGMOIDS)[None]
    b_hn = b_hh[None, 2 * H :].copy()
    half = np.full((1, 2 * H), 0.5, dtype)

    def for_batch(B: int) -> tuple[Any, ...]:
        (a, s), (n, product) = np.empty((2, B, 3 * H), dtype), np.empty((2, B, H), dtype)
        rz, r, z, s_n = s[:, : 2 * H], s[:, :H], s[None, :, H : 2 * H], s[:, 2 * H :]

        def advance(a_rz: Array, a_n: Array, h_prev: Array, h: Array | None = None) -> Array:
            """Return h_t, in `h` if it is given."""
            h_prev[0].dot(W_hh_T, s)
            np.add(rz, a_rz, rz)  # (1), (2)
            np.tanh(rz, rz)
            np.multiply(rz, half, rz)
            np.add(rz, half, rz)  # (3), (4)
            np.add(s_n, b_hn, s_n)
            np.add(a_n, np.multiply(r, s_n, product), n)
            np.tanh(n, n)  # (5)
            h = np.subtract(h_prev, n[None], h)
            np.multiply(h, z, h)
            return np.add(h, n[None], h)  # (6)

        return a, a[:, : 2 * H], a[:, 2 * H :], advance

    own = for_batch(1)

    def step(x: Array, h_prev: Array) -> tuple[Array]:
        nonlocal own
        if h_prev.shape[1] != len(own[0]):
            own = for_batch(h_prev.shape[1])
        a, a_rz, a_n, advance = own
        if x.ndim == 2 and x.dtype is dtype:
            affine(x, W_ih_T, b, a)
            return (advance(a_rz, a_n, h_prev),)
        x = as_block(x)
        h = np.empty((len(x), *h_prev.shape[1:]), dtype)
        for chunk in chunks(len(x), a.size):
            a = affine_block(x[chunk], W_ih_T, b)
            for a_rz, a_n, h_t in zip(
                a[..., : 2 * H], a[..., 2 * H :], h[chunk, None], strict=True
            ):
                h_prev = advance(a_rz, a_n, h_prev, h_t)
        return (h,)

    return step


def _outer_bias(b_ih: Array, b_hh: Array) -> Array:
    """Return the biases that are added before the loop: b_hn belongs inside r * (...)."""
    b: Array = b_ih + b_hh
    b[-(len(b) // 3) :] = b_ih[-(len(b) // 3) :]
    return b
