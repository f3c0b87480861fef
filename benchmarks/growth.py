"""Cost as work grows: time and memory of a training pass against T, B, H and the number of layers.

    python -m benchmarks.growth [--cells LSTM ...] [--longest 1000000] [--axes T B H layers]

Forward and backward in float32 on one thread, from a base of T = 100, B = 8, D = H = 64 and one
layer. One size grows at a time. Each line has the processor time, the system's share of it, and the
peak memory that NumPy allocates besides x and dy. The exponent is the slope between a line and the
line before it, both in logarithms: 1 is proportional, 2 is quadratic. T also grows with
``recompute=True``, at B = 1.

Twice the work of each step is expected to cost at most twice the time, so the exponent to expect is
at most 1 for T, B and layers, and at most 2 for H, as its matrices are H by H. A line that exceeds
this by more than 0.3 is marked. The system's share is the time to hand out memory: glibc returns
large arrays to the system after each pass, unless MALLOC_MMAP_THRESHOLD_ and
MALLOC_TRIM_THRESHOLD_ are set to more bytes than a pass allocates.
"""

from __future__ import annotations

import argparse
import math
import os
import tracemalloc
from collections.abc import Iterator
from typing import Any, NamedTuple

from benchmarks import timing

os.environ.update(timing.ONE_THREAD)

import numpy as np

from numpy_rnn import GRU, LRU, LSTM, RNN, IndRNN, MinGRU

CELLS: dict[str, Any] = {cell.__name__: cell for cell in (RNN, LSTM, GRU, IndRNN, MinGRU, LRU)}
GROWTH = {  # sizes, and the largest exponents of time and of memory to expect
    "B": ((1, 4, 16, 64, 256, 1024), 1, 1),
    "H": ((16, 64, 256, 1024), 2, 2),
    "layers": ((1, 2, 4, 8), 1, 1),
}
TOLERANCE = 0.3
LEAST = 0.3  # seconds that the timed passes take together


class Size(NamedTuple):
    """The sizes of a pass."""

    T: int = 100
    B: int = 8
    H: int = 64
    layers: int = 1


class Cost(NamedTuple):
    """Processor seconds, the system's share of them, and peak megabytes."""

    seconds: float
    system: float
    megabytes: float


def cost(cell: str, size: Size, *, recompute: bool = False) -> Cost:
    """Return the cost of forward and backward."""
    T, B, H, layers = size
    D = 64 if T <= 10_000 else 8
    layer = CELLS[cell](D, H, layers, rng=0, dtype=np.float32, recompute=recompute)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((T, B, D), np.float32)
    dy = rng.standard_normal((T, B, layer.state_sizes[0]), np.float32)

    def run() -> tuple[float, float]:
        before = os.times()
        layer.forward(x)
        layer.zero_grad()
        layer.backward(dy)
        after = os.times()
        return after.user - before.user, after.system - before.system

    run()
    passes = 1
    while sum(times := np.sum([run() for _ in range(passes)], axis=0)) < LEAST:  # ticks of 10 ms
        passes *= 2
    tracemalloc.start()
    run()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return Cost(sum(times) / passes, times[1] / sum(times), peak / 1e6)


def lines(axis: str, longest: int) -> Iterator[tuple[Size, bool, float, float]]:
    """Yield the sizes along one axis, whether they recompute, and the exponents to expect."""
    if axis != "T":
        sizes, in_time, in_memory = GROWTH[axis]
        for n in sizes:
            yield Size(**{axis: n}), False, in_time, in_memory
        return
    lengths = [10**k for k in range(2, 1 + round(math.log10(longest)))]
    for recompute in (False, True):
        for T in lengths:
            if recompute or T <= 100_000:  # a million steps of all states are gigabytes
                yield Size(T=T, B=1), recompute, 1, 1


def table(cell: str, axis: str, longest: int) -> int:
    """Print the lines of one cell along one axis and return how many exceed what is expected."""
    before: tuple[Size, bool, Cost] | None = None
    surprises = 0
    for size, recompute, *expected in lines(axis, longest):
        now = cost(cell, size, recompute=recompute)
        slopes = ["", ""]
        if before is not None and before[1] == recompute:
            factor = getattr(size, axis) / getattr(before[0], axis)
            for k, part in enumerate(("seconds", "megabytes")):
                slope = math.log(getattr(now, part) / getattr(before[2], part)) / math.log(factor)
                slopes[k] = f"{slope:.2f}"
                if slope > expected[k] + TOLERANCE:
                    slopes[k] += " more than expected"
                    surprises += 1
        what = f"{axis} = {getattr(size, axis):,}" + (", recomputed" if recompute else "")
        print(
            f"| {cell} | {what} | {now.seconds * 1e3:,.3g} ms | {slopes[0]} | {now.system:.0%} "
            f"| {now.megabytes:,.3g} MB | {slopes[1]} |",
            flush=True,
        )
        before = size, recompute, now
    return surprises


def main() -> None:
    """Print the table of each axis and cell."""
    parser = argparse.ArgumentParser(description="Cost as work grows.")
    parser.add_argument("--cells", nargs="+", default=list(CELLS), choices=list(CELLS))
    parser.add_argument("--axes", nargs="+", default=["T", *GROWTH], choices=["T", *GROWTH])
    parser.add_argument("--longest", type=int, default=1_000_000, help="largest T")
    options = parser.parse_args()
    print(", ".join(f"{name} {what}" for name, what in timing.surroundings("numpy").items()))
    surprises = 0
    for axis in options.axes:
        print("\n| cell | size | time | exponent | system | memory | exponent |")
        print("| --- | --- | --- | --- | --- | --- | --- |")
        for cell in options.cells:
            surprises += table(cell, axis, options.longest)
    print(f"\n{surprises} exponents more than {TOLERANCE} above what is expected")


if __name__ == "__main__":
    main()
