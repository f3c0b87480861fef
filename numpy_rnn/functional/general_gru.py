"""GRU with the options of ONNX's operator.

Without options it is textbook/gru_reset_before.py and, with `reset_after`, textbook/gru.py.

    (1)  a_t = W_ih x_t + b_ih                       blocks r, z, n; so of s_t, U and b_hh
    (2)  r_t = phi(a_r + U_r h_{t-1} + b_hr)
    (3)  z_t = phi(a_z + U_z h_{t-1} + b_hz)
    (4)  n_t = psi(a_n + U_n (r_t h_{t-1}) + b_hn),   or  psi(a_n + r_t s_n)  with `reset_after`,
         s_n = U_n h_{t-1} + b_hn
    (5)  h_t = n_t + z_t (h_{t-1} - n_t)

phi and psi are any `activations`, and `clip` bounds what each of them is given. In backward, the
gradient is zero beyond that bound. Here, in the textbook's order, only the input projection and
the sums over time are taken out of the loops: each is one product for the whole sequence
(linear.py, contract.py).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from numpy_rnn.functional.activations import Activation, ActivationSpec, make_activation
from numpy_rnn.functional.contract import Keep, contract, contract_bias
from numpy_rnn.functional.linear import LinearCache, linear_backward, linear_forward
from numpy_rnn.functional.types import Array


class GeneralGRUCache(NamedTuple):
    """What :func:`general_gru_backward` needs."""

    projection: LinearCache  # of the input
    h: Array  # (T + 1, B, H); row 0 is h0
    gates: Array  # (T, B, 3H): r, z, n
    arguments: Array | None  # (T, B, 3H): what the gates are of, if their derivatives need it
    s_n: Array | None  # (T, B, H), with `reset_after`
    W_hh: Array  # (3H, H)
    activations: tuple[Activation, Activation]


def general_gru_forward(
    x: Array,
    h0: Array,
    W_ih: Array,
    W_hh: Array,
    b_ih: Array,
    b_hh: Array,
    *,
    activations: tuple[ActivationSpec, ...] = ("sigmoid", "tanh"),
    clip: float | None = None,
    reset_after: bool = False,
) -> tuple[Array, GeneralGRUCache]:
    """Run the cell over a sequence (Cho et al. 2014, arXiv:1406.1078v3; ONNX's GRU).

    Parameters
    ----------
    x, h0 : (T, B, D) and (B, H) arrays
    W_ih, W_hh, b_ih, b_hh : (3H, D), (3H, H), (3H,) and (3H,) arrays, blocks r, z, n
    activations : two names, or names with constants
        phi and psi. See :func:`make_activation`.
    clip : float, optional
        Bound of the arguments of the activations.
    reset_after : bool
        Whether the reset gate is applied after the recurrent product.

    Returns
    -------
    h, cache : (T, B, H) array, the state after every step, and what backward takes

    Examples
    --------
    >>> import numpy as np
    >>> x, h0, b = np.ones((5, 1, 2)), np.zeros((1, 3)), np.zeros(9)
    >>> h, cache = general_gru_forward(
    ...     x, h0, np.ones((9, 2)), np.ones((9, 3)), b, b, activations=("sigmoid", "relu")
    ... )
    >>> h.shape
    (5, 1, 3)
    """
    H = W_hh.shape[1]
    phi, psi = (make_activation(spec, clip) for spec in activations)
    b_n = b_hh[2 * H :]
    outer = np.concatenate([b_hh[: 2 * H], np.zeros_like(b_n) if reset_after else b_n])
    a, projection = linear_forward(x, W_ih, b_ih + outer)  # (1)
    T, B, _ = a.shape
    h = np.empty((T + 1, B, H), np.result_type(a, h0, W_hh, b_hh))
    a = np.asarray(a, h.dtype)  # becomes what the gates are of
    gates = np.empty_like(a)
    s_n = np.empty_like(h[1:]) if reset_after else None
    h[0] = h0
    W_rz_T, W_n_T = W_hh[: 2 * H].T.copy(), W_hh[2 * H :].T.copy()
    for t in range(T):
        rz, n = gates[t, :, : 2 * H], gates[t, :, 2 * H :]
        a[t, :, : 2 * H] += h[t] @ W_rz_T
        phi.value(a[t, :, : 2 * H], rz)  # (2), (3)
        r, z = rz[:, :H], rz[:, H:]
        if s_n is None:
            a[t, :, 2 * H :] += (r * h[t]) @ W_n_T
        else:
            s_n[t] = h[t] @ W_n_T + b_n
            a[t, :, 2 * H :] += r * s_n[t]
        psi.value(a[t, :, 2 * H :], n)  # (4)
        h[t + 1] = n + z * (h[t] - n)  # (5)
    h.setflags(write=False)
    kept = a if phi.of_input or psi.of_input else None
    return h[1:], GeneralGRUCache(projection, h, gates, kept, s_n, W_hh, (phi, psi))


def general_gru_backward(
    dh: Array | None, cache: GeneralGRUCache, keep: Keep = ""
) -> tuple[Array | None, Array, Array, Array, Array, Array]:
    """Return the gradients of :func:`general_gru_forward`, in the order of functional/__init__.py.

    db_ih and db_hh differ in block n with `reset_after`.
    """
    projection, h, gates, arguments, s_n, W_hh, (phi, psi) = cache
    (T, B, _), H = gates.shape, W_hh.shape[1]
    dtype = h.dtype if dh is None else np.result_type(dh, h)
    of = gates if arguments is None else arguments
    r, z, n = gates[..., :H], gates[..., H : 2 * H], gates[..., 2 * H :]
    W_rz, W_n = W_hh[: 2 * H].copy(), W_hh[2 * H :].copy()
    da = np.empty((T, B, 3 * H), dtype)
    dh_t = np.zeros((B, H), dtype)  # between steps: what step t + 1 sends back to h_t
    for t in reversed(range(T)):
        if dh is not None:
            dh_t = dh_t + dh[t]  # (5')
        da_n = dh_t * (1 - z[t]) * psi.slope(n[t], of[t, :, 2 * H :])  # (4')
        if s_n is None:
            back = da_n @ W_n  # of r_t h_{t-1}
            dr, to_h = back * h[t], r[t] * back
        else:
            dr, to_h = da_n * s_n[t], (r[t] * da_n) @ W_n
        da[t, :, :H] = dr  # (2')
        da[t, :, H : 2 * H] = dh_t * (h[t] - n[t])  # (3')
        da[t, :, : 2 * H] *= phi.slope(gates[t, :, : 2 * H], of[t, :, : 2 * H])
        da[t, :, 2 * H :] = da_n
        dh_t = z[t] * dh_t + to_h + da[t, :, : 2 * H] @ W_rz  # (5')
    dW_rz = contract(da[..., : 2 * H], h[:-1], keep)
    da_n = da[..., 2 * H :]
    dW_n = contract(da_n, r * h[:-1], keep) if s_n is None else contract(r * da_n, h[:-1], keep)
    dW_hh = np.concatenate([dW_rz, dW_n], axis=-2)
    dx, dW_ih, db = linear_backward(da, projection, keep)
    db_hh = db.copy()
    if s_n is not None:
        db_hh[..., 2 * H :] = contract_bias(r * da_n, keep)
    return dx, dh_t, dW_ih, dW_hh, db, db_hh


gru_reset_before_forward, gru_reset_before_backward = general_gru_forward, general_gru_backward
