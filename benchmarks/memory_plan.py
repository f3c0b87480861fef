"""What benchmarks/memory.py runs: which cell, on which task, with what budget."""

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
from numpy_rnn.apps.memory import Budget, Trial, longest, record


class Entry(NamedTuple):
    """A length that is tried, or (length 0) the longest that is found, on several seeds."""

    budget: Budget
    length: int
    seeds: int = 5
    start: int = 50
    limit: int = 3200
    resolution: float = 0.1


PLAN = {
    # The results to reach.
    "recall-200-rnn": Entry(Budget("recall", "rnn", 35, 1000), 200),
    "copy-500-lru": Entry(Budget("copy", "lru", 48, 1000, 8, lr=1e-2), 500),
    "adding-400-gru": Entry(Budget("adding", "gru-chrono", 48, 3000, lr=3e-3), 400),
    "adding-2000-mingru": Entry(Budget("adding", "mingru", 64, 2000, lr=3e-2), 2000),
    "adding-400-lstm": Entry(Budget("adding", "lstm-chrono", 48, 3000, lr=3e-3), 400),
    "adding-5000-mingru": Entry(Budget("adding", "mingru", 64, 2000, lr=3e-2), 5000),
    "copy-limit-lru": Entry(Budget("copy", "lru", 48, 1000, 8, lr=1e-2), 0, 3, 500, 8000, 0.25),
    # What does not reach them, at the same lengths.
    "copy-500-rnn": Entry(Budget("copy", "rnn", 100, 500), 500),
    "copy-500-lstm": Entry(Budget("copy", "lstm", 60, 500), 500),
    "copy-500-gru": Entry(Budget("copy", "gru", 70, 500), 500),
    "adding-400-rnn": Entry(Budget("adding", "rnn", 64, 1000), 400),
    "adding-400-gru-default": Entry(Budget("adding", "gru", 48, 1000), 400),
    "adding-400-lstm-default": Entry(Budget("adding", "lstm", 48, 1000), 400),
    # How long a string the notebook's cell and the gated ones know by heart.
    "recall-limit-rnn-35-2000": Entry(Budget("recall", "rnn", 35, 2000), 0, 5, 50, 6400),
    **{
        f"recall-limit-{cell}-{hidden}": Entry(
            Budget("recall", cell, hidden, 1000), 0, 5, 50, 6400, 0.25
        )
        for hidden in (35, 128)
        for cell in ("rnn", "gru", "lstm")
    },
    # Every cell on every task, at the learning rate that suits it.
    **{
        f"longest-{task}-{cell}": Entry(
            Budget(task, cell, units(cell), UPDATES, lr=lr), 0, 5, START, 2 * LIMIT, RESOLUTION
        )
        for task in TASKS
        for cell, lr in known(task).items()
    },
}


def recorded(name: str) -> list[Trial]:
    """Return the trials of an entry."""
    path = FOLDER / f"{name}.json"
    if not path.exists():
        return []
    budget, trials = record.read(path)
    if budget != PLAN[name].budget:
        raise SystemExit(f"{path.name} is of {budget}, expected {PLAN[name].budget}: delete it")
    return trials


def found(name: str) -> list[int]:
    """Return the longest length of each seed whose search is at its end."""
    entry, trials, lengths = PLAN[name], recorded(name), []
    for seed in range(entry.seeds):
        solved = {trial.length: trial.solved for trial in trials if trial.seed == seed}
        try:
            lengths.append(longest(solved.__getitem__, entry.start, entry.limit, entry.resolution))
        except KeyError:
            continue
    return lengths
