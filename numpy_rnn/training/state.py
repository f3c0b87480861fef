"""Validation of a trainer's state that comes from a file: every name, type and range.

A check returns the value, as Python's own type, or raises TypeError or ValueError.
"""

from __future__ import annotations

import math
import reprlib
from collections.abc import Callable, Mapping
from typing import Any

MAX_STEPS = 2**53  # beyond it a float cannot count
NAMES = (
    *("step", "shards", "total", "seconds", "stopped", "model", "optimizer", "source", "carried"),
    *("rngs", "callbacks"),
)
Check = Callable[[Any], Any]


def count(value: Any) -> int:
    """Return a whole number of 0 to 2^53.

    >>> count(True)
    Traceback (most recent call last):
    TypeError: True, expected a whole number
    """
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{reprlib.repr(value)}, expected a whole number")
    if not 0 <= value <= MAX_STEPS:
        raise ValueError(f"{value}, expected 0 to 2^53")
    return value


def finite(value: Any) -> float:
    """Return a finite number as a float."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise TypeError(f"{reprlib.repr(value)}, expected a number")
    if (isinstance(value, int) and abs(value) > MAX_STEPS) or not math.isfinite(value):
        raise ValueError(f"{value:g}, expected a finite number")
    return float(value)


def seconds(value: Any) -> float:
    """Return a duration, a finite number of at least 0."""
    if finite(value) < 0:
        raise ValueError(f"{value}, expected a number >= 0")
    return float(value)


def by_step(check: Check) -> Check:
    """Return the check of a list of pairs: a step, in ascending order, and a value."""

    def check_rows(rows: Any) -> list[tuple[int, Any]]:
        if not isinstance(rows, list):
            raise TypeError(f"{reprlib.repr(rows)}, expected a list of a step and a value each")
        checked: list[tuple[int, Any]] = []
        for row in rows:
            if not isinstance(row, list | tuple) or len(row) != 2:
                raise TypeError(f"{reprlib.repr(row)}, expected a step and a value")
            step, value = count(row[0]), check(row[1])
            if checked and step <= checked[-1][0]:
                raise ValueError(f"step {step} after step {checked[-1][0]}, expected a later one")
            checked.append((step, value))
        return checked

    return check_rows


def check_state(state: Any, callbacks: Mapping[str, Mapping[str, Check]]) -> None:
    """Raise TypeError or ValueError unless this is the state of a trainer.

    `callbacks` are the names of the callbacks that have a state, and the checks of its values.
    What the model, the optimiser and the source make of their parts is theirs to check.
    """
    names(state, "state", NAMES)
    for name in ("model", "optimizer", "source", "carried", "rngs", "callbacks"):
        _check(f"state: {name}", _dictionary, state[name])
    for name in ("step", "shards"):
        _check(f"state: {name}", count, state[name])
    if state["total"] is not None and _check("state: total", count, state["total"]) < 1:
        raise ValueError("state: total is 0, expected at least 1")
    _check("state: seconds", seconds, state["seconds"])
    if not isinstance(state["stopped"], str):
        raise TypeError(f"state: stopped is {reprlib.repr(state['stopped'])}, expected a text")
    for name, checks in callbacks.items():
        if name not in state["callbacks"]:
            raise ValueError(f"state: the callback {name!r} is missing")
        found = state["callbacks"][name]
        if checks:  # otherwise the callback reads its state itself
            names(found, f"state of the callback {name!r}", checks)
        for key, check in checks.items():
            value = _check(f"state of the callback {name!r}: {key}", check, found[key])
            by_steps = isinstance(value, list) and value and isinstance(value[-1], tuple)
            if by_steps and value[-1][0] > state["step"]:
                raise ValueError(f"state of the callback {name!r}: {key} goes beyond the last step")


def names(found: Any, where: str, expected: Any) -> None:
    """Raise TypeError or ValueError unless `found` is a dictionary with exactly these keys."""
    _check(where, _dictionary, found)
    expected = list(expected)
    wrong = [f"{name!r} is missing" for name in expected if name not in found]
    wrong += [f"{name!r} is unexpected" for name in found if name not in expected]
    if wrong:
        raise ValueError(f"{where}: {'; '.join(wrong)}")


def _dictionary(value: Any) -> None:
    if not isinstance(value, Mapping):
        raise TypeError(f"{reprlib.repr(value)}, expected a dictionary")


def _check(where: str, check: Check, value: Any) -> Any:
    try:
        return check(value)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{where} is {error}") from None
