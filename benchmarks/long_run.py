"""Long runs: memory stays flat, and float32 does not drift from float64.

    python -m benchmarks.long_run [--stream 1000000] [--training 100000]

The first table streams that many steps through the stepper of every cell, in float32 and in
float64 with the same weights. The second trains a small GRU that many steps in both dtypes. Shown
are the resident memory at 10 % and at the end, and the largest distance of the float32 output from
the float64 one, divided by the largest output, over the last 100 steps. In training, where two runs
part, it is the distance of the mean losses of the last tenth. The line below it is that distance of
two runs in float64, one of which begins with weights that are changed by a rounding of float32.
Float32 does not drift if both lines are of one size, over several seeds.
"""

from __future__ import annotations

import argparse
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import timing

os.environ.update(timing.ONE_THREAD)

import numpy as np

from numpy_rnn import (
    GRU,
    LRU,
    LSTM,
    RNN,
    Adam,
    IndRNN,
    Linear,
    MinGRU,
    MSELoss,
    PeepholeLSTM,
    Sequential,
)
from numpy_rnn.training import Examples, Trainer

FLOAT32_ROUNDING = float(np.finfo(np.float32).eps) / 2
CELLS: dict[str, Callable[..., Any]] = {
    "RNN": RNN,
    "RNN relu": lambda D, H, **o: RNN(D, H, nonlinearity="relu", **o),
    "LSTM": LSTM,
    "LSTM projected": lambda D, H, **o: LSTM(D, H, proj_size=H // 2, **o),
    "PeepholeLSTM": PeepholeLSTM,
    "GRU": GRU,
    "GRU reset before": lambda D, H, **o: GRU(D, H, reset_after=False, **o),
    "IndRNN": IndRNN,
    "MinGRU": MinGRU,
    "LRU": LRU,
}


def resident() -> float:
    """Return the resident memory of this process in MB (Linux), NaN elsewhere."""
    statm = Path("/proc/self/statm")
    if not statm.exists():
        return float("nan")
    return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def stream(make: Callable[..., Any], steps: int) -> tuple[float, float, float]:
    """Return the memory at a tenth and at the end, and the drift of the last 100 steps."""
    single, double = (make(3, 16, rng=0, dtype=d) for d in (np.float32, np.float64))
    double.load_state_dict(single.state_dict())
    runs = [single.stepper(), double.stepper()]
    states: list[Any] = [None, None]
    rng, early, drift, largest = np.random.default_rng(0), 0.0, 0.0, 0.0
    for n in range(steps):
        x = rng.standard_normal((1, 3)).astype(np.float32)
        y, states[0] = runs[0](x, states[0])
        want, states[1] = runs[1](x.astype(float), states[1])
        if n == steps // 10:
            early = resident()
        if n >= steps - 100:
            drift = max(drift, float(np.abs(y - want).max()))
            largest = max(largest, float(np.abs(want).max()))
    return early, resident(), drift / largest


def train(steps: int, seed: int) -> tuple[float, float, float, float]:
    """Return the memory at a tenth and at the end, and the distance of two pairs of losses.

    They are of float32 from float64, and of float64 from itself with first weights that are
    changed by as much as float32 rounds them.
    """
    early, losses = 0.0, []
    for dtype, rounding in ((np.float32, 0.0), (np.float64, 0.0), (np.float64, FLOAT32_ROUNDING)):
        x = np.random.default_rng(seed).standard_normal((10, 64, 1)).astype(dtype)
        model = Sequential(GRU(1, 8, rng=seed, dtype=dtype), Linear(8, 1, rng=seed, dtype=dtype))
        weights = model.parameters.data
        weights *= 1 + rounding * np.random.default_rng(seed).uniform(-1, 1, weights.shape)
        data = Examples(x, x.cumsum(axis=0), batch_size=16, per_step=True, rng=3)
        trainer = Trainer(model, MSELoss(), Adam(model.parameters), data, clip_norm=1.0)
        late = 0.0
        for n in range(steps):
            loss = trainer.step().loss
            if n == steps // 10:
                early = early or resident()
            if n >= steps - steps // 10:
                late += loss / (steps // 10)
        losses.append(late)
    single, _, nudged = (abs(loss / losses[1] - 1) for loss in losses)
    return early, resident(), single, nudged


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description="Memory and drift of long runs.")
    parser.add_argument("--stream", type=int, default=1_000_000, help="steps of each stepper")
    parser.add_argument("--training", type=int, default=100_000, help="training steps")
    parser.add_argument("--seeds", type=int, default=5, help="training runs of each kind")
    options = parser.parse_args()
    warnings.simplefilter("error")
    print(f"{'':24}{'MB at 10 %':>12}{'MB at end':>12}{'drift':>10}")
    for name, make in CELLS.items():
        early, late, drift = stream(make, options.stream)
        print(f"{f'stream {name}':24}{early:12.1f}{late:12.1f}{drift:10.1e}", flush=True)
    pairs = []
    for seed in range(options.seeds):
        early, late, *pair = train(options.training, seed)
        pairs.append(pair)
        print(f"{f'training GRU, seed {seed}':24}{early:12.1f}{late:12.1f}{pair[0]:10.1e}")
        print(f"{'  float64, weights rounded to float32':48}{pair[1]:10.1e}", flush=True)
    single, rounded = np.median(pairs, axis=0)
    print(f"{f'median of {options.seeds}':48}{single:10.1e}{rounded:10.1e}")


if __name__ == "__main__":
    main()
