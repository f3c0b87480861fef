"""IndRNN, arranged for speed. The equations are in textbook/indrnn.py.

Here
(a) the input projection is one product for the whole sequence, before the loop (linear.py);
(b) phi' of all steps is computed at once, in the array that becomes dz;
(c) inside the loops results are written into existing arrays, and the recurrent weight is repeated
    for every row once, because broadcasting it takes NumPy twice as long.
The gain over the textbook page: ``python -m benchmarks.twins``.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from numpy_rnn.functional.activations import RELU, Activation
from numpy_rnn.functional.contract import Keep, contract_bias
from numpy_rnn.functional.linear import LinearCache, linear_backward, linear_forward
from numpy_rnn.functional.types import Array


class IndRNNCache(NamedTuple):
    """What :func:`indrnn_backward` needs."""

    projection: LinearCache
    h: Array  # (T + 1, B, H), row 0 is h0
    w_hh: Array  # (H,)
    phi: Activation


def indrnn_forward(
    x: Array, h0: Array, W_ih: Array, w_hh: Array, b_ih: Array, *, phi: Activation = RELU
) -> tuple[Array, IndRNNCache]:
    """Run the cell over a sequence (Li, Li, Cook, Zhu & Gao 2018).

    Parameters
    ----------
    x, h0 : (T, B, D) and (B, H) arrays
    W_ih, w_hh, b_ih : (H, D), (H,) and (H,) arrays
        `w_hh` has the weight of each unit's own previous state.
    phi : Activation, ``RELU`` or ``TANH``

    Returns
    -------
    h, cache : (T, B, H) array, the state after every step, and what backward takes

    Examples
    --------
    >>> import numpy as np
    >>> x, h0 = np.ones((3, 1, 1)), np.zeros((1, 1))
    >>> h, cache = indrnn_forward(x, h0, np.ones((1, 1)), np.array([0.5]), np.zeros(1))
    >>> h.ravel()
    array([1.  , 1.5 , 1.75])
    """
    a, projection = linear_forward(x, W_ih, b_ih)
    h = np.empty((len(a) + 1, *h0.shape), np.result_type(a, h0, w_hh))
    h[0] = h0
    h_prev, value, w = h[0], phi.value, _repeat(w_hh, h[0])
    for a_t, h_t in zip(a, h[1:], strict=True):
        np.multiply(h_prev, w, h_t)
        np.add(h_t, a_t, h_t)  # (1)
        value(h_t, h_t)  # (2)
        h_prev = h_t
    h.setflags(write=False)
    return h[1:], IndRNNCache(projection, h, w_hh, phi)


def _repeat(row: Array, like: Array) -> Array:
    """Return an array like another one with `row` in every row."""
    rows = np.empty_like(like)
    rows[...] = row
    return rows


def indrnn_backward(
    dh: Array | None, cache: IndRNNCache, keep: Keep = ""
) -> tuple[Array | None, Array, Array, Array, Array]:
    """Return the gradients of :func:`indrnn_forward`, in the order of functional/__init__.py."""
    projection, h, w_hh, phi = cache
    if dh is None:
        dh = np.zeros_like(h[1:])
    # phi'(z_t) for all t, in the dtype of dz, which it becomes
    dz = phi.slope(h[1:]).astype(np.result_type(dh, h))
    dh_t = np.zeros(dz.shape[1:], dz.dtype)  # between steps: what step t + 1 sends back to h_t
    w = _repeat(w_hh, dh_t)
    for direct, dz_t in zip(dh[::-1], dz[::-1], strict=True):
        np.add(dh_t, direct, dh_t)  # (2')
        np.multiply(dh_t, dz_t, dz_t)  # (1')
        np.multiply(dz_t, w, dh_t)
    dw_hh = contract_bias(dz * h[:-1], keep)
    dx, dW_ih, db_ih = linear_backward(dz, projection, keep)
    return dx, dh_t, dW_ih, dw_hh, db_ih
