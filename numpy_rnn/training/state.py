"""Validation of a trainer's state that comes from a file: every name, type and range.

A check takes where the value is, its name and the value, as those of arguments.py. It returns the
value, as Python's own type, or raises TypeError or ValueError.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from functools import partial
from typing import Any

from numpy_rnn.arguments import (
    Check,
    check_kind,
    check_mapping,
    check_non_negative,
    check_number,
    check_size,
    optional,
)
from numpy_rnn.text import shown, wrong_names

MAX_STEPS = 2**53  # beyond it a float cannot count
MAX_ENTRIES = 100_000  # of a history: a checkpoint has to stay readable
count: Check = partial(check_size, least=0, most=MAX_STEPS)
finite: Check = check_number
seconds: Check = check_non_negative
STATE: Mapping[str, Check] = {
    **dict.fromkeys(("step", "shards"), count),
    "total": optional(partial(check_size, most=MAX_STEPS)),
    "seconds": seconds,
    "stopped": partial(check_kind, kind=str, expected="a text"),
    # What is in these is for the model, the optimiser and so on to check.
    **dict.fromkeys(
        ("model", "optimizer", "source", "carried", "rngs", "callbacks"), check_mapping
    ),
}


def by_step(check: Check) -> Check:
    """Return the check of a list of pairs: a step, in ascending order, and a value."""

    def check_rows(where: object, name: str, rows: Any) -> list[tuple[int, Any]]:
        checked: list[tuple[int, Any]] = []
        for row in check_kind(where, name, rows, list, "a list of a step and a value each"):
            if not isinstance(row, list | tuple) or len(row) != 2:
                raise TypeError(f"{where}: {name} has {shown(row)}, expected a step and a value")
            step, value = count(where, name, row[0]), check(where, name, row[1])
            if checked and step <= checked[-1][0]:
                after = f"step {step} after {checked[-1][0]}"
                raise ValueError(f"{where}: {name} has {after}, expected a later one")
            checked.append((step, value))
        return checked

    return check_rows


def check_names(where: str, found: Any, expected: Collection[str]) -> None:
    """Raise TypeError or ValueError unless `found` is a dictionary with exactly these keys."""
    if not isinstance(found, Mapping):
        raise TypeError(f"{where} is {shown(found)}, expected a dictionary")
    if wrong := wrong_names(found, expected):
        raise ValueError(f"{where}: {'; '.join(wrong)}")


def check_entries(where: str, found: Any, checks: Mapping[str, Check]) -> dict[str, Any]:
    """Return the values of a dictionary that has exactly these entries, as their checks do."""
    check_names(where, found, checks)
    return {name: check(where, name, found[name]) for name, check in checks.items()}


def check_steps(holder: Any, names: Iterable[str], last: int) -> None:
    """Raise ValueError if a list of :func:`by_step` goes beyond the last step."""
    for name in names:
        rows = getattr(holder, name)
        if isinstance(rows, list) and rows and isinstance(rows[-1], tuple) and rows[-1][0] > last:
            raise ValueError(f"state: {name} goes beyond the last step")
