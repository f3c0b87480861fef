"""Linear: the same affine map at every timestep. The equations are in textbook/linear.py.

It is the output layer of a sequence model, and the input projection of every recurrent cell. Here
(a) the map is one matrix product for the whole sequence, because no step depends on another;
(b) integers x (T, B) stand for one-hot rows: W x[t,b] is then a column of W, which is looked up.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from numpy_rnn.functional.contract import Keep, contract, contract_bias, token_ids
from numpy_rnn.functional.embedding import EmbeddingCache, embedding_backward
from numpy_rnn.functional.types import Array


class LinearCache(NamedTuple):
    """What :func:`linear_backward` needs."""

    x: Array | EmbeddingCache  # (T, B, D); for token ids, the lookup
    W: Array  # (G, D)


def linear_forward(x: Array, W: Array, b: Array) -> tuple[Array, LinearCache]:
    """Apply an affine map to every row of a sequence.

    Parameters
    ----------
    x, W, b : (T, B, D), (G, D) and (G,) arrays

    Returns
    -------
    y, cache : (T, B, G) array ``x @ W.T + b``, and what backward takes

    Examples
    --------
    >>> import numpy as np
    >>> y, cache = linear_forward(np.ones((5, 2, 3)), np.ones((4, 3)), np.zeros(4))
    >>> dx, dW, db = linear_backward(np.ones_like(y), cache)
    >>> db  # a sum over T * B = 10 rows
    array([10., 10., 10., 10.])
    """
    T, B = x.shape[:2]
    # One product over all rows: NumPy would split a (T, B, D) operand into T small ones.
    y = affine(x.reshape(T * B, *x.shape[2:]), W.T, b)  # (1)
    kept = EmbeddingCache(x, W.shape[1]) if x.dtype.kind in "iu" else x
    return y.reshape(T, B, len(W)), LinearCache(kept, W)


def affine(x: Array, W_T: Array, b: Array, out: Array | None = None) -> Array:
    """Return ``x @ W_T + b`` for x (N, D), or (N,) token ids, in `out` (N, G) if it is given."""
    y = W_T.take(token_ids(x), axis=0) if x.dtype.kind in "iu" else x.dot(W_T)
    if out is None and y.dtype == b.dtype:
        out = y
    total: Array = np.add(y, b, out)
    return total


def affine_block(x: Array, W_T: Array, b: Array) -> Array:
    """Return :func:`affine` for x (k, B, D), or (k, B) token ids, and b (1, G)."""
    k, B, *row = x.shape
    return affine(x.reshape(k * B, *row), W_T, b).reshape(k, B, b.shape[1])


def as_block(x: Array) -> Array:
    """Return the input of one timestep, (B, D) or (B,), or of k, (k, B, D) or (k, B), as of k."""
    return x if x.ndim == (2 if x.dtype.kind in "iu" else 3) else x[None]


def linear_backward(
    dy: Array, cache: LinearCache, keep: Keep = ""
) -> tuple[Array | None, Array, Array]:
    """Return the gradients of :func:`linear_forward`, in the order of functional/__init__.py."""
    x, W = cache
    db = contract_bias(dy, keep)  # (0')
    if isinstance(x, EmbeddingCache):
        _, dW_T = embedding_backward(dy, x, keep)
        return None, dW_T.swapaxes(-1, -2), db
    T, B, G = dy.shape
    dx = (dy.reshape(T * B, G) @ W).reshape(T, B, W.shape[1])  # (0')
    return dx, contract(dy, x, keep), db  # (0')
