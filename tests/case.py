"""What the tests of the pairs share: the type of a row, small sizes, random numbers."""

from __future__ import annotations

import numpy as np

from numpy_rnn.checking.registry import SMALL, RegisteredPair
from numpy_rnn.functional.types import Array

Rng = np.random.Generator
Case = RegisteredPair
D, H, V = SMALL["D"], SMALL["H"], SMALL["V"]


def normal(rng: Rng, *shape: int, scale: float = 1.0) -> Array:
    """Return standard normal numbers, or zero-dimensional ones, as an array."""
    return np.asarray(rng.standard_normal(shape) * scale)
