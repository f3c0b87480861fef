"""Embedding: a table of vectors, looked up by symbol.

    Forward   (1) y[t,b] = W[s[t,b]]
    Backward  (1') dW[v] = sum over the (t, b) with s[t,b] = v of dy[t,b]

It is the product of a one-hot row with W, without multiplying by the zeros. A symbol is an
index, so it has no gradient: ``None`` stands in its place.
"""

from __future__ import annotations

from typing import NamedTuple

from numpy_rnn.functional.contract import Keep, contract_one_hot
from numpy_rnn.functional.types import Array


class EmbeddingCache(NamedTuple):
    """What :func:`embedding_backward` needs of the forward pass."""

    symbols: Array  # (T, B)
    size: int  # V


def embedding_forward(symbols: Array, W: Array) -> tuple[Array, EmbeddingCache]:
    """Look every symbol up in the table.

    Parameters
    ----------
    symbols : (T, B) array of int
        Row numbers of `W`, 0 <= symbol < V.
    W : (V, E) array
        The table.

    Returns
    -------
    y : (T, B, E) array
        Equation (1).
    cache : EmbeddingCache
        For :func:`embedding_backward`.
    """
    return W.take(symbols, axis=0), EmbeddingCache(symbols, len(W))  # (1)


def embedding_backward(dy: Array, cache: EmbeddingCache, keep: Keep = "") -> tuple[None, Array]:
    """Gradients of :func:`embedding_forward`, one per argument.

    Parameters
    ----------
    dy : (T, B, E) array
        Gradient of the looked-up vectors.
    cache : EmbeddingCache
        From the forward pass.
    keep : {"", "t", "b", "tb"}
        The axes of the sum over time and batch to leave standing.

    Returns
    -------
    dsymbols : None
        An index has no gradient.
    dW : (V, E) array, with the kept axes in front
        Equation (1').
    """
    return None, contract_one_hot(dy, cache.symbols, cache.size, keep)  # (1')
