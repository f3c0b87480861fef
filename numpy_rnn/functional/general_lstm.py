"""LSTM with the options of ONNX's operator.

Without options it is textbook/lstm.py and, with peepholes, textbook/peephole_lstm.py.

    (1)  z_t = W_ih x_t + b_ih + W_hh h_{t-1} + b_hh      blocks i, f, g, o
    (2)  i_t = phi(z_i + w_i c_{t-1})
         f_t = phi(z_f + w_f c_{t-1}),  or 1 - i_t with `input_forget`
    (3)  g_t = psi(z_g)
    (4)  c_t = f_t c_{t-1} + i_t g_t
    (5)  o_t = phi(z_o + w_o c_t)
    (6)  h_t = o_t chi(c_t)

phi, psi and chi are any `activations`. `clip` bounds z and, as in ONNX Runtime, not what chi is
given. Beyond the bound dz is zero. Here, in the textbook's order, only the input projection and the
sums over time are taken out of the loops: each is one product for the whole sequence (linear.py,
contract.py).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from numpy_rnn.functional.activations import Activation, ActivationSpec, make_activation
from numpy_rnn.functional.contract import Keep, contract, contract_bias
from numpy_rnn.functional.linear import LinearCache, linear_backward, linear_forward
from numpy_rnn.functional.types import Array


class GeneralLSTMCache(NamedTuple):
    """What :func:`general_lstm_backward` needs."""

    projection: LinearCache  # of the input
    h: Array  # (T + 1, B, H), row 0 is h0
    c: Array  # (T + 1, B, H), row 0 is c0
    gates: Array  # (T, B, 4, H): i, f, g, o
    z: Array | None  # (T, B, 4, H): what the gates are of, if their derivatives need it
    chi_c: Array  # (T, B, H)
    W_hh: Array  # (4H, H)
    W_c: Array | None  # (3, H)
    activations: tuple[Activation, Activation, Activation]
    input_forget: bool


def general_lstm_forward(
    x: Array,
    h0: Array,
    c0: Array,
    W_ih: Array,
    W_hh: Array,
    b_ih: Array,
    b_hh: Array,
    W_c: Array | None = None,
    *,
    activations: tuple[ActivationSpec, ...] = ("sigmoid", "tanh", "tanh"),
    clip: float | None = None,
    input_forget: bool = False,
) -> tuple[tuple[Array, Array], GeneralLSTMCache]:
    """Run the cell over a sequence (Gers & Schmidhuber 2000; Gers et al. 2002; ONNX's LSTM).

    Parameters
    ----------
    x, h0, c0 : (T, B, D), (B, H) and (B, H) arrays
    W_ih, W_hh, b_ih, b_hh : (4H, D), (4H, H), (4H,) and (4H,) arrays, blocks i, f, g, o
    W_c : (3, H) array, optional
        Peephole weights of i, f (from the previous cell state) and o (from the new one).
    activations : three names, or names with constants
        phi, psi and chi. See :func:`make_activation`.
    clip : float, optional
        Bound of the arguments of phi and psi.
    input_forget : bool
        Whether the forget gate is one minus the input gate.

    Returns
    -------
    (h, c), cache : (T, B, H) arrays, the state after every step, and what backward takes

    Examples
    --------
    >>> import numpy as np
    >>> x, zero, b = np.ones((5, 1, 2)), np.zeros((1, 3)), np.zeros(12)
    >>> weights = np.ones((12, 2)), np.ones((12, 3)), b, b, np.ones((3, 3))
    >>> (h, c), cache = general_lstm_forward(
    ...     x, zero, zero, *weights, activations=("hard_sigmoid", "tanh", "relu"), clip=3.0
    ... )
    >>> h.shape
    (5, 1, 3)
    """
    H = W_hh.shape[1]
    phi, psi = (make_activation(spec, clip) for spec in activations[:2])
    chi = make_activation(activations[2])
    a, projection = linear_forward(x, W_ih, b_ih + b_hh)
    T, B, _ = a.shape
    w_i, w_f, w_o = np.zeros((3, H), W_hh.dtype) if W_c is None else W_c
    h = np.empty((T + 1, B, H), np.result_type(a, h0, c0, W_hh, w_i))
    c, chi_c = np.empty_like(h), np.empty_like(h[1:])
    z = np.asarray(a, h.dtype).reshape(T, B, 4, H)  # without the recurrent terms
    gates = np.empty_like(z)
    h[0], c[0] = h0, c0
    W_hh_T = W_hh.T.copy()
    for t in range(T):
        z[t] += (h[t] @ W_hh_T).reshape(B, 4, H)  # (1)
        z_i, z_f, z_g, z_o = z[t].swapaxes(0, 1)
        i, f, g, o = gates[t].swapaxes(0, 1)
        z_i += w_i * c[t]
        z_f += w_f * c[t]
        phi.value(z_i, i)  # (2)
        if input_forget:
            f[...] = 1 - i
        else:
            phi.value(z_f, f)
        psi.value(z_g, g)  # (3)
        c[t + 1] = f * c[t] + i * g  # (4)
        z_o += w_o * c[t + 1]
        phi.value(z_o, o)  # (5)
        h[t + 1] = o * chi.value(c[t + 1], chi_c[t])  # (6)
    h.setflags(write=False)
    c.setflags(write=False)
    kept = z if phi.of_input or psi.of_input else None
    options = (phi, psi, chi), input_forget
    return (h[1:], c[1:]), GeneralLSTMCache(
        projection, h, c, gates, kept, chi_c, W_hh, W_c, *options
    )


def general_lstm_backward(
    dh: Array | None, dc: Array | None, cache: GeneralLSTMCache, keep: Keep = ""
) -> tuple[Array | None, Array, Array, Array, Array, Array, Array, Array | None]:
    """Return the gradients of :func:`general_lstm_forward`, in the order of functional/__init__.py.

    dW_c is None without peepholes.
    """
    projection, h, c, gates, z, chi_c, W_hh, W_c, (phi, psi, chi), input_forget = cache
    T, B, _, H = gates.shape
    dtype = np.result_type(h, *[d for d in (dh, dc) if d is not None])
    w_i, w_f, w_o = np.zeros((3, H), W_hh.dtype) if W_c is None else W_c
    dz = np.empty((T, B, 4, H), dtype)
    dz_flat = dz.reshape(T, B, 4 * H)
    # between steps: what step t + 1 sends back to h_t and c_t
    dh_t, dc_t = np.zeros((B, H), dtype), np.zeros((B, H), dtype)
    for t in reversed(range(T)):
        i, f, g, o = gates[t].swapaxes(0, 1)
        z_i, z_f, z_g, z_o = (gates if z is None else z)[t].swapaxes(0, 1)
        dz_i, dz_f, dz_g, dz_o = dz[t].swapaxes(0, 1)
        if dh is not None:
            dh_t = dh_t + dh[t]  # (6')
        dz_o[...] = dh_t * chi_c[t] * phi.slope(o, z_o)  # (5')
        dc_t = dc_t + dh_t * o * chi.slope(chi_c[t], c[t + 1]) + w_o * dz_o  # (4')
        if dc is not None:
            dc_t = dc_t + dc[t]
        df = dc_t * c[t]
        dz_i[...] = (dc_t * g - (df if input_forget else 0)) * phi.slope(i, z_i)  # (2')
        dz_f[...] = 0 if input_forget else df * phi.slope(f, z_f)
        dz_g[...] = dc_t * i * psi.slope(g, z_g)  # (3')
        dh_t = dz_flat[t] @ W_hh  # (1')
        dc_t = dc_t * f + w_i * dz_i + w_f * dz_f
    dW_c: Array | None = None
    if W_c is not None:
        dw = np.empty((T, B, 3, H), dtype)  # what each step contributes to dW_c
        np.multiply(dz[:, :, :2], c[:-1, :, None], dw[:, :, :2])
        np.multiply(dz[:, :, 3], c[1:], dw[:, :, 2])
        dW_c = contract_bias(dw.reshape(T, B, 3 * H), keep)
        dW_c = dW_c.reshape(*dW_c.shape[:-1], 3, H)
    dW_hh = contract(dz_flat, h[:-1], keep)
    dx, dW_ih, db = linear_backward(dz_flat, projection, keep)
    return dx, dh_t, dc_t, dW_ih, dW_hh, db, db.copy(), dW_c


peephole_lstm_forward, peephole_lstm_backward = general_lstm_forward, general_lstm_backward
