"""LRU, parallel over time, in real arithmetic. The equations are in textbook/lru.py.

The cell multiplies one complex number per unit by lambda = r e^(i omega) at each step. Here the
numbers are seen from a frame that rotates by omega at each step, R_t = e^(-i omega t). In it
nothing rotates, and the recurrence becomes two real ones with the same factor r (scan.py):

    (a)  v_t = R_t exp(gamma) u_t,   q_t = r q_{t-1} + v_t,   h_t = q_t / R_t

    (a') dq_t = R_t dh[t] + r dq_{t+1},   du_t = exp(gamma) dq_t / R_t
         dr = sum_t <dq_t, q_{t-1}>,   domega = sum_t r <dq_t, i q_{t-1}>
         dgamma = sum_t <dq_t, v_t>

<p, q> is the real part times the real part plus the imaginary part times the imaginary part.
A complex number is stored as two real ones: the real parts of all units in the first half of the
last axis, the imaginary parts in the second.
The gain over the textbook page: ``python -m benchmarks.twins``.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from numpy_rnn.functional.contract import Keep, contract_bias
from numpy_rnn.functional.linear import LinearCache, linear_backward, linear_forward
from numpy_rnn.functional.scan import ScanCache, scan_backward, scan_forward
from numpy_rnn.functional.types import Array

TURN = 2 * np.pi


class LRUCache(NamedTuple):
    """What :func:`lru_backward` needs."""

    projection: LinearCache  # of the input
    scan: ScanCache  # its h is q
    v: Array  # (T, B, 2H)
    rotation: tuple[Array, Array]  # cos and sin of omega t, (T, 1, H) each
    nu: Array  # (H,)
    omega: Array  # (H,)
    scale: Array  # (H,): exp(gamma)


def lru_forward(
    x: Array, h0: Array, W_ih: Array, nu: Array, theta: Array, gamma: Array
) -> tuple[Array, LRUCache]:
    """Run the linear recurrent unit over a sequence (Orvieto et al. 2023, arXiv:2303.06349).

    Parameters
    ----------
    x, h0 : (T, B, D) and (B, 2H) arrays
        A state is its real parts, then its imaginary parts; so are the blocks of `W_ih`.
    W_ih : (2H, D) array
    nu, theta, gamma : (H,) arrays
        Logarithms: r = exp(-exp(nu)), omega = exp(theta) in radians a step, and the input's scale
        exp(gamma).

    Returns
    -------
    h, cache : (T, B, 2H) array, the state after every step, and what backward takes

    Notes
    -----
    The angle omega t is computed in float64. In float32 it would be rounded at every step on its
    own, and a long sequence would drift. r itself is rounded in the dtype of the weights: in
    float32 a memory of n steps, n = 1 / (1 - r), is off by up to 3e-8 n of its length.

    Examples
    --------
    >>> import numpy as np
    >>> one = np.ones(1)
    >>> h, cache = lru_forward(np.ones((5, 1, 1)), np.zeros((1, 2)), np.ones((2, 1)), one, one, one)
    >>> h.shape  # H = 1 complex number
    (5, 1, 2)
    """
    omega, scale = np.exp(theta), np.exp(gamma)
    r = np.exp(-np.exp(nu))
    u, projection = linear_forward(x, W_ih, np.zeros(len(W_ih), W_ih.dtype))
    rotation = _rotation(theta, len(u))
    v = _rotate(u * np.tile(scale, 2), rotation, -1)  # (a)
    q, scan = scan_forward(np.broadcast_to(np.tile(r, 2), v.shape), v, h0)
    return _rotate(q, rotation, 1), LRUCache(projection, scan, v, rotation, nu, omega, scale)


def lru_backward(
    dh: Array | None, cache: LRUCache, keep: Keep = ""
) -> tuple[Array | None, Array, Array, Array, Array, Array]:
    """Return the gradients of :func:`lru_forward`, in the order of functional/__init__.py.

    dnu, dtheta and dgamma are those of the logarithms.
    """
    projection, scan, v, rotation, nu, omega, scale = cache
    H = len(nu)
    direct = None if dh is None else _rotate(dh, rotation, -1)
    dq_q, dq, dh0 = scan_backward(direct, scan)  # (a'); dq_q is dq_t * q_{t-1}, part by part
    q_prev, log_r = scan.h[:-1], -np.exp(nu)
    r = np.exp(log_r)
    dr = dq_q[..., :H] + dq_q[..., H:]  # what each step contributes
    domega = (dq[..., H:] * q_prev[..., :H] - dq[..., :H] * q_prev[..., H:]) * r
    dq_v = dq * v
    dnu = contract_bias(dr * (r * log_r), keep)
    dtheta = contract_bias(domega * omega, keep)
    dgamma = contract_bias(dq_v[..., :H] + dq_v[..., H:], keep)
    du = _rotate(dq, rotation, 1) * np.tile(scale, 2)
    dx, dW_ih, _ = linear_backward(du, projection, keep)
    return dx, dh0, dW_ih, dnu, dtheta, dgamma


def _rotation(theta: Array, T: int) -> tuple[Array, Array]:
    """Return cos and sin of omega t, t = 1..T, (T, 1, H) each, in the dtype of `theta`."""
    steps = np.arange(1, T + 1)[:, None, None]
    if theta.dtype != np.float32 or T == 1:  # float64 and complex numbers: as they are
        angle = steps.astype(theta.dtype) * np.exp(theta)
    else:
        turns = steps * (np.exp(theta, dtype=np.float64) / TURN)
        turns -= np.rint(turns)  # what is left, half a turn at most, fits into float32
        angle = turns.astype(np.float32) * np.float32(TURN)
    return np.cos(angle), np.sin(angle)


def _rotate(h: Array, rotation: tuple[Array, Array], sign: int) -> Array:
    """Return complex numbers (T, B, 2H) rotated by the angles, or back if `sign` is -1."""
    (cos, sin), H = rotation, h.shape[2] // 2
    re, im, sin = h[..., :H], h[..., H:], sign * sin
    return np.concatenate([re * cos - im * sin, re * sin + im * cos], axis=2)
