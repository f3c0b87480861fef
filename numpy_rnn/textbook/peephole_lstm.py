"""The LSTM with peepholes: its gates also read the cell state, one weight for each unit and gate.

Read lstm.py first. This page derives all equations anew. The other symbols, the chain rule, the
notes on time and on the ledger, and the reading of the code are the same and stand there.

Symbols
    w_i, w_f, w_o  the peepholes, one number for each unit: the three rows of W_c

Forward, for one sequence, t = 1, ..., T. Vectors are columns
    (0)  given: x_t, h_0, c_0, W_ih, W_hh, b_ih, b_hh, W_c
    (1)  z_t = W_ih x_t + b_ih + W_hh h_{t-1} + b_hh
    (2)  i_t = sigma(z_i + w_i * c_{t-1})      sigma(v) = 1 / (1 + e^-v)
         f_t = sigma(z_f + w_f * c_{t-1})
    (3)  g_t = tanh(z_g)                       tanh(v) = p / q,  p = e^v - e^-v,  q = e^v + e^-v
    (4)  c_t = f_t * c_{t-1} + i_t * g_t
    (5)  o_t = sigma(z_o + w_o * c_t)          the new cell state, not the one before
    (6)  h_t = o_t * tanh(c_t)

Paths from c_t and h_t to the loss
         L                      L
         ^                      ^
         | dc[t]                | dh[t]
        c_t ---tanh, * o_t---> h_t ---W_hh---> z_{t+1} ---sigma---> o_{t+1} ---> h_{t+1}
        |||                     ^               |
        ||+---* w_o, sigma---> o_t              +---sigma, tanh---> i, f, g of step t+1
        |+----* w_i, sigma, and * w_f, sigma------------------------^--^     |
        +-----* f_{t+1}---> c_{t+1} <----------------------------------------+

    Two arrows leave h_t: to the loss and to z_{t+1}. Six leave c_t: to the loss, to h_t, to o_t by
    w_o, and three to the next step: to c_{t+1}, to i_{t+1} by w_i and to f_{t+1} by w_f.

Backward, t = T, ..., 1. (k') is the gradient of what equation (k) defines, (0') of what is given.
    (6') dh_t = dh[t]                           to the loss: given
              + W_hh^T dz_{t+1}                 to z_{t+1}, which contains W_hh h_t
    (5') do_t = dh_t * tanh(c_t)                h_t = o_t * tanh(c_t): the other factor
    (1') dz_o = do_t * o_t * (1 - o_t)          sigma'; (4') needs it, so it comes first
    (4') dc_t = dc[t]                           to the loss: given
              + dh_t * o_t * (1 - tanh(c_t)^2)  to h_t = o_t * tanh(c_t): factor o_t, then tanh'
              + w_o * dz_o                      to o_t, whose sigma is applied to z_o + w_o * c_t
              + [f * dc]_{t+1}                  to c_{t+1}, which contains f_{t+1} * c_t
              + [w_i * dz_i + w_f * dz_f]_{t+1} to i_{t+1} and to f_{t+1}, by their peepholes
    (2') di_t = dc_t * g_t                      c_t contains i_t * g_t: the other factor
         df_t = dc_t * c_{t-1}                  c_t contains f_t * c_{t-1}: the other factor
    (3') dg_t = dc_t * i_t                      c_t contains i_t * g_t: the other factor
    (1') dz_i = di_t * i_t * (1 - i_t)          sigma'; dz_f alike, from df_t
         dz_g = dg_t * (1 - g_t^2)              tanh'

    In [ ]_{t+1}, every quantity is that of step t + 1. z_i and w_i * c_{t-1} are added, so both
    have the gradient dz_i.
    No o_0 is computed from c_0, so dc_0 has only the terms of step 1.

Gradients of what was given
    (0') dW_ih = sum_t dz_t x_t^T        dW_hh = sum_t dz_t h_{t-1}^T        rule dW = dy v^T
         db_ih = db_hh = sum_t dz_t      one bias would do, but PyTorch has two
         dw_i  = sum_t dz_i * c_{t-1}    dw_f = sum_t dz_f * c_{t-1}     dw_o = sum_t dz_o * c_t
         dx_t  = W_ih^T dz_t             x_t is used at one timestep only: no sum
         dh_0  = W_hh^T dz_1             dc_0 = [f * dc + w_i * dz_i + w_f * dz_f]_1

Gers & Schmidhuber (2000), who leave W_hh^T dz_{t+1} out of (6'); with tanh in (6) and the full
gradient: Graves (2013).
"""

from __future__ import annotations

import numpy as np

from numpy_rnn.functional.types import Array, Cache
from numpy_rnn.textbook.lstm import sigmoid


def peephole_lstm_forward(
    x: Array, h0: Array, c0: Array, W_ih: Array, W_hh: Array, b_ih: Array, b_hh: Array, W_c: Array
) -> tuple[tuple[Array, Array], Cache]:
    """Return (h, c) at every timestep, both (T, B, H), and the cache.

    Parameters
    ----------
    x, h0, c0 : (T, B, D), (B, H) and (B, H) arrays
    W_ih, W_hh, b_ih, b_hh : (4H, D), (4H, H), (4H,) and (4H,) arrays, blocks i, f, g, o
    W_c : (3, H) array, rows w_i, w_f, w_o

    Examples
    --------
    >>> x, h0, W, b = np.ones((2, 1, 1)), np.zeros((1, 1)), np.ones((4, 1)), np.zeros(4)
    >>> (h, c), cache = peephole_lstm_forward(x, h0, h0, W, W, b, b, np.ones((3, 1)))
    >>> c.ravel().round(4)
    array([0.5568, 1.2696])
    """
    w_i, w_f, w_o = W_c  # (0) (H,)
    h, c, gates = [h0], [c0], []
    for t in range(len(x)):
        z = x[t] @ W_ih.T + b_ih + h[t] @ W_hh.T + b_hh  # (1) (B, 4H)
        z_i, z_f, z_g, z_o = np.split(z, 4, axis=1)  # (1) (B, H)
        i = sigmoid(z_i + w_i * c[t])  # (2) (B, H)
        f = sigmoid(z_f + w_f * c[t])  # (2) (B, H)
        g = np.tanh(z_g)  # (3) (B, H)
        c.append(f * c[t] + i * g)  # (4) (B, H)
        o = sigmoid(z_o + w_o * c[t + 1])  # (5) (B, H)
        h.append(o * np.tanh(c[t + 1]))  # (6) (B, H)
        gates.append((i, f, g, o))
    cache = (x, h, c, gates, W_ih, W_hh, b_ih, b_hh, W_c)
    return (np.stack(h)[1:], np.stack(c)[1:]), cache


def peephole_lstm_backward(dh: Array, dc: Array, cache: Cache) -> tuple[Array, ...]:
    """Return dx, dh0, dc0, dW_ih, dW_hh, db_ih, db_hh and dW_c, each shaped like its argument.

    dh, dc : (T, B, H) arrays, the partial derivatives dh[t] and dc[t] above.
    """
    x, h, c, gates, W_ih, W_hh, b_ih, b_hh, W_c = cache
    w_i, w_f, w_o = W_c  # (0) (H,)
    dh_next = np.zeros_like(h[0])  # (6') (B, H)
    dc_next = np.zeros_like(c[0])  # (4') (B, H)
    dx = np.zeros_like(x)  # (0') (T, B, D)
    dW_ih, dW_hh = np.zeros_like(W_ih), np.zeros_like(W_hh)  # (0') (4H, D), (4H, H)
    db_ih, db_hh = np.zeros_like(b_ih), np.zeros_like(b_hh)  # (0') (4H,), (4H,)
    dw_i, dw_f, dw_o = np.zeros_like(W_c)  # (0') (H,)
    for t in reversed(range(len(x))):
        i, f, g, o = gates[t]  # (B, H)
        tanh_c = np.tanh(c[t + 1])  # (6) (B, H)
        dh_t = dh[t] + dh_next  # (6') (B, H)
        do = dh_t * tanh_c  # (5') (B, H)
        dz_o = do * o * (1 - o)  # (1') (B, H)
        dc_t = dc[t] + dc_next + dh_t * o * (1 - tanh_c**2) + dz_o * w_o  # (4') (B, H)
        di = dc_t * g  # (2') (B, H)
        df = dc_t * c[t]  # (2') (B, H)
        dg = dc_t * i  # (3') (B, H)
        dz_i = di * i * (1 - i)  # (1') (B, H)
        dz_f = df * f * (1 - f)  # (1') (B, H)
        dz_g = dg * (1 - g**2)  # (1') (B, H)
        dw_i += (dz_i * c[t]).sum(axis=0)  # (0') (H,)
        dw_f += (dz_f * c[t]).sum(axis=0)  # (0') (H,)
        dw_o += (dz_o * c[t + 1]).sum(axis=0)  # (0') (H,)
        dz = np.concatenate([dz_i, dz_f, dz_g, dz_o], axis=1)  # (1') (B, 4H)
        dx[t] = dz @ W_ih  # (0') (B, D)
        dW_ih += dz.T @ x[t]  # (0') (4H, D)
        dW_hh += dz.T @ h[t]  # (0') (4H, H)
        db_ih += dz.sum(axis=0)  # (0') (4H,)
        db_hh += dz.sum(axis=0)  # (0') (4H,)
        dh_next = dz @ W_hh  # (6') (B, H)
        dc_next = dc_t * f + dz_i * w_i + dz_f * w_f  # (4') (B, H)
    dW_c = np.stack([dw_i, dw_f, dw_o])  # (0') (3, H)
    return dx, dh_next, dc_next, dW_ih, dW_hh, db_ih, db_hh, dW_c


if __name__ == "__main__":
    from numpy_rnn.textbook.example import show

    weights = {"W_ih": "4H D", "W_hh": "4H H", "b_ih": "4H", "b_hh": "4H", "W_c": "3 H"}
    states = {"x": "T B D", "h0": "B H", "c0": "B H"}
    show(peephole_lstm_forward, peephole_lstm_backward, states | weights)
