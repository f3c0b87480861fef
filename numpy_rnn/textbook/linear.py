"""The linear layer: y = W x + b with the same weights and the same bias at every timestep.

Symbols
    x_t, y_t       input and output at timestep t = 1, ..., T;  W, b  weights and bias
    T, B, D, G     numbers of timesteps, sequences, inputs and outputs
    L              the loss: one number, computed elsewhere from y_1, ..., y_T
    dX             the gradient dL/dX, shaped like X: its element j is the change of L per change of
                   element j of X, all consequences included
    v w^T          outer product: row j, column k is v_j w_k

Forward, for one sequence, t = 1, ..., T. Vectors are columns
    (0)  given: x_t, W, b
    (1)  y_t = W x_t + b

Paths to the loss
        x_t ---W---> y_t ---dy[t]---> L

    One arrow leaves y_t, so its gradient dy[t] is all of dy_t. Without a recurrence, the partial
    and the total derivative are the same.

Backward. (k') is the gradient of what equation (k) defines, (0') of what is given.
Element j of (1) is y_j = sum_k W_jk x_k + b_j.
    (1') dy_t = dy[t]               given
    (0') dx_t = W^T dy_t            x_k is in every y_j, with factor W_jk: dx_k = sum_j W_jk dy_j
         dW = sum_t dy_t x_t^T      W_jk is in y_j alone, with factor x_k: dW_jk = sum_t dy_j x_k
         db = sum_t dy_t            b_j is in y_j alone, with factor 1

    W is used T times, once for each y_t. Each use is an arrow, so dW is a sum over t: += in the
    code. Term t is the effect on L of using W at step t. The terms are the ledger: run this
    page, or functional.linear_backward with keep="t".

In the code each row is a sequence of the batch: W x is x @ W.T, and W^T dy is dy @ W. dy[t].T @
x[t] and dy[t].sum(axis=0) add up the rows. Loop index t is timestep t + 1: x[t] is x_{t+1}.
"""

from __future__ import annotations

import numpy as np

from numpy_rnn.functional.types import Array, Cache


def linear_forward(x: Array, W: Array, b: Array) -> tuple[Array, Cache]:
    """Return y at every timestep, (T, B, G), and the cache.

    Parameters
    ----------
    x, W, b : (T, B, D), (G, D) and (G,) arrays

    Examples
    --------
    >>> y, cache = linear_forward(np.ones((1, 1, 2)), np.array([[1.0, 2.0]]), np.array([3.0]))
    >>> y
    array([[[6.]]])
    """
    y = x @ W.T + b  # (1) (T, B, G)
    return y, (x, W, b)


def linear_backward(dy: Array, cache: Cache) -> tuple[Array, Array, Array]:
    """Return dx, dW and db, each shaped like its argument.

    dy : (T, B, G) array, the gradient of L with respect to y.
    """
    x, W, b = cache
    dx = np.zeros_like(x)  # (0') (T, B, D)
    dW, db = np.zeros_like(W), np.zeros_like(b)  # (0') (G, D), (G,)
    for t in range(len(x)):
        dx[t] = dy[t] @ W  # (0') (B, D)
        dW += dy[t].T @ x[t]  # (0') (G, D)
        db += dy[t].sum(axis=0)  # (0') (G,)
    return dx, dW, db


if __name__ == "__main__":
    from numpy_rnn.textbook.example import show

    show(linear_forward, linear_backward, {"x": "T B D", "W": "G D", "b": "G"})
