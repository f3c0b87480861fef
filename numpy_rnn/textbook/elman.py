"""The Elman cell: a layer of tanh units that read the input and the layer's previous state.

Symbols
    x_t, h_t       input and state at timestep t = 1, ..., T; h_0 is the state before the first one
    z_t            the sum that tanh is applied to. On the GRU pages, z is the update gate
    W_ih, W_hh     weights, and b_ih, b_hh, biases; ih is input to hidden, hh is hidden to hidden
    T, B, D, H     numbers of timesteps, sequences, inputs and units
    L              the loss: one number, computed elsewhere from h_1, ..., h_T
    dX             the gradient dL/dX, shaped like X: its element j is the change of L per change of
                   element j of X, all consequences included. The exception is dh[t], below
    v * w          product element by element;  v w^T  outer product: row j, column k is v_j w_k

Forward, for one sequence, t = 1, ..., T. Vectors are columns
    (0)  given: x_t, h_0, W_ih, W_hh, b_ih, b_hh
    (1)  z_t = W_ih x_t + b_ih + W_hh h_{t-1} + b_hh
    (2)  h_t = tanh(z_t)       tanh(v) = p / q,  p = e^v - e^-v,  q = e^v + e^-v

Paths from h_t to the loss
                      L                                 L
                      ^                                 ^
                      | dh[t]                           | dh[t+1]
       z_t --tanh--> h_t ---W_hh---> z_{t+1} --tanh--> h_{t+1} ---W_hh---> z_{t+2} ---> ...

    Two arrows leave h_t: to the loss and to z_{t+1}. Through z_{t+1}, h_t reaches everything later.
    dh[t], with brackets, counts only the direct arrow to the loss: a partial derivative of L, given
    to the backward function. dh_t counts every arrow: it is the total derivative.

The chain rule
    Take the quantities in the order of the equations, last equation first. For each, list the
    arrows that leave it. Add one term per arrow. To come back along an arrow v -> y, multiply the
    gradient at its head, dy, by the derivative of y with respect to v:
       y = tanh(v)    dv = dy * (1 - y^2)     p' = q and q' = p, so tanh' = (q^2 - p^2) / q^2
       y = v + w      dv = dy,  dw = dy       factor 1
       y = W v        dv = W^T dy             dv_k = sum_j W_jk dy_j, since v_k is in every y_j
                      dW = dy v^T             dW_jk = dy_j v_k, since W_jk is in y_j alone

Backward, t = T, ..., 1. (k') is the gradient of what equation (k) defines, (0') of what is given.
    (2') dh_t = dh[t]                    to the loss: given
              + W_hh^T dz_{t+1}          to z_{t+1}, which contains W_hh h_t
    (1') dz_t = dh_t * (1 - h_t^2)       the one arrow from z_t: h_t = tanh(z_t), so z_t is not kept

    Time runs backwards: dz_{t+1} must be complete before dh_t. At t = T no step follows, so
    dz_{T+1} = 0. The loss does not read h_0 directly, so dh_0 has one term, that of z_1.

Gradients of what was given
    W_hh is used T times, once for each z_t. Each use is an arrow, so dW_hh is a sum over t: += in
    the code. Term t is the whole effect on L, at step t and every later step, of the use at step t.
    The terms are the ledger: python -m numpy_rnn.textbook.elman prints them for an example.
    (0') dW_ih = sum_t dz_t x_t^T        dW_hh = sum_t dz_t h_{t-1}^T        rule dW = dy v^T
         db_ih = db_hh = sum_t dz_t      one bias would do, but PyTorch has two
         dx_t  = W_ih^T dz_t             x_t is used at one timestep only: no sum
         dh_0  = W_hh^T dz_1

    Example: one unit, W_hh = w, T = 3, and a loss that reads h_3 only. Term t = 1 of dW_hh is
         dh[3] * (1 - h_3^2) * w * (1 - h_2^2) * w * (1 - h_1^2) * h_0
    The power w^2, and w^k over k steps, is why the effect of old steps fades or explodes.

In the code each row is a sequence of the batch: W x is x @ W.T, and W^T dz is dz @ W. dz.T @ x[t]
and dz.sum(axis=0) add up the rows. Loop index t is timestep t + 1: x[t] is x_{t+1}, and dh[t]
belongs to h_{t+1}. But h[k] is h_k, not shifted. Easy mistake: h[t + 1] for h[t] in dW_hh. Its
shape fits: no error appears. dh_next is what (2') takes from step t + 1.

Elman (1990) for the cell; Rumelhart, Hinton & Williams (1986) and Werbos (1990) for the gradient.
"""

from __future__ import annotations

import numpy as np

from numpy_rnn.functional.types import Array, Cache


def elman_forward(
    x: Array, h0: Array, W_ih: Array, W_hh: Array, b_ih: Array, b_hh: Array
) -> tuple[Array, Cache]:
    """Return h at every timestep, (T, B, H), and the cache.

    Parameters
    ----------
    x, h0 : (T, B, D) and (B, H) arrays
    W_ih, W_hh, b_ih, b_hh : (H, D), (H, H), (H,) and (H,) arrays

    Examples
    --------
    >>> x, h0, W, b = np.ones((2, 1, 1)), np.zeros((1, 1)), np.ones((1, 1)), np.zeros(1)
    >>> h, cache = elman_forward(x, h0, W, W, b, b)
    >>> h.ravel().round(4)
    array([0.7616, 0.9427])
    """
    h = [h0]
    for t in range(len(x)):
        z = x[t] @ W_ih.T + b_ih + h[t] @ W_hh.T + b_hh  # (1) (B, H)
        h.append(np.tanh(z))  # (2) (B, H)
    return np.stack(h)[1:], (x, h, W_ih, W_hh, b_ih, b_hh)


def elman_backward(dh: Array, cache: Cache) -> tuple[Array, ...]:
    """Return dx, dh0, dW_ih, dW_hh, db_ih and db_hh, each shaped like its argument.

    dh : (T, B, H) array, the partial derivative of L with respect to each h_t: dh[t] above.
    """
    x, h, W_ih, W_hh, b_ih, b_hh = cache
    T = len(x)
    dh_next = np.zeros_like(h[0])  # (2') (B, H)
    dx = np.zeros_like(x)  # (0') (T, B, D)
    dW_ih, dW_hh = np.zeros_like(W_ih), np.zeros_like(W_hh)  # (0') (H, D), (H, H)
    db_ih, db_hh = np.zeros_like(b_ih), np.zeros_like(b_hh)  # (0') (H,), (H,)
    for t in reversed(range(T)):
        dh_t = dh[t] + dh_next  # (2') (B, H)
        dz = dh_t * (1 - h[t + 1] ** 2)  # (1') (B, H)
        dx[t] = dz @ W_ih  # (0') (B, D)
        dW_ih += dz.T @ x[t]  # (0') (H, D)
        dW_hh += dz.T @ h[t]  # (0') (H, H)
        db_ih += dz.sum(axis=0)  # (0') (H,)
        db_hh += dz.sum(axis=0)  # (0') (H,)
        dh_next = dz @ W_hh  # (2') (B, H)
    return dx, dh_next, dW_ih, dW_hh, db_ih, db_hh


if __name__ == "__main__":
    from numpy_rnn.textbook.example import show

    shapes = {"x": "T B D", "h0": "B H", "W_ih": "H D", "W_hh": "H H", "b_ih": "H", "b_hh": "H"}
    show(elman_forward, elman_backward, shapes)
