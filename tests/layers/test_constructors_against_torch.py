"""Constructors take the positional arguments of torch.nn."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import numpy_rnn
from tests.layers.test_against_torch import equal, tensor


@pytest.mark.parametrize(
    ("kind", "arguments"),
    [
        ("RNN", (3, 5)),
        ("RNN", (3, 5, 2)),
        ("RNN", (3, 5, 2, "relu")),
        ("RNN", (3, 5, 2, "relu", False, True)),
        ("RNN", (3, 5, 1, "tanh", True, False, 0.0, True)),
        ("LSTM", (3, 5, 2, True, True)),
        ("LSTM", (3, 5, 2, False, True, 0.0, True)),
        ("LSTM", (3, 5, 1, True, False, 0.0, True, 2)),
        ("GRU", (3, 5, 2, True, True)),
        ("GRU", (3, 5, 2, False, False, 0.0, True)),
        ("Linear", (3, 5)),
        ("Linear", (3, 5, False)),
        ("LayerNorm", (3,)),
        ("LayerNorm", (3, 0.5)),
        ("LayerNorm", (3, 0.5, False)),
        ("LayerNorm", (3, 0.5, True, False)),
    ],
)
def test_positional_arguments_are_those_of_torch(kind: str, arguments: tuple[Any, ...]) -> None:
    ours = getattr(numpy_rnn, kind)(*arguments)
    theirs = getattr(torch.nn, kind)(*arguments, dtype=torch.float64)
    shapes = {name: tuple(value.shape) for name, value in theirs.state_dict().items()}
    assert {name: value.shape for name, value in ours.state_dict().items()} == shapes
    ours.load_state_dict({name: value.numpy() for name, value in theirs.state_dict().items()})
    x = np.random.default_rng(0).standard_normal((4, 2, 3))
    y, want = ours(x), theirs(tensor(x))
    equal(*((y[0], want[0]) if ours.stateful else (y, want)))


@pytest.mark.parametrize(("kind", "arguments"), [("Embedding", (7, 3)), ("Dropout", (0.3,))])
def test_the_other_layers_begin_as_torchs_do(kind: str, arguments: tuple[Any, ...]) -> None:
    ours, theirs = getattr(numpy_rnn, kind)(*arguments), getattr(torch.nn, kind)(*arguments)
    for name in ("num_embeddings", "embedding_dim", "p"):
        assert getattr(ours, name, None) == getattr(theirs, name, None)
