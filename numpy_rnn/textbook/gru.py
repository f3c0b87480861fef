"""The GRU, reset gate after the product: a state that is a mixture of itself and a new candidate.

Symbols
    x_t, h_t       input and state at timestep t = 1, ..., T; h_0 is the state before the first one
    r, z           reset gate and update gate, between 0 and 1;  n  candidate, between -1 and 1
    a_t, s_t       what the input and what the state send to them, in three blocks each. Indices
                   r, z, n name a block, not a timestep: a_r and da_r are written without t
    W_ih, W_hh     weights, and b_ih, b_hh, biases: the same ones at every timestep
    T, B, D, H     number of timesteps, sequences in the batch, inputs, units
    L              the loss: one number, computed from h_1, ..., h_T outside this page
    dX             the gradient dL/dX, of X's shape. So da_t is dL/da_t: its element j is the change
                   of L per change of element j of a_t, all consequences of that change included.
                   Only dh[t], defined below, leaves some consequences out
    v * w          product element by element;  v w^T  outer product: row j, column k is v_j w_k
The equations are for one sequence, with column vectors. The code holds a batch, one sequence a
row: it writes W x as x @ W.T, and W^T da as da @ W.

Forward, t = 1, ..., T
    (0)  given: x_t, h_0, W_ih, W_hh, b_ih, b_hh
    (1)  a_t = W_ih x_t + b_ih                   blocks a_r, a_z, a_n
    (2)  s_t = W_hh h_{t-1} + b_hh               blocks s_r, s_z, s_n
    (3)  r_t = sigma(a_r + s_r)                  sigma(v) = 1 / (1 + e^-v)
    (4)  z_t = sigma(a_z + s_z)
    (5)  n_t = tanh(a_n + r_t * s_n)   tanh(v) = p / q,  p = e^v - e^-v,  q = e^v + e^-v
    (6)  h_t = (1 - z_t) * n_t + z_t * h_{t-1}

Paths from h_t to the loss

         L
         ^
         | dh[t]
        h_t ---W_hh---> s_{t+1} ---sigma---> r_{t+1} ---* s_n, tanh---> n_{t+1} ---> h_{t+1}
         |              | |                                              ^            ^ ^
         |              | +---* r_{t+1}, tanh----------------------------+            | |
         |              +-----sigma---> z_{t+1} --------------------------------------+ |
         +---* z_{t+1}------------------------------------------------------------------+

    Three arrows leave h_t: to the loss, straight to h_{t+1}, and to s_{t+1}. All that the gates and
    the candidate of the next step read of h_t, they read through s_{t+1}.
    Count only the arrow that goes directly to the loss, and hold everything else fixed: this is a
    partial derivative of L. It is written dh[t], with brackets, and given to the backward function.
    The total derivative counts every arrow. It is written dh_t, without brackets.

The chain rule, in two parts
    A. Where several arrows leave a quantity, the gradients that come back along them are added.
    B. Along one arrow, the gradient at its head is multiplied by the derivative of its equation:
       y = tanh(v)    dv = dy * (1 - y^2)     p' = q and q' = p, so tanh' = (q^2 - p^2) / q^2
       y = sigma(v)   dv = dy * y * (1 - y)   sigma' = e^-v sigma^2, and e^-v sigma = 1 - sigma
       y = v + w      dv = dy                 factor 1
       y = v * w      dv = dy * w             the other factor
       y = W v        y_j = sum_k W_jk v_k
                      dv = W^T dy             dv_k = sum_j W_jk dy_j     v_k is in every y_j
                      dW = dy v^T             dW_jk = dy_j v_k           W_jk is in y_j alone

Backward, t = T, ..., 1. (n') is the gradient of the left side of (n), (0') that of what is given.
Each term is one arrow, by A, and its factors are those of B.
    (6') dh_t = dh[t] + z_{t+1} * dh_{t+1} + W_hh^T ds_{t+1}
             dh[t]                       to the loss: given
             z_{t+1} * dh_{t+1}          to h_{t+1}, which contains z_{t+1} * h_t
             W_hh^T ds_{t+1}             to s_{t+1}, which contains W_hh h_t
    (5') dn_t = dh_t * (1 - z_t)         h_t contains (1 - z_t) * n_t: the other factor
    (4') dz_t = dh_t * (h_{t-1} - n_t)   z_t is in (6) twice: times h_{t-1}, and times -n_t
    (1') da_n = dn_t * (1 - n_t^2)       tanh'
    (3') dr_t = da_n * s_n               r_t * s_n is added to a_n: same gradient; the other factor
    (1') da_r = dr_t * r_t * (1 - r_t)   sigma'
         da_z = dz_t * z_t * (1 - z_t)   sigma'
    (2') ds_r = da_r,  ds_z = da_z       s_r and s_z are added to a_r and a_z with factor 1
         ds_n = da_n * r_t               s_n is multiplied by r_t before it is added to a_n

    da_t and ds_t differ in block n only, by the factor r_t. So b_ih and b_hh have different
    gradients here. In most cells they are equal.
    In the second term of (6'), the only factor on dh_{t+1} is z_{t+1}. Where z is near 1 over many
    steps, gradients reach far back.
    The recursion begins at t = T. No step follows: dh_{T+1} = 0 and ds_{T+1} = 0. It ends at h_0.
    The loss does not read h_0 directly, so only the terms of step 1 remain.

Gradients of what was given
    The same W_hh is used at every timestep, so T arrows leave it, one to each s_t. By A its
    gradient is a sum over t: += in the code. The terms, listed by t, are called the ledger. Running
    this page prints it. gru_backward in numpy_rnn.functional returns it for keep="t".
    (0') dW_ih = sum_t da_t x_t^T        dW_hh = sum_t ds_t h_{t-1}^T        B: dW = dy v^T
         db_ih = sum_t da_t              db_hh = sum_t ds_t                  factor 1
         dx_t  = W_ih^T da_t             x_t is used at one timestep only: no sum
         dh_0  = z_1 * dh_1 + W_hh^T ds_1

In the code t counts from 0: its t is step t + 1 above. x[t], dh[t] and gates[t] belong to that
step. h[t] is the state before it, h[t + 1] the state after it. So dh[t] goes with h[t + 1].
da.T @ x[t] and da.sum(axis=0) also add up the sequences of the batch. dh_next is what (6') takes
from the step after, computed one iteration ago. sigmoid uses 1 + p / q = 2 e^v / q = 2 sigma(2 v).

Cho et al. (2014, arXiv:1406.1078v1); PyTorch has this form.
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


class GRUCache(NamedTuple):
    """What :func:`gru_backward` needs from the forward pass."""

    x: Array  # (T, B, D)
    h: list[Array]  # (T + 1, B, H): h_0 to h_T
    gates: Sequence[tuple[Array, ...]]  # (T, 4, B, H): r, z, n, s_n
    W_ih: Array  # (3H, D)
    W_hh: Array  # (3H, H)
    b_ih: Array  # (3H,)
    b_hh: Array  # (3H,)


def gru_forward(
    x: Array, h0: Array, W_ih: Array, W_hh: Array, b_ih: Array, b_hh: Array
) -> tuple[Array, GRUCache]:
    """Return h at every timestep, (T, B, H), and the cache.

    Parameters
    ----------
    x, h0 : (T, B, D) and (B, H) arrays
    W_ih, W_hh, b_ih, b_hh : (3H, D), (3H, H), (3H,) and (3H,) arrays, blocks r, z, n

    Examples
    --------
    >>> x, h0, W, b = np.ones((2, 1, 1)), np.zeros((1, 1)), np.ones((3, 1)), np.zeros(3)
    >>> h, cache = gru_forward(x, h0, W, W, b, b)
    >>> h.ravel().round(4)
    array([0.2048, 0.3468])
    """
    h, gates = [h0], []
    for t in range(len(x)):
        a = x[t] @ W_ih.T + b_ih  # (1) (B, 3H)
        s = h[t] @ W_hh.T + b_hh  # (2) (B, 3H)
        a_r, a_z, a_n = np.split(a, 3, axis=1)  # (1) (B, H)
        s_r, s_z, s_n = np.split(s, 3, axis=1)  # (2) (B, H)
        r = sigmoid(a_r + s_r)  # (3) (B, H)
        z = sigmoid(a_z + s_z)  # (4) (B, H)
        n = np.tanh(a_n + r * s_n)  # (5) (B, H)
        h.append((1 - z) * n + z * h[t])  # (6) (B, H)
        gates.append((r, z, n, s_n))
    return np.stack(h)[1:], GRUCache(x, h, gates, W_ih, W_hh, b_ih, b_hh)


def gru_backward(dh: Array, cache: GRUCache) -> tuple[Array, ...]:
    """Return dx, dh0, dW_ih, dW_hh, db_ih and db_hh, each of its argument's shape.

    Parameters
    ----------
    dh, cache : (T, B, H) array and GRUCache
    """
    x, h, gates, W_ih, W_hh, b_ih, b_hh = cache
    T = len(x)
    dh_next = np.zeros_like(h[0])  # (6') (B, H)
    dx = np.zeros_like(x)  # (0') (T, B, D)
    dW_ih, dW_hh = np.zeros_like(W_ih), np.zeros_like(W_hh)  # (0') (3H, D), (3H, H)
    db_ih, db_hh = np.zeros_like(b_ih), np.zeros_like(b_hh)  # (0') (3H,), (3H,)
    for t in reversed(range(T)):
        r, z, n, s_n = gates[t]  # (B, H)
        dh_t = dh[t] + dh_next  # (6') (B, H)
        dn = dh_t * (1 - z)  # (5') (B, H)
        dz = dh_t * (h[t] - n)  # (4') (B, H)
        da_n = dn * (1 - n**2)  # (1') (B, H)
        dr = da_n * s_n  # (3') (B, H)
        da_r = dr * r * (1 - r)  # (1') (B, H)
        da_z = dz * z * (1 - z)  # (1') (B, H)
        da = np.concatenate([da_r, da_z, da_n], axis=1)  # (1') (B, 3H)
        ds = np.concatenate([da_r, da_z, da_n * r], axis=1)  # (2') (B, 3H)
        dx[t] = da @ W_ih  # (0') (B, D)
        dW_ih += da.T @ x[t]  # (0') (3H, D)
        dW_hh += ds.T @ h[t]  # (0') (3H, H)
        db_ih += da.sum(axis=0)  # (0') (3H,)
        db_hh += ds.sum(axis=0)  # (0') (3H,)
        dh_next = dh_t * z + ds @ W_hh  # (6') (B, H)
    return dx, dh_next, dW_ih, dW_hh, db_ih, db_hh


if __name__ == "__main__":
    from numpy_rnn.textbook.example import show

    weights = {"W_ih": "3H D", "W_hh": "3H H", "b_ih": "3H", "b_hh": "3H"}
    show(gru_forward, gru_backward, {"x": "T B D", "h0": "B H"} | weights)
