"""Speed of the fast twins: time of a textbook page divided by that of its twin in functional/.

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

from numpy_rnn.functional.types import Array
from numpy_rnn.museum.registry import PAIRS, TEXTBOOK_PAIRS, RegisteredPair

SIZES = [(49, 1, 35, 35), (64, 32, 64, 64), (64, 32, 256, 256)]  # T, B, D, H


def draw(pair: RegisteredPair, sizes: dict[str, int]) -> list[Array]:
    """Return float32 arguments of a pair whose shapes are letters such as "4H D"."""
    rng = np.random.default_rng(0)
    arguments = []
    for letters in pair.shapes.values():
        shape = [
            int(axis) if axis.isdigit() else int(axis[:-1] or 1) * sizes[axis[-1]]
            for axis in str(letters).split()
        ]
        arguments.append((0.1 * rng.standard_normal(shape)).astype(np.float32))
    return arguments


def run_of(pair: RegisteredPair, arguments: list[Array]) -> Callable[[], Any]:
    """Return a function that goes forward and backward once."""
    outputs, _ = pair.forward(*arguments)
    douts = [np.ones_like(out) for out in (outputs if isinstance(outputs, tuple) else (outputs,))]

    def run() -> None:
        _, cache = pair.forward(*arguments)
        pair.backward(*douts, cache)

    return run


def main() -> None:
    """Print a line for each recurrent pair."""
    parser = argparse.ArgumentParser(description="Textbook pages beside their fast twins.")
    parser.add_argument("--rounds", type=int, default=7, help="turns of each contender")
    options = parser.parse_args()
    print(", ".join(f"{name} {what}" for name, what in timing.surroundings("numpy").items()))
    print("T, B, D, H:        " + "   ".join(str(size) for size in SIZES))
    fast = {f"textbook {pair.name}": pair for pair in PAIRS}
    for page in TEXTBOOK_PAIRS:
        if not page.recurrent or page.name not in fast:
            continue
        ratios = []
        for T, B, D, H in SIZES:
            arguments = draw(page, {"T": T, "B": B, "D": D, "H": H, "P": H // 2})
            contenders = {"page": page, "twin": fast[page.name]}
            turns = {
                name: partial(timing.call_seconds, run_of(pair, arguments), 0.05)
                for name, pair in contenders.items()
            }
            times = timing.alternate(turns, options.rounds)
            both = zip(times["page"], times["twin"], strict=True)
            ratios.append(median(slow / quick for slow, quick in both))
        name = fast[page.name].name
        print(f"{name:18}" + "".join(f"{ratio:15.1f}x" for ratio in ratios), flush=True)


if __name__ == "__main__":
    main()
