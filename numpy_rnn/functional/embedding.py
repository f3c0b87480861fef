"""Embedding: a table of vectors, looked up by token. The equations are in textbook/embedding.py.

Here the gradient is a sum of rows (:func:`contract_one_hot`), so that `keep` applies to it too.
"""

from __future__ import annotations

from typing import NamedTuple

from numpy_rnn.functional.contract import Keep, contract_one_hot, token_ids
from numpy_rnn.functional.types import Array


class EmbeddingCache(NamedTuple):
    """What :func:`embedding_backward` needs."""

    tokens: Array  # (T, B)
    size: int  # V


def embedding_forward(tokens: Array, W: Array) -> tuple[Array, EmbeddingCache]:
    """Return the vector of every token.

    Parameters
    ----------
    tokens : (T, B) array of int
        Row numbers of `W`, 0 <= token < V.
    W : (V, E) array

    Returns
    -------
    y, cache : (T, B, E) array ``W[tokens]``, and what backward takes

    Examples
    --------
    >>> import numpy as np
    >>> y, cache = embedding_forward(np.array([[1], [0]]), np.array([[5.0], [7.0]]))
    >>> y.ravel()
    array([7., 5.])
    """
    return W.take(token_ids(tokens), axis=0), EmbeddingCache(tokens, len(W))  # (1)


def embedding_backward(dy: Array, cache: EmbeddingCache, keep: Keep = "") -> tuple[None, Array]:
    """Return the gradients of :func:`embedding_forward`, in the order of functional/__init__.py.

    The first result is None: an index has no gradient.
    """
    return None, contract_one_hot(dy, cache.tokens, cache.size, keep)  # (0')
