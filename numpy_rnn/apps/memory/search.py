"""The search for the longest length that a cell learns, and the record and plot of its runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from itertools import count
from pathlib import Path
from statistics import median
from typing import Any

from numpy_rnn.apps.memory.runs import Run, TrainingConfig
from numpy_rnn.apps.plotting import require_matplotlib
from numpy_rnn.files import write_atomically
from numpy_rnn.safetensors import open_safetensors, write
from numpy_rnn.version import __version__

FORMAT, ENTRY = "a record of a memory search", "memory"


def search_max_length(
    solves: Callable[[int], bool], start: int, limit: int, resolution: float
) -> int:
    """Return the longest length that is solved: double until one is not, then bisect.

    ``solves(length)`` is called once for a length. The search assumes that all lengths below a
    solved one are solved too. It begins with `start` and tries at most `limit`. It ends when the
    shortest failure exceeds the longest success by the fraction `resolution` of it, or by 1.
    The result is 0 if the first length was not solved.

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
    """Write a record file, completely or not at all. An existing file is replaced.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     write_record(Path(folder, "search.safetensors"), TrainingConfig(), [])
    ...     read_record(Path(folder, "search.safetensors")) == (TrainingConfig(), [])
    True
    """
    write(path, {ENTRY: record_data(config, runs)}, {})


def record_data(config: TrainingConfig, runs: Sequence[Run]) -> dict[str, Any]:
    """Return the contents of a record file, values for JSON."""
    return {
        "numpy_rnn": __version__,
        "config": asdict(config),
        "runs": [asdict(run) for run in runs],
    }


def read_record(path: Path, *, extend: bool = False) -> tuple[TrainingConfig, list[Run]]:
    """Read a record file that :func:`write_record` wrote.

    With `extend`, the version has to be this one, because another's runs may differ. Anything else
    is a DamagedFileError, whose message is one line and names the file.
    """
    with open_safetensors(path, FORMAT) as file:
        data = file.settings(ENTRY)
        settings, version = data["config"], data.get("numpy_rnn", __version__)
        if extend and version != __version__:
            raise ValueError(f"its version is {version!r}, expected {__version__!r}")
        if set(data) > {"numpy_rnn", "config", "runs"}:
            raise ValueError(f"its entries are {', '.join(data)}: of {version!r}")
        config = TrainingConfig(**settings)
        runs = [Run(**entry) for entry in data["runs"]]
        keys = [(run.length, run.seed) for run in runs]
        if len(set(keys)) < len(keys):
            raise ValueError("it has two runs of one length and seed")
        return config, runs


def draw(
    path: Path, config: TrainingConfig, runs: Sequence[Run], max_lengths: Sequence[int]
) -> None:
    """Draw every run, length over seed, and the median of each seed's longest solved length.

    The suffix of `path` gives the format: png, svg or pdf. There is at least one run.
    """
    figure = require_matplotlib().figure.Figure(figsize=(6, 4), layout="constrained")
    axes = figure.add_subplot()
    for solved, marker, label in ((True, "o", "solved"), (False, "x", "not solved")):
        found = [run for run in runs if run.solved is solved]
        seeds, lengths = [run.seed for run in found], [run.length for run in found]
        axes.scatter(seeds, lengths, marker=marker, label=label)
    middle = median(max_lengths)
    axes.axhline(middle, linestyle="--", label=f"median of the longest: {middle:g}")
    axes.set_yscale("log")
    lengths = sorted({run.length for run in runs})
    # Only the doubled lengths: labels of the bisected ones would overlap.
    ticks = [lengths[0] << power for power in range((lengths[-1] // lengths[0]).bit_length())]
    axes.set_yticks(ticks, [str(length) for length in ticks])
    axes.set_yticks([], minor=True)
    axes.set_ylim(0.9 * lengths[0], 1.1 * lengths[-1])
    axes.set_xticks(sorted({run.seed for run in runs}))
    axes.set(xlabel="seed", ylabel="length")
    axes.set_title(f"{config.task}: {config.cell}, {runs[0].parameters} parameters")
    figure.legend(loc="outside lower center", ncols=3)  # inside the axes it would cover runs
    write_atomically(path, lambda file: figure.savefig(file, format=path.suffix[1:]))
