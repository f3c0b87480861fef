"""The GRU, reset gate after the product: its state is a mixture of the old state and a candidate.

Symbols
    x_t, h_t       input and state at timestep t = 1, ..., T; h_0 is the state before the first one
    r, z           reset gate and update gate, between 0 and 1. On the LSTM pages, z is a sum
    n              candidate for the new state, between -1 and 1
    a_t, s_t       sums of input and of state, in blocks r, z and n. Blocks such as a_r, s_n and
                   da_n belong to timestep t, but are written without t
    W_ih, W_hh     weights, and b_ih, b_hh, biases; ih is input to hidden, hh is hidden to hidden
    T, B, D, H     numbers of timesteps, sequences, inputs and units
    L              the loss: one number, computed elsewhere from h_1, ..., h_T
    dX             the gradient dL/dX, shaped like X: its element j is the change of L per change of
                   element j of X, all consequences included. The exception is dh[t], below
    v * w          product element by element;  v w^T  outer product: row j, column k is v_j w_k

Forward, for one sequence, t = 1, ..., T. Vectors are columns
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

    Three arrows leave h_t: to the loss, straight to h_{t+1}, and to s_{t+1}. The gates and the
    candidate of step t + 1 read h_t only through s_{t+1}.
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
              + z_{t+1} * dh_{t+1}       to h_{t+1}, which contains z_{t+1} * h_t
              + W_hh^T ds_{t+1}          to s_{t+1}, which contains W_hh h_t. By the blocks of W_hh:
                                         W_hr^T ds_r + W_hz^T ds_z + W_hn^T ds_n of step t + 1
    (5') dn_t = dh_t * (1 - z_t)         h_t contains (1 - z_t) * n_t: the other factor
    (4') dz_t = dh_t * (h_{t-1} - n_t)   z_t is in (6) twice: times h_{t-1}, and times -n_t
    (1') da_n = dn_t * (1 - n_t^2)       tanh'
    (3') dr_t = da_n * s_n               the gradient of r_t * s_n, times the other factor
    (1') da_r = dr_t * r_t * (1 - r_t)   sigma'
         da_z = dz_t * z_t * (1 - z_t)   sigma'
    (2') ds_r = da_r,  ds_z = da_z       s_r and s_z are added to a_r and a_z with factor 1
         ds_n = da_n * r_t               the gradient of r_t * s_n, times the other factor

    The product r_t * s_n is added to a_n, so its gradient is da_n. By the product rule, dr_t is
    da_n * s_n. So (1') comes in parts: da_r needs dr_t, and dr_t needs da_n.
    r_t multiplies s_n and with it block n of b_hh, but not that of b_ih. So these two blocks have
    different gradients, and two biases are needed. In most cells one would do.
    In the second term of (6'), dh_{t+1} is multiplied only by z_{t+1}: no matrix, no slope. Over k
    steps the factor is a product of k update gates. If all are near 1, gradients reach far back.
    Time runs backwards: dh_{t+1} and ds_{t+1} must be complete before dh_t. At t = T no step
    follows, so both are 0. The loss does not read h_0 directly: dh_0 has only the terms of step 1.

Gradients of what was given
    W_hh is used T times, once for each s_t. Each use is an arrow, so dW_hh is a sum over t: += in
    the code. Term t is the whole effect on L, at step t and every later step, of the use at step t.
    The terms are the ledger: run this page, or functional.gru_backward(..., keep="t").
    (0') dW_ih = sum_t da_t x_t^T        dW_hh = sum_t ds_t h_{t-1}^T        rule dW = dy v^T
         db_ih = sum_t da_t              db_hh = sum_t ds_t                  factor 1
         dx_t  = W_ih^T da_t             x_t is used at one timestep only: no sum
         dh_0  = z_1 * dh_1 + W_hh^T ds_1

In the code each row is a sequence of the batch: W x is x @ W.T, and W^T da is da @ W. da.T @ x[t]
and da.sum(axis=0) add up the rows. Loop index t is timestep t + 1: x[t] is x_{t+1}, and dh[t]
belongs to h_{t+1}. But h[k] is h_k, not shifted. Easy mistake: h[t + 1] for h[t] in dW_hh. Its
shape fits: no error appears. dh_next is what (6') takes from step t + 1. sigmoid uses
1 + p / q = 2 e^v / q = 2 sigma(2 v).

Cho et al. (2014, arXiv:1406.1078v1). PyTorch uses this form.
"""

from __future__ import annotations

import numpy as np

from numpy_rnn.functional.types import Array, Cache
from numpy_rnn.textbook.lstm import sigmoid


def gru_forward(
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
    return np.stack(h)[1:], (x, h, gates, W_ih, W_hh, b_ih, b_hh)


def gru_backward(dh: Array, cache: Cache) -> tuple[Array, ...]:
    """Return dx, dh0, dW_ih, dW_hh, db_ih and db_hh, each shaped like its argument.

    dh : (T, B, H) array, the partial derivative of L with respect to each h_t: dh[t] above.
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
