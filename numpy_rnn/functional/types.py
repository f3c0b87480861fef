"""The names that the type hints of the whole package share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

if TYPE_CHECKING:  # numpy.random and numpy.typing take 15 ms that not every import should pay
    import numpy.typing as npt
    from numpy.random import Generator

# Kernels follow the dtype of their inputs (float32, float64, complex128), so the element
# type is left open here and tested instead.
Array: TypeAlias = np.ndarray[tuple[Any, ...], np.dtype[Any]]

DTypeLike: TypeAlias = "npt.DTypeLike"

# Randomness is handed in: a Generator, or a seed for numpy.random.default_rng.
Rng: TypeAlias = "Generator | int | None"
