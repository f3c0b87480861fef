"""How far a reader has to travel: the Python calls of one training step, and its changes of file.

    python -m benchmarks.calls [--trace]

The step is a forward pass of Sequential(LSTM, Linear), MSE, backward, clipping and Adam, traced
with sys.setprofile. A change of file is a call into another file of the package than the call
before it. The aim was at most 45 changes: not reached. There were 78 before the redesign.
"""

from __future__ import annotations

import argparse
import sys
from itertools import pairwise
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np

import numpy_rnn
from numpy_rnn import LSTM, Adam, Linear, MSELoss, Sequential, clip_grad_norm

PACKAGE = Path(numpy_rnn.__file__).parent


def traced_step(T: int = 5, B: int = 3) -> list[tuple[str, str]]:
    """Return file and function of every Python call into the package in one training step."""
    model = Sequential(LSTM(3, 4, rng=0), Linear(4, 2, rng=1))
    criterion, optimizer = MSELoss(), Adam(model.parameters)
    x, target = np.ones((T, B, 3)), np.zeros((T, B, 2))
    calls: list[tuple[str, str]] = []

    def step() -> None:
        y, _ = model.forward(x)
        criterion.forward(y, target)
        model.zero_grad()
        model.backward(criterion.backward())
        clip_grad_norm(model.parameters, 1.0)
        optimizer.step()

    def profile(frame: FrameType, event: str, _: Any) -> None:
        path = Path(frame.f_code.co_filename)
        if event == "call" and path.is_relative_to(PACKAGE):
            calls.append((path.relative_to(PACKAGE).as_posix(), frame.f_code.co_name))

    step()  # imports and first allocations are not part of a step
    sys.setprofile(profile)
    try:
        step()
    finally:
        sys.setprofile(None)
    return calls


def changes_of_file(calls: list[tuple[str, str]]) -> int:
    """Return how many calls go to another file than the call before."""
    files = [file for file, _ in calls]
    return sum(a != b for a, b in pairwise(files))


def main() -> None:
    """Print the counts and, if asked, every call."""
    parser = argparse.ArgumentParser(description="The calls of one training step.")
    parser.add_argument("--trace", action="store_true", help="print every call")
    options = parser.parse_args()
    calls = traced_step()
    if options.trace:
        for file, function in calls:
            print(f"  {file}: {function}")
    files = len({file for file, _ in calls})
    changes = changes_of_file(calls)
    print(f"{len(calls)} calls, {files} files, {changes} changes of file (the aim: at most 45)")


if __name__ == "__main__":
    main()
