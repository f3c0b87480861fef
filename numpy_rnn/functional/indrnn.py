"""IndRNN: each unit hears, of the step before, only itself (Li, Li, Cook, Zhu & Gao 2018).

    Forward   (1) a_t = W_ih x_t + b_ih                 t = 1..T, all at once, before the loop
              (2) z_t = a_t + w_hh * h_{t-1},  h_t = phi(z_t)         phi = relu or tanh

    Backward  (2') dz_t = (dh_t + w_hh * dz_{t+1}) * phi'(z_t)        t = T..1, dz_{T+1} = 0
                   dh0  = w_hh * dz_1
              (3') dw_hh = sum_t dz_t * h_{t-1}         one sum, after the loop
              (1') dW_ih = sum_t dz_t x_t^T,  dx_t = W_ih^T dz_t,  db_ih = sum_t dz_t

It is the Elman cell with a diagonal recurrent matrix. What comes back through k steps of a relu
unit that is on is multiplied by w^k, a plain number: |w|^T tells how long the unit remembers, and
choosing w between (1/2)^(1/T) and 2^(1/T) makes that T steps. Units meet in the layer above.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from numpy_rnn.functional.activations import RELU, Activation
from numpy_rnn.functional.contract import Keep, contract_bias
from numpy_rnn.functional.linear import LinearCache, linear_backward, linear_forward
from numpy_rnn.functional.types import Array


class IndRNNCache(NamedTuple):
    """What :func:`indrnn_backward` needs of the forward pass."""

    projection: LinearCache  # of equation (1)
    h: Array  # (T + 1, B, H), row 0 is h0
    w_hh: Array  # (H,)
    phi: Activation


def indrnn_forward(
    x: Array, h0: Array, W_ih: Array, w_hh: Array, b_ih: Array, *, phi: Activation = RELU
) -> tuple[Array, IndRNNCache]:
    """Run the cell over a sequence.

    Parameters
    ----------
    x : (T, B, D) array, or (T, B) array of int
        Input, or the places of the ones in one-hot rows.
    h0 : (B, H) array
        State before the first step.
    W_ih : (H, D) array
        Weights of the input.
    w_hh : (H,) array
        Weight of each unit's own previous state.
    b_ih : (H,) array
        Bias.
    phi : Activation
        ``RELU`` or ``TANH``.

    Returns
    -------
    h : (T, B, H) array
        The state after every step. Read-only: it is also the cache.
    cache : IndRNNCache
        For :func:`indrnn_backward`.
    """
    a, projection = linear_forward(x, W_ih, b_ih)  # (1)
    h = np.empty((len(a) + 1, *h0.shape), np.result_type(a, h0, w_hh))
    h[0] = h0
    h_prev, value, w = h[0], phi.value, _rows(w_hh, h[0])
    for a_t, h_t in zip(a, h[1:], strict=True):
        np.multiply(h_prev, w, h_t)  # (2), written into the trajectory itself
        np.add(h_t, a_t, h_t)
        value(h_t, h_t)
        h_prev = h_t
    h.setflags(write=False)
    return h[1:], IndRNNCache(projection, h, w_hh, phi)


def _rows(w_hh: Array, like: Array) -> Array:
    """Return a row for each row of `like`: repeating one takes NumPy twice as long."""
    rows = np.empty_like(like)
    rows[...] = w_hh
    return rows


def indrnn_backward(
    dh: Array | None, cache: IndRNNCache, keep: Keep = ""
) -> tuple[Array | None, Array, Array, Array, Array]:
    """Gradients of :func:`indrnn_forward`, one per argument: BPTT.

    Parameters
    ----------
    dh : (T, B, H) array or None
        What the loss sends to the state at each step; None is zero.
    cache : IndRNNCache
        From the forward pass.
    keep : {"", "t", "b", "tb"}
        The axes of the sums over time and batch to leave standing.

    Returns
    -------
    dx : (T, B, D) array, or None for an integer x
        Gradient of the input.
    dh0 : (B, H) array
        Gradient of the initial state.
    dW_ih, dw_hh, db_ih : (H, D), (H,) and (H,) arrays, with the kept axes in front
        Gradients of the weights and of the bias.
    """
    projection, h, w_hh, phi = cache
    if dh is None:
        dh = np.zeros_like(h[1:])
    # phi'(z_t), from h_t, all t at once; a copy in the dtype of dz, which it becomes
    dz = phi.slope(h[1:]).astype(np.result_type(dh, h))
    carry = np.zeros(dz.shape[1:], dz.dtype)  # w_hh * dz_{t+1}
    w = _rows(w_hh, carry)
    for dh_t, dz_t in zip(dh[::-1], dz[::-1], strict=True):
        np.add(carry, dh_t, carry)  # (2')
        np.multiply(carry, dz_t, dz_t)
        np.multiply(dz_t, w, carry)  # in the end, of dz_1: dh0
    dw_hh = contract_bias(dz * h[:-1], keep)  # (3')
    dx, dW_ih, db_ih = linear_backward(dz, projection, keep)  # (1')
    dh0 = carry
    return dx, dh0, dW_ih, dw_hh, db_ih
