"""The LSTM: a cell state c_t that is multiplied by a forget gate and added to, not replaced.

Symbols
    x_t, h_t, c_t  input, output and cell state at timestep t = 1, ..., T; h_0 and c_0 are given
    z_t            four sums for each unit, in blocks z_i, z_f, z_g, z_o. Blocks such as z_i and
                   dz_i belong to timestep t, but are written without t. In GRUs, z is a gate
    i, f, o        input, forget and output gate, between 0 and 1;  g  candidate, between -1 and 1
    W_ih, W_hh     weights, and b_ih, b_hh, biases; ih is input to hidden, hh is hidden to hidden
    T, B, D, H     numbers of timesteps, sequences, inputs and units
    L              the loss: one number, computed elsewhere from all h_t and c_t
    dX             the gradient dL/dX, shaped like X: its element j is the change of L per change of
                   element j of X, all consequences included. Exceptions: dh[t] and dc[t], below
    v * w          product element by element;  v w^T  outer product: row j, column k is v_j w_k

Forward, for one sequence, t = 1, ..., T. Vectors are columns
    (0)  given: x_t, h_0, c_0, W_ih, W_hh, b_ih, b_hh
    (1)  z_t = W_ih x_t + b_ih + W_hh h_{t-1} + b_hh
    (2)  i_t = sigma(z_i),   f_t = sigma(z_f),   o_t = sigma(z_o)      sigma(v) = 1 / (1 + e^-v)
    (3)  g_t = tanh(z_g)       tanh(v) = p / q,  p = e^v - e^-v,  q = e^v + e^-v
    (4)  c_t = f_t * c_{t-1} + i_t * g_t
    (5)  h_t = o_t * tanh(c_t)

Paths from c_t and h_t to the loss
         L                      L
         ^                      ^
         | dc[t]                | dh[t]
        c_t ---tanh, * o_t---> h_t ---W_hh---> z_{t+1} ---sigma---> o_{t+1} ---> h_{t+1}
         |                                      +---sigma, tanh---> i, f, g of step t+1
         |                                                           |
         +---* f_{t+1}---> c_{t+1} <---------------------------------+

    Two arrows leave h_t: to the loss and to z_{t+1}. Three leave c_t: to the loss, c_{t+1} and h_t.
    dh[t] and dc[t], with brackets, count only the direct arrow to the loss: partial derivatives of
    L, given to the backward function. dh_t and dc_t count every arrow: the total derivatives.

The chain rule
    Take the quantities in the order of the equations, last equation first. For each, list the
    arrows that leave it. Add one term per arrow. To come back along an arrow v -> y, multiply the
    gradient at its head, dy, by the derivative of y with respect to v:
       y = tanh(v)    dv = dy * (1 - y^2)     p' = q and q' = p, so tanh' = (q^2 - p^2) / q^2
       y = sigma(v)   dv = dy * y * (1 - y)   sigma' = e^-v sigma^2, and e^-v sigma = 1 - sigma
       y = v + w      dv = dy,  dw = dy       factor 1
       y = v * w      dv = dy * w             the other factor; dw = dy * v
       y = W v        dv = W^T dy             dv_k = sum_j W_jk dy_j, since v_k is in every y_j
                      dW = dy v^T             dW_jk = dy_j v_k, since W_jk is in y_j alone

Backward, t = T, ..., 1. (k') is the gradient of what equation (k) defines, (0') of what is given.
    (5') dh_t = dh[t]                           to the loss: given
              + W_hh^T dz_{t+1}                 to z_{t+1}, which contains W_hh h_t
    (4') dc_t = dc[t]                           to the loss: given
              + f_{t+1} * dc_{t+1}              to c_{t+1}, which contains f_{t+1} * c_t
              + dh_t * o_t * (1 - tanh(c_t)^2)  to h_t = o_t * tanh(c_t): factor o_t, then tanh'
    (2') di_t = dc_t * g_t                      c_t contains i_t * g_t: the other factor
         df_t = dc_t * c_{t-1}                  c_t contains f_t * c_{t-1}: the other factor
    (3') dg_t = dc_t * i_t                      c_t contains i_t * g_t: the other factor
    (2') do_t = dh_t * tanh(c_t)                h_t = o_t * tanh(c_t): the other factor
    (1') dz_i = di_t * i_t * (1 - i_t)          sigma'; dz_f and dz_o alike, from df_t and do_t
         dz_g = dg_t * (1 - g_t^2)              tanh'

    The last term of (4') has the total dh_t. It includes the gates of step t + 1, which c_t reaches
    through h_t only. In the second term, dc_{t+1} is multiplied only by f_{t+1}: no matrix, no
    slope. Over k steps the factor is a product of k forget gates. If all are near 1, gradients
    reach far back.
    Time runs backwards: dz_{t+1} and dc_{t+1} must be complete before dh_t and dc_t. At t = T no
    step follows, so both are 0. The loss does not read h_0 or c_0 directly, and h_0 is not computed
    from c_0. So dh_0 and dc_0 have one term each.

Gradients of what was given
    W_hh is used T times, once for each z_t. Each use is an arrow, so dW_hh is a sum over t: += in
    the code. Term t is the whole effect on L, at step t and every later step, of the use at step t.
    The terms are the ledger: run this page, or functional.lstm_backward(..., keep="t").
    (0') dW_ih = sum_t dz_t x_t^T        dW_hh = sum_t dz_t h_{t-1}^T        rule dW = dy v^T
         db_ih = db_hh = sum_t dz_t      one bias would do, but PyTorch has two
         dx_t  = W_ih^T dz_t             x_t is used at one timestep only: no sum
         dh_0  = W_hh^T dz_1             dc_0 = f_1 * dc_1

In the code each row is a sequence of the batch: W x is x @ W.T, and W^T dz is dz @ W. dz.T @ x[t]
and dz.sum(axis=0) add up the rows. Loop index t is timestep t + 1: x[t] is x_{t+1}, and dh[t] and
dc[t] belong to h_{t+1} and c_{t+1}. But h[k] is h_k and c[k] is c_k, not shifted. Easy mistake:
h[t + 1] for h[t] in dW_hh. Its shape fits: no error appears. dh_next and dc_next are what (5') and
(4') take from step t + 1. sigmoid uses 1 + p / q = 2 e^v / q = 2 sigma(2 v).

Hochreiter & Schmidhuber (1997), who leave W_hh^T dz_{t+1} out of (5'); forget gate: Gers,
Schmidhuber & Cummins (2000); with that term, the full gradient: Graves & Schmidhuber (2005).
"""

from __future__ import annotations

import numpy as np

from numpy_rnn.functional.types import Array, Cache


def sigmoid(z: Array) -> Array:
    """Return 1 / (1 + exp(-z)), computed from tanh, which cannot overflow."""
    s: Array = (1 + np.tanh(z / 2)) / 2
    return s


def lstm_forward(
    x: Array, h0: Array, c0: Array, W_ih: Array, W_hh: Array, b_ih: Array, b_hh: Array
) -> tuple[tuple[Array, Array], Cache]:
    """Return (h, c) at every timestep, both (T, B, H), and the cache.

    Parameters
    ----------
    x, h0, c0 : (T, B, D), (B, H) and (B, H) arrays
    W_ih, W_hh, b_ih, b_hh : (4H, D), (4H, H), (4H,) and (4H,) arrays, blocks i, f, g, o

    Examples
    --------
    >>> x, h0, W, b = np.ones((2, 1, 1)), np.zeros((1, 1)), np.ones((4, 1)), np.zeros(4)
    >>> (h, c), cache = lstm_forward(x, h0, h0, W, W, b, b)
    >>> c.ravel().round(4)
    array([0.5568, 1.1444])
    """
    h, c, gates = [h0], [c0], []
    for t in range(len(x)):
        z = x[t] @ W_ih.T + b_ih + h[t] @ W_hh.T + b_hh  # (1) (B, 4H)
        z_i, z_f, z_g, z_o = np.split(z, 4, axis=1)  # (1) (B, H)
        i, f, o = sigmoid(z_i), sigmoid(z_f), sigmoid(z_o)  # (2) (B, H)
        g = np.tanh(z_g)  # (3) (B, H)
        c.append(f * c[t] + i * g)  # (4) (B, H)
        h.append(o * np.tanh(c[t + 1]))  # (5) (B, H)
        gates.append((i, f, g, o))
    return (np.stack(h)[1:], np.stack(c)[1:]), (x, h, c, gates, W_ih, W_hh, b_ih, b_hh)


def lstm_backward(dh: Array, dc: Array, cache: Cache) -> tuple[Array, ...]:
    """Return dx, dh0, dc0, dW_ih, dW_hh, db_ih and db_hh, each shaped like its argument.

    dh, dc : (T, B, H) arrays, the partial derivatives dh[t] and dc[t] above.
    """
    x, h, c, gates, W_ih, W_hh, b_ih, b_hh = cache
    T = len(x)
    dh_next = np.zeros_like(h[0])  # (5') (B, H)
    dc_next = np.zeros_like(c[0])  # (4') (B, H)
    dx = np.zeros_like(x)  # (0') (T, B, D)
    dW_ih, dW_hh = np.zeros_like(W_ih), np.zeros_like(W_hh)  # (0') (4H, D), (4H, H)
    db_ih, db_hh = np.zeros_like(b_ih), np.zeros_like(b_hh)  # (0') (4H,), (4H,)
    for t in reversed(range(T)):
        i, f, g, o = gates[t]  # (B, H)
        tanh_c = np.tanh(c[t + 1])  # (5) (B, H)
        dh_t = dh[t] + dh_next  # (5') (B, H)
        dc_t = dc[t] + dc_next + dh_t * o * (1 - tanh_c**2)  # (4') (B, H)
        di = dc_t * g  # (2') (B, H)
        df = dc_t * c[t]  # (2') (B, H)
        dg = dc_t * i  # (3') (B, H)
        do = dh_t * tanh_c  # (2') (B, H)
        dz_i = di * i * (1 - i)  # (1') (B, H)
        dz_f = df * f * (1 - f)  # (1') (B, H)
        dz_g = dg * (1 - g**2)  # (1') (B, H)
        dz_o = do * o * (1 - o)  # (1') (B, H)
        dz = np.concatenate([dz_i, dz_f, dz_g, dz_o], axis=1)  # (1') (B, 4H)
        dx[t] = dz @ W_ih  # (0') (B, D)
        dW_ih += dz.T @ x[t]  # (0') (4H, D)
        dW_hh += dz.T @ h[t]  # (0') (4H, H)
        db_ih += dz.sum(axis=0)  # (0') (4H,)
        db_hh += dz.sum(axis=0)  # (0') (4H,)
        dh_next = dz @ W_hh  # (5') (B, H)
        dc_next = dc_t * f  # (4') (B, H)
    return dx, dh_next, dc_next, dW_ih, dW_hh, db_ih, db_hh


if __name__ == "__main__":
    from numpy_rnn.textbook.example import show

    weights = {"W_ih": "4H D", "W_hh": "4H H", "b_ih": "4H", "b_hh": "4H"}
    show(lstm_forward, lstm_backward, {"x": "T B D", "h0": "B H", "c0": "B H"} | weights)
