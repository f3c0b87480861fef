"""Base class of settings: check every field and convert NumPy scalars to Python's types.

Converted settings can be written as JSON. Because every field is checked, settings that come
from a file can be trusted as far as those that come from a call.
"""

from __future__ import annotations

import math
import reprlib
from collections.abc import Callable
from dataclasses import field, fields
from numbers import Real
from typing import Any, TypeVar

from numpy_rnn.arguments import check_size

T = TypeVar("T")
Check = Callable[[str, str, Any], Any]  # of (class name, field name, value); returns the value


class Validated:
    """Base of a frozen dataclass whose fields are declared with :func:`checked`.

    Examples
    --------
    >>> from dataclasses import dataclass
    >>> import numpy as np
    >>> @dataclass(frozen=True)
    ... class Sizes(Validated):
    ...     hidden: int = checked(35, integer(1))
    >>> Sizes(np.int64(8))
    Sizes(hidden=8)
    >>> Sizes(0)
    Traceback (most recent call last):
    ValueError: Sizes: hidden is 0, expected at least 1
    """

    def __post_init__(self) -> None:
        """Replace the value of each field by what its check returns."""
        for each in fields(self):  # type: ignore[arg-type]  # every subclass is a dataclass
            value = each.metadata["check"](type(self).__name__, each.name, getattr(self, each.name))
            object.__setattr__(self, each.name, value)  # the only way in a frozen dataclass


def checked(default: T, check: Check) -> T:
    """Return a dataclass field with this default. `check` converts a value or raises."""
    declared: T = field(default=default, metadata={"check": check})
    return declared


def required(check: Check, *, compare: bool = True) -> Any:
    """Return a dataclass field without a default."""
    return field(compare=compare, metadata={"check": check})


def integer(minimum: int, maximum: int | None = None) -> Check:
    """Return the check of a whole number in a range, True and False excepted."""

    def check(where: str, name: str, value: Any) -> int:
        if isinstance(value, bool):
            raise TypeError(f"{where}: {name} is {value}, expected a whole number")
        number = check_size(where, name, value, minimum)
        if maximum is not None and number > maximum:
            raise ValueError(f"{where}: {name} is {one_line(number)}, expected at most {maximum}")
        return number

    return check


def real(*, minimum: float = -math.inf, above: float = -math.inf, below: float = math.inf) -> Check:
    """Return the check of a finite real number in a range. It is returned as a float."""

    def check(where: str, name: str, value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, Real):
            raise TypeError(f"{where}: {name} is {one_line(value)}, expected a number")
        try:
            number = float(value)
        except OverflowError:  # a whole number beyond the largest float
            number = math.inf
        if not (minimum <= number < below and above < number < math.inf):
            raise ValueError(f"{where}: {name} is {number}, expected a finite number {expected}")
        return number

    limits = {"at least": minimum, "above": above, "below": below}
    expected = " and ".join(f"{k} {v:g}" for k, v in limits.items() if math.isfinite(v))
    return check


def _instance(kind: type, expected: str) -> Check:
    def check(where: str, name: str, value: Any) -> Any:
        if not isinstance(value, kind):
            raise TypeError(f"{where}: {name} is {one_line(value)}, expected {expected}")
        return value

    return check


boolean = _instance(bool, "True or False")
string = _instance(str, "a str")


def one_of(*choices: str) -> Check:
    """Return the check of one of these strings."""

    def check(where: str, name: str, value: Any) -> str:
        if string(where, name, value) not in choices:
            expected = ", ".join(choices)
            raise ValueError(f"{where}: {name} is {one_line(value)}, expected one of {expected}")
        return str(value)

    return check


def optional(check: Check) -> Check:
    """Return a check that lets None pass."""
    return lambda where, name, value: None if value is None else check(where, name, value)


def one_line(value: object) -> str:
    """Return the repr of a value on one line, shortened to fit into a message."""
    return " ".join(reprlib.repr(value).split())
