"""The minGRU: a GRU whose gate and candidate do not read the state, so the recurrence is linear.

Symbols
    x_t, h_t       input and state at timestep t = 1, ..., T; h_0 is the state before the first one
    z, n           gate, between 0 and 1, and candidate
    a_t            what the input sends to them, in two blocks: a_z, written without t, and n_t
    W_ih, b_ih     weights and biases: the same ones at every timestep
    T, B, D, H     number of timesteps, sequences in the batch, inputs, units
    L              the loss: one number, computed from h_1, ..., h_T outside this page
    dX             the gradient dL/dX, of X's shape. So da_t is dL/da_t: its element j is the change
                   of L per change of element j of a_t, all consequences of that change included.
                   Only dh[t], defined below, leaves some consequences out
    v * w          product element by element;  v w^T  outer product: row j, column k is v_j w_k
The equations are for one sequence, with column vectors. The code holds a batch, one sequence a
row: it writes W x as x @ W.T, and W^T da as da @ W.

Forward, t = 1, ..., T
    (0)  given: x_t, h_0, W_ih, b_ih
    (1)  a_t = W_ih x_t + b_ih                   blocks a_z and n_t
    (2)  z_t = sigma(a_z)                        sigma(v) = 1 / (1 + e^-v)
    (3)  h_t = (1 - z_t) * h_{t-1} + z_t * n_t

Paths from h_t to the loss

         L                          L
         ^                          ^
         | dh[t]                    | dh[t+1]
        h_t ---* (1 - z_{t+1})---> h_{t+1} ---* (1 - z_{t+2})---> h_{t+2} ---> ...

    Two arrows leave h_t: to the loss, and to h_{t+1}. Gate and candidate read x_{t+1} only.
    Count only the arrow that goes directly to the loss, and hold everything else fixed: this is a
    partial derivative of L. It is written dh[t], with brackets, and given to the backward function.
    The total derivative counts every arrow. It is written dh_t, without brackets.

The chain rule, in two parts
    A. Where several arrows leave a quantity, the gradients that come back along them are added.
    B. Along one arrow, the gradient at its head is multiplied by the derivative of its equation:
       y = sigma(v)   dv = dy * y * (1 - y)   sigma' = e^-v sigma^2, and e^-v sigma = 1 - sigma
       y = v + w      dv = dy                 factor 1
       y = v * w      dv = dy * w             the other factor
       y = W v        y_j = sum_k W_jk v_k
                      dv = W^T dy             dv_k = sum_j W_jk dy_j     v_k is in every y_j
                      dW = dy v^T             dW_jk = dy_j v_k           W_jk is in y_j alone

Backward, t = T, ..., 1. (n') is the gradient of the left side of (n), (0') that of what is given.
Each term is one arrow, by A, and its factors are those of B.
    (3') dh_t = dh[t] + (1 - z_{t+1}) * dh_{t+1}
             dh[t]                           to the loss: given
             (1 - z_{t+1}) * dh_{t+1}        to h_{t+1}, which contains (1 - z_{t+1}) * h_t
    (2') dz_t = dh_t * (n_t - h_{t-1})       z_t is in (3) twice: times n_t, and times -h_{t-1}
    (1') da_z = dz_t * z_t * (1 - z_t)       sigma'
         dn_t = dh_t * z_t                   h_t contains z_t * n_t: the other factor

    The recursion begins at t = T. No step follows: dh_{T+1} = 0. It ends at h_0. The loss does not
    read h_0 directly, so only the terms of step 1 remain.

Gradients of what was given
    The same W_ih is used at every timestep, so T arrows leave it, one to each a_t. By A its
    gradient is a sum over t: += in the code. The terms, listed by t, are called the ledger. Running
    this page prints it. mingru_backward in numpy_rnn.functional returns it for keep="t".
    (0') dW_ih = sum_t da_t x_t^T        db_ih = sum_t da_t      B: dW = dy v^T, and factor 1
         dx_t  = W_ih^T da_t             x_t is used at one timestep only: no sum
         dh_0  = (1 - z_1) * dh_1

In the code t counts from 0: its t is step t + 1 above. x[t], dh[t] and gates[t] belong to that
step. h[t] is the state before it, h[t + 1] the state after it. So dh[t] goes with h[t + 1].
da.T @ x[t] and da.sum(axis=0) also add up the sequences of the batch. dh_next is what (3') takes
from the step after, computed one iteration ago. sigmoid uses tanh(v) = p / q, with p = e^v - e^-v,
q = e^v + e^-v and v = z / 2: 1 + p / q = 2 e^v / q = 2 sigma(2 v).

Feng et al. (2024, arXiv:2410.01201). Its z takes in the new, where z of other GRUs keeps the old.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from numpy_rnn.functional.types import Array


def sigmoid(z: Array) -> Array:
    """Return 1 / (1 + exp(-z)), computed from tanh, which cannot overflow."""
    s: Array = (1 + np.tanh(z / 2)) / 2
    return s


class MinGRUCache(NamedTuple):
    """What :func:`mingru_backward` needs from the forward pass."""

    x: Array  # (T, B, D)
    h: list[Array]  # (T + 1, B, H): h_0 to h_T
    gates: Sequence[tuple[Array, ...]]  # (T, 2, B, H): z, n
    W_ih: Array  # (2H, D)
    b_ih: Array  # (2H,)


def mingru_forward(x: Array, h0: Array, W_ih: Array, b_ih: Array) -> tuple[Array, MinGRUCache]:
    """Return h at every timestep, (T, B, H), and the cache.

    Parameters
    ----------
    x, h0 : (T, B, D) and (B, H) arrays
    W_ih, b_ih : (2H, D) and (2H,) arrays, blocks z, n

    Examples
    --------
    >>> x, h0, W, b = np.ones((2, 1, 1)), np.zeros((1, 1)), np.array([[0.0], [1.0]]), np.zeros(2)
    >>> h, cache = mingru_forward(x, h0, W, b)
    >>> h.ravel()
    array([0.5 , 0.75])
    """
    h, gates = [h0], []
    for t in range(len(x)):
        a = x[t] @ W_ih.T + b_ih  # (1) (B, 2H)
        a_z, n = np.split(a, 2, axis=1)  # (1) (B, H)
        z = sigmoid(a_z)  # (2) (B, H)
        h.append((1 - z) * h[t] + z * n)  # (3) (B, H)
        gates.append((z, n))
    return np.stack(h)[1:], MinGRUCache(x, h, gates, W_ih, b_ih)


def mingru_backward(dh: Array, cache: MinGRUCache) -> tuple[Array, ...]:
    """Return dx, dh0, dW_ih and db_ih, each of its argument's shape.

    Parameters
    ----------
    dh, cache : (T, B, H) array and MinGRUCache
    """
    x, h, gates, W_ih, b_ih = cache
    dh_next = np.zeros_like(h[0])  # (3') (B, H)
    dx = np.zeros_like(x)  # (0') (T, B, D)
    dW_ih, db_ih = np.zeros_like(W_ih), np.zeros_like(b_ih)  # (0') (2H, D), (2H,)
    for t in reversed(range(len(x))):
        z, n = gates[t]  # (B, H)
        dh_t = dh[t] + dh_next  # (3') (B, H)
        dz = dh_t * (n - h[t])  # (2') (B, H)
        da_z = dz * z * (1 - z)  # (1') (B, H)
        dn = dh_t * z  # (1') (B, H)
        da = np.concatenate([da_z, dn], axis=1)  # (1') (B, 2H)
        dx[t] = da @ W_ih  # (0') (B, D)
        dW_ih += da.T @ x[t]  # (0') (2H, D)
        db_ih += da.sum(axis=0)  # (0') (2H,)
        dh_next = dh_t * (1 - z)  # (3') (B, H)
    return dx, dh_next, dW_ih, db_ih


if __name__ == "__main__":
    from numpy_rnn.textbook.example import show

    shapes = {"x": "T B D", "h0": "B H", "W_ih": "2H D", "b_ih": "2H"}
    show(mingru_forward, mingru_backward, shapes)
