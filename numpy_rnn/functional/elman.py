"""The Elman cell: the hidden layer also receives its own values of the step before.

    Forward   (1) a_t = W_ih x_t + b_ih + b_hh          t = 1..T, all at once, before the loop
              (2) z_t = a_t + W_hh h_{t-1},  h_t = phi(z_t)         phi = tanh or relu

    Backward  (2') dz_t = (dh_t + W_hh^T dz_{t+1}) * phi'(z_t)      t = T..1, dz_{T+1} = 0
                   dh0  = W_hh^T dz_1
              (3') dW_hh = sum_t dz_t h_{t-1}^T         one product, after the loop
              (1') dW_ih = sum_t dz_t x_t^T,  dx_t = W_ih^T dz_t,  db_ih = db_hh = sum_t dz_t

dh_t is only what the loss sends to h_t directly; W_hh^T dz_{t+1} is what comes back through
time. This is backpropagation through time (Werbos 1990): the loss at step t reaches t, t-1,
..., each step through one more W_hh^T and one more phi'. The weights are the same at every
step, so their gradients are the sums over t of each step's share, and are applied once;
``keep="t"`` returns the shares instead. h_0 is an argument, so dh0 is its whole gradient.

The equations are for one example: sums over t are also over the batch. Row 0 of an array is
t = 1, except in the cache's h, whose row t is h_t. The recurrence is Elman's (1990), who took
the earlier values as plain input and did not differentiate through them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import NamedTuple

import numpy as np

from numpy_rnn.functional.activations import TANH, Activation
from numpy_rnn.functional.contract import Keep, contract
from numpy_rnn.functional.linear import LinearCache, affine, linear_backward, linear_forward
from numpy_rnn.functional.types import Array


class ElmanCache(NamedTuple):
    """What :func:`elman_backward` needs of the forward pass."""

    projection: LinearCache  # of equation (1)
    h: Array  # (T + 1, B, H); row 0 is h0, so h[:-1] pairs with dz and h[1:] with dh
    W_hh: Array  # (H, H)
    phi: Activation


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
    x : (T, B, D) array, or (T, B) array of int
        Input, or the places of the ones in one-hot rows.
    h0 : (B, H) array
        State before the first step.
    W_ih, W_hh : (H, D) and (H, H) arrays
        Weights of the input and of the previous state.
    b_ih, b_hh : (H,) arrays
        Biases. Two, as in PyTorch: each gets the gradient, so their sum moves twice as far as
        one bias would, and an optimiser's path is PyTorch's.
    phi : Activation
        ``TANH`` or ``RELU``.

    Returns
    -------
    h : (T, B, H) array
        The state after every step. Read-only: it is also the cache.
    cache : ElmanCache
        For :func:`elman_backward`.
    """
    a, projection = linear_forward(x, W_ih, b_ih + b_hh)  # (1)
    T, B, H = a.shape
    h = np.empty((T + 1, B, H), np.result_type(a, h0, W_hh))
    h[0] = h0
    # In the order that a product with few rows is fastest in; a copy pays from the second step on.
    W_hh_T = W_hh.T if T == 1 else np.ascontiguousarray(W_hh.T)
    _recur(a, h[0], W_hh_T, phi, h[1:], np.empty((B, H), h.dtype))
    h.setflags(write=False)
    return h[1:], ElmanCache(projection, h, W_hh, phi)


def elman_stepper(
    W_ih: Array, W_hh: Array, b_ih: Array, b_hh: Array, *, phi: Activation = TANH
) -> Callable[[Array, Array], tuple[Array]]:
    """Arrange the weights for single steps, of which no gradient is wanted.

    Parameters
    ----------
    W_ih, W_hh, b_ih, b_hh, phi : arrays and Activation
        As for :func:`elman_forward`, of one dtype: that of every step, whatever it is
        given. What is returned uses copies.

    Returns
    -------
    step : callable
        ``step(x_t, h_prev)`` takes (B, D) and (1, B, H) arrays (an integer x_t is (B,)) and
        returns h_t, a new array like h_prev, in a tuple.
    """
    return partial(_step, W_ih.T.copy(), (b_ih + b_hh)[None], W_hh.T.copy(), phi)


def _step(
    W_ih_T: Array, b: Array, W_hh_T: Array, phi: Activation, x_t: Array, h_prev: Array
) -> tuple[Array]:
    h = affine(x_t, W_ih_T, b)  # (1), which becomes h_t
    _recur((h,), h_prev[0], W_hh_T, phi, (h,))
    return (h[None],)


def _recur(
    a: Iterable[Array],
    h_prev: Array,
    W_hh_T: Array,
    phi: Activation,
    h: Iterable[Array],
    z: Array | None = None,
) -> None:
    """Write (2) of every a_t to its h_t, by way of `z`, or of a new array for None."""
    value = phi.value
    for a_t, h_t in zip(a, h, strict=True):
        z_t = h_prev.dot(W_hh_T, z)
        np.add(z_t, a_t, z_t)
        value(z_t, h_t)  # (2)
        h_prev = h_t


def elman_backward(
    dh: Array | None, cache: ElmanCache, keep: Keep = ""
) -> tuple[Array | None, Array, Array, Array, Array, Array]:
    """Gradients of :func:`elman_forward`, one per argument: BPTT.

    Parameters
    ----------
    dh : (T, B, H) array or None
        What the loss sends to the state at each step; None is zero.
    cache : ElmanCache
        From the forward pass.
    keep : {"", "t", "b", "tb"}
        The axes of the sums over time and batch to leave standing.

    Returns
    -------
    dx : (T, B, D) array, or None for an integer x
        Gradient of the input.
    dh0 : (B, H) array
        Gradient of the initial state.
    dW_ih, dW_hh : (H, D) and (H, H) arrays, with the kept axes in front
        Gradients of the weights.
    db_ih, db_hh : (H,) arrays, with the kept axes in front
        Gradients of the biases: equal, in two arrays.
    """
    projection, h, W_hh, phi = cache
    if dh is None:
        dh = np.zeros_like(h[1:])
    # phi'(z_t), from h_t, all t at once; a copy in the dtype of dz, which it becomes
    dz = phi.slope(h[1:]).astype(np.result_type(dh, h))
    carry = np.zeros(dz.shape[1:], dz.dtype)  # W_hh^T dz_{t+1}
    for dh_t, dz_t in zip(dh[::-1], dz[::-1], strict=True):
        np.add(carry, dh_t, carry)  # (2')
        np.multiply(carry, dz_t, dz_t)
        dz_t.dot(W_hh, carry)  # in the end, of dz_1: dh0
    dW_hh = contract(dz, h[:-1], keep)  # (3')
    dx, dW_ih, db = linear_backward(dz, projection, keep)  # (1')
    dh0 = carry
    return dx, dh0, dW_ih, dW_hh, db, db.copy()
