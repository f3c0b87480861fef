"""A small run that every test of training can afford."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from numpy_rnn import LSTM, Adam, CrossEntropyLoss, Dropout, Embedding, Linear, Sequential
from numpy_rnn.functional.types import Array
from numpy_rnn.training import Callback, Trainer, Windows, cosine

V = 7


def tokens(count: int = 400) -> Array:
    """A sequence in which the next token can mostly be predicted."""
    rng = np.random.default_rng(5)
    steps = rng.choice([1, 2], size=count, p=[0.9, 0.1])
    return np.cumsum(steps) % V


def model(dropout: float = 0.0, dtype: str = "float64", H: int = 6) -> Sequential:
    return Sequential(
        embedding=Embedding(V, 4, rng=0, dtype=dtype),
        rnn=LSTM(4, H, 2, dropout=dropout, rng=1, dtype=dtype),
        dropout=Dropout(dropout, rng=2, dtype=dtype),
        output=Linear(H, V, rng=3, dtype=dtype),
    )


def trainer(
    dropout: float = 0.0,
    shards: int = 1,
    threads: int = 1,
    callbacks: Sequence[Callback] = (),
    **options: Any,
) -> Trainer:
    net = model(dropout)
    return Trainer(
        net,
        CrossEntropyLoss(),
        Adam(net.parameters, lr=options.pop("lr", 1e-2)),
        Windows.next_of(tokens(), batch_size=6, window=9),
        schedule=cosine(warmup=5),
        clip_norm=options.pop("clip_norm", 1.0),
        shards=shards,
        threads=threads,
        callbacks=callbacks,
    )
