"""The IndRNN: relu units, each of which reads the input and its own previous value.

Symbols
    x_t, h_t       input and state at timestep t = 1, ..., T; h_0 is the state before the first one
    z_t            the sum that relu is applied to: relu(z) is z where z > 0, and 0 elsewhere
    W_ih, b_ih     weights and biases, input to hidden: the same ones at every timestep
    w_hh           one weight for each unit, hidden to hidden, likewise
    T, B, D, H     numbers of timesteps, sequences, inputs and units
    L              the loss: one number, computed elsewhere from h_1, ..., h_T
    dX             the gradient dL/dX, shaped like X: its element j is the change of L per change of
                   element j of X, all consequences included. The exception is dh[t], below
    v * w          product element by element;  v w^T  outer product: row j, column k is v_j w_k

Forward, for one sequence, t = 1, ..., T. Vectors are columns
    (0)  given: x_t, h_0, W_ih, w_hh, b_ih
    (1)  z_t = W_ih x_t + b_ih + w_hh * h_{t-1}
    (2)  h_t = relu(z_t)

Paths from h_t to the loss
                      L                                   L
                      ^                                   ^
                      | dh[t]                             | dh[t+1]
       z_t --relu--> h_t ---* w_hh---> z_{t+1} --relu--> h_{t+1} ---* w_hh---> z_{t+2} ---> ...

    Two arrows leave h_t: to the loss and to z_{t+1}. Through z_{t+1}, h_t reaches everything later.
    dh[t], with brackets, counts only the direct arrow to the loss: a partial derivative of L, given
    to the backward function. dh_t counts every arrow: it is the total derivative.

The chain rule
    Take the quantities in the order of the equations, last equation first. For each, list the
    arrows that leave it. Add one term per arrow. To come back along an arrow v -> y, multiply the
    gradient at its head, dy, by the derivative of y with respect to v:
       y = relu(v)    dv = dy * relu'(v)      relu' is 1 where v > 0 and 0 where v < 0
       y = v + w      dv = dy,  dw = dy       factor 1
       y = v * w      dv = dy * w             the other factor; dw = dy * v
       y = W v        dv = W^T dy             dv_k = sum_j W_jk dy_j, since v_k is in every y_j
                      dW = dy v^T             dW_jk = dy_j v_k, since W_jk is in y_j alone

Backward, t = T, ..., 1. (k') is the gradient of what equation (k) defines, (0') of what is given.
    (2') dh_t = dh[t]                          to the loss: given
              + w_hh * dz_{t+1}                to z_{t+1}, which contains w_hh * h_t
    (1') dz_t = dh_t * (1 if h_t > 0 else 0)   h_t > 0 exactly where z_t > 0, so z_t is not kept

    At z_t = 0 relu has no derivative; (1') takes 0. The code compares the real part, so that the
    gradient can be tested with complex numbers. For real numbers, .real changes nothing.
    Where z_t > 0, the only factor from step to step is w_hh. Over 100 steps it is w_hh^100:
    gradients vanish if |w_hh| is below 1, and explode if it is above 1.
    Time runs backwards: dz_{t+1} must be complete before dh_t. At t = T no step follows, so
    dz_{T+1} = 0. The loss does not read h_0 directly, so dh_0 has one term, that of z_1.

Gradients of what was given
    w_hh is used T times, once for each z_t. Each use is an arrow, so dw_hh is a sum over t: += in
    the code. Term t is the whole effect on L, at step t and every later step, of the use at step t.
    The terms are the ledger: run this page, or functional.indrnn_backward(..., keep="t").
    (0') dW_ih = sum_t dz_t x_t^T        dw_hh = sum_t dz_t * h_{t-1}        the other factor
         db_ih = sum_t dz_t              b_ih is added to z_t
         dx_t  = W_ih^T dz_t             x_t is used at one timestep only: no sum
         dh_0  = w_hh * dz_1

In the code each row is a sequence of the batch: W x is x @ W.T, and W^T dz is dz @ W. dz.T @ x[t]
and dz.sum(axis=0) add up the rows. Loop index t is timestep t + 1: x[t] is x_{t+1}, and dh[t]
belongs to h_{t+1}. But h[k] is h_k, not shifted. Easy mistake: h[t + 1] for h[t] in dw_hh. Its
shape fits: no error appears. dh_next is what (2') takes from step t + 1.

Li, Li, Cook, Zhu & Gao (2018).
"""

from __future__ import annotations

import numpy as np

from numpy_rnn.functional.types import Array, Cache


def indrnn_forward(
    x: Array, h0: Array, W_ih: Array, w_hh: Array, b_ih: Array
) -> tuple[Array, Cache]:
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
    return np.stack(h)[1:], (x, h, W_ih, w_hh, b_ih)


def indrnn_backward(dh: Array, cache: Cache) -> tuple[Array, ...]:
    """Return dx, dh0, dW_ih, dw_hh and db_ih, each shaped like its argument.

    dh : (T, B, H) array, the partial derivative of L with respect to each h_t: dh[t] above.
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
