"""The Elman cell: a layer of tanh units that also receives its own values of the step before.

Symbols
    x_t, h_t       input and state at timestep t = 1, ..., T; h_0 is the state before the first one
    z_t            the sum that tanh is applied to
    W_ih, W_hh     weights, and b_ih, b_hh, biases: the same ones at every timestep
    T, B, D, H     number of timesteps, sequences in the batch, inputs, units
    L              the loss: one number, computed from h_1, ..., h_T outside this page
    dX             the gradient dL/dX, of X's shape. So dz_t is dL/dz_t: its element j is the change
                   of L per change of element j of z_t, all consequences of that change included.
                   Only dh[t], defined below, leaves some consequences out
    v * w          product element by element;  v w^T  outer product: row j, column k is v_j w_k
The equations are for one sequence, with column vectors. The code holds a batch, one sequence a
row: it writes W x as x @ W.T, and W^T dz as dz @ W.

Forward, t = 1, ..., T
    (0)  given: x_t, h_0, W_ih, W_hh, b_ih, b_hh
    (1)  z_t = W_ih x_t + b_ih + W_hh h_{t-1} + b_hh
    (2)  h_t = tanh(z_t)       tanh(v) = p / q,  p = e^v - e^-v,  q = e^v + e^-v

Paths from h_t to the loss

                      L                                 L
                      ^                                 ^
                      | dh[t]                           | dh[t+1]
       z_t --tanh--> h_t ---W_hh---> z_{t+1} --tanh--> h_{t+1} ---W_hh---> z_{t+2} ---> ...

    Two arrows leave h_t: to the loss and to z_{t+1}. Through z_{t+1}, h_t reaches everything later.
    Count only the arrow that goes directly to the loss, and hold everything else fixed: this is a
    partial derivative of L. It is written dh[t], with brackets, and given to the backward function.
    The total derivative counts every arrow. It is written dh_t, without brackets.

The chain rule, in two parts
    A. Where several arrows leave a quantity, the gradients that come back along them are added.
    B. Along one arrow, the gradient at its head is multiplied by the derivative of its equation:
       y = tanh(v)    dv = dy * (1 - y^2)     p' = q and q' = p, so tanh' = (q^2 - p^2) / q^2
       y = v + w      dv = dy                 factor 1
       y = W v        y_j = sum_k W_jk v_k
                      dv = W^T dy             dv_k = sum_j W_jk dy_j     v_k is in every y_j
                      dW = dy v^T             dW_jk = dy_j v_k           W_jk is in y_j alone

Backward, t = T, ..., 1. (n') is the gradient of the left side of (n), (0') that of what is given.
         dh_t = dh[t] + (what comes back from z_{t+1})     A: two arrows leave h_t
    (2') dh_t = dh[t] + W_hh^T dz_{t+1}                    B: z_{t+1} contains W_hh h_t
         dz_t = dh_t * (1 - tanh(z_t)^2)                   B: the one arrow from z_t leads to h_t
    (1') dz_t = dh_t * (1 - h_t^2)                         tanh(z_t) is h_t, by (2)

    Both lines for dz_t give the same numbers. The states are kept for dW_hh anyway, so z_t is not.
    The recursion begins at t = T. No step follows: dz_{T+1} = 0. It ends at h_0. The loss does not
    read h_0 directly, so only the terms of step 1 remain.

Gradients of what was given
    The same W_hh is used at every timestep, so T arrows leave it, one to each z_t. By A its
    gradient is a sum over t: += in the code. The terms, listed by t, are called the ledger. Running
    this page prints it. elman_backward in numpy_rnn.functional returns it for keep="t".
    (0') dW_ih = sum_t dz_t x_t^T        dW_hh = sum_t dz_t h_{t-1}^T        B: dW = dy v^T
         db_ih = db_hh = sum_t dz_t      each bias is added to z_t
         dx_t  = W_ih^T dz_t             x_t is used at one timestep only: no sum
         dh_0  = W_hh^T dz_1

In the code t counts from 0: its t is step t + 1 above. x[t] and dh[t] belong to that step. h[t] is
the state before it, h[t + 1] the state after it. So dh[t] goes with h[t + 1]. dz.T @ x[t] and
dz.sum(axis=0) also add up the sequences of the batch. dh_next is what (2') takes from the step
after, computed one iteration ago.

Elman (1990) for the cell; Rumelhart, Hinton & Williams (1986) and Werbos (1990) for the gradient.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from numpy_rnn.functional.types import Array


class ElmanCache(NamedTuple):
    """What :func:`elman_backward` needs from the forward pass."""

    x: Array  # (T, B, D)
    h: list[Array]  # (T + 1, B, H): h_0 to h_T
    W_ih: Array  # (H, D)
    W_hh: Array  # (H, H)
    b_ih: Array  # (H,)
    b_hh: Array  # (H,)


def elman_forward(
    x: Array, h0: Array, W_ih: Array, W_hh: Array, b_ih: Array, b_hh: Array
) -> tuple[Array, ElmanCache]:
    """Return h at every timestep, (T, B, H), and the cache.

    Parameters
    ----------
    x, h0 : (T, B, D) and (B, H) arrays
    W_ih, W_hh, b_ih, b_hh : (H, D), (H, H), (H,) and (H,) arrays

    Examples
    --------
    >>> x, h0, W, b = np.ones((2, 1, 1)), np.zeros((1, 1)), np.ones((1, 1)), np.zeros(1)
    >>> h, cache = elman_forward(x, h0, W, W, b, b)
    >>> h.ravel().round(4)
    array([0.7616, 0.9427])
    """
    h = [h0]
    for t in range(len(x)):
        z = x[t] @ W_ih.T + b_ih + h[t] @ W_hh.T + b_hh  # (1) (B, H)
        h.append(np.tanh(z))  # (2) (B, H)
    return np.stack(h)[1:], ElmanCache(x, h, W_ih, W_hh, b_ih, b_hh)


def elman_backward(dh: Array, cache: ElmanCache) -> tuple[Array, ...]:
    """Return dx, dh0, dW_ih, dW_hh, db_ih and db_hh, each of its argument's shape.

    Parameters
    ----------
    dh, cache : (T, B, H) array and ElmanCache
    """
    x, h, W_ih, W_hh, b_ih, b_hh = cache
    T = len(x)
    dh_next = np.zeros_like(h[0])  # (2') (B, H)
    dx = np.zeros_like(x)  # (0') (T, B, D)
    dW_ih, dW_hh = np.zeros_like(W_ih), np.zeros_like(W_hh)  # (0') (H, D), (H, H)
    db_ih, db_hh = np.zeros_like(b_ih), np.zeros_like(b_hh)  # (0') (H,), (H,)
    for t in reversed(range(T)):
        dh_t = dh[t] + dh_next  # (2') (B, H)
        dz = dh_t * (1 - h[t + 1] ** 2)  # (1') (B, H)
        dx[t] = dz @ W_ih  # (0') (B, D)
        dW_ih += dz.T @ x[t]  # (0') (H, D)
        dW_hh += dz.T @ h[t]  # (0') (H, H)
        db_ih += dz.sum(axis=0)  # (0') (H,)
        db_hh += dz.sum(axis=0)  # (0') (H,)
        dh_next = dz @ W_hh  # (2') (B, H)
    return dx, dh_next, dW_ih, dW_hh, db_ih, db_hh


if __name__ == "__main__":
    from numpy_rnn.textbook.example import show

    shapes = {"x": "T B D", "h0": "B H", "W_ih": "H D", "W_hh": "H H", "b_ih": "H", "b_hh": "H"}
    show(elman_forward, elman_backward, shapes)
