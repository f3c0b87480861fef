"""GradBench's LSTM evaluation: the stacked LSTM of ADBench, whose weight matrices are diagonal.

    python -m benchmarks.gradbench [--layers 2 4] [--steps 1024 4096] [--rounds N]
    python -m benchmarks.gradbench serve

The first form times the gradient beside the same model in autograd and PyTorch, in float64 on one
thread, by processor time. The inputs are drawn as ADBench draws them: parameters and states
between 0 and 1, and rows of bits for characters. The second form answers GradBench's messages, one
line of JSON each, so that its LSTM evaluation can run on this adapter.
https://github.com/gradbench/gradbench has the protocol.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from statistics import median
from time import perf_counter, perf_counter_ns, process_time
from typing import Any

from benchmarks import timing

os.environ.update(timing.ONE_THREAD)

import numpy as np

from benchmarks.diagonal_lstm import objective_backward, objective_forward
from numpy_rnn.functional.types import Array

D = 14  # bits of a character in ADBench's text


def draw(layers: int, steps: int, seed: int = 0) -> dict[str, Array]:
    """Return an input as ADBench draws it."""
    rng = np.random.default_rng(seed)
    return {
        "main_params": rng.random((2 * layers, 4 * D)),
        "extra_params": rng.random((3, D)),
        "state": rng.random((2 * layers, D)),
        "sequence": rng.integers(0, 2, (steps, D)).astype(float),
    }


def gradient(main_params: Array, extra_params: Array, state: Array, sequence: Array) -> Array:
    """Return the gradient by main_params and extra_params as one row."""
    _, cache = objective_forward(main_params, extra_params, state, sequence)
    d_main, d_extra, *_ = objective_backward(1.0, cache)
    return np.concatenate([d_main.ravel(), d_extra.ravel()])


def objective(library: Any, main: Any, extra: Any, state: Any, sequence: Any) -> Any:
    """Return the loss, with the operations of another library, in a plain loop."""
    sigmoid, tanh, exp, log, split = library
    h, c, total = list(state[0::2]), list(state[1::2]), 0.0
    weights = [(split(main[k], 4), split(main[k + 1], 4)) for k in range(0, len(main), 2)]
    for x, target in pairwise(sequence):
        below = x * extra[0]
        for k, (w, b) in enumerate(weights):
            i, g = sigmoid(h[k] * w[1] + b[1]), tanh(h[k] * w[3] + b[3])
            c[k] = sigmoid(below * w[0] + b[0]) * c[k] + i * g
            h[k] = below = sigmoid(below * w[2] + b[2]) * tanh(c[k])
        y = below * extra[1] + extra[2]
        total = total + (target * (y - log(2 + exp(y).sum()))).sum()
    return -total / ((len(sequence) - 1) * sequence.shape[1])


def torch_gradient(inputs: dict[str, Array]) -> Callable[[], Array]:
    """Return a function that computes the gradient with PyTorch."""
    import torch  # noqa: PLC0415 (optional)

    torch.set_num_threads(1)
    main, extra, state, sequence = (torch.from_numpy(a) for a in inputs.values())
    operations = torch.sigmoid, torch.tanh, torch.exp, torch.log, torch.chunk

    def run() -> Array:
        leaves = main.clone().requires_grad_(), extra.clone().requires_grad_()
        objective(operations, leaves[0], leaves[1], state, sequence).backward()
        return np.concatenate([np.asarray(leaf.grad).ravel() for leaf in leaves])

    return run


def autograd_gradient(inputs: dict[str, Array]) -> Callable[[], Array]:
    """Return a function that computes the gradient with autograd."""
    import autograd  # noqa: PLC0415 (optional)
    from autograd import numpy as anp  # noqa: PLC0415 (optional)

    def sigmoid(x: Any) -> Any:
        return 1 / (1 + anp.exp(-x))

    main, extra, state, sequence = inputs.values()
    operations = sigmoid, anp.tanh, anp.exp, anp.log, anp.split
    find = autograd.grad(lambda both: objective(operations, both[0], both[1], state, sequence))
    return lambda: np.concatenate([g.ravel() for g in find((main, extra))])


def answer(message: dict[str, Any]) -> dict[str, Any]:
    """Return the response to one of GradBench's messages."""
    kind, response = message["kind"], {"id": message["id"]}
    if kind == "start":
        return response | {"tool": "numpy_rnn"}
    if kind == "define":
        return response | {"success": message["module"] == "lstm"}
    if kind != "evaluate":
        return response
    names = ("main_params", "extra_params", "state", "sequence")
    arrays = [np.array(message["input"][name], float) for name in names]
    functions: dict[str, Callable[[], Any]] = {
        "objective": lambda: float(objective_forward(*arrays)[0]),
        "jacobian": lambda: gradient(*arrays).tolist(),
    }
    run = functions[message["function"]]
    runs, seconds = message["input"].get("min_runs", 1), message["input"].get("min_seconds", 0)
    timings: list[dict[str, Any]] = []
    begin = perf_counter()
    while len(timings) < max(runs, 1) or perf_counter() - begin < seconds:
        start = perf_counter_ns()
        output = run()
        timings.append({"name": "evaluate", "nanoseconds": perf_counter_ns() - start})
    return response | {"success": True, "output": output, "timings": timings}


def measure(layers: int, steps: int, rounds: int) -> str:
    """Return a line of the table, after all gradients were found equal."""
    inputs = draw(layers, steps)
    runs: dict[str, Callable[[], Array]] = {"numpy_rnn": lambda: gradient(**inputs)}
    runs |= {"PyTorch": torch_gradient(inputs), "autograd": autograd_gradient(inputs)}
    for run in runs.values():
        np.testing.assert_allclose(run(), runs["numpy_rnn"](), rtol=1e-9, atol=1e-12)
    turns = {
        name: partial(timing.call_seconds, run, 0.1, process_time) for name, run in runs.items()
    }
    times = timing.alternate(turns, rounds)
    line = f"| {layers} | {steps:,} | {median(times['numpy_rnn']) * 1e3:.3g} ms |"
    for name in list(runs)[1:]:
        each = zip(times[name], times["numpy_rnn"], strict=True)
        line += f" {median(t / o for t, o in each):.3g}x |"
    return line


def main() -> None:
    """Print the table, or answer messages."""
    parser = argparse.ArgumentParser(description="GradBench's LSTM evaluation.")
    parser.add_argument("what", nargs="?", default="measure", choices=["measure", "serve"])
    parser.add_argument("--layers", type=int, nargs="+", default=[2, 4], help="numbers of layers")
    parser.add_argument("--steps", type=int, nargs="+", default=[1024, 4096], help="characters")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each contender")
    options = parser.parse_args()
    if options.what == "serve":
        for line in sys.stdin:
            print(json.dumps(answer(json.loads(line))), flush=True)
        return
    where = timing.surroundings("numpy", "torch", "autograd")
    print(", ".join(f"{name} {what}" for name, what in where.items()))
    print("| layers | characters | numpy_rnn | PyTorch | autograd |")
    print("| --- | --- | --- | --- | --- |")
    for layers in options.layers:
        for steps in options.steps:
            print(measure(layers, steps, options.rounds), flush=True)


if __name__ == "__main__":
    main()
