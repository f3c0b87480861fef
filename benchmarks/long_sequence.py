"""Peak memory and time of gradient checkpointing (recompute=True) on a long sequence.

    python -m benchmarks.long_sequence [--steps 100000] [--batch 1] [--cells LSTM ...]

Each line compares a layer that stores every state with one that recomputes them in backward.
"""

from __future__ import annotations

import argparse
import math
import os
import tracemalloc
from statistics import median
from time import perf_counter
from typing import Any

from benchmarks.timing import ONE_THREAD

os.environ |= ONE_THREAD

import numpy as np

from numpy_rnn import GRU, LRU, LSTM, RNN, IndRNN, MinGRU
from numpy_rnn.functional.types import Array

D, H, ROUNDS = 8, 64, 3
KINDS = {kind.__name__: kind for kind in (RNN, LSTM, GRU, IndRNN, MinGRU, LRU)}


def megabytes(layer: Any, x: Array, dy: Array) -> float:
    """Return the peak memory of forward and backward."""
    tracemalloc.start()
    layer.forward(x)
    layer.backward(dy)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / 1e6


def seconds(layer: Any, x: Array, dy: Array) -> float:
    """Return the time of forward and backward."""
    start = perf_counter()
    layer.forward(x)
    layer.backward(dy)
    return perf_counter() - start


def main() -> None:
    """Print a line for each cell and length."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--steps", type=int, nargs="+", default=[100_000], help="lengths of the sequence"
    )
    parser.add_argument("--batch", type=int, default=1, help="batch size")
    parser.add_argument(
        "--cells", nargs="+", default=list(KINDS), choices=list(KINDS), help="layers"
    )
    options = parser.parse_args()
    B = options.batch
    print(f"float32, B = {B}, D = {D}, H = {H}; peak without x and dy; median of {ROUNDS} ratios")
    print("| | T | k | the output | all stored | recomputed | time |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    rng = np.random.default_rng(0)
    for name in options.cells:
        for T in options.steps:
            full, saving = (
                KINDS[name](D, H, rng=0, dtype=np.float32, recompute=on) for on in (False, True)
            )
            x = rng.standard_normal((T, B, D)).astype(np.float32)
            dy = np.ones((T, B, full.state_sizes[0]), np.float32)
            peaks = [megabytes(layer, x, dy) for layer in (full, saving)]
            ratios = [1 / seconds(full, x, dy) * seconds(saving, x, dy) for _ in range(ROUNDS)]
            print(
                f"| {name} | {T:,} | {math.isqrt(T) + 1} | {dy.nbytes / 1e6:.0f} MB "
                f"| {peaks[0]:.0f} MB | {peaks[1]:.0f} MB | {median(ratios):.2f}x |",
                flush=True,
            )


if __name__ == "__main__":
    main()
