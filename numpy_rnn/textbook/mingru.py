"""The minGRU: a GRU whose gate and candidate do not read the state, so the recurrence is linear.

Symbols
    x_t, h_t       input and state at timestep t = 1, ..., T; h_0 is the state before the first one
    z, n           gate, between 0 and 1, and candidate. On the LSTM pages, z is a sum
    a_t            sums of the input, in two blocks: n_t, and a_z, written without t
    W_ih, b_ih     weights and biases, input to hidden: the same ones at every timestep
    T, B, D, H     numbers of timesteps, sequences, inputs and units
    L              the loss: one number, computed elsewhere from h_1, ..., h_T
    dX             the gradient dL/dX, shaped like X: its element j is the change of L per change of
                   element j of X, all consequences included. The exception is dh[t], below
    v * w          product element by element;  v w^T  outer product: row j, column k is v_j w_k

Forward, for one sequence, t = 1, ..., T. Vectors are columns
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
    dh[t], with brackets, counts only the direct arrow to the loss: a partial derivative of L, given
    to the backward function. dh_t counts every arrow: it is the total derivative.

The chain rule
    Take the quantities in the order of the equations, last equation first. For each, list the
    arrows that leave it. Add one term per arrow. To come back along an arrow v -> y, multiply the
    gradient at its head, dy, by the derivative of y with respect to v:
       y = sigma(v)   dv = dy * y * (1 - y)   sigma' = e^-v sigma^2, and e^-v sigma = 1 - sigma
       y = v + w      dv = dy,  dw = dy       factor 1
       y = v - w      dv = dy,  dw = -dy      factors 1 and -1; y = 1 - v likewise: dv = -dy
       y = v * w      dv = dy * w             the other factor; dw = dy * v
       y = W v        dv = W^T dy             dv_k = sum_j W_jk dy_j, since v_k is in every y_j
                      dW = dy v^T             dW_jk = dy_j v_k, since W_jk is in y_j alone
    A quantity that is used twice in an equation, as z is in z * n - z * h, has two arrows.

Backward, t = T, ..., 1. (k') is the gradient of what equation (k) defines, (0') of what is given.
    (3') dh_t = dh[t]                        to the loss: given
              + (1 - z_{t+1}) * dh_{t+1}     to h_{t+1}, which contains (1 - z_{t+1}) * h_t
    (2') dz_t = dh_t * (n_t - h_{t-1})       z_t is in (3) twice: times n_t, and times -h_{t-1}
    (1') da_z = dz_t * z_t * (1 - z_t)       sigma'
         dn_t = dh_t * z_t                   h_t contains z_t * n_t: the other factor

    Time runs backwards: dh_{t+1} must be complete before dh_t. At t = T no step follows, so
    dh_{T+1} = 0. The loss does not read h_0 directly, so dh_0 has one term, that of h_1.

Gradients of what was given
    W_ih is used T times, once for each a_t. Each use is an arrow, so dW_ih is a sum over t: += in
    the code. Term t is the whole effect on L, at step t and every later step, of the use at step t.
    The terms are the ledger: run this page, or functional.mingru_backward(..., keep="t").
    (0') dW_ih = sum_t da_t x_t^T        db_ih = sum_t da_t      rule dW = dy v^T, and factor 1
         dx_t  = W_ih^T da_t             x_t is used at one timestep only: no sum
         dh_0  = (1 - z_1) * dh_1

In the code each row is a sequence of the batch: W x is x @ W.T, and W^T da is da @ W. da.T @ x[t]
and da.sum(axis=0) add up the rows. Loop index t is timestep t + 1: x[t] is x_{t+1}, and dh[t]
belongs to h_{t+1}. But h[k] is h_k, not shifted. Easy mistake: h[t + 1] for h[t] in dz. Its shape
fits: no error appears. dh_next is what (3') takes from step t + 1. sigmoid uses tanh(v / 2) =
(e^v - 1) / (e^v + 1) = 2 sigma(v) - 1.

Feng et al. (2024, arXiv:2410.01201). Its z takes in the new, where z of other GRUs keeps the old.
"""

from __future__ import annotations

import numpy as np

from numpy_rnn.functional.types import Array, Cache
from numpy_rnn.textbook.lstm import sigmoid


def mingru_forward(x: Array, h0: Array, W_ih: Array, b_ih: Array) -> tuple[Array, Cache]:
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
    return np.stack(h)[1:], (x, h, gates, W_ih, b_ih)


def mingru_backward(dh: Array, cache: Cache) -> tuple[Array, ...]:
    """Return dx, dh0, dW_ih and db_ih, each shaped like its argument.

    dh : (T, B, H) array, the partial derivative of L with respect to each h_t: dh[t] above.
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
