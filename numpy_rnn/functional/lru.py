"""LRU: the linear recurrent unit (Orvieto et al. 2023, arXiv:2303.06349), in real arithmetic.

A complex number per unit is multiplied by lambda in each step: it shrinks by the factor r and
turns by the angle omega. Nothing but the input changes either.

    Forward   (1) u_t = W_ih x_t                        in two blocks: real and imaginary parts
              (2) lambda = r e^(i omega),  r = exp(-exp(nu)),  omega = exp(theta)
              (3) h_t = lambda h_{t-1} + exp(gamma) u_t

Seen from a frame that turns along, R_t = e^(-i omega t), nothing turns, and (3) is two real
recurrences with the one factor r, computed in parallel over time by scan.py:

              (4) v_t = R_t exp(gamma) u_t,  q_t = r q_{t-1} + v_t,  h_t = q_t / R_t

    Backward  f_t is the whole gradient of q_t; a gradient turns as what it belongs to does
              (4') f_t = R_t dh_t + r f_{t+1},  dh0 = r f_1           by scan.py
                   du_t = exp(gamma) f_t / R_t
                   dgamma = sum_t <f_t, v_t>            < > is the real part and the imaginary
              (3') dr     = sum_t <f_t, q_{t-1}>        part of each, multiplied and added
                   domega = sum_t r <f_t, i q_{t-1}>
              (2') dnu = dr r log r,  dtheta = domega omega
              (1') dW_ih = sum_t du_t x_t^T,  dx_t = W_ih^T du_t

The angle omega t is rounded: in float32, to half a unit in its last place, so that a state which
hardly shrinks is off by about 0.005 of itself after 10,000 steps and 0.05 after 100,000; a loop
in float32 is off by half as much. A layer's ``checkpoint`` starts the frame anew in each piece.

Arrays hold a complex number as two real ones, real parts in the first half of the last axis and
imaginary parts in the second, so that dL/dh is what it is for every other pair. The paper's
output Re(C h_t) + D x_t is not part of the cell: Re(C h) is a linear map of the two halves, that
is, the layer above.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from numpy_rnn.functional.contract import Keep, contract_bias
from numpy_rnn.functional.linear import LinearCache, linear_backward, linear_forward
from numpy_rnn.functional.scan import ScanCache, scan_backward, scan_forward
from numpy_rnn.functional.types import Array


class LRUCache(NamedTuple):
    """What :func:`lru_backward` needs of the forward pass."""

    projection: LinearCache  # of equation (1)
    scan: ScanCache  # of equation (4); its h is q
    v: Array  # (T, B, 2H)
    turn: tuple[Array, Array]  # cos and sin of omega t, (T, 1, H) each
    nu: Array  # (H,)
    omega: Array  # (H,)
    scale: Array  # (H,): exp(gamma)


def lru_forward(
    x: Array, h0: Array, W_ih: Array, nu: Array, theta: Array, gamma: Array
) -> tuple[Array, LRUCache]:
    """Run the cell over a sequence.

    Parameters
    ----------
    x : (T, B, D) array, or (T, B) array of int
        Input, or the places of the ones in one-hot rows.
    h0 : (B, 2H) array
        State before the first step: real parts, imaginary parts.
    W_ih : (2H, D) array
        Weights of the input, the same two blocks.
    nu, theta, gamma : (H,) arrays
        Logarithms of the decay, of the angle and of the input's scale.

    Returns
    -------
    h : (T, B, 2H) array
        The state after every step: real parts, imaginary parts.
    cache : LRUCache
        For :func:`lru_backward`.
    """
    omega, scale = np.exp(theta), np.exp(gamma)
    r = np.exp(-np.exp(nu))  # (2)
    bias = np.zeros(len(W_ih), W_ih.dtype)
    u, projection = linear_forward(x, W_ih, bias)  # (1)
    angle = np.arange(1, len(u) + 1).astype(omega.dtype)[:, None, None] * omega
    turn = np.cos(angle), np.sin(angle)
    v = _turn(u * np.tile(scale, 2), turn, -1)  # (4)
    q, scan = scan_forward(np.broadcast_to(np.tile(r, 2), v.shape), v, h0)
    return _turn(q, turn, 1), LRUCache(projection, scan, v, turn, nu, omega, scale)


def lru_backward(
    dh: Array | None, cache: LRUCache, keep: Keep = ""
) -> tuple[Array | None, Array, Array, Array, Array, Array]:
    """Gradients of :func:`lru_forward`, one per argument: BPTT.

    Parameters
    ----------
    dh : (T, B, 2H) array or None
        What the loss sends to the state at each step; None is zero.
    cache : LRUCache
        From the forward pass.
    keep : {"", "t", "b", "tb"}
        The axes of the sums over time and batch to leave standing.

    Returns
    -------
    dx : (T, B, D) array, or None for an integer x
        Gradient of the input.
    dh0 : (B, 2H) array
        Gradient of the initial state.
    dW_ih : (2H, D) array, with the kept axes in front
        Gradient of the weights.
    dnu, dtheta, dgamma : (H,) arrays, with the kept axes in front
        Gradients of the logarithms.
    """
    projection, scan, v, turn, nu, omega, scale = cache
    H = len(nu)
    dq = None if dh is None else _turn(dh, turn, -1)
    shrunk, f, dh0 = scan_backward(dq, scan)  # (4'); shrunk is f_t * q_{t-1}, part by part
    q_prev, log_r = scan.h[:-1], -np.exp(nu)
    r = np.exp(log_r)
    dr = shrunk[..., :H] + shrunk[..., H:]  # (3'), each step's share
    domega = (f[..., H:] * q_prev[..., :H] - f[..., :H] * q_prev[..., H:]) * r
    fv = f * v
    dnu = contract_bias(dr * (r * log_r), keep)  # (2')
    dtheta = contract_bias(domega * omega, keep)
    dgamma = contract_bias(fv[..., :H] + fv[..., H:], keep)
    du = _turn(f, turn, 1) * np.tile(scale, 2)
    dx, dW_ih, _ = linear_backward(du, projection, keep)  # (1')
    return dx, dh0, dW_ih, dnu, dtheta, dgamma


def _turn(h: Array, turn: tuple[Array, Array], sign: int) -> Array:
    """Turn complex numbers (T, B, 2H) by the angles, or back if `sign` is -1."""
    (cos, sin), H = turn, h.shape[2] // 2
    re, im, sin = h[..., :H], h[..., H:], sign * sin
    return np.concatenate([re * cos - im * sin, re * sin + im * cos], axis=2)
