"""The peak of forward + backward is that of docs/layers.md, in T, B, D and H."""

from __future__ import annotations

import tracemalloc
from functools import partial
from typing import Any

import numpy as np
import pytest

from numpy_rnn.layers import GRU, LRU, LSTM, RNN, IndRNN, MinGRU, PeepholeLSTM

# T, B, D, H; of the second, the recurrent products are cut into tiles (functional/blocking.py).
SMALL, LARGE, ONE_ROW = (400, 16, 8, 64), (100, 64, 8, 512), (2000, 1, 8, 64)


@pytest.mark.parametrize(
    ("kind", "sizes", "held", "peak"),
    [
        (RNN, SMALL, 1, 3),
        (LSTM, SMALL, 7, 11),
        (LSTM, LARGE, 7, 11),
        (partial(LSTM, proj_size=32), SMALL, 6 + 1 / 2, 11 + 2 / 2),  # P = H / 2
        (PeepholeLSTM, SMALL, 7, 14),
        (GRU, SMALL, 5, 9),
        (GRU, LARGE, 5, 9),
        (GRU, ONE_ROW, 5, 9),
        (partial(GRU, reset_after=False), SMALL, 4, 8),
        (IndRNN, SMALL, 1, 3),
        (MinGRU, SMALL, 5, 10),
        (LRU, SMALL, 4 + 2 / 16, 18),  # 2 T H is 2 / B of T B H
    ],
)
def test_memory_is_the_formula(
    kind: Any, sizes: tuple[int, int, int, int], held: float, peak: float
) -> None:
    T, B, D, H = sizes
    layer = kind(D, H, rng=0, dtype=np.float32)
    x = np.zeros((T, B, D), np.float32)
    dy = np.ones((T, B, layer.state_sizes[0]), np.float32)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        layer.forward(x)
        after = tracemalloc.get_traced_memory()[0] - before
        layer.backward(dy)
        most = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    row = x.itemsize * T * B  # bytes of one number for every step and row
    besides = 4 * layer.parameters.data.nbytes + (1 << 16) * x.itemsize
    # forward copies x, so that it may be changed before backward; dx is as large
    assert (held * H + D) * row <= after <= 1.02 * (held * H + D) * row + besides
    assert (peak * H + D) * row <= most <= 1.02 * (peak * H + 2 * D) * row + besides
