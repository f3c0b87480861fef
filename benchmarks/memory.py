"""The results of docs/memory.md: trials and searches, recorded as they are done, and their table.

python -m benchmarks.memory                what is missing in docs/memory-results/, then the table
python -m benchmarks.memory --only recall  of the entries whose names contain this
python -m benchmarks.memory --table        the table alone

A file there is a record like those of ``numpy-rnn memory --record``; a run that is ended goes on
where it was. One thread.
"""

from __future__ import annotations

import argparse
import os
from functools import partial
from statistics import median
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
from benchmarks.timing import ONE_THREAD

os.environ |= ONE_THREAD

from numpy_rnn.memory import Budget, Trial, longest, record, run


class Entry(NamedTuple):
    """One line of the table: a length that is tried, or (length 0) the longest that is found."""

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
    # What does not reach them, at the same lengths.
    "copy-500-rnn": Entry(Budget("copy", "rnn", 100, 500), 500),
    "copy-500-lstm": Entry(Budget("copy", "lstm", 60, 500), 500),
    "copy-500-gru": Entry(Budget("copy", "gru", 70, 500), 500),
    "adding-400-rnn": Entry(Budget("adding", "rnn", 64, 1000), 400),
    "adding-400-gru-default": Entry(Budget("adding", "gru", 48, 1000), 400),
    "adding-400-lstm-default": Entry(Budget("adding", "lstm", 48, 1000), 400),
    # How far each cell gets.
    "copy-limit-lru": Entry(
        Budget("copy", "lru", 48, 1000, 8, lr=1e-2), 0, 3, 500, 8000, resolution=0.25
    ),
    "recall-limit-rnn-35": Entry(Budget("recall", "rnn", 35, 2000), 0),
    **{
        f"recall-limit-{cell}-{hidden}": Entry(
            Budget("recall", cell, hidden, 1000), 0, 3, 50, 6400, resolution=0.25
        )
        for hidden in (35, 128)
        for cell in ("rnn", "gru", "lstm")
        if (cell, hidden) != ("rnn", 35)
    },
    # Every cell on every task, at the learning rate that suits it.
    **{
        f"longest-{task}-{cell}": Entry(
            Budget(task, cell, units(cell), UPDATES, lr=lr), 0, 5, START, 4 * LIMIT, RESOLUTION
        )
        for task in TASKS
        for cell, lr in known(task).items()
    },
    "recall-limit-rnn-35-1000": Entry(Budget("recall", "rnn", 35, 1000), 0, 3, resolution=0.25),
}


def fill(name: str, entry: Entry) -> None:
    """Run what is missing of an entry, and write its record after every trial."""
    path = FOLDER / f"{name}.json"
    trials = _recorded(name, entry)

    def solves(seed: int, length: int) -> bool:
        for trial in trials:
            if (trial.length, trial.seed) == (length, seed):
                return trial.solved
        trials.append(run(entry.budget, length, seed))
        record.write(path, entry.budget, trials)
        print(name, trials[-1], flush=True)
        return trials[-1].solved

    for seed in range(entry.seeds):
        if entry.length:
            solves(seed, entry.length)
        else:
            longest(partial(solves, seed), entry.start, entry.limit, entry.resolution)


def _recorded(name: str, entry: Entry) -> list[Trial]:
    path = FOLDER / f"{name}.json"
    if not path.exists():
        return []
    budget, trials = record.read(path)
    if budget != entry.budget:
        raise SystemExit(f"{path.name} is of {budget}, expected {entry.budget}: delete it")
    return trials


def _longest(entry: Entry, trials: list[Trial], seed: int) -> int | None:
    """Return what a search found, or None if it is not at its end."""
    solved = {trial.length: trial.solved for trial in trials if trial.seed == seed}
    try:
        return longest(solved.__getitem__, entry.start, entry.limit, entry.resolution)
    except KeyError:
        return None


def show() -> None:
    """Print the table in Markdown."""
    print("| task | length | cell | units | parameters | updates | solved | seconds |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for name, entry in PLAN.items():
        trials, budget = _recorded(name, entry), entry.budget
        if not trials:
            continue
        length, solved = f"{entry.length}", f"{sum(t.solved for t in trials)} of {len(trials)}"
        if not entry.length:
            every = [_longest(entry, trials, seed) for seed in range(entry.seeds)]
            found = [each for each in every if each is not None]
            if not found:
                continue
            shown = [f"{n}{'+' * (n == entry.limit)}" for n in found]  # longer was not tried
            length, solved = f"{median(found):g}", f"longest: {', '.join(shown)}"
        taken = median(t.updates for t in trials)
        seconds = median(t.seconds for t in trials)
        print(
            f"| {budget.task} | {length} | {budget.cell} | {budget.hidden} "
            f"| {trials[0].parameters} | {taken:g} of {budget.updates} | {solved} | {seconds:.0f} |"
        )


def main() -> None:
    """Run what is missing and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", default=[""], metavar="PART")
    parser.add_argument("--table", action="store_true")
    options = parser.parse_args()
    if not options.table:
        FOLDER.mkdir(exist_ok=True)
        for name, entry in PLAN.items():
            if any(part in name for part in options.only):
                fill(name, entry)
    show()


if __name__ == "__main__":
    main()
