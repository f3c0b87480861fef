"""Types that the whole package shares."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

if TYPE_CHECKING:  # importing it and numpy.random takes 15 ms, so their types are texts
    import numpy.typing as npt

# The functions follow the dtype of their inputs (float32, float64, complex128), so the element
# type is left open here and tested instead.
Array: TypeAlias = np.ndarray[tuple[Any, ...], np.dtype[Any]]

DType: TypeAlias = np.dtype[Any]
DTypeLike: TypeAlias = "npt.DTypeLike"

# What a page's forward function keeps for its backward function.
Cache: TypeAlias = tuple[Any, ...]

# The state of a recurrent layer: an array, or a tuple of states. () for a layer without state.
State: TypeAlias = Any

# Randomness is handed in: a Generator, or a seed for numpy.random.default_rng.
Generator: TypeAlias = "np.random.Generator"
Rng: TypeAlias = "np.random.Generator | int | None"
