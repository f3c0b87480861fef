"""What checkpointed BPTT costs and saves: peak memory and time against keeping everything.

python -m benchmarks.long_sequence
"""

from __future__ import annotations

import argparse
import math
import os
import tracemalloc
from time import perf_counter
from typing import Any

from benchmarks.timing import ONE_THREAD

os.environ |= ONE_THREAD

import numpy as np

from numpy_rnn import GRU, LRU, LSTM, RNN, IndRNN, MinGRU

D, H = 8, 64
KINDS = {kind.__name__: kind for kind in (RNN, LSTM, GRU, IndRNN, MinGRU, LRU)}


def measure(layer: Any, T: int, B: int) -> tuple[float, float]:
    """Return peak megabytes and seconds, of two runs: watching memory takes time."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((T, B, D)).astype(np.float32)
    dy = np.ones((T, B, layer.state_sizes[0]), np.float32)
    tracemalloc.start()
    layer.forward(x)
    layer.backward(dy)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    start = perf_counter()
    layer.forward(x)
    layer.backward(dy)
    return peak / 1e6, perf_counter() - start


def main() -> None:
    """Print a line for each cell and length."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, nargs="+", default=[1000, 10_000, 100_000])
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--cells", nargs="+", default=list(KINDS), choices=list(KINDS))
    options = parser.parse_args()
    B = options.batch
    print(f"float32, B = {B}, D = {D}, H = {H}; peak of forward + backward besides x and dy")
    print(f"{'':8}{'T':>8}{'k':>6}{'output':>10}{'all kept':>10}{'checkpoint':>11}{'time':>7}")
    for name in options.cells:
        for T in options.steps:
            full, saving = (
                KINDS[name](D, H, rng=0, dtype=np.float32, checkpoint=on) for on in (False, True)
            )
            most, seconds = measure(full, T, B)
            least, longer = measure(saving, T, B)
            output = 4e-6 * T * B * full.state_sizes[0]
            print(
                f"{name:8}{T:8}{math.isqrt(T) + 1:6}{output:7.1f} MB{most:7.1f} MB{least:8.1f} MB"
                f"{longer / seconds:6.2f}x",
                flush=True,
            )


if __name__ == "__main__":
    main()
