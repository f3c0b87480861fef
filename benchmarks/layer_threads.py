"""What ``threads=2`` of a layer gains, beside two processes and PyTorch's two threads.

    python -m benchmarks.layer_threads [--rounds N]

All take turns in one run; the times are those of the fastest turn. Two processes that compute half
of the batch each share no interpreter, so they show what the machine itself allows. They do not
add their gradients. Needs PyTorch.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

from numpy_rnn import GRU, LSTM

T, B, D = 64, 32, 64
SPIN = 0.3  # seconds for which PyTorch's threads go on waiting actively
Kind = type[LSTM] | type[GRU]


def random_input(rows: int) -> Any:
    """Return an input in float32."""
    return np.random.default_rng(0).standard_normal((T, rows, D)).astype(np.float32)


def there_and_back(layer: LSTM | GRU, x: Any) -> None:
    """Run the forward and the backward pass."""
    y, _, cache = layer.apply(x)
    layer.vjp(cache, y)


def torch_there_and_back(layer: Any, x: Any) -> None:
    """Run both passes in PyTorch."""
    layer.zero_grad()
    y, _ = layer(x)
    y.backward(y.detach())


def half(kind: Kind, H: int, barrier: Any) -> None:
    """Compute half of the batch each time the barrier opens. The body of a process."""
    layer, x = kind(D, H, rng=0, dtype="float32"), random_input(B // 2)
    while True:
        barrier.wait()
        there_and_back(layer, x)
        barrier.wait()


@contextmanager
def two_processes(kind: Kind, H: int) -> Iterator[Callable[[], None]]:
    """Yield a function in which two processes compute half of the batch each."""
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(3)
    processes = [context.Process(target=half, args=(kind, H, barrier)) for _ in range(2)]
    for process in processes:
        process.start()

    def turn() -> None:
        barrier.wait()
        barrier.wait()

    try:
        yield turn
    finally:
        for process in processes:
            process.kill()


def measure(kind: Kind, H: int, rounds: int) -> dict[Any, float]:
    """Return the seconds of the fastest turn of each."""
    import torch  # noqa: PLC0415 (takes two seconds, and the two processes do not need it)

    torch.set_num_threads(2)
    x = random_input(B)
    theirs = getattr(torch.nn, kind.__name__)(D, H)
    turns: dict[Any, Callable[[], None]] = {
        n: partial(there_and_back, kind(D, H, rng=0, dtype="float32", threads=n), x)
        for n in (None, 1, 2)
    }
    turns["torch"] = partial(torch_there_and_back, theirs, torch.from_numpy(x))
    best = dict.fromkeys((*turns, "processes"), math.inf)
    with two_processes(kind, H) as turns["processes"]:
        for _ in range(rounds):
            for name, turn in turns.items():
                if name == "processes":
                    time.sleep(SPIN)
                for _ in range(6):
                    start = time.perf_counter()
                    turn()
                    best[name] = min(best[name], time.perf_counter() - start)
    return best


def main() -> None:
    """Print a line for each cell and size."""
    parser = argparse.ArgumentParser(description="What threads=2 of a layer gains.")
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    for kind in (LSTM, GRU):
        for H in (128, 256, 512):
            best = measure(kind, H, options.rounds)
            one, two = best[None], best[2]
            print(
                f"{kind.__name__:4} B, T, D = {B}, {T}, {D}, H = {H}: one thread {1e3 * one:.1f} "
                f"ms; threads=1 {1e3 * best[1]:.1f}, threads=2 {1e3 * two:.1f} ({one / two:.2f}x); "
                f"two processes {one / best['processes']:.2f}x; PyTorch, two threads, "
                f"{best['torch'] / two:.2f}x the time; load {os.getloadavg()[0]:.1f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
