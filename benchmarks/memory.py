"""The results of docs/memory.md: trials and searches, recorded as they are done, and their tables.

python -m benchmarks.memory                what is missing in docs/memory-results/, then the tables
python -m benchmarks.memory --only recall  of the entries whose names contain this
python -m benchmarks.memory --table        the tables alone

A file there is a record like those of ``numpy-rnn memory --record``; a run that is ended goes on
where it was. One thread.
"""

from __future__ import annotations

import argparse
import os
from functools import partial

from benchmarks.timing import ONE_THREAD

os.environ |= ONE_THREAD

from benchmarks.memory_plan import PLAN, recorded
from benchmarks.memory_rates import FOLDER
from benchmarks.memory_tables import tables
from numpy_rnn.apps.memory import longest, record, run


def fill(name: str) -> None:
    """Run what is missing of an entry, and write its record after every trial."""
    entry, trials = PLAN[name], recorded(name)

    def solves(seed: int, length: int) -> bool:
        for trial in trials:
            if (trial.length, trial.seed) == (length, seed):
                return trial.solved
        trials.append(run(entry.budget, length, seed))
        record.write(FOLDER / f"{name}.json", entry.budget, trials)
        print(name, trials[-1], flush=True)
        return trials[-1].solved

    for seed in range(entry.seeds):
        if entry.length:
            solves(seed, entry.length)
        else:
            longest(partial(solves, seed), entry.start, entry.limit, entry.resolution)


def main() -> None:
    """Run what is missing and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", default=[""], metavar="PART")
    parser.add_argument("--table", action="store_true")
    options = parser.parse_args()
    if not options.table:
        FOLDER.mkdir(exist_ok=True)
        for name in PLAN:
            if any(part in name for part in options.only):
                fill(name)
    print("\n".join(tables()), end="")


if __name__ == "__main__":
    main()
