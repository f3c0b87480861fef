"""Three ways to add rows into the rows of a table, side by side.

    python -m benchmarks.scatter

The gradient of an embedding. Medians of alternating repetitions, as ratios to the first.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from numpy_rnn.functional import contract_one_hot
from numpy_rnn.functional.types import Array

REPETITIONS = 15
SIZES = (
    (49, 35, 35),
    (2048, 65, 35),
    (2048, 65, 128),
    (512, 65, 512),
    (2048, 65, 2048),
)  # rows, tokens, width


def add_at(dz: Array, tokens: Array, size: int) -> Array:
    """Scatter by NumPy's unbuffered addition."""
    table = np.zeros((size, dz.shape[-1]), dz.dtype)
    np.add.at(table, tokens.ravel(), dz[:, 0])
    return table


def sorted_sums(dz: Array, tokens: Array, size: int) -> Array:
    """Sort the rows by token and sum each run."""
    rows, flat = dz[:, 0], tokens.ravel()
    order = flat.argsort(kind="stable")
    present, starts = np.unique(flat[order], return_index=True)
    table = np.zeros((size, rows.shape[-1]), rows.dtype)
    table[present] = np.add.reduceat(rows[order], starts, axis=0)
    return table


def main() -> None:
    """Print a row for each size."""
    rng = np.random.default_rng(0)
    ways: dict[str, Callable[[Array, Array, int], Array]] = {
        "loop": contract_one_hot,
        "add.at": add_at,
        "reduceat": sorted_sums,
    }
    for rows, size, width in SIZES:
        dz, tokens = rng.standard_normal((rows, 1, width)), rng.integers(0, size, (rows, 1))
        times: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(REPETITIONS):
            for name, way in ways.items():
                start = time.perf_counter()
                result = way(dz, tokens, size)
                times[name].append(time.perf_counter() - start)
                np.testing.assert_allclose(result, add_at(dz, tokens, size), rtol=1e-10)
        medians = {name: float(np.median(t)) for name, t in times.items()}
        ratios = "  ".join(f"{name} {t / medians['loop']:.2f}x" for name, t in medians.items())
        print(f"{rows:5d} rows of {width:4d} into {size}: {ratios}")


if __name__ == "__main__":
    main()
