"""The GRU, reset gate before the product: its candidate reads the state through the reset gate.

Read gru.py first. This page derives all equations anew. The other symbols, the chain rule, the
notes on time and on the ledger, and the reading of the code are the same and stand there.

Symbols
    m_t            the reset state, r_t * h_{t-1}
    a_t            sums of input and biases, in blocks r, z and n. Blocks such as a_r and da_n
                   belong to timestep t, but are written without t
    W_hr, W_hz, W_hn  the blocks of W_hh

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

Gradients of what was given
    (0') dW_ih = sum_t da_t x_t^T        dW_hr = sum_t da_r h_{t-1}^T        rule dW = dy v^T
         dW_hn = sum_t da_n m_t^T        dW_hz = sum_t da_z h_{t-1}^T
         db_ih = db_hh = sum_t da_t      one bias would do, but PyTorch has two
         dx_t  = W_ih^T da_t             x_t is used at one timestep only: no sum
         dh_0  = [z * dh + r * dm + W_hr^T da_r + W_hz^T da_z]_1

Cho et al. (2014, arXiv:1406.1078v3); Chung et al. (2014), who exchange z and 1 - z.
"""

from __future__ import annotations

import numpy as np

from numpy_rnn.functional.types import Array, Cache
from numpy_rnn.textbook.lstm import sigmoid


def gru_reset_before_forward(
    x: Array, h0: Array, W_ih: Array, W_hh: Array, b_ih: Array, b_hh: Array
) -> tuple[Array, Cache]:
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
    return np.stack(h)[1:], (x, h, gates, W_ih, W_hh, b_ih, b_hh)


def gru_reset_before_backward(dh: Array, cache: Cache) -> tuple[Array, ...]:
    """Return dx, dh0, dW_ih, dW_hh, db_ih and db_hh, each shaped like its argument.

    dh : (T, B, H) array, the partial derivative of L with respect to each h_t: dh[t] above.
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
