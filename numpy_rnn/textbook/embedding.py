"""The embedding: a table with one row of numbers for each token, looked up at every timestep.

Symbols
    tokens         integers from 0 to V - 1, one for each timestep t and sequence b
    W              the table: row v, written W_v, belongs to token v and has E numbers
    T, B, V, E     numbers of timesteps, sequences, tokens to choose from and columns
    L              the loss: one number, computed elsewhere from y
    dX             the gradient dL/dX, shaped like X: its element j is the change of L per change of
                   element j of X, all consequences included

Forward, for every t and b
    (0)  given: tokens, W
    (1)  y[t,b] = W_v  with  v = tokens[t,b]

Paths to the loss
              +---> y[1,2] ---+
        W_v --+---> y[4,1] ---+---> L      one arrow for each place where token v occurs
              +---> y[5,1] ---+

    One arrow leaves each y[t,b], to the loss. So dy[t,b] is its whole gradient.

Backward. (k') is the gradient of what equation (k) defines, (0') of what is given.
    (1') dy[t,b]                                                given
    (0') dW_v = sum of dy[t,b] over all t, b with tokens[t,b] = v

    Add one term per arrow: += in the code, where t and b count from 0. Each arrow from W_v copies
    it, a factor 1. A row whose token does not occur gets 0. Term t is the effect on L of looking up
    W at step t. The terms are the ledger: run this page, or functional.embedding_backward
    with keep="t".
    A token is an integer and cannot change by a little, so None is returned for its gradient.

Bengio, Ducharme, Vincent & Jauvin (2003).
"""

from __future__ import annotations

import numpy as np

from numpy_rnn.functional.types import Array, Cache


def embedding_forward(tokens: Array, W: Array) -> tuple[Array, Cache]:
    """Return the row of W for each token, (T, B, E), and the cache.

    Parameters
    ----------
    tokens, W : (T, B) array of int, and (V, E) array

    Examples
    --------
    >>> y, cache = embedding_forward(np.array([[1]]), np.array([[0.1, 0.2], [0.3, 0.4]]))
    >>> y
    array([[[0.3, 0.4]]])
    """
    y = W[tokens]  # (1) (T, B, E)
    return y, (tokens, W)


def embedding_backward(dy: Array, cache: Cache) -> tuple[None, Array]:
    """Return None for the tokens, and dW of W's shape.

    dy : (T, B, E) array, the gradient of L with respect to y.
    """
    tokens, W = cache
    dW = np.zeros_like(W)  # (0') (V, E)
    for t in range(len(tokens)):
        for b in range(len(tokens[t])):
            dW[tokens[t, b]] += dy[t, b]  # (0') (E,)
    return None, dW


if __name__ == "__main__":
    from numpy_rnn.textbook.example import show

    show(embedding_forward, embedding_backward, {"tokens": np.array([[1], [1]]), "W": "V E"})
