"""The LSTM with a projection: h_t is a linear map of o * tanh(c_t), with fewer numbers than c_t.

Read lstm.py first. This page derives all equations anew. The other symbols, the chain rule, the
notes on time and on the ledger, and the reading of the code are the same and stand there.

Symbols
    m_t            what is projected: the output of the LSTM without a projection
    W_hr           weights of the projection
    P              number of elements of h_t; c_t and m_t have H

Forward, for one sequence, t = 1, ..., T. Vectors are columns
    (0)  given: x_t, h_0, c_0, W_ih, W_hh, b_ih, b_hh, W_hr
    (1)  z_t = W_ih x_t + b_ih + W_hh h_{t-1} + b_hh
    (2)  i_t = sigma(z_i),   f_t = sigma(z_f),   o_t = sigma(z_o)      sigma(v) = 1 / (1 + e^-v)
    (3)  g_t = tanh(z_g)       tanh(v) = p / q,  p = e^v - e^-v,  q = e^v + e^-v
    (4)  c_t = f_t * c_{t-1} + i_t * g_t
    (5)  m_t = o_t * tanh(c_t)
    (6)  h_t = W_hr m_t

Paths from c_t and h_t to the loss
         L                                  L
         ^                                  ^
         | dc[t]                            | dh[t]
        c_t --tanh, * o_t--> m_t --W_hr--> h_t --W_hh--> z_{t+1} --sigma--> o_{t+1} --> m_{t+1}
         |                                                +--sigma, tanh--> i, f, g of step t+1
         |                                                                   |
         +---* f_{t+1}---> c_{t+1} <-----------------------------------------+

    Two arrows leave h_t: to the loss and to z_{t+1}. One leaves m_t: to h_t. Three leave c_t: to
    the loss, to c_{t+1} and to m_t.

Backward, t = T, ..., 1. (k') is the gradient of what equation (k) defines, (0') of what is given.
    (6') dh_t = dh[t]                           to the loss: given
              + W_hh^T dz_{t+1}                 to z_{t+1}, which contains W_hh h_t
    (5') dm_t = W_hr^T dh_t                     to h_t = W_hr m_t: dh_t, the total, not dh[t]
    (4') dc_t = dc[t]                           to the loss: given
              + f_{t+1} * dc_{t+1}              to c_{t+1}, which contains f_{t+1} * c_t
              + dm_t * o_t * (1 - tanh(c_t)^2)  to m_t = o_t * tanh(c_t): factor o_t, then tanh'
    (2') di_t = dc_t * g_t                      c_t contains i_t * g_t: the other factor
         df_t = dc_t * c_{t-1}                  c_t contains f_t * c_{t-1}: the other factor
    (3') dg_t = dc_t * i_t                      c_t contains i_t * g_t: the other factor
    (2') do_t = dm_t * tanh(c_t)                m_t = o_t * tanh(c_t): the other factor
    (1') dz_i = di_t * i_t * (1 - i_t)          sigma'; dz_f and dz_o alike, from df_t and do_t
         dz_g = dg_t * (1 - g_t^2)              tanh'

    The projection is inside the recurrence: z_{t+1} reads h_t, not m_t. c_t reaches the gates of
    step t + 1 through m_t only. So the second term of (4') holds f, i and g of step t + 1 fixed.

Gradients of what was given
    (0') dW_ih = sum_t dz_t x_t^T        dW_hh = sum_t dz_t h_{t-1}^T        rule dW = dy v^T
         dW_hr = sum_t dh_t m_t^T        the total dh_t again, since (6) makes all of h_t
         db_ih = db_hh = sum_t dz_t      one bias would do, but PyTorch has two
         dx_t  = W_ih^T dz_t             x_t is used at one timestep only: no sum
         dh_0  = W_hh^T dz_1             dc_0 = f_1 * dc_1

In the code m[t] is m_{t+1}, as x[t] is x_{t+1}.

Hochreiter & Schmidhuber (1997); forget gate: Gers, Schmidhuber & Cummins (2000); projection: Sak,
Senior & Beaufays (2014).
"""

from __future__ import annotations

import numpy as np

from numpy_rnn.functional.types import Array, Cache
from numpy_rnn.textbook.lstm import sigmoid


def projected_lstm_forward(
    x: Array,
    h0: Array,
    c0: Array,
    W_ih: Array,
    W_hh: Array,
    b_ih: Array,
    b_hh: Array,
    W_hr: Array,
) -> tuple[tuple[Array, Array], Cache]:
    """Return (h, c) at every timestep, (T, B, P) and (T, B, H), and the cache.

    Parameters
    ----------
    x, h0, c0 : (T, B, D), (B, P) and (B, H) arrays
    W_ih, W_hh, b_ih, b_hh : (4H, D), (4H, P), (4H,) and (4H,) arrays, blocks i, f, g, o
    W_hr : (P, H) array

    Examples
    --------
    >>> x, h0, W, b = np.ones((2, 1, 1)), np.zeros((1, 1)), np.ones((4, 1)), np.zeros(4)
    >>> (h, c), cache = projected_lstm_forward(x, h0, h0, W, W, b, b, np.array([[2.0]]))
    >>> h.ravel().round(4)
    array([0.7392, 1.454 ])
    """
    h, c, m, gates = [h0], [c0], [], []
    for t in range(len(x)):
        z = x[t] @ W_ih.T + b_ih + h[t] @ W_hh.T + b_hh  # (1) (B, 4H)
        z_i, z_f, z_g, z_o = np.split(z, 4, axis=1)  # (1) (B, H)
        i, f, o = sigmoid(z_i), sigmoid(z_f), sigmoid(z_o)  # (2) (B, H)
        g = np.tanh(z_g)  # (3) (B, H)
        c.append(f * c[t] + i * g)  # (4) (B, H)
        m.append(o * np.tanh(c[t + 1]))  # (5) (B, H)
        h.append(m[t] @ W_hr.T)  # (6) (B, P)
        gates.append((i, f, g, o))
    cache = (x, h, c, m, gates, W_ih, W_hh, b_ih, b_hh, W_hr)
    return (np.stack(h)[1:], np.stack(c)[1:]), cache


def projected_lstm_backward(dh: Array, dc: Array, cache: Cache) -> tuple[Array, ...]:
    """Return dx, dh0, dc0, dW_ih, dW_hh, db_ih, db_hh and dW_hr, each shaped like its argument.

    dh, dc : (T, B, P) and (T, B, H) arrays, the partial derivatives dh[t] and dc[t] above.
    """
    x, h, c, m, gates, W_ih, W_hh, b_ih, b_hh, W_hr = cache
    dh_next = np.zeros_like(h[0])  # (6') (B, P)
    dc_next = np.zeros_like(c[0])  # (4') (B, H)
    dx = np.zeros_like(x)  # (0') (T, B, D)
    dW_ih, dW_hh = np.zeros_like(W_ih), np.zeros_like(W_hh)  # (0') (4H, D), (4H, P)
    db_ih, db_hh = np.zeros_like(b_ih), np.zeros_like(b_hh)  # (0') (4H,), (4H,)
    dW_hr = np.zeros_like(W_hr)  # (0') (P, H)
    for t in reversed(range(len(x))):
        i, f, g, o = gates[t]  # (B, H)
        tanh_c = np.tanh(c[t + 1])  # (5) (B, H)
        dh_t = dh[t] + dh_next  # (6') (B, P)
        dW_hr += dh_t.T @ m[t]  # (0') (P, H)
        dm = dh_t @ W_hr  # (5') (B, H)
        dc_t = dc[t] + dc_next + dm * o * (1 - tanh_c**2)  # (4') (B, H)
        di = dc_t * g  # (2') (B, H)
        df = dc_t * c[t]  # (2') (B, H)
        dg = dc_t * i  # (3') (B, H)
        do = dm * tanh_c  # (2') (B, H)
        dz_i = di * i * (1 - i)  # (1') (B, H)
        dz_f = df * f * (1 - f)  # (1') (B, H)
        dz_g = dg * (1 - g**2)  # (1') (B, H)
        dz_o = do * o * (1 - o)  # (1') (B, H)
        dz = np.concatenate([dz_i, dz_f, dz_g, dz_o], axis=1)  # (1') (B, 4H)
        dx[t] = dz @ W_ih  # (0') (B, D)
        dW_ih += dz.T @ x[t]  # (0') (4H, D)
        dW_hh += dz.T @ h[t]  # (0') (4H, P)
        db_ih += dz.sum(axis=0)  # (0') (4H,)
        db_hh += dz.sum(axis=0)  # (0') (4H,)
        dh_next = dz @ W_hh  # (6') (B, P)
        dc_next = dc_t * f  # (4') (B, H)
    return dx, dh_next, dc_next, dW_ih, dW_hh, db_ih, db_hh, dW_hr


if __name__ == "__main__":
    from numpy_rnn.textbook.example import show

    weights = {"W_ih": "4H D", "W_hh": "4H P", "b_ih": "4H", "b_hh": "4H", "W_hr": "P H"}
    states = {"x": "T B D", "h0": "B P", "c0": "B H"}
    show(projected_lstm_forward, projected_lstm_backward, states | weights)
