"""The scan against a loop over time: for which rows the rounds pay, and that both agree.

python -m benchmarks.scan
"""

from __future__ import annotations

import os
from statistics import median
from time import perf_counter

from benchmarks.timing import ONE_THREAD

os.environ |= ONE_THREAD

import numpy as np

from numpy_rnn.functional import scan
from numpy_rnn.functional.types import Array

ROUNDS = 15


def seconds(wide: int, a: Array, b: Array, h0: Array) -> tuple[float, Array]:
    """Return the time of a scan that loops over rows of `wide` bytes and more."""
    before, scan.WIDE = scan.WIDE, wide
    try:
        start = perf_counter()
        h, _ = scan.scan_forward(a, b, h0)
        return perf_counter() - start, h
    finally:
        scan.WIDE = before


def main() -> None:
    """Print the loop's time, and how many times faster the rounds are."""
    rng = np.random.default_rng(0)
    print(f"rounds instead of the loop, times as fast; scan.WIDE is {scan.WIDE} bytes")
    for dtype in (np.float32, np.float64):
        for T in (100, 1000, 10_000):
            line = f"{np.dtype(dtype).name}  T = {T:6}"
            for width in (16, 64, 128, 256, 512, 2048):
                a, b = rng.random((T, 1, width)), rng.standard_normal((T, 1, width))
                arguments = a.astype(dtype), b.astype(dtype), np.ones((1, width), dtype)
                ratios, differences = [], []
                for _ in range(ROUNDS):
                    loop, h = seconds(0, *arguments)
                    rounds, other = seconds(h.nbytes + 1, *arguments)
                    ratios.append(loop / rounds)
                    differences.append(np.abs(h - other).max())
                assert max(differences) < (1e-10 if dtype is np.float64 else 1e-4)  # noqa: S101 (a benchmark's own check)
                line += f"  {width}: {median(ratios):.2f}"
            print(line)


if __name__ == "__main__":
    main()
