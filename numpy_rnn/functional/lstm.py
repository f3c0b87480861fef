"""LSTM, with or without projection, arranged for speed.

The equations are in textbook/lstm.py, with projection in textbook/projected_lstm.py. Here
(a) the input projection is one product for the whole sequence, before the loop (linear.py);
(b) one tanh serves all four gates (sigmoid_by_tanh.py);
(c) the recurrent product is cut into blocks (blocking.py);
(d) in backward, all factors of the gates' gradients but dc_t and dm_t are known before the loop.
    They are computed for a chunk of steps at a time, in the array that becomes dz;
(e) inside the loops arrays meet arrays of their own shape, and results are written into existing
    ones: to broadcast a row takes NumPy twice as long as to read it.
The gain over the textbook page: ``python -m benchmarks.twins``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from numpy_rnn.functional.blocking import blocked_matmul, chunks
from numpy_rnn.functional.contract import Keep, contract
from numpy_rnn.functional.linear import (
    LinearCache,
    affine_block,
    as_block,
    linear_backward,
    linear_forward,
)
from numpy_rnn.functional.sigmoid_by_tanh import prescale, rescale
from numpy_rnn.functional.types import Array

SIGMOIDS = (True, True, False, True)  # of the gates i, f, g, o


class LSTMCache(NamedTuple):
    """What :func:`lstm_backward` needs."""

    projection: LinearCache  # of the input
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
    """Run the cell over a sequence (Hochreiter & Schmidhuber 1997; Gers et al. 2000).

    Parameters
    ----------
    x, h0, c0 : (T, B, D), (B, P) and (B, H) arrays
        P = H without projection.
    W_ih, W_hh, b_ih, b_hh : (4H, D), (4H, P), (4H,) and (4H,) arrays, blocks i, f, g, o
    W_hr : (P, H) array, optional
        Projection of the output (Sak et al. 2014).

    Returns
    -------
    (h, c), cache : (T, B, P) and (T, B, H) arrays, the state after every step, and the cache

    Examples
    --------
    >>> import numpy as np
    >>> x, zero, b = np.ones((5, 1, 2)), np.zeros((1, 3)), np.zeros(12)
    >>> (h, c), cache = lstm_forward(x, zero, zero, np.ones((12, 2)), np.ones((12, 3)), b, b)
    >>> dx, dh0, dc0, *dweights = lstm_backward(np.ones_like(h), None, cache)
    >>> dx.shape
    (5, 1, 2)
    """
    H, B = len(W_hh) // 4, x.shape[1]
    weights = (W_ih, W_hh, b_ih, b_hh) if W_hr is None else (W_ih, W_hh, b_ih, b_hh, W_hr)
    dtype = np.result_type(W_ih if x.dtype.kind in "iu" else x, h0, c0, *weights)
    W_ih_half = prescale(W_ih, SIGMOIDS)
    W_hh_half = prescale(W_hh, SIGMOIDS)
    b_half = prescale(b_ih + b_hh, SIGMOIDS)
    factor, offset = rescale(B, H, SIGMOIDS, dtype)
    a, projection = linear_forward(x, W_ih_half, b_half)
    T = len(a)
    gates = np.asarray(a, dtype)  # (T, B, 4H): at first a_t, then z_t, in the end the gates
    h = np.empty((T + 1, *h0.shape), dtype)
    c = np.empty((T + 1, B, H), dtype)
    tanh_c = np.empty((T, B, H), dtype)
    h[0], c[0] = h0, c0
    recurrent = blocked_matmul(W_hh_half.T, np.empty((B, 4 * H), dtype), T)
    W_hr_T = None if W_hr is None else W_hr.T
    product = np.empty((B, H), dtype)
    i_f_g_o = gates.reshape(T, B, 4, H).transpose(2, 0, 1, 3)
    h_prev, c_prev = h[0], c[0]
    for z_t, i, f, g, o, c_t, tanh_c_t, h_t in zip(
        gates, *i_f_g_o, c[1:], tanh_c, h[1:], strict=True
    ):
        np.add(z_t, recurrent(h_prev), z_t)  # (1)
        np.tanh(z_t, z_t)
        np.multiply(z_t, factor, z_t)
        np.add(z_t, offset, z_t)  # (2), (3)
        np.multiply(f, c_prev, c_t)
        np.add(c_t, np.multiply(i, g, product), c_t)  # (4)
        np.tanh(c_t, tanh_c_t)
        if W_hr_T is None:
            np.multiply(o, tanh_c_t, h_t)  # (5)
        else:
            np.matmul(np.multiply(o, tanh_c_t, product), W_hr_T, h_t)
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
    """Return a function of single steps or blocks, like :func:`elman_stepper`.

    ``step(x, h_prev, c_prev)`` returns h and c. It owns its buffers: two threads need two steppers.
    """
    D, P, H, dtype = W_ih.shape[1], W_hh.shape[1], len(W_hh) // 4, W_hh.dtype
    # [W_ih, W_hh, b] beside each other: one product for [x_t, h_{t-1}, 1]
    whole = np.concatenate([W_ih, W_hh, (b_ih + b_hh)[:, None]], axis=1)
    W = np.ascontiguousarray(prescale(whole, SIGMOIDS).T)  # (D + P + 1, 4H)
    W_ih_T, W_hh_T, b = W[:D], W[D:-1], W[-1:]
    W_hr_T = None if W_hr is None else W_hr.T.copy()
    factor, offset = rescale(1, H, SIGMOIDS, dtype)

    def for_batch(B: int) -> tuple[Any, ...]:
        x_h_1, z = np.ones((B, D + P + 1), dtype), np.empty((B, 4 * H), dtype)
        i, f, g, o = (z[None, :, k * H : (k + 1) * H] for k in range(4))
        tanh_c, product = np.empty((2, 1, B, H), dtype)

        def advance(c_prev: Array, c: Array | None = None, h: Array | None = None) -> Any:
            """Return h_t and c_t, in the arrays if they are given, with z_t in its place."""
            np.tanh(z, z)
            np.multiply(z, factor, z)
            np.add(z, offset, z)  # (2), (3)
            c = np.multiply(f, c_prev, c)
            np.add(c, np.multiply(i, g, product), c)  # (4)
            np.tanh(c, tanh_c)
            if W_hr_T is None:
                return np.multiply(o, tanh_c, h), c  # (5)
            return np.matmul(np.multiply(o, tanh_c, product), W_hr_T, h), c

        return z, x_h_1, x_h_1[:, :D], x_h_1[None, :, D : D + P], advance

    own = for_batch(1)

    def step(x: Array, h_prev: Array, c_prev: Array) -> tuple[Array, Array]:
        nonlocal own
        if h_prev.shape[1] != len(own[0]):
            own = for_batch(h_prev.shape[1])
        z, x_h_1, x_part, h_part, advance = own
        if x.ndim == 2 and x.dtype is dtype:
            x_part[...], h_part[...] = x, h_prev
            x_h_1.dot(W, z)  # (1)
            after: tuple[Array, Array] = advance(c_prev)
            return after
        x = as_block(x)
        h = np.empty((len(x), *h_prev.shape[1:]), dtype)
        c = np.empty((len(x), *c_prev.shape[1:]), dtype)
        for chunk in chunks(len(x), z.size):
            a = affine_block(x[chunk], W_ih_T, b)
            for a_t, h_t, c_t in zip(a, h[chunk, None], c[chunk, None], strict=True):
                np.add(h_prev[0].dot(W_hh_T, z), a_t, z)  # (1)
                h_prev, c_prev = advance(c_prev, c_t, h_t)
        return h, c

    return step


def lstm_backward(
    dh: Array | None, dc: Array | None, cache: LSTMCache, keep: Keep = ""
) -> tuple[Array | None, Array, Array, Array, Array, Array, Array, Array | None]:
    """Return the gradients of :func:`lstm_forward`, in the order of functional/__init__.py.

    dW_hr is None without projection.
    """
    projection, h, c, gates, tanh_c, W_hh, W_hr = cache
    T, B, _, H = gates.shape
    dtype = np.result_type(h, *[d for d in (dh, dc) if d is not None])
    f = gates[:, :, 1]
    dz = np.empty((T, B, 4, H), dtype)  # of a chunk: at first the slopes, then dz
    dz_flat = dz.reshape(T, B, 4 * H)
    dh_t = np.zeros(h.shape[1:], dtype)  # between steps: what step t + 1 sends back to h_t
    dc_t, share = np.zeros((B, H), dtype), np.empty((B, H), dtype)
    dm_t = dh_t  # gradient of m_t = o tanh(c_t): that of h_t, unless h_t = W_hr m_t
    dh_all = None if W_hr is None else np.empty(h[1:].shape, dtype)  # for dW_hr
    dgates = np.empty((B, 4, H), dtype)  # what the slopes are multiplied by
    of_i_f_g, of_o, dc_rows = dgates[:, :3], dgates[:, 3], dc_t[:, None]
    send_back = blocked_matmul(W_hh, dh_t, T)  # dh_t <- dz_{t+1} W_hh
    for chunk in reversed(chunks(T, B * 4 * H)):
        m_to_c = _slopes(gates[chunk], c[:-1][chunk], tanh_c[chunk], dz[chunk])
        for t in reversed(range(T)[chunk]):
            dz_t = dz[t]
            if dh is not None:
                np.add(dh_t, dh[t], dh_t)  # (5')
            if W_hr is not None and dh_all is not None:
                dh_all[t] = dh_t
                dm_t = dh_t.dot(W_hr)
            np.add(dc_t, np.multiply(dm_t, m_to_c[t - chunk.start], share), dc_t)  # (4')
            if dc is not None:
                np.add(dc_t, dc[t], dc_t)
            of_i_f_g[...], of_o[...] = dc_rows, dm_t
            np.multiply(dz_t, dgates, dz_t)  # (1')
            np.multiply(dc_t, f[t], dc_t)  # (4')
            send_back(dz_flat[t])  # (5')
    dx, dW_ih, db = linear_backward(dz_flat, projection, keep)
    dW_hh = contract(dz_flat, h[:-1], keep)
    dW_hr = None if dh_all is None else contract(dh_all, gates[:, :, 3] * tanh_c, keep)
    return dx, dh_t, dc_t, dW_ih, dW_hh, db, db.copy(), dW_hr


def _slopes(gates: Array, c_prev: Array, tanh_c: Array, out: Array) -> Array:
    """Write the factors of dc and dm in dz to `out`. Return that of dm in dc, o (1 - tanh(c)^2)."""
    i, g, o = gates[:, :, 0], gates[:, :, 2], gates[:, :, 3]
    np.subtract(1, gates, out)
    np.multiply(out, gates, out)  # sigma' = s (1 - s)
    np.multiply(g, g, out[:, :, 2])
    np.subtract(1, out[:, :, 2], out[:, :, 2])  # tanh' = 1 - g^2
    for gate, partner in enumerate((g, c_prev, i, tanh_c)):  # what i, f, g, o are multiplied by
        np.multiply(out[:, :, gate], partner, out[:, :, gate])
    m_to_c = np.multiply(tanh_c, tanh_c)
    np.subtract(1, m_to_c, m_to_c)
    np.multiply(m_to_c, o, m_to_c)
    return m_to_c
