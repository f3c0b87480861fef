"""Room: the embedding, a table of rows looked up by symbol: y[t,b] = W[s[t,b]]."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import numpy as np

from numpy_rnn.functional.types import Array
from numpy_rnn.museum.exhibit import Exhibit, Room, Sizes


class EmbeddingCache(NamedTuple):
    """What backward needs."""

    symbols: Array
    W: Array


def embedding_forward(symbols: Array, W: Array) -> tuple[Array, EmbeddingCache]:
    """Return the rows."""
    return W[symbols], EmbeddingCache(symbols, W)


def embedding_backward(dy: Array, cache: EmbeddingCache) -> tuple[None, Array]:
    """Add every gradient to the row that was looked up."""
    symbols, W = cache
    dW = np.zeros_like(W)
    for t in range(len(symbols)):
        for b in range(len(symbols[t])):
            dW[symbols[t, b]] += dy[t, b]
    return None, dW


def draw_symbols(rng: np.random.Generator, sizes: Sizes) -> Array:
    """Draw with repetitions, also within a step."""
    symbols = rng.integers(0, sizes["V"], (sizes["T"], sizes["B"]))
    symbols[0] = 0
    return symbols


EMBEDDING = Room(
    "embedding", embedding_forward, embedding_backward, {"symbols": draw_symbols, "W": "V D"}
)
_bug = partial(Exhibit, EMBEDDING)

EMBEDDING_EXHIBITS = [
    _bug(
        "= for +=",
        "dW[symbols[t, b]] += dy[t, b]",
        "dW[symbols[t, b]] = dy[t, b]",
        "Right as long as no symbol comes twice.",
        ("dW",),
    ),
    _bug(
        "repeated within a step",
        "for b in range(len(symbols[t])):\n            dW[symbols[t, b]] += dy[t, b]",
        "dW[symbols[t]] += dy[t]",
        "dW[i] += y adds once for each different i, however often it is listed.",
        ("dW",),
    ),
    _bug(
        "symbol 0 taken for padding",
        "dW[symbols[t, b]] += dy[t, b]",
        "dW[symbols[t, b]] += dy[t, b] * (symbols[t, b] > 0)",
        "Another project's 0 was the padding; here it is a letter.",
        ("dW",),
    ),
    _bug(
        "divided by how often the symbol occurs",
        "dW[symbols[t, b]] += dy[t, b]",
        "dW[symbols[t, b]] += dy[t, b] / np.sum(symbols == symbols[t, b])",
        "scale_grad_by_freq, switched on by default.",
        ("dW",),
    ),
]
