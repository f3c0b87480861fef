"""What a row of the table of pairs says, and the sizes and numbers that rows share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from numpy_rnn.functional.types import Array

Rng = np.random.Generator
D, H, V = 3, 4, 5


class Case(NamedTuple):
    """A pair, and how to make inputs that can expose a bug in it."""

    name: str
    forward: Callable[..., Any]
    backward: Callable[..., Any]
    # (rng, T, B) -> the arguments of forward, none of them zero
    arguments: Callable[[Rng, int, int], tuple[Any, ...]]
    # which gradients have a time axis (it is axis 0), and which are sums that `keep` can keep
    over_time: tuple[int, ...] = (0,)
    summed: tuple[int, ...] = ()


def normal(rng: Rng, *shape: int, scale: float = 1.0) -> Array:
    """Return standard normal numbers, or zero-dimensional ones, as an array."""
    return np.asarray(rng.standard_normal(shape) * scale)
