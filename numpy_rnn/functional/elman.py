"""The Elman cell, arranged for speed. The equations are in textbook/elman.py.

Here
(a) the input projection is one product for the whole sequence, before the loop (linear.py);
(b) phi' of all steps is computed at once, in the array that becomes dz;
(c) sums over time are one product each, after the loop (contract.py);
(d) inside the loops results are written into existing arrays, which saves the allocations.
The gain over the textbook page: ``python -m benchmarks.twins``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from numpy_rnn.functional.activations import TANH, Activation
from numpy_rnn.functional.contract import Keep, contract
from numpy_rnn.functional.linear import (
    LinearCache,
    affine_block,
    as_block,
    linear_backward,
    linear_forward,
)
from numpy_rnn.functional.types import Array


class ElmanCache(NamedTuple):
    """What :func:`elman_backward` needs."""

    projection: LinearCache
    h: Array  # (T + 1, B, H); row 0 is h0, so h[:-1] belongs to dz and h[1:] to dh
    W_hh: Array  # (H, H)
    phi: Activation
    z: Array | None = None  # (T, B, H), if the derivative of phi needs it


def elman_forward(
    x: Array,
    h0: Array,
    W_ih: Array,
    W_hh: Array,
    b_ih: Array,
    b_hh: Array,
    *,
    phi: Activation = TANH,
) -> tuple[Array, ElmanCache]:
    """Run the cell over a sequence.

    Parameters
    ----------
    x, h0 : (T, B, D) and (B, H) arrays
    W_ih, W_hh : (H, D) and (H, H) arrays
    b_ih, b_hh : (H,) arrays
        There are two, as in PyTorch. Each gets the full gradient, so that an optimiser moves their
        sum as PyTorch's does.
    phi : Activation
        ``TANH``, ``RELU``, or any other of :func:`make_activation`.

    Returns
    -------
    h, cache : (T, B, H) array, the state after every step, and what backward takes

    Examples
    --------
    >>> import numpy as np
    >>> x, h0, b = np.ones((5, 1, 2)), np.zeros((1, 3)), np.zeros(3)
    >>> h, cache = elman_forward(x, h0, np.ones((3, 2)), np.eye(3), b, b)
    >>> dx, dh0, dW_ih, dW_hh, db_ih, db_hh = elman_backward(np.ones_like(h), cache)
    >>> dW_hh.shape
    (3, 3)
    """
    a, projection = linear_forward(x, W_ih, b_ih + b_hh)  # (1) without the recurrent term
    T, B, H = a.shape
    h = np.empty((T + 1, B, H), np.result_type(a, h0, W_hh))
    h[0] = h0
    # A contiguous copy makes products with few rows faster; from the second step on it pays.
    W_hh_T = W_hh.T if T == 1 else np.ascontiguousarray(W_hh.T)
    h_prev, z_t, value = h[0], np.empty((B, H), h.dtype), phi.value
    for a_t, h_t in zip(a, h[1:], strict=True):
        h_prev.dot(W_hh_T, z_t)
        np.add(z_t, a_t, z_t)  # (1)
        value(z_t, h_t)  # (2)
        h_prev = h_t
    z = a + h[:-1] @ W_hh.T if phi.of_input else None  # (1) of all steps at once
    h.setflags(write=False)
    return h[1:], ElmanCache(projection, h, W_hh, phi, z)


def elman_stepper(
    W_ih: Array, W_hh: Array, b_ih: Array, b_hh: Array, *, phi: Activation = TANH
) -> Callable[[Array, Array], tuple[Array]]:
    """Return a function that takes steps without gradients, over copies of the weights.

    ``step(x, h_prev)`` takes one timestep, (B, D), or a block of k, (k, B, D), and the state
    (1, B, H); token ids are (B,) or (k, B). It returns ``(h,)``, the states after each step,
    (k, B, H), a new array. All arrays have one dtype.
    """
    W_ih_T, W_hh_T, b, value = W_ih.T.copy(), W_hh.T.copy(), (b_ih + b_hh)[None], phi.value

    def step(x: Array, h_prev: Array) -> tuple[Array]:
        h = affine_block(as_block(x), W_ih_T, b)
        h_prev = h_prev[0]
        for h_t in h:
            np.add(h_t, h_prev.dot(W_hh_T), h_t)  # (1)
            h_prev = value(h_t, h_t)  # (2)
        return (h,)

    return step


def elman_backward(
    dh: Array | None, cache: ElmanCache, keep: Keep = ""
) -> tuple[Array | None, Array, Array, Array, Array, Array]:
    """Return the gradients of :func:`elman_forward`, in the order of functional/__init__.py."""
    projection, h, W_hh, phi, z = cache
    if dh is None:
        dh = np.zeros_like(h[1:])
    # phi'(z_t) for all t, in the dtype of dz, which it becomes
    dz = phi.slope(h[1:], z).astype(np.result_type(dh, h))
    dh_t = np.zeros(dz.shape[1:], dz.dtype)  # between steps: what step t + 1 sends back to h_t
    for direct, dz_t in zip(dh[::-1], dz[::-1], strict=True):
        np.add(dh_t, direct, dh_t)  # (2')
        np.multiply(dh_t, dz_t, dz_t)  # (1')
        dz_t.dot(W_hh, dh_t)
    dW_hh = contract(dz, h[:-1], keep)
    dx, dW_ih, db = linear_backward(dz, projection, keep)
    return dx, dh_t, dW_ih, dW_hh, db, db.copy()
