"""The file of a search: what was spent and every trial, so that a search can go on."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from types import NoneType
from typing import Any, BinaryIO

from numpy_rnn.apps.memory.trial import Budget, Trial
from numpy_rnn.files import write_atomically
from numpy_rnn.version import __version__


def write(path: Path, budget: Budget, trials: Sequence[Trial]) -> None:
    """Write a record, completely or not at all.

    Parameters
    ----------
    path : Path
        Where; an existing file is replaced.
    budget : Budget
        Of every trial.
    trials : sequence of Trial
        In the order in which they were run.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    text = json.dumps(as_data(budget, trials), indent=1, allow_nan=False) + "\n"

    def encoded(file: BinaryIO) -> None:
        file.write(text.encode())

    write_atomically(path, encoded)


def as_data(budget: Budget, trials: Sequence[Trial]) -> dict[str, Any]:
    """Return a record as plain data."""
    return {
        "numpy_rnn": __version__,
        "budget": asdict(budget),
        "trials": [asdict(trial) for trial in trials],
    }


def read(path: Path) -> tuple[Budget, list[Trial]]:
    """Read what :func:`write` wrote.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    budget : Budget
    trials : list of Trial

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        In one line that names the file, if it is no such record.
    """
    try:
        data = json.loads(path.read_bytes())
        budget = Budget(**data["budget"])
        trials = [_trial(entry) for entry in data["trials"]]
    except (
        ValueError,
        TypeError,
        KeyError,
        AttributeError,
        OverflowError,
        RecursionError,
    ) as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise ValueError(f"{str(path)!r} is not a record of a memory search: {reason}") from None
    return budget, trials


def _trial(entry: dict[str, Any]) -> Trial:
    """Return a trial, if every field is of its type."""
    trial = Trial(**entry)
    for field in fields(Trial):
        value: Any = getattr(trial, field.name)
        kinds = {"int": (int,), "bool": (bool,), "float": (int, float)}.get(
            str(field.type), (int, float, NoneType)
        )
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            raise ValueError(f"{field.name} is {value!r}, expected {field.type}")
        if isinstance(value, int | float) and not math.isfinite(value):
            raise ValueError(f"{field.name} is {value}, expected a finite number")
    return trial
