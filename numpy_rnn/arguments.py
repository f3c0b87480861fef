"""Checks of one argument each, for constructors, functions and settings.

Every check returns the value, or raises TypeError or ValueError with one line: where, the
argument's name, its value, and what was expected. `where` is the name of a class or a function.
"""

from __future__ import annotations

import inspect
import math
import operator
import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import field, fields
from functools import cache, partial
from numbers import Real
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from numpy_rnn.functional.types import Array, Generator
from numpy_rnn.text import shown

NUMBERS = "biufc"  # kinds of dtypes
NO_DEFAULT = inspect.Parameter.empty
MAX_SIZE = 10**8  # NumPy can index an array of as many numbers as the product of two of these
T = TypeVar("T")
Check = Callable[[object, str, Any], Any]  # of where, name and value; returns the value


@cache
def constructor_arguments(kind: Any) -> dict[str, Any]:
    """Return the arguments of a class's constructor by name, with their defaults or NO_DEFAULT.

    Those of a base are among them if the constructor takes ``**options``.

    >>> class Base:
    ...     def __init__(self, size, dtype="float64"): ...
    >>> class Derived(Base):
    ...     def __init__(self, *sizes, bias=True, **options): ...
    >>> list(constructor_arguments(Derived))
    ['bias', 'size', 'dtype']
    """
    found: dict[str, Any] = {}
    for base in kind.__mro__:
        if "__init__" in vars(base):
            own = list(inspect.signature(vars(base)["__init__"]).parameters.values())[1:]
            starred = [p.kind for p in own if p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
            named = {p.name: p.default for p in own if p.kind not in starred}
            found = found | {name: named[name] for name in named if name not in found}
            if inspect.Parameter.VAR_KEYWORD not in starred:
                break
    return found


def check_size(
    where: object, name: str, value: int, least: int = 1, most: int | None = None
) -> int:
    """Return a whole number from `least` to `most` as an int."""
    try:
        if isinstance(value, bool):
            raise TypeError  # noqa: TRY301 (one message for both)
        size = operator.index(value)
    except TypeError:
        raise TypeError(f"{where}: {name} is {shown(value)}, expected a whole number") from None
    if size < least:
        raise ValueError(f"{where}: {name} is {size}, expected at least {least}")
    if most is not None and size > most:
        raise ValueError(f"{where}: {name} is {shown(size)}, expected at most {most}")
    return size


def check_flag(where: object, name: str, value: bool) -> bool:
    """Return a bool, Python's or NumPy's."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{where}: {name} is {shown(value)}, expected True or False")
    return bool(value)


def check_number(
    where: object,
    name: str,
    value: float,
    allowed: Callable[[float], bool] = math.isfinite,
    expected: str = "a finite number",
) -> float:
    """Return a real number as a float if it is `allowed`."""
    if not isinstance(value, Real) or isinstance(value, bool):
        raise TypeError(f"{where}: {name} is {shown(value)}, expected a number")
    try:
        number = float(value)
    except OverflowError:  # a whole number beyond the largest float
        number = math.inf
    if not allowed(number):
        raise ValueError(f"{where}: {name} is {shown(value)}, expected {expected}")
    return number


def check_non_negative(where: object, name: str, value: float) -> float:
    """Return a finite number of at least 0."""
    return check_number(where, name, value, lambda v: 0 <= v < math.inf, "a finite number >= 0")


def check_above_zero(where: object, name: str, value: float) -> float:
    """Return a number above 0, which may be infinite."""
    return check_number(where, name, value, lambda v: v > 0, "a number above 0")


def check_probability(where: object, name: str, value: float) -> float:
    """Return a number from 0 to 1."""
    return check_number(where, name, value, lambda v: 0 <= v <= 1, f"0 <= {name} <= 1")


def check_choice(where: object, name: str, value: Any, known: Collection[str]) -> str:
    """Return a text that is one of the known ones."""
    if not (isinstance(value, str) and value in known):
        expected = ", ".join(map(repr, known))
        raise ValueError(f"{where}: {name} is {shown(value)}, expected one of {expected}")
    return value


def check_kind(where: object, name: str, value: Any, kind: Any, expected: str = "") -> Any:
    """Return an object of a class, which `expected` describes; by default its name does."""
    if not isinstance(value, kind):
        expected = expected or f"a {kind.__name__}"
        raise TypeError(f"{where}: {name} is {shown(value)}, expected {expected}")
    return value


def check_path(where: object, name: str, value: Any) -> Path:
    """Return the path of a file."""
    return Path(check_kind(where, name, value, str | os.PathLike, "a path"))


def check_rng(where: object, rng: Any) -> Generator:
    """Return a generator, or a new one if `rng` is a seed or None."""
    kinds = (np.random.Generator, np.random.BitGenerator, np.random.SeedSequence)
    if rng is None or isinstance(rng, kinds):
        return np.random.default_rng(rng)
    if isinstance(rng, bool) or not isinstance(rng, int | np.integer) or rng < 0:
        raise TypeError(
            f"{where}: rng is {shown(rng)}, expected a numpy.random.Generator, a seed >= 0 or None"
        )
    return np.random.default_rng(int(rng))


def optional(check: Callable[..., Any]) -> Callable[..., Any]:
    """Return a check that lets None pass."""
    return lambda where, name, value: None if value is None else check(where, name, value)


def as_array(where: object, name: str, value: Any) -> Array:
    """Return `value` as a plain array of numbers or bools, if nothing is lost by that."""
    if type(value) is np.ndarray and value.dtype.kind in NUMBERS:
        return value
    if isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
        raise TypeError(
            f"{where}: {name} is a masked array, whose mask would be lost, expected a plain one "
            "(lengths or a loss's mask mark what does not count)"
        )
    try:
        array = np.asarray(value)
    except (TypeError, ValueError, RuntimeError) as error:  # ragged lists; tensors with a graph
        reason = str(error).partition("\n")[0]
        if "inhomogeneous" in reason:
            reason = "its rows have different lengths; pad them"
        raise TypeError(
            f"{where}: {name} is a {type(value).__name__}, expected an array ({reason})"
        ) from None
    if array.dtype.kind not in NUMBERS:
        what = shown(value) if array.ndim == 0 else f"a {type(value).__name__}"
        raise TypeError(
            f"{where}: {name} is {what} of dtype {array.dtype}, expected an array of numbers"
        )
    return array


class Validated:
    """Base of a dataclass whose fields are declared with :func:`checked`: settings, optimisers.

    Every field is checked and converted to Python's types, which can be written as JSON. So
    settings from a file can be trusted as far as those from a call.

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
check_mapping = partial(check_kind, kind=Mapping, expected="a mapping")
