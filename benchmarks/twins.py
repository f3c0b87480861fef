"""What the fast twins gain: time of a textbook page divided by that of its twin in functional/.

    python -m benchmarks.twins [--rounds N]

Forward and backward in float32 on one thread, in alternating turns, medians. Where a twin gains
nothing, it is not worth its lines.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from functools import partial
from statistics import median
from typing import Any

from benchmarks import timing

os.environ.update(timing.ONE_THREAD)

import numpy as np

from numpy_rnn import functional, textbook
from numpy_rnn.functional.types import Array

# Shapes of the arguments after x, in letters; blocks are counted in gates.
PAIRS: dict[str, list[tuple[str | int, ...]]] = {
    "elman": [("B", "H"), ("H", "D"), ("H", "H"), ("H",), ("H",)],
    "lstm": [("B", "H"), ("B", "H"), ("4H", "D"), ("4H", "H"), ("4H",), ("4H",)],
    "peephole_lstm": [
        *[("B", "H"), ("B", "H"), ("4H", "D"), ("4H", "H"), ("4H",), ("4H",)],
        (3, "H"),
    ],
    "gru": [("B", "H"), ("3H", "D"), ("3H", "H"), ("3H",), ("3H",)],
    "gru_reset_before": [("B", "H"), ("3H", "D"), ("3H", "H"), ("3H",), ("3H",)],
    "indrnn": [("B", "H"), ("H", "D"), ("H",), ("H",)],
    "mingru": [("B", "H"), ("2H", "D"), ("2H",)],
    "lru": [("B", "2H"), ("2H", "D"), ("H",), ("H",), ("H",)],
}
SIZES = [(49, 1, 35, 35), (64, 32, 64, 64), (64, 32, 256, 256)]  # T, B, D, H


def run_of(module: Any, name: str, arguments: list[Array]) -> Callable[[], Any]:
    """Return a function that goes forward and backward once."""
    forward = getattr(module, f"{name}_forward")
    backward = getattr(module, f"{name}_backward")
    outputs, _ = forward(*arguments)
    douts = [np.ones_like(out) for out in (outputs if isinstance(outputs, tuple) else (outputs,))]

    def run() -> None:
        _, cache = forward(*arguments)
        backward(*douts, cache)

    return run


def main() -> None:
    """Print a line for each pair."""
    parser = argparse.ArgumentParser(description="Textbook pages beside their fast twins.")
    parser.add_argument("--rounds", type=int, default=7, help="turns of each contender")
    options = parser.parse_args()
    print(", ".join(f"{name} {what}" for name, what in timing.surroundings("numpy").items()))
    print("T, B, D, H:       " + "   ".join(str(size) for size in SIZES))
    for name, shapes in PAIRS.items():
        ratios = []
        for T, B, D, H in SIZES:
            sizes = {"B": B, "D": D, "H": H, "2H": 2 * H, "3H": 3 * H, "4H": 4 * H}
            rng = np.random.default_rng(0)
            arguments = [
                (0.1 * rng.standard_normal(shape)).astype(np.float32)
                for shape in [
                    (T, B, D),
                    *(tuple(n if isinstance(n, int) else sizes[n] for n in s) for s in shapes),
                ]
            ]
            turns = {
                which.__name__: partial(timing.call_seconds, run_of(which, name, arguments), 0.05)
                for which in (textbook, functional)
            }
            times = timing.alternate(turns, options.rounds)
            pairs = zip(times[textbook.__name__], times[functional.__name__], strict=True)
            ratios.append(median(slow / fast for slow, fast in pairs))
        print(f"{name:18}" + "".join(f"{ratio:15.1f}x" for ratio in ratios))


if __name__ == "__main__":
    main()
