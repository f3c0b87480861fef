"""The learning rate of each cell on each task, for the searches of benchmarks/memory.py.

python -m benchmarks.memory_rates [TASK ...]     search for what docs/memory-results/rates/ lacks

Of four rates, the best solves the longest length, and among equals in the fewest updates. Each rate
is searched with one seed that no other benchmark uses. One thread.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from benchmarks.timing import ONE_THREAD

os.environ |= ONE_THREAD

from numpy_rnn.apps.memory import CELLS, TrainingConfig, run, search_max_length

FOLDER = Path(__file__).parents[1] / "docs" / "memory-results"
RATES = (1e-3, 3e-3, 1e-2, 3e-2)
TASKS = ("copy", "adding", "first-token", "digits")
UPDATES, START, LIMIT, RESOLUTION = 2000, 8, 256, 0.5  # of a search
SEED = 1000

# About 5,000 parameters. MinGRU and the LRU have fewer, as their recurrence is diagonal.
HIDDEN = {"lstm": 32, "gru": 38, "mingru": 128, "lru": 48}


def units(cell: str) -> int:
    """Return the hidden size of a cell, the same for each initialisation."""
    return HIDDEN.get(cell.split("-", maxsplit=1)[0], 64)


def known(task: str) -> dict[str, float]:
    """Return the recorded learning rate of each cell on a task."""
    path = FOLDER / "rates" / f"{task}.json"
    read: dict[str, float] = json.loads(path.read_text()) if path.exists() else {}
    return read


def best(task: str, cell: str) -> float:
    """Return the best learning rate of a cell on a task."""
    found: list[tuple[int, int, float]] = []
    for lr in RATES:
        config = TrainingConfig(task, cell, units(cell), UPDATES, lr=lr)
        updates = {0: 0}

        def solves(
            length: int, config: TrainingConfig = config, updates: dict[int, int] = updates
        ) -> bool:
            done = run(config, length, SEED)
            updates[length] = done.updates
            return done.solved

        length = search_max_length(solves, START, LIMIT, RESOLUTION)
        found.append((length, -updates[length], lr))
        print(f"{task} {cell} lr {lr:g}: {length} in {updates[length]} updates", flush=True)
    return max(found)[-1]


def main() -> None:
    """Search for the rates that are not recorded yet."""
    for task in sys.argv[1:] or TASKS:
        rates = known(task)
        for cell in CELLS:
            if cell not in rates:
                rates[cell] = best(task, cell)
                (FOLDER / "rates" / f"{task}.json").write_text(json.dumps(rates, indent=1) + "\n")


if __name__ == "__main__":
    main()
