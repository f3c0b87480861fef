"""Variations of what a caller gave: repeated indices, one row, sizes not equal by chance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np


def with_repeats(value: Any) -> Any:
    """Return indices some of which repeat along every axis, if those given do not; else `value`.

    Permutations and limits of parts stay as they are, and rows of zeros and ones stay whole.
    """
    if not (isinstance(value, np.ndarray) and value.dtype.kind in "iu" and value.size > 1):
        return value
    ordered = [np.sort(np.moveaxis(value, axis, -1)) for axis in range(value.ndim)]
    if any((rows == np.arange(rows.shape[-1])).all() for rows in ordered):
        return value
    if value.ndim == 1 and (np.unique(value).size < value.size or (np.diff(value) > 0).all()):
        return value
    repeated = value.copy()
    for axis in range(1 if value.max() <= 1 else value.ndim):
        first = np.moveaxis(repeated, axis, 0)
        first[1:2] = first[0]
    return value if np.array_equal(repeated, value) else repeated


def of_one(
    given: Mapping[str, Any], sizes: Mapping[str, int], letters: str
) -> tuple[dict[str, Any], dict[str, int]]:
    """Return arguments and sizes in which these letters are 1; of indices, the first ones."""
    used = "".join(shape for shape in given.values() if isinstance(shape, str))
    cut, one = dict(given), {**sizes, **dict.fromkeys(letters, 1)}
    arrays = {n: v for n, v in given.items() if isinstance(v, np.ndarray)}
    for letter in (x for x in letters if x in used):
        for name, value in arrays.items():
            for axis in (i for i, size in enumerate(value.shape) if size == sizes[letter]):
                if value.dtype.kind in "biu":
                    cut[name] = np.take(cut[name], [0], axis)
                else:  # what its axes are is not known
                    one[letter] = sizes[letter]
    return cut, one


def of_one_entry(given: Mapping[str, Any], axis: int) -> dict[str, Any]:
    """Return arrays of whole numbers cut to the first entry of an axis, if all have it alike."""
    arrays = [v for v in given.values() if isinstance(v, np.ndarray) and v.dtype.kind in "biu"]
    sizes = {v.shape[axis] for v in arrays if v.ndim > axis}
    if len(arrays) < len(given) or len(sizes) != 1 or sizes <= {0, 1}:
        return dict(given)
    return {n: np.take(v, [0], axis) if v.ndim > axis else v for n, v in given.items()}


def without_coincidences(given: Mapping[str, Any], sizes: Mapping[str, int]) -> dict[str, int]:
    """Return sizes in which no letter but T and B has a size of an array that was given."""
    taken = {n for v in given.values() if isinstance(v, np.ndarray) for n in v.shape}
    others = dict(sizes)
    for letter, size in sizes.items():
        if letter not in "TB" and size in taken:
            taken |= set(others.values())
            others[letter] = next(n for n in range(size + 1, 10**9) if n not in taken)
    return others
