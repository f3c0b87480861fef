"""Layers start from numbers that fill PyTorch's interval, and are reproducible."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from numpy_rnn.layers import RNN, Linear


@pytest.mark.parametrize(
    ("make", "fan"),
    [
        (lambda: RNN(2, 300, rng=0), 300),
        (lambda: RNN(300, 2, rng=0), 2),
        (lambda: Linear(2, 300, rng=0), 2),
        (lambda: Linear(300, 2, rng=0), 300),
    ],
)
def test_initial_weights_fill_their_interval(make: Callable[[], Any], fan: int) -> None:
    largest = np.abs(make().parameters.data).max()
    assert 0.9 < largest * np.sqrt(fan) <= 1


def test_sizes_may_be_any_whole_numbers() -> None:
    assert Linear(np.uint8(200), np.uint8(201)).state_dict()["weight"].shape == (201, 200)  # type: ignore[arg-type]  # NumPy's
