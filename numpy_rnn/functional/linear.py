"""Linear: the same affine map at every timestep.

    Forward   (1) y[t,b] = W x[t,b] + b
    Backward  (1') dx[t,b] = W^T dy[t,b]
                   dW = sum_t sum_b dy[t,b] x[t,b]^T
                   db = sum_t sum_b dy[t,b]

It is the output layer of a sequence model and also the input projection of every recurrent
cell. This projection does not depend on the recurrence, so it is one matrix product for the
whole sequence.

An integer x (T, B) stands for one-hot rows: W x[t,b] is then the column of W that the
symbol names, and is looked up rather than multiplied out.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from numpy_rnn.functional.contract import Keep, contract, contract_bias
from numpy_rnn.functional.embedding import EmbeddingCache, embedding_backward
from numpy_rnn.functional.types import Array


class LinearCache(NamedTuple):
    """What :func:`linear_backward` needs of the forward pass."""

    x: Array | EmbeddingCache  # (T, B, D), or the lookup that an integer x became
    W: Array  # (G, D)


def linear_forward(x: Array, W: Array, b: Array) -> tuple[Array, LinearCache]:
    """Apply an affine map to every row of a sequence.

    Parameters
    ----------
    x : (T, B, D) array, or (T, B) array of int
        Input rows, or the places of the ones in one-hot rows.
    W : (G, D) array
        Weight.
    b : (G,) array
        Bias.

    Returns
    -------
    y : (T, B, G) array
        Equation (1).
    cache : LinearCache
        For :func:`linear_backward`.
    """
    T, B = x.shape[:2]
    # One product over all rows: a (T, B, D) operand would become T small ones.
    y = affine(x.reshape(T * B, *x.shape[2:]), W.T, b)  # (1)
    kept = EmbeddingCache(x, W.shape[1]) if x.dtype.kind in "iu" else x
    return y.reshape(T, B, len(W)), LinearCache(kept, W)


def affine(x: Array, W_T: Array, b: Array, out: Array | None = None) -> Array:
    """Return equation (1) for rows that have one axis.

    Parameters
    ----------
    x : (N, D) array, or (N,) array of int
        Input rows, or the places of the ones in one-hot rows.
    W_T : (D, G) array
        Weight, transposed.
    b : (G,) or (1, G) array
        Bias.
    out : (N, G) array, optional
        Where the result is written; a new array if left out.

    Returns
    -------
    y : (N, G) array
        Equation (1).
    """
    y = W_T.take(x, axis=0) if x.dtype.kind in "iu" else x.dot(W_T)
    if out is None and y.dtype == b.dtype:
        out = y
    total: Array = np.add(y, b, out)
    return total


def linear_backward(
    dy: Array, cache: LinearCache, keep: Keep = ""
) -> tuple[Array | None, Array, Array]:
    """Gradients of :func:`linear_forward`, one per argument.

    Parameters
    ----------
    dy : (T, B, G) array
        Gradient of the output.
    cache : LinearCache
        From the forward pass.
    keep : {"", "t", "b", "tb"}
        The axes of the sums over time and batch to leave standing.

    Returns
    -------
    dx : (T, B, D) array, or None for an integer x
        Gradient of the input.
    dW : (G, D) array, with the kept axes in front
        Gradient of the weight.
    db : (G,) array, with the kept axes in front
        Gradient of the bias.
    """
    x, W = cache
    db = contract_bias(dy, keep)  # (1')
    if isinstance(x, EmbeddingCache):
        _, dW_T = embedding_backward(dy, x, keep)
        return None, dW_T.swapaxes(-1, -2), db  # (1')
    T, B, G = dy.shape
    dx = (dy.reshape(T * B, G) @ W).reshape(T, B, W.shape[1])  # (1')
    return dx, contract(dy, x, keep), db  # (1')
