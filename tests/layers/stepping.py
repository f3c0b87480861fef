"""Cells and models that step, and the two ways to step them."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest

from numpy_rnn import (
    GRU,
    LRU,
    LSTM,
    RNN,
    IndRNN,
    MinGRU,
    PeepholeLSTM,
)
from numpy_rnn.functional.types import Array
from tests.layers.mgu import MGU
from tests.layers.models import MODELS
from tests.layers.test_sequences import D

X = np.random.default_rng(0).standard_normal((2, D))
CELLS: list[Any] = [
    RNN,
    LSTM,
    partial(LSTM, proj_size=2),
    PeepholeLSTM,
    GRU,
    partial(GRU, reset_after=False),
    IndRNN,
    MinGRU,
    LRU,
    MGU,
]
each_cell = pytest.mark.parametrize("kind", CELLS)
each_method = pytest.mark.parametrize("method", ["step", "stepper"])
# Of the models, those of one direction; `nested` has a LastStep inside.
STREAMS = [name for name in MODELS if "bidirectional" not in name]
each_stream = pytest.mark.parametrize("name", STREAMS)


def stepping(layer: Any, method: str) -> Any:
    """Return ``step(x_t, state=None)``, which returns a pair for every layer."""
    if method == "stepper":
        return layer.stepper()
    return layer.step if layer.stateful else lambda x_t, state=None: (layer.step(x_t), ())  # noqa: ARG005


def by_forward(layer: Any, x_t: Array) -> Array:
    y: Array = layer.apply(x_t[None], training=False)[0][0]
    return y
