"""Shared by the tests of the pairs: the type of a row, small sizes, random numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from numpy_rnn.checking.regimes import REGIMES
from numpy_rnn.checking.shapes import draw
from numpy_rnn.functional.types import Array
from numpy_rnn.museum.registry import RegisteredPair

Rng = np.random.Generator
# Small sizes, for tests that run a pair hundreds of times.
SMALL = {"D": 3, "H": 4, "P": 2, "V": 5}
D, H, V = SMALL["D"], SMALL["H"], SMALL["V"]


class Case(RegisteredPair):
    """A row of the registry, with properties for the tests."""

    def arguments(self, rng: Rng, T: int, B: int) -> tuple[Any, ...]:
        """Return arguments of `forward` in small sizes; T and B may be zero."""
        values, _ = draw(rng, self.shapes, SMALL | {"T": T, "B": B}, REGIMES[0])
        return tuple(values.values())

    @property
    def over_time(self) -> tuple[int, ...]:
        """Positions of the arguments whose gradient has time as its first axis."""
        return tuple(i for i, axes in enumerate(self._axes()) if "T" in axes)

    @property
    def summed(self) -> tuple[int, ...]:
        """Positions of the weights: their gradients are sums whose terms `keep` can keep."""
        return tuple(i for i, axes in enumerate(self._axes()) if axes and not {"T", "B"} & axes)

    def _axes(self) -> list[set[str]]:
        return [set(g.split()) if isinstance(g, str) else set() for g in self.shapes.values()]


def normal(rng: Rng, *shape: int, scale: float = 1.0) -> Array:
    """Return standard normal numbers, or zero-dimensional ones, as an array."""
    return np.asarray(rng.standard_normal(shape) * scale)
