"""The runs and searches of benchmarks/memory.py: task, cell and training settings of each."""

from __future__ import annotations

from typing import NamedTuple

from benchmarks.memory_rates import (
    FOLDER,
    LIMIT,
    RESOLUTION,
    START,
    TASKS,
    UPDATES,
    known,
    units,
)
from numpy_rnn.apps.memory import Run, TrainingConfig, read_record, search_max_length


class Entry(NamedTuple):
    """One length, or a search for the longest (length 0), with several seeds."""

    config: TrainingConfig
    length: int
    seeds: int = 5
    start: int = 50
    limit: int = 3200
    resolution: float = 0.1


PLAN = {
    # The published results to reach.
    "recall-200-rnn": Entry(TrainingConfig("recall", "rnn", 35, 1000), 200),
    "copy-500-lru": Entry(TrainingConfig("copy", "lru", 48, 1000, 8, lr=1e-2), 500),
    "adding-400-gru": Entry(TrainingConfig("adding", "gru-chrono", 48, 3000, lr=3e-3), 400),
    "adding-2000-mingru": Entry(TrainingConfig("adding", "mingru", 64, 2000, lr=3e-2), 2000),
    "adding-400-lstm": Entry(TrainingConfig("adding", "lstm-chrono", 48, 3000, lr=3e-3), 400),
    "adding-5000-mingru": Entry(TrainingConfig("adding", "mingru", 64, 2000, lr=3e-2), 5000),
    "copy-limit-lru": Entry(
        TrainingConfig("copy", "lru", 48, 1000, 8, lr=1e-2), 0, 3, 500, 8000, 0.25
    ),
    # Cells that do not reach them, at the same lengths.
    "copy-500-rnn": Entry(TrainingConfig("copy", "rnn", 100, 500), 500),
    "copy-500-lstm": Entry(TrainingConfig("copy", "lstm", 60, 500), 500),
    "copy-500-gru": Entry(TrainingConfig("copy", "gru", 70, 500), 500),
    "adding-400-rnn": Entry(TrainingConfig("adding", "rnn", 64, 1000), 400),
    "adding-400-gru-default": Entry(TrainingConfig("adding", "gru", 48, 1000), 400),
    "adding-400-lstm-default": Entry(TrainingConfig("adding", "lstm", 48, 1000), 400),
    # The longest string that the notebook's cell and the gated cells recall.
    "recall-limit-rnn-35-2000": Entry(TrainingConfig("recall", "rnn", 35, 2000), 0, 5, 50, 6400),
    **{
        f"recall-limit-{cell}-{hidden}": Entry(
            TrainingConfig("recall", cell, hidden, 1000), 0, 5, 50, 6400, 0.25
        )
        for hidden in (35, 128)
        for cell in ("rnn", "gru", "lstm")
    },
    # Every cell on every task, at its best learning rate.
    **{
        f"longest-{task}-{cell}": Entry(
            TrainingConfig(task, cell, units(cell), UPDATES, lr=lr),
            0,
            5,
            START,
            2 * LIMIT,
            RESOLUTION,
        )
        for task in TASKS
        for cell, lr in known(task).items()
    },
}


def recorded(name: str) -> list[Run]:
    """Return the recorded runs of an entry."""
    path = FOLDER / f"{name}.safetensors"
    if not path.exists():
        return []
    config, runs = read_record(path)
    if config != PLAN[name].config:
        raise SystemExit(f"{path.name} has {config}, expected {PLAN[name].config}: delete it")
    return runs


def found(name: str) -> list[int]:
    """Return the longest length of each seed whose search is complete."""
    entry, runs, lengths = PLAN[name], recorded(name), []
    for seed in range(entry.seeds):
        solved = {run.length: run.solved for run in runs if run.seed == seed}
        try:
            lengths.append(
                search_max_length(solved.__getitem__, entry.start, entry.limit, entry.resolution)
            )
        except KeyError:  # a length that was not run yet
            continue
    return lengths
