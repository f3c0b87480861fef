"""What parameters may be: their dtype, and how many numbers they are."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np

from numpy_rnn.text import shown

DTYPES = (np.dtype(np.float32), np.dtype(np.float64))
_LIMIT: ContextVar[float] = ContextVar("limit", default=math.inf)


@contextmanager
def at_most(size: int) -> Iterator[None]:
    """Refuse new parameters of more than `size` numbers, before memory is allocated for them.

    >>> with at_most(10):
    ...     check_count(10**9 * 10**9)
    Traceback (most recent call last):
    ValueError: parameters are 1000000000000000000 numbers, expected at most 10
    """
    token = _LIMIT.set(size)
    try:
        yield
    finally:
        _LIMIT.reset(token)


def check_count(count: int) -> None:
    """Raise ValueError if parameters are more numbers than :func:`at_most` allows."""
    if count > _LIMIT.get():
        raise ValueError(f"parameters are {count} numbers, expected at most {_LIMIT.get()}")


def check_dtype(dtype: Any, where: str = "") -> np.dtype[Any]:
    """Return `dtype` as a NumPy dtype if parameters can have it. `where` begins the message."""
    try:
        known: np.dtype[Any] | None = None if dtype is None else np.dtype(dtype)
    except (TypeError, ValueError):
        known = None
    if known is None or known not in DTYPES:
        given = shown(dtype) if known is None else known.name
        known_ones = ", ".join(map(str, DTYPES))
        raise ValueError(f"{where}dtype is {given}, expected one of {known_ones}")
    return known
