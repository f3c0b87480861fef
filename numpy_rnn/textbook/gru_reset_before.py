"""The GRU, reset gate before the product: its candidate reads the state through the reset gate.

Symbols
    x_t, h_t       input and state at timestep t = 1, ..., T; h_0 is the state before the first one
    m_t            the reset state, r_t * h_{t-1}
    r, z           reset gate and update gate, between 0 and 1;  n  candidate, between -1 and 1
    a_t            what the input and the biases send to them, in three blocks. Indices r, z, n
                   name a block, not a timestep: a_r and da_r are written without t
    W_ih, W_hh     weights, and b_ih, b_hh, biases: the same ones at every timestep. The blocks of
                   W_hh are called W_hr, W_hz and W_hn
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
    (1)  a_t = W_ih x_t + b_ih + b_hh            blocks a_r, a_z, a_n
    (2)  r_t = sigma(a_r + W_hr h_{t-1})         sigma(v) = 1 / (1 + e^-v)
    (3)  z_t = sigma(a_z + W_hz h_{t-1})
    (4)  m_t = r_t * h_{t-1}
    (5)  n_t = tanh(a_n + W_hn m_t)    tanh(v) = p / q,  p = e^v - e^-v,  q = e^v + e^-v
    (6)  h_t = (1 - z_t) * n_t + z_t * h_{t-1}

Paths from h_t to the loss

         L
         ^
         | dh[t]
        h_t ---W_hr, sigma---> r_{t+1} ---* h_t---> m_{t+1} ---W_hn, tanh---> n_{t+1} ---> h_{t+1}
        |||                                          ^                                      ^ ^
        ||+-------------* r_{t+1}--------------------+                                      | |
        |+--------------W_hz, sigma---> z_{t+1} --------------------------------------------+ |
        +---------------* z_{t+1}-------------------------------------------------------------+

    Five arrows leave h_t: to the loss, to r_{t+1}, to m_{t+1}, to z_{t+1} and straight to h_{t+1}.
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
    (6') dh_t = dh[t] + [z * dh + r * dm + W_hr^T da_r + W_hz^T da_z]_{t+1}
             dh[t]                       to the loss: given
             [z * dh]_{t+1}              to h_{t+1}, which contains z_{t+1} * h_t
             [r * dm]_{t+1}              to m_{t+1} = r_{t+1} * h_t
             [W_hr^T da_r]_{t+1}         to r_{t+1}; W_hr h_t is added to a_r: the same gradient
             [W_hz^T da_z]_{t+1}         to z_{t+1}, alike
    (5') dn_t = dh_t * (1 - z_t)         h_t contains (1 - z_t) * n_t: the other factor
    (1') da_n = dn_t * (1 - n_t^2)       tanh'
    (4') dm_t = W_hn^T da_n              to n_t; W_hn m_t is added to a_n: the same gradient
    (3') dz_t = dh_t * (h_{t-1} - n_t)   z_t is in (6) twice: times h_{t-1}, and times -n_t
    (1') da_z = dz_t * z_t * (1 - z_t)   sigma'
    (2') dr_t = dm_t * h_{t-1}           m_t = r_t * h_{t-1}: the other factor
    (1') da_r = dr_t * r_t * (1 - r_t)   sigma'

    In [ ]_{t+1}, every quantity is that of step t + 1. The only factor on dh there is z. Where z is
    near 1 over many steps, gradients reach far back.
    The recursion begins at t = T. No step follows: all that has index T + 1 is 0. It ends at h_0.
    The loss does not read h_0 directly, so only the terms of step 1 remain.

Gradients of what was given
    The same W_hr is used at every timestep, so T arrows leave it, one to each r_t. By A its
    gradient is a sum over t: += in the code. The terms, listed by t, are called the ledger. Running
    this page prints it. gru_reset_before_backward in numpy_rnn.functional returns it for keep="t".
    (0') dW_ih = sum_t da_t x_t^T        dW_hr = sum_t da_r h_{t-1}^T        B: dW = dy v^T
         dW_hn = sum_t da_n m_t^T        dW_hz = sum_t da_z h_{t-1}^T
         db_ih = db_hh = sum_t da_t      each bias is added to a_t
         dx_t  = W_ih^T da_t             x_t is used at one timestep only: no sum
         dh_0  = [z * dh + r * dm + W_hr^T da_r + W_hz^T da_z]_1

In the code t counts from 0: its t is step t + 1 above. x[t], dh[t] and gates[t] belong to that
step. h[t] is the state before it, h[t + 1] the state after it. So dh[t] goes with h[t + 1].
da.T @ x[t] and da.sum(axis=0) also add up the sequences of the batch. dh_next is what (6') takes
from the step after, computed one iteration ago. sigmoid uses 1 + p / q = 2 e^v / q = 2 sigma(2 v).

Cho et al. (2014, arXiv:1406.1078v3); Chung et al. (2014), who exchange z and 1 - z.
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


class GRUResetBeforeCache(NamedTuple):
    """What :func:`gru_reset_before_backward` needs from the forward pass."""

    x: Array  # (T, B, D)
    h: list[Array]  # (T + 1, B, H): h_0 to h_T
    gates: Sequence[tuple[Array, ...]]  # (T, 3, B, H): r, z, n
    W_ih: Array  # (3H, D)
    W_hh: Array  # (3H, H)
    b_ih: Array  # (3H,)
    b_hh: Array  # (3H,)


def gru_reset_before_forward(
    x: Array, h0: Array, W_ih: Array, W_hh: Array, b_ih: Array, b_hh: Array
) -> tuple[Array, GRUResetBeforeCache]:
    """Return h at every timestep, (T, B, H), and the cache.

    Parameters
    ----------
    x, h0 : (T, B, D) and (B, H) arrays
    W_ih, W_hh, b_ih, b_hh : (3H, D), (3H, H), (3H,) and (3H,) arrays, blocks r, z, n

    Examples
    --------
    >>> x, h0, W, b = np.ones((2, 1, 1)), np.zeros((1, 1)), np.ones((3, 1)), np.zeros(3)
    >>> h, cache = gru_reset_before_forward(x, h0, W, W, b, b)
    >>> h.ravel().round(4)
    array([0.2048, 0.3468])
    """
    W_hr, W_hz, W_hn = np.split(W_hh, 3)  # (0) (H, H)
    h, gates = [h0], []
    for t in range(len(x)):
        a = x[t] @ W_ih.T + b_ih + b_hh  # (1) (B, 3H)
        a_r, a_z, a_n = np.split(a, 3, axis=1)  # (1) (B, H)
        r = sigmoid(a_r + h[t] @ W_hr.T)  # (2) (B, H)
        z = sigmoid(a_z + h[t] @ W_hz.T)  # (3) (B, H)
        m = r * h[t]  # (4) (B, H)
        n = np.tanh(a_n + m @ W_hn.T)  # (5) (B, H)
        h.append((1 - z) * n + z * h[t])  # (6) (B, H)
        gates.append((r, z, n))
    return np.stack(h)[1:], GRUResetBeforeCache(x, h, gates, W_ih, W_hh, b_ih, b_hh)


def gru_reset_before_backward(dh: Array, cache: GRUResetBeforeCache) -> tuple[Array, ...]:
    """Return dx, dh0, dW_ih, dW_hh, db_ih and db_hh, each of its argument's shape.

    Parameters
    ----------
    dh, cache : (T, B, H) array and GRUResetBeforeCache
    """
    x, h, gates, W_ih, W_hh, b_ih, b_hh = cache
    W_hr, W_hz, W_hn = np.split(W_hh, 3)  # (0) (H, H)
    dh_next = np.zeros_like(h[0])  # (6') (B, H)
    dx, dW_ih = np.zeros_like(x), np.zeros_like(W_ih)  # (0') (T, B, D), (3H, D)
    dW_hr, dW_hz, dW_hn = (np.zeros_like(W_hr) for _ in range(3))  # (0') (H, H)
    db_ih, db_hh = np.zeros_like(b_ih), np.zeros_like(b_hh)  # (0') (3H,), (3H,)
    for t in reversed(range(len(x))):
        r, z, n = gates[t]  # (B, H)
        dh_t = dh[t] + dh_next  # (6') (B, H)
        dn = dh_t * (1 - z)  # (5') (B, H)
        da_n = dn * (1 - n**2)  # (1') (B, H)
        dm = da_n @ W_hn  # (4') (B, H)
        dz = dh_t * (h[t] - n)  # (3') (B, H)
        da_z = dz * z * (1 - z)  # (1') (B, H)
        dr = dm * h[t]  # (2') (B, H)
        da_r = dr * r * (1 - r)  # (1') (B, H)
        da = np.concatenate([da_r, da_z, da_n], axis=1)  # (1') (B, 3H)
        dx[t] = da @ W_ih  # (0') (B, D)
        dW_ih += da.T @ x[t]  # (0') (3H, D)
        dW_hr += da_r.T @ h[t]  # (0') (H, H)
        dW_hz += da_z.T @ h[t]  # (0') (H, H)
        dW_hn += da_n.T @ (r * h[t])  # (0') (H, H)
        db_ih += da.sum(axis=0)  # (0') (3H,)
        db_hh += da.sum(axis=0)  # (0') (3H,)
        dh_next = dh_t * z + dm * r + da_r @ W_hr + da_z @ W_hz  # (6') (B, H)
    dW_hh = np.concatenate([dW_hr, dW_hz, dW_hn])  # (0') (3H, H)
    return dx, dh_next, dW_ih, dW_hh, db_ih, db_hh


if __name__ == "__main__":
    from numpy_rnn.textbook.example import show

    weights = {"W_ih": "3H D", "W_hh": "3H H", "b_ih": "3H", "b_hh": "3H"}
    states = {"x": "T B D", "h0": "B H"}
    show(gru_reset_before_forward, gru_reset_before_backward, states | weights)
