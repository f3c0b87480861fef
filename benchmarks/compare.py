"""Two versions of the library side by side: training steps, the notebook's epoch, streaming.

    python -m benchmarks.compare OTHER_CHECKOUT [--rounds N]

Each version runs in a process of its own, on one thread, in alternating turns. A line shows the
time of this version divided by that of the other: the median over the rounds, and the ratio of the
minima.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import IO, Any

from benchmarks import timing

os.environ.update(timing.ONE_THREAD)

import numpy as np

import numpy_rnn
from numpy_rnn import GRU, LRU, LSTM, RNN, Adam, IndRNN, Linear, MinGRU, MSELoss, Sequential

F32 = np.float32


def notebook() -> Callable[[], Any]:
    """Return the notebook's training step: 49 steps, 35 units."""
    model = Sequential(RNN(35, 35, rng=0, dtype=F32), Linear(35, 35, rng=1, dtype=F32))
    criterion, adam = MSELoss("sum_over_time"), Adam(model.parameters)
    x = np.eye(35, dtype=F32)[np.random.default_rng(0).integers(0, 35, 49)][:, None]

    def step() -> None:
        y, _ = model.forward(x)
        criterion.forward(y, x)
        model.zero_grad()
        model.backward(criterion.backward())
        adam.step()

    return step


def training(kind: Any, T: int, B: int, D: int, H: int) -> Callable[[], Any]:
    """Return forward and backward of a layer."""
    layer = kind(D, H, rng=0, dtype=F32)
    x = np.random.default_rng(0).standard_normal((T, B, D)).astype(F32)
    dy = np.ones((T, B, layer.state_sizes[0]), F32)

    def step() -> None:
        layer.forward(x)
        layer.backward(dy)

    return step


def streaming(kind: Any, H: int) -> Callable[[], Any]:
    """Return one step for one user, with its state."""
    layer = kind(H, H, rng=0, dtype=F32)
    x = np.random.default_rng(0).standard_normal((1, H)).astype(F32)
    one = layer.stepper() if hasattr(layer, "stepper") else layer.step
    state: Any = one(x)[1]

    def step() -> None:
        nonlocal state
        _, state = one(x, state)

    return step


JOBS: dict[str, Callable[[], Callable[[], Any]]] = {"notebook": notebook}
for _kind in (LSTM, GRU, RNN, IndRNN, MinGRU, LRU):
    for _sizes in ((64, 1, 64, 64), (64, 8, 64, 64), (64, 32, 64, 128)):
        JOBS[f"{_kind.__name__} {_sizes}"] = lambda k=_kind, s=_sizes: training(k, *s)  # type: ignore[misc]  # early binding
for _kind in (LSTM, GRU, RNN):
    for _H in (32, 128, 512):
        JOBS[f"streaming {_kind.__name__} {_H}"] = lambda k=_kind, n=_H: streaming(k, n)  # type: ignore[misc]  # early binding


def serve() -> None:
    """Time the job named on each line of standard input, and print the seconds of one call."""
    ready: dict[str, Callable[[], Any]] = {}
    for line in sys.stdin:
        job = ready.setdefault(line.strip(), JOBS[line.strip()]())
        job()
        start = perf_counter()
        job()
        repeats = max(1, int(0.05 / (perf_counter() - start)))
        times = []
        for _ in range(3):
            start = perf_counter()
            for _ in range(repeats):
                job()
            times.append((perf_counter() - start) / repeats)
        print(min(times), flush=True)


def main() -> None:
    """Print a line for each job."""
    parser = argparse.ArgumentParser(description="This version beside another checkout.")
    parser.add_argument("other", type=Path, help="folder that holds the other numpy_rnn/")
    parser.add_argument("--rounds", type=int, default=9, help="turns of each version")
    options = parser.parse_args()
    here = Path(numpy_rnn.__file__).parents[1]
    pipes: list[tuple[IO[str], IO[str]]] = []
    for checkout in (here, options.other.resolve()):
        process = subprocess.Popen(
            [sys.executable, str(Path(__file__).resolve()), "--serve"],
            env=os.environ | {"PYTHONPATH": os.pathsep.join([str(checkout), str(here)])},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdin is not None  # noqa: S101 (for the type checker)
        assert process.stdout is not None  # noqa: S101 (for the type checker)
        pipes.append((process.stdin, process.stdout))

    def seconds(version: int, name: str) -> float:
        to, back = pipes[version]
        to.write(f"{name}\n")
        to.flush()
        return float(back.readline())

    for name in JOBS:
        rounds = [(seconds(0, name), seconds(1, name)) for _ in range(options.rounds)]
        best = min(new for new, _ in rounds), min(old for _, old in rounds)
        ratio = median(new / old for new, old in rounds)
        print(
            f"{name:26}{best[0] * 1e6:10.1f} us   ratio {ratio:.2f}"
            f"   of the minima {best[0] / best[1]:.2f}",
            flush=True,
        )


if __name__ == "__main__":
    serve() if "--serve" in sys.argv else main()
