"""Architectures that the laws of layers are tested on, and inputs and gradients for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from numpy_rnn import (
    GRU,
    LRU,
    LSTM,
    RNN,
    Dropout,
    Embedding,
    IndRNN,
    LastStep,
    Layer,
    LayerNorm,
    LeakyReLU,
    Linear,
    MinGRU,
    PeepholeLSTM,
    Sequential,
)
from numpy_rnn.functional.types import Array
from tests.layers.mgu import MGU

T, B, D, H, V = 6, 3, 3, 4, 7


def nested() -> Sequential:
    """Every kind of layer, two levels deep; tokens in, one vector per row out."""
    body = Sequential(
        LSTM(D, H, 2, dropout=0.4, rng=1), LayerNorm(H), Dropout(0.3, rng=2), GRU(H, H, rng=3)
    )
    return Sequential(
        embed=Embedding(V, D, rng=0), body=body, last=LastStep(), head=Linear(H, 2, rng=4)
    )


MODELS: dict[str, Callable[[], Layer]] = {
    "rnn": lambda: RNN(D, H, rng=0),
    "relu rnn, stored states": lambda: RNN(D, H, 2, "relu", recompute=2, rng=0),
    "stacked bidirectional lstm with dropout": lambda: LSTM(
        D, H, 2, dropout=0.4, bidirectional=True, rng=0
    ),
    "projected lstm": lambda: LSTM(D, H, proj_size=2, rng=0),
    "peephole lstm": lambda: PeepholeLSTM(D, H, rng=0),
    "gru": lambda: GRU(D, H, 2, rng=0),
    "gru, reset before": lambda: GRU(D, H, reset_after=False, rng=0),
    "indrnn": lambda: IndRNN(D, H, 2, rng=0),
    "lru": lambda: LRU(D, H, rng=0),
    "mingru": lambda: MinGRU(D, H, 2, rng=0),
    "custom cell": lambda: MGU(D, H, 2, rng=0),
    "linear": lambda: Linear(D, H, rng=0),
    "embedding": lambda: Embedding(V, D, rng=0),
    "chain": lambda: Sequential(rnn=RNN(D, H, rng=0), i2o=Linear(H, 2, rng=1)),
    "nested": nested,
    "tied, with options": lambda: Sequential(
        Embedding(V, H, 0, rng=0),
        LSTM(H, D, 2, activations=("hard_sigmoid", "softsign", "tanh"), clip=1.5, rng=1),
        Linear(D, H, rng=2),
        GRU(H, H, reset_after=False, activations=("sigmoid", "relu"), rng=3),
        LeakyReLU(0.2),
        Linear(H, V, rng=4),
        tied={"5.weight": "0.weight"},
    ),
}


def an_input(layer: Layer, seed: int, steps: int = T, rows: int = B) -> Array:
    """Return a batch that the layer takes: tokens, or rows of normal numbers."""
    rng = np.random.default_rng(seed)
    if takes_tokens(layer):
        return rng.integers(0, V, (steps, rows))
    return rng.standard_normal((steps, rows, D))


def takes_tokens(layer: Layer) -> bool:
    """Whether the first layer is an embedding."""
    while isinstance(layer, Sequential):
        layer = next(iter(layer.layers.values()))
    return isinstance(layer, Embedding)


def a_gradient(layer: Layer, seed: int, steps: int = T, rows: int = B) -> tuple[Array, Any]:
    """Return random gradients of the output and of the final state."""
    rng = np.random.default_rng(seed)
    y, state, _ = layer.apply(
        an_input(layer, 0, steps, rows), training=False, rng=np.random.default_rng(0)
    )
    return rng.standard_normal(y.shape), normal_like(state, rng) if layer.stateful else None


def normal_like(tree: Any, rng: np.random.Generator) -> Any:
    """Return normal numbers in the shape of a state."""
    if isinstance(tree, tuple):
        return tuple(normal_like(part, rng) for part in tree)
    return rng.standard_normal(tree.shape)


def flat(tree: Any) -> list[Array]:
    """Return the arrays of nested tuples, lists and dicts, in order."""
    return list(_leaves(tree))


def _leaves(tree: Any) -> Iterator[Array]:
    if isinstance(tree, dict):
        tree = [tree[name] for name in sorted(tree)]
    if isinstance(tree, tuple | list):
        for part in tree:
            yield from _leaves(part)
    elif tree is not None:
        yield np.asarray(tree)


def same_trees(got: Any, want: Any, rtol: float = 0, atol: float = 0) -> None:
    """Assert that two trees of arrays are equal, in every bit by default."""
    pairs = zip(flat(got), flat(want), strict=True)
    for a, b in pairs:
        assert a.dtype == b.dtype
        if rtol or atol:
            np.testing.assert_allclose(a, b, rtol=rtol, atol=atol)
        else:
            np.testing.assert_array_equal(a, b)
