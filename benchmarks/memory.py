"""The results of docs/memory.md: runs and searches, recorded as they are done, and their tables.

python -m benchmarks.memory                run what docs/memory-results/ lacks, print the tables
python -m benchmarks.memory --only recall  only entries whose names contain "recall"
python -m benchmarks.memory --table        only the tables

The files are records as ``numpy-rnn memory --record`` writes them. A benchmark that is interrupted
continues where it stopped. One thread.
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
from numpy_rnn.apps.memory import run, search_max_length, write_record


def fill(name: str) -> None:
    """Run what an entry lacks, and write its record after every run."""
    entry, runs = PLAN[name], recorded(name)

    def solves(seed: int, length: int) -> bool:
        for known in runs:
            if (known.length, known.seed) == (length, seed):
                return known.solved
        runs.append(run(entry.config, length, seed))
        write_record(FOLDER / f"{name}.safetensors", entry.config, runs)
        print(name, runs[-1], flush=True)
        return runs[-1].solved

    for seed in range(entry.seeds):
        if entry.length:
            solves(seed, entry.length)
        else:
            search_max_length(partial(solves, seed), entry.start, entry.limit, entry.resolution)


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
