"""The peak of forward + backward is what docs/layers.md says, in T, B, D and H."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest

from numpy_rnn.layers import GRU, LRU, LSTM, RNN, IndRNN, MinGRU

T, B, D, H = 400, 16, 8, 64
ROW = 8 * T * B  # bytes of one number for every step and row


@pytest.mark.parametrize(
    ("kind", "held", "peak"),
    [
        (RNN, 1, 3),
        (LSTM, 7, 11),
        (GRU, 5, 9),
        (IndRNN, 1, 3),
        (MinGRU, 5, 10),
        (LRU, 4 + 2 / B, 18),
    ],
)
def test_memory_is_the_formula(kind: Any, held: float, peak: int) -> None:
    layer = kind(D, H, rng=0)
    x, dy = np.zeros((T, B, D)), np.ones((T, B, layer.state_sizes[0]))
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        layer.forward(x)
        after = tracemalloc.get_traced_memory()[0] - before
        layer.backward(dy)
        most = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    weights = 4 * layer.parameters.data.nbytes  # copies and gradients
    assert held * H * ROW <= after <= 1.02 * held * H * ROW + weights
    assert peak * H * ROW <= most <= 1.02 * (peak * H + D) * ROW + weights
