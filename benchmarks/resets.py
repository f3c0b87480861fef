"""What resets and lengths cost: a training step of every cell with them, beside one without.

    python -m benchmarks.resets [--rounds N]

T, B, D, H = 128, 64, 64, 64 in float32 on one thread. The columns are a training step's processor
time with that share of `reset` set, and with lengths drawn uniformly from 1 to T, divided by the
same step's without. The last column is the time of torch.nn's packed sequences with the same
lengths, divided by numpy_rnn's.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from functools import partial
from statistics import median
from time import process_time
from typing import Any

from benchmarks import timing

os.environ.update(timing.ONE_THREAD)

import numpy as np

from numpy_rnn import GRU, LRU, LSTM, RNN, IndRNN, MinGRU, PeepholeLSTM
from numpy_rnn.functional.types import Array

T, B, D, H = 128, 64, 64, 64
DENSITIES = (0.001, 0.01, 0.1, 0.5, 1.0)
CELLS: dict[str, Any] = {  # and how much more a step with resets may take
    "LSTM": (LSTM, 1.3),
    "GRU": (GRU, 1.3),
    "RNN": (RNN, 1.5),
    "LSTM, projected": (partial(LSTM, proj_size=H // 2), 1.3),
    "PeepholeLSTM": (PeepholeLSTM, 1.3),
    "GRU, reset before": (partial(GRU, reset_after=False), 1.3),
    "IndRNN": (IndRNN, 1.5),
    "MinGRU": (MinGRU, 1.5),
    "LRU": (LRU, 1.5),
}


def this_library(layer: Any, x: Array, dy: Array, **call: Array) -> None:
    """Take a training step's forward and backward pass."""
    layer.forward(x, **call)
    layer.zero_grad()
    layer.backward(dy)


def torch_packed(layer: Any, x: Array, dy: Array, lengths: Array) -> Callable[[], Any] | None:
    """Return the same of torch.nn's layer of that name on a packed sequence, if it is installed."""
    try:
        import torch  # noqa: PLC0415 (optional)
    except ImportError:
        return None
    torch.set_num_threads(1)
    theirs = getattr(torch.nn, type(layer).__name__, None)
    if theirs is None:
        return None
    model = theirs(D, H)
    tx, td = torch.from_numpy(x).requires_grad_(), torch.from_numpy(dy)
    rnn: Any = torch.nn.utils.rnn

    def step() -> None:
        model.zero_grad()
        tx.grad = None
        packed = rnn.pack_padded_sequence(tx, lengths, enforce_sorted=False)
        y, _ = rnn.pad_packed_sequence(model(packed)[0], total_length=T)
        y.backward(td)

    return step


def seconds(run: Callable[[], Any]) -> float:
    """Return the processor time of a call."""
    start = process_time()
    run()
    return process_time() - start


def main() -> None:
    """Measure, and print a line for each cell."""
    parser = argparse.ArgumentParser(description="The cost of resets and lengths, in ratios.")
    parser.add_argument("--rounds", type=int, default=15, help="turns of each contender")
    options = parser.parse_args()
    where = timing.surroundings("numpy", "torch")
    print(", ".join(f"{name} {what}" for name, what in where.items()))
    rng = np.random.default_rng(0)
    x = rng.standard_normal((T, B, D)).astype(np.float32)
    lengths = rng.integers(1, T + 1, B)
    resets = {f"{density:.1%}": rng.random((T, B)) < density for density in DENSITIES}
    columns = "".join(f"{share:>7}" for share in resets)
    print(f"{'share of resets':20}{columns}   at most    lengths   torch, packed")
    for name, (kind, target) in CELLS.items():
        layer = kind(D, H, rng=0, dtype=np.float32)
        dy = rng.standard_normal((T, B, layer.output_size)).astype(np.float32)
        step = partial(this_library, layer, x, dy)
        runs: dict[str, Any] = {"none": step, "lengths": partial(step, lengths=lengths)}
        runs |= {share: partial(step, reset=reset) for share, reset in resets.items()}
        if "," not in name and (packed := torch_packed(layer, x, dy, lengths)):
            runs["torch"] = packed
        times = timing.alternate(
            {key: partial(seconds, run) for key, run in runs.items()}, options.rounds
        )
        ratios = {
            key: median(a / b for a, b in zip(each, times["none"], strict=True))
            for key, each in times.items()
        }
        shown = "".join(f"{ratios[share]:6.2f}x" for share in resets)
        line = f"{name:20}{shown}  {target:7.1f}x{ratios['lengths']:10.2f}x"
        if "torch" in ratios:
            line += f"{ratios['torch'] / ratios['lengths']:15.2f}x"
        print(line, flush=True)


if __name__ == "__main__":
    main()
