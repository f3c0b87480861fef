"""The search for the longest length that a cell learns, and the file that records its runs."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from itertools import count
from pathlib import Path
from typing import Any, BinaryIO

from numpy_rnn.apps.memory.runs import Run, TrainingConfig
from numpy_rnn.files import write_atomically
from numpy_rnn.version import __version__


def search_max_length(
    solves: Callable[[int], bool], start: int, limit: int, resolution: float
) -> int:
    """Return the longest length that is solved: double until one is not, then bisect.

    The search assumes that all lengths below a solved one are solved too.

    Parameters
    ----------
    solves : callable
        ``solves(length)`` returns whether a length is solved. It is called once for a length.
    start : int
        First length to try, at least 1.
    limit : int
        Maximum length to try, at least `start`.
    resolution : float
        Bisection stops when the shortest failure exceeds the longest success by at most this
        fraction of it, or by 1.

    Returns
    -------
    length : int
        The longest solved length, or 0 if the first one was not solved.

    Examples
    --------
    >>> search_max_length(lambda length: length <= 70, start=25, limit=1000, resolution=0.0)
    70
    """
    solved, failed = 0, limit + 1
    for power in count():
        length = min(start << power, limit)
        if not solves(length):
            failed = length
            break
        solved = length
        if length == limit:
            return solved
    while solved and failed - solved > max(1, int(solved * resolution)):
        middle = (solved + failed) // 2
        if solves(middle):
            solved = middle
        else:
            failed = middle
    return solved


def write_record(path: Path, config: TrainingConfig, runs: Sequence[Run]) -> None:
    """Write a record file, completely or not at all; OSError if it cannot be written.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     write_record(Path(folder, "search.json"), TrainingConfig(), [])
    ...     read_record(Path(folder, "search.json")) == (TrainingConfig(), [])
    True
    """
    text = json.dumps(record_data(config, runs), indent=1, allow_nan=False) + "\n"

    def encode(file: BinaryIO) -> None:
        file.write(text.encode())

    write_atomically(path, encode)


def record_data(config: TrainingConfig, runs: Sequence[Run]) -> dict[str, Any]:
    """Return the contents of a record file, ready for JSON."""
    return {
        "numpy_rnn": __version__,
        "config": asdict(config),
        "runs": [asdict(run) for run in runs],
    }


def read_record(path: Path) -> tuple[TrainingConfig, list[Run]]:
    """Read a record file; OSError if it cannot be read, ValueError if it is no record file.

    The message of the ValueError is one line and names the file.
    """
    try:
        data = json.loads(path.read_bytes())
        config = TrainingConfig(**data["config"])
        runs = [Run(**entry) for entry in data["runs"]]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise ValueError(f"{str(path)!r} is not a record of a memory search: {reason}") from None
    return config, runs
