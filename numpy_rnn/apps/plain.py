"""Numbers of any type as Python's own, checked, so that settings can be written as JSON."""

from __future__ import annotations

import math
import numbers
import operator
import reprlib
from typing import Any


def whole(name: str, value: Any, least: int) -> int:
    """Return a whole number of any type, True and False excepted, as an int."""
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, bool):
        raise TypeError(f"{name} is {shown(value)}, expected a whole number")
    if number < least:
        raise ValueError(f"{name} is {shown(number)}, expected at least {least}")
    return number


def positive(name: str, value: Any) -> float:
    """Return a real number above 0 of any type as a float."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name} is {shown(value)}, expected a number")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not (math.isfinite(number) and number > 0):
        raise ValueError(f"{name} is {number}, expected a finite number above 0")
    return number


def shown(value: object) -> str:
    """Return a value in one line, short enough for a message."""
    return " ".join(reprlib.repr(value).split())
