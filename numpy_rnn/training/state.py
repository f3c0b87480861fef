"""Validation of a trainer's state that comes from a file: every name, type and range.

A check takes where the value is, its name and the value, as those of arguments.py. It returns the
value, as Python's own type, or raises TypeError or ValueError.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from numpy_rnn.arguments import (
    Check,
    check_kind,
    check_mapping,
    check_non_negative,
    check_number,
    check_size,
)
from numpy_rnn.text import shown

MAX_STEPS = 2**53  # beyond it a float cannot count
MAX_ENTRIES = 100_000  # of a history: a checkpoint has to stay readable
NAMES = (
    *("step", "shards", "total", "seconds", "stopped", "model", "optimizer", "source", "carried"),
    *("rngs", "callbacks"),
)
count: Check = partial(check_size, least=0, most=MAX_STEPS)
finite: Check = check_number
seconds: Check = check_non_negative


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


def check_state(state: Any, callbacks: Mapping[str, Mapping[str, Check]]) -> None:
    """Raise TypeError or ValueError unless this is the state of a trainer.

    `callbacks` are the names of the callbacks that have a state, and the checks of its values.
    What the model, the optimiser and the source make of their parts is theirs to check.
    """
    names(state, "state", NAMES)
    for name in ("model", "optimizer", "source", "carried", "rngs", "callbacks"):
        check_mapping("state", name, state[name])
    for name in ("step", "shards"):
        count("state", name, state[name])
    if state["total"] is not None:
        check_size("state", "total", state["total"], most=MAX_STEPS)
    seconds("state", "seconds", state["seconds"])
    check_kind("state", "stopped", state["stopped"], str, "a text")
    for name, checks in callbacks.items():
        if name not in state["callbacks"]:
            raise ValueError(f"state: the callback {name!r} is missing")
        found, where = state["callbacks"][name], f"state of the callback {name!r}"
        if checks:  # otherwise the callback reads its state itself
            names(found, where, checks)
        for key, check in checks.items():
            value = check(where, key, found[key])
            by_steps = isinstance(value, list) and value and isinstance(value[-1], tuple)
            if by_steps and value[-1][0] > state["step"]:
                raise ValueError(f"{where}: {key} goes beyond the last step")


def names(found: Any, where: str, expected: Any) -> None:
    """Raise TypeError or ValueError unless `found` is a dictionary with exactly these keys."""
    if not isinstance(found, Mapping):
        raise TypeError(f"{where} is {shown(found)}, expected a dictionary")
    expected = list(expected)
    wrong = [f"{name!r} is missing" for name in expected if name not in found]
    wrong += [f"{name!r} is unexpected" for name in found if name not in expected]
    if wrong:
        raise ValueError(f"{where}: {'; '.join(wrong)}")
