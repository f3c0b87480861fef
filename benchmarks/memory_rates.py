"""The learning rate of each cell on each task, for the searches of benchmarks/memory.py.

python -m benchmarks.memory_rates [TASK ...]     what is missing in docs/memory-results/

Of four rates the one is taken with which the longest length is solved, in the fewest updates where
several are level: a search each, on a seed that is used for nothing else. One thread.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from benchmarks.timing import ONE_THREAD

os.environ |= ONE_THREAD

from numpy_rnn.apps.memory import CELLS, Budget, longest, run

FOLDER = Path(__file__).parents[1] / "docs" / "memory-results"
RATES = (1e-3, 3e-3, 1e-2, 3e-2)
TASKS = ("copy", "adding", "first-symbol", "digits")
UPDATES, START, LIMIT, RESOLUTION = 2000, 8, 256, 0.5  # of a search
SEED = 1000

# About 5,000 parameters; minGRU and the LRU have fewer, their recurrence being diagonal.
HIDDEN = {"lstm": 32, "gru": 38, "mingru": 128, "lru": 48}


def units(cell: str) -> int:
    """Return the size of a cell, whatever it starts from."""
    return HIDDEN.get(cell.split("-", maxsplit=1)[0], 64)


def known(task: str) -> dict[str, float]:
    """Return what is recorded of a task: a rate for each cell."""
    path = FOLDER / "rates" / f"{task}.json"
    read: dict[str, float] = json.loads(path.read_text()) if path.exists() else {}
    return read


def best(task: str, cell: str) -> float:
    """Try the rates."""
    found: list[tuple[int, int, float]] = []
    for lr in RATES:
        budget, updates = Budget(task, cell, units(cell), UPDATES, lr=lr), {0: 0}

        def solves(length: int, budget: Budget = budget, updates: dict[int, int] = updates) -> bool:
            trial = run(budget, length, SEED)
            updates[length] = trial.updates
            return trial.solved

        length = longest(solves, START, LIMIT, RESOLUTION)
        found.append((length, -updates[length], lr))
        print(f"{task} {cell} lr {lr:g}: {length} in {updates[length]} updates", flush=True)
    return max(found)[-1]


def main() -> None:
    """Run what is missing."""
    for task in sys.argv[1:] or TASKS:
        rates = known(task)
        for cell in CELLS:
            if cell not in rates:
                rates[cell] = best(task, cell)
                (FOLDER / "rates" / f"{task}.json").write_text(json.dumps(rates, indent=1) + "\n")


if __name__ == "__main__":
    main()
