"""The IndRNN: a layer of relu units, each of which reads only its own value of the step before.

Symbols
    x_t, h_t       input and state at timestep t = 1, ..., T; h_0 is the state before the first one
    z_t            the sum that relu is applied to: relu(z) is z where z > 0, and 0 elsewhere
    W_ih, b_ih     weights and biases, w_hh one recurrent weight a unit: the same at every timestep
    T, B, D, H     number of timesteps, sequences in the batch, inputs, units
    L              the loss: one number, computed from h_1, ..., h_T outside this page
    dX             the gradient dL/dX, of X's shape. So dz_t is dL/dz_t: its element j is the change
                   of L per change of element j of z_t, all consequences of that change included.
                   Only dh[t], defined below, leaves some consequences out
    v * w          product element by element;  v w^T  outer product: row j, column k is v_j w_k
The equations are for one sequence, with column vectors. The code holds a batch, one sequence a
row: it writes W x as x @ W.T, and W^T dz as dz @ W.

Forward, t = 1, ..., T
    (0)  given: x_t, h_0, W_ih, w_hh, b_ih
    (1)  z_t = W_ih x_t + b_ih + w_hh * h_{t-1}
    (2)  h_t = relu(z_t)

Paths from h_t to the loss

                      L                                   L
                      ^                                   ^
                      | dh[t]                             | dh[t+1]
       z_t --relu--> h_t ---* w_hh---> z_{t+1} --relu--> h_{t+1} ---* w_hh---> z_{t+2} ---> ...

    Two arrows leave h_t: to the loss and to z_{t+1}. Through z_{t+1}, h_t reaches everything later.
    Count only the arrow that goes directly to the loss, and hold everything else fixed: this is a
    partial derivative of L. It is written dh[t], with brackets, and given to the backward function.
    The total derivative counts every arrow. It is written dh_t, without brackets.

The chain rule, in two parts
    A. Where several arrows leave a quantity, the gradients that come back along them are added.
    B. Along one arrow, the gradient at its head is multiplied by the derivative of its equation:
       y = relu(v)    dv = dy * relu'(v)      relu' is 1 where v > 0 and 0 where v < 0
       y = v + w      dv = dy                 factor 1
       y = v * w      dv = dy * w             the other factor
       y = W v        y_j = sum_k W_jk v_k
                      dv = W^T dy             dv_k = sum_j W_jk dy_j     v_k is in every y_j
                      dW = dy v^T             dW_jk = dy_j v_k           W_jk is in y_j alone

Backward, t = T, ..., 1. (n') is the gradient of the left side of (n), (0') that of what is given.
    (2') dh_t = dh[t] + w_hh * dz_{t+1}        A: two arrows; B: z_{t+1} contains w_hh * h_t
    (1') dz_t = dh_t * (1 if h_t > 0 else 0)   B: h_t > 0 exactly where z_t > 0; z_t is not kept

    At z_t = 0 relu has no derivative; (1') takes 0. The code compares the real part, so that the
    gradient can be tested with complex numbers. For real numbers, .real changes nothing.
    Where z_t > 0, the only factor from step to step is w_hh. Over 100 steps it is w_hh^100:
    gradients vanish if |w_hh| is below 1, and explode if it is above 1.
    The recursion begins at t = T. No step follows: dz_{T+1} = 0. It ends at h_0. The loss does not
    read h_0 directly, so only the terms of step 1 remain.

Gradients of what was given
    The same w_hh is used at every timestep, so T arrows leave it, one to each z_t. By A its
    gradient is a sum over t: += in the code. The terms, listed by t, are called the ledger. Running
    this page prints it. indrnn_backward in numpy_rnn.functional returns it for keep="t".
    (0') dW_ih = sum_t dz_t x_t^T        dw_hh = sum_t dz_t * h_{t-1}        B: the other factor
         db_ih = sum_t dz_t              b_ih is added to z_t
         dx_t  = W_ih^T dz_t             x_t is used at one timestep only: no sum
         dh_0  = w_hh * dz_1

In the code t counts from 0: its t is step t + 1 above. x[t] and dh[t] belong to that step. h[t] is
the state before it, h[t + 1] the state after it. So dh[t] goes with h[t + 1]. dz.T @ x[t] and
dz.sum(axis=0) also add up the sequences of the batch. dh_next is what (2') takes from the step
after, computed one iteration ago.

Li, Li, Cook, Zhu & Gao (2018).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from numpy_rnn.functional.types import Array


class IndRNNCache(NamedTuple):
    """What :func:`indrnn_backward` needs from the forward pass."""

    x: Array  # (T, B, D)
    h: list[Array]  # (T + 1, B, H): h_0 to h_T
    W_ih: Array  # (H, D)
    w_hh: Array  # (H,)
    b_ih: Array  # (H,)


def indrnn_forward(
    x: Array, h0: Array, W_ih: Array, w_hh: Array, b_ih: Array
) -> tuple[Array, IndRNNCache]:
    """Return h at every timestep, (T, B, H), and the cache.

    Parameters
    ----------
    x, h0 : (T, B, D) and (B, H) arrays
    W_ih, w_hh, b_ih : (H, D), (H,) and (H,) arrays

    Examples
    --------
    >>> x, h0, one = np.ones((2, 1, 1)), np.zeros((1, 1)), np.ones((1, 1))
    >>> h, cache = indrnn_forward(x, h0, one, 0.5 * one[0], 0 * one[0])
    >>> h.ravel()
    array([1. , 1.5])
    """
    h = [h0]
    for t in range(len(x)):
        z = x[t] @ W_ih.T + b_ih + h[t] * w_hh  # (1) (B, H)
        h.append(np.where(z.real < 0, 0, z))  # (2) (B, H)
    return np.stack(h)[1:], IndRNNCache(x, h, W_ih, w_hh, b_ih)


def indrnn_backward(dh: Array, cache: IndRNNCache) -> tuple[Array, ...]:
    """Return dx, dh0, dW_ih, dw_hh and db_ih, each of its argument's shape.

    Parameters
    ----------
    dh, cache : (T, B, H) array and IndRNNCache
    """
    x, h, W_ih, w_hh, b_ih = cache
    dh_next = np.zeros_like(h[0])  # (2') (B, H)
    dx = np.zeros_like(x)  # (0') (T, B, D)
    dW_ih, dw_hh = np.zeros_like(W_ih), np.zeros_like(w_hh)  # (0') (H, D), (H,)
    db_ih = np.zeros_like(b_ih)  # (0') (H,)
    for t in reversed(range(len(x))):
        dh_t = dh[t] + dh_next  # (2') (B, H)
        dz = dh_t * (h[t + 1].real > 0)  # (1') (B, H)
        dx[t] = dz @ W_ih  # (0') (B, D)
        dW_ih += dz.T @ x[t]  # (0') (H, D)
        dw_hh += (dz * h[t]).sum(axis=0)  # (0') (H,)
        db_ih += dz.sum(axis=0)  # (0') (H,)
        dh_next = dz * w_hh  # (2') (B, H)
    return dx, dh_next, dW_ih, dw_hh, db_ih


if __name__ == "__main__":
    from numpy_rnn.textbook.example import show

    shapes = {"x": "T B D", "h0": "B H", "W_ih": "H D", "w_hh": "H", "b_ih": np.array([0.9, 0.5])}
    show(indrnn_forward, indrnn_backward, shapes)
