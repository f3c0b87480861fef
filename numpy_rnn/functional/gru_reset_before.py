"""GRU, reset gate before the recurrent product. The equations are in textbook/gru_reset_before.py.

Here, in the textbook's order, only the input projection and the sums over time are taken out of
the loops: each is one product for the whole sequence (linear.py, contract.py).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from numpy_rnn.functional.contract import Keep, contract
from numpy_rnn.functional.linear import LinearCache, linear_backward, linear_forward
from numpy_rnn.functional.types import Array


class GRUResetBeforeCache(NamedTuple):
    """Values of the forward pass that :func:`gru_reset_before_backward` needs."""

    projection: LinearCache  # of the input
    h: Array  # (T + 1, B, H); row 0 is h0
    gates: Array  # (T, B, 3H): r, z, n
    W_hh: Array  # (3H, H)


def gru_reset_before_forward(
    x: Array, h0: Array, W_ih: Array, W_hh: Array, b_ih: Array, b_hh: Array
) -> tuple[Array, GRUResetBeforeCache]:
    """Run the cell over a sequence (Cho et al. 2014, arXiv:1406.1078v3; ONNX's default).

    Parameters
    ----------
    x : (T, B, D) array, or (T, B) array of int
        Input; integers stand for one-hot rows.
    h0 : (B, H) array
        State before the first step.
    W_ih, W_hh : (3H, D) and (3H, H) arrays
        Weights of the input and of the previous state; blocks r, z, n.
    b_ih, b_hh : (3H,) arrays
        Biases.

    Returns
    -------
    h : (T, B, H) array
        The state after every step. Read-only, because it is also the cache.
    cache : GRUResetBeforeCache
        For :func:`gru_reset_before_backward`.

    Examples
    --------
    >>> import numpy as np
    >>> x, h0, b = np.ones((5, 1, 2)), np.zeros((1, 3)), np.zeros(9)
    >>> h, cache = gru_reset_before_forward(x, h0, np.ones((9, 2)), np.ones((9, 3)), b, b)
    >>> h.shape
    (5, 1, 3)
    """
    H = W_hh.shape[1]
    a, projection = linear_forward(x, W_ih, b_ih + b_hh)  # (1)
    T, B, _ = a.shape
    h = np.empty((T + 1, B, H), np.result_type(a, h0, W_hh))
    gates = np.empty((T, B, 3 * H), h.dtype)
    h[0] = h0
    W_rz_T, W_n_T = W_hh[: 2 * H].T.copy(), W_hh[2 * H :].T.copy()
    for t in range(T):
        rz, n = gates[t, :, : 2 * H], gates[t, :, 2 * H :]
        rz[...] = 0.5 + 0.5 * np.tanh(0.5 * (a[t, :, : 2 * H] + h[t] @ W_rz_T))  # (2), (3)
        r, z = rz[:, :H], rz[:, H:]
        n[...] = np.tanh(a[t, :, 2 * H :] + (r * h[t]) @ W_n_T)  # (4), (5)
        h[t + 1] = n + z * (h[t] - n)  # (6)
    h.setflags(write=False)
    return h[1:], GRUResetBeforeCache(projection, h, gates, W_hh)


def gru_reset_before_backward(
    dh: Array | None, cache: GRUResetBeforeCache, keep: Keep = ""
) -> tuple[Array | None, Array, Array, Array, Array, Array]:
    """Return the gradients of :func:`gru_reset_before_forward`, one per argument: BPTT.

    The arguments and results of every backward are explained in functional/__init__.py.
    """
    projection, h, gates, W_hh = cache
    (T, B, _), H = gates.shape, W_hh.shape[1]
    dtype = h.dtype if dh is None else np.result_type(dh, h)
    r, z, n = gates[..., :H], gates[..., H : 2 * H], gates[..., 2 * H :]
    W_rz, W_n = W_hh[: 2 * H].copy(), W_hh[2 * H :].copy()
    da = np.empty((T, B, 3 * H), dtype)
    dh_t = np.zeros((B, H), dtype)  # between steps: what step t + 1 sends back to h_t
    for t in reversed(range(T)):
        if dh is not None:
            dh_t = dh_t + dh[t]  # (6')
        da_n = dh_t * (1 - z[t]) * (1 - n[t] * n[t])  # (5'), (1')
        dm = da_n @ W_n  # (4')
        da[t, :, :H] = dm * h[t] * r[t] * (1 - r[t])  # (2'), (1')
        da[t, :, H : 2 * H] = dh_t * (h[t] - n[t]) * z[t] * (1 - z[t])  # (3'), (1')
        da[t, :, 2 * H :] = da_n
        dh_t = z[t] * dh_t + r[t] * dm + da[t, :, : 2 * H] @ W_rz  # (6')
    dW_rz = contract(da[..., : 2 * H], h[:-1], keep)
    dW_n = contract(da[..., 2 * H :], r * h[:-1], keep)
    dW_hh = np.concatenate([dW_rz, dW_n], axis=-2)
    dx, dW_ih, db = linear_backward(da, projection, keep)
    return dx, dh_t, dW_ih, dW_hh, db, db.copy()
