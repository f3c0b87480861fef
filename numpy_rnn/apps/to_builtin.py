"""Base class of settings: check every field and convert NumPy scalars to Python's types.

Converted settings can be written as JSON. Because every field is checked, settings that come
from a file can be trusted as far as those that come from a call.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import field, fields
from functools import partial
from typing import Any, TypeVar

from numpy_rnn.arguments import check_choice, check_kind, check_number, check_size

T = TypeVar("T")
MAX_SIZE = 10**8  # NumPy can index an array of as many numbers as the product of two of these
Check = Callable[[str, str, Any], Any]  # of (class name, field name, value); returns the value


class Validated:
    """Base of a frozen dataclass whose fields are declared with :func:`checked`.

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


def checked(default: T, check: Check, text: str = "") -> T:
    """Return a dataclass field with this default. `check` converts a value or raises.

    A field that `text` describes is an option of a command, whose ``--help`` shows the text.
    """
    declared: T = field(default=default, metadata={"check": check, "text": text})
    return declared


def required(check: Check, *, compare: bool = True) -> Any:
    """Return a dataclass field without a default."""
    return field(compare=compare, metadata={"check": check})


def integer(least: int, most: int | None = None) -> Check:
    """Return the check of a whole number in a range, True and False excepted."""
    return partial(check_size, least=least, most=most)


def real(*, minimum: float = -math.inf, above: float = -math.inf, below: float = math.inf) -> Check:
    """Return the check of a finite real number in a range. It is returned as a float."""
    limits = {"at least": minimum, "above": above, "below": below}
    expected = " and ".join(f"{k} {v:g}" for k, v in limits.items() if math.isfinite(v))
    return partial(
        check_number,
        allowed=lambda number: minimum <= number < below and above < number < math.inf,
        expected=f"a finite number {expected}".rstrip(),
    )


def one_of(*choices: str) -> Check:
    """Return the check of one of these strings."""
    return partial(check_choice, known=choices)


string = partial(check_kind, kind=str)
