"""The GRU, reset gate before the product: its candidate reads the state through the reset gate.

Symbols
    x_t, h_t       input and state at timestep t = 1, ..., T; h_0 is the state before the first one
    m_t            the reset state, r_t * h_{t-1}
    r, z           reset gate and update gate, between 0 and 1. On the LSTM pages, z is a sum
    n              candidate for the new state, between -1 and 1
    a_t            sums of input and biases, in blocks r, z and n. Blocks such as a_r and da_n
                   belong to timestep t, but are written without t
    W_ih, W_hh     weights, and b_ih, b_hh, biases; ih is input to hidden, hh is hidden to hidden.
                   The blocks of W_hh are W_hr, W_hz and W_hn
    T, B, D, H     numbers of timesteps, sequences, inputs and units
    L              the loss: one number, computed elsewhere from h_1, ..., h_T
    dX             the gradient dL/dX, shaped like X: its element j is the change of L per change of
                   element j of X, all consequences included. The exception is dh[t], below
    v * w          product element by element;  v w^T  outer product: row j, column k is v_j w_k

Forward, for one sequence, t = 1, ..., T. Vectors are columns
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
    dh[t], with brackets, counts only the direct arrow to the loss: a partial derivative of L, given
    to the backward function. dh_t counts every arrow: it is the total derivative.

The chain rule
    Take the quantities in the order of the equations, last equation first. For each, list the
    arrows that leave it. Add one term per arrow. To come back along an arrow v -> y, multiply the
    gradient at its head, dy, by the derivative of y with respect to v:
       y = tanh(v)    dv = dy * (1 - y^2)     p' = q and q' = p, so tanh' = (q^2 - p^2) / q^2
       y = sigma(v)   dv = dy * y * (1 - y)   sigma' = e^-v sigma^2, and e^-v sigma = 1 - sigma
       y = v + w      dv = dy,  dw = dy       factor 1
       y = v - w      dv = dy,  dw = -dy      factors 1 and -1; y = 1 - v likewise: dv = -dy
       y = v * w      dv = dy * w             the other factor; dw = dy * v
       y = W v        dv = W^T dy             dv_k = sum_j W_jk dy_j, since v_k is in every y_j
                      dW = dy v^T             dW_jk = dy_j v_k, since W_jk is in y_j alone
    A quantity that is used twice in an equation, as z is in z * h - z * n, has two arrows.

Backward, t = T, ..., 1. (k') is the gradient of what equation (k) defines, (0') of what is given.
    (6') dh_t = dh[t]                    to the loss: given
              + [z * dh]_{t+1}           to h_{t+1}, which contains z_{t+1} * h_t
              + [r * dm]_{t+1}           to m_{t+1} = r_{t+1} * h_t
              + [W_hr^T da_r]_{t+1}      to r_{t+1}; W_hr h_t is added to a_r: the same gradient
              + [W_hz^T da_z]_{t+1}      to z_{t+1}, alike
    (5') dn_t = dh_t * (1 - z_t)         h_t contains (1 - z_t) * n_t: the other factor
    (1') da_n = dn_t * (1 - n_t^2)       tanh'
    (4') dm_t = W_hn^T da_n              to n_t; W_hn m_t is added to a_n: the same gradient
    (3') dz_t = dh_t * (h_{t-1} - n_t)   z_t is in (6) twice: times h_{t-1}, and times -n_t
    (1') da_z = dz_t * z_t * (1 - z_t)   sigma'
    (2') dr_t = dm_t * h_{t-1}           m_t = r_t * h_{t-1}: the other factor
    (1') da_r = dr_t * r_t * (1 - r_t)   sigma'

    In [ ]_{t+1}, every quantity is that of step t + 1. (1') comes in parts: da_r needs dr_t, which
    needs dm_t, which needs da_n.
    In the second term of (6'), dh_{t+1} is multiplied only by z_{t+1}: no matrix, no slope. Over k
    steps the factor is a product of k update gates. If all are near 1, gradients reach far back.
    Time runs backwards: the gradients of step t + 1 must be complete before dh_t. At t = T no step
    follows, so they are 0. The loss does not read h_0 directly: dh_0 has only the terms of step 1.

Gradients of what was given
    W_hr is used T times, once for each r_t. Each use is an arrow, so dW_hr is a sum over t: += in
    the code. Term t is the whole effect on L, at step t and every later step, of the use at step t.
    The terms are the ledger: run this page, or functional.gru_reset_before_backward(..., keep="t").
    (0') dW_ih = sum_t da_t x_t^T        dW_hr = sum_t da_r h_{t-1}^T        rule dW = dy v^T
         dW_hn = sum_t da_n m_t^T        dW_hz = sum_t da_z h_{t-1}^T
         db_ih = db_hh = sum_t da_t      one bias would do, but PyTorch has two
         dx_t  = W_ih^T da_t             x_t is used at one timestep only: no sum
         dh_0  = [z * dh + r * dm + W_hr^T da_r + W_hz^T da_z]_1

In the code each row is a sequence of the batch: W x is x @ W.T, and W^T da is da @ W. da.T @ x[t]
and da.sum(axis=0) add up the rows. Loop index t is timestep t + 1: x[t] is x_{t+1}, and dh[t]
belongs to h_{t+1}. But h[k] is h_k, not shifted. Easy mistake: h[t + 1] for h[t] in dW_hr. Its
shape fits: no error appears. dh_next is what (6') takes from step t + 1. sigmoid uses
1 + p / q = 2 e^v / q = 2 sigma(2 v).

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
    """The cache: what :func:`gru_reset_before_backward` needs from the forward pass."""

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
    """Return dx, dh0, dW_ih, dW_hh, db_ih and db_hh, each shaped like its argument.

    Parameters
    ----------
    dh : (T, B, H) array, the partial derivative of L with respect to each h_t: dh[t] above
    cache : GRUResetBeforeCache
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
