"""Recurrent layers beside those of other libraries, in float32: training and inference.

    python -m benchmarks.peers [--rounds N] [--cells LSTM ...] [--sizes 0 1 ...] [--threads 1]

Every contender has the same weights and the same input. Its outputs are compared with numpy_rnn's
before it is timed, and so are the gradients of its input and of every weight. All take turns in
one process. Compilation and the first calls are outside the clock. With one thread the clock is
processor time, so waits for other processes do not count. A ratio is the median over the rounds of
the other's time divided by numpy_rnn's: above 1, numpy_rnn is faster.

Training is one forward and one backward pass. The share is the share of the machine's
matrix-product rate that numpy_rnn reaches: the operations of its products in the time that one
large product would take. A dash is a library without this layer or, in training, without
gradients. A star is a library whose gradients are wrong.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import Any

from benchmarks import timing

os.environ.update(timing.ONE_THREAD)  # before the libraries are imported
if "--threads" in sys.argv:
    os.environ.update(timing.threads(int(sys.argv[sys.argv.index("--threads") + 1])))

import numpy as np

from benchmarks.peer_libraries import CELLS, LIBRARIES, Contender, MissingError, Task, numpy_rnn

SIZES = (  # B, T, D, H
    (1, 64, 64, 64),
    (8, 64, 64, 64),
    (32, 64, 64, 128),
    (32, 64, 128, 256),
    (64, 100, 256, 512),
)
TOLERANCE = 2e-4  # of the largest entry: float32 sums over up to 6,400 rows
TURN = 0.1  # seconds
SLOW = 1.0  # a contender whose call takes longer has three turns
LARGE = np.ones((1024, 1024), np.float32)
Rows = list[list[str]]


def machine() -> str:
    """Return the processor, its matrix-product kernels, and the versions of all libraries."""
    found = timing.surroundings("numpy", *LIBRARIES)
    try:
        import threadpoolctl  # noqa: PLC0415 (optional)

        pools = threadpoolctl.threadpool_info()
        blas = [p for p in pools if p["user_api"] == "blas" and "numpy" in p["filepath"]]
        found["numpy's BLAS"] = " ".join(
            f"{p['internal_api']} {p['version']} for {p.get('architecture')}" for p in blas
        )
        import torch  # noqa: PLC0415 (optional)

        found["torch's kernels"] = torch.backends.cpu.get_cpu_capability()
    except ImportError as error:
        found["kernels"] = f"unknown: {error}"
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text("utf-8").splitlines() if cpuinfo.exists() else []
    names = [line.split(": ")[1] for line in lines if line.startswith("model name")]
    found["processor"] = names[0] if names else platform.processor()
    return ", ".join(f"{name} {what}" for name, what in found.items())


def difference(found: dict[str, Any], expected: dict[str, Any]) -> tuple[float, str]:
    """Return the largest difference, in units of the largest entry, and the name of its array."""
    worst = 0.0, ""
    for name, array in found.items():
        wanted = expected[name]
        if np.shape(array) != wanted.shape:
            return np.inf, name
        error = float(np.abs(np.asarray(array) - wanted).max() / np.abs(wanted).max())
        worst = max(worst, (error if np.isfinite(error) else np.inf, name))
    return worst


def contenders(task: Task, notes: dict[str, str]) -> tuple[dict[str, Contender], set[str]]:
    """Return the libraries whose outputs are ours, and the names of those with wrong gradients.

    `notes` receives the reason for each library that cannot be measured, or is wrong.
    """
    ours = numpy_rnn(task)
    found, wrong = {"numpy_rnn": ours}, set[str]()
    for library, start in LIBRARIES.items():
        if notes.get(library, "").startswith("not measured"):
            continue
        try:
            theirs = start(task)
            expected = gradients(ours)
            error, name = difference({"y": theirs.infer()}, expected)
            if error > TOLERANCE:
                notes[library] = f"not measured: outputs of {task.cell} differ by {error:.1e}"
                continue
            if theirs.train is not None:
                error, name = difference(gradients(theirs), expected)
        except MissingError:
            continue
        except (ImportError, RuntimeError, OSError) as reason:  # OSError: it has no compiler
            notes[library] = f"not measured: {str(reason).splitlines()[0]}"
            continue
        if error > TOLERANCE:
            wrong.add(library)
            notes[library] = f"wrong gradient of {name}, by {error:.2g} of its largest entry"
        found[library] = theirs
    return found, wrong


def gradients(contender: Contender) -> dict[str, Any]:
    """Return the outputs and the gradients of one training pass."""
    assert contender.train is not None  # noqa: S101 (for mypy)
    assert contender.read is not None  # noqa: S101 (for mypy)
    y, raw = contender.train()
    return contender.read(raw) | {"y": np.array(y)}


def measure(actions: dict[str, Callable[[], Any]], rounds: int) -> dict[str, list[float]]:
    """Return each action's time of a call in each round, those of slow ones in three rounds."""
    clock = process_time if os.environ["OMP_NUM_THREADS"] == "1" else perf_counter
    turns = {n: partial(timing.call_seconds, run, TURN, clock) for n, run in actions.items()}
    first = timing.alternate(turns, 1)  # a warm-up that also tells which are slow
    times = timing.alternate(turns, min(3, rounds))
    quick = {name: turn for name, turn in turns.items() if first[name][0] < SLOW}
    for name, more in timing.alternate(quick, max(rounds - 3, 0)).items():
        times[name] += more
    return times


def ratio(theirs: list[float], ours: list[float]) -> str:
    """Return the median ratio of the rounds that both took part in."""
    each = median(t / o for t, o in zip(theirs, ours, strict=False))
    return f"{each:.2g}x" if each < 10 else f"{each:.0f}x"


def row(task: Task, times: dict[str, list[float]], wrong: set[str], passes: int) -> list[str]:
    """Return a line of the table. A backward pass has twice the products of a forward pass."""
    (T, B, D), ours = task.x.shape, times["numpy_rnn"]
    size = f"{B}, {T}, {D}, {task.layer.hidden_size}"
    line = [task.cell, size, f"{median(ours) * 1e3:.3g} ms"]
    for name in LIBRARIES:
        star = "*" if name in wrong else ""
        line.append(ratio(times[name], ours) + star if name in times else "-")
    matrices = [w.size for k, w in task.weights.items() if w.ndim == 2 and k != "weight_ch"]
    operations = passes * 2 * B * T * sum(matrices) / (2 * 1024**3)  # of one large product
    # A slow cell has fewer rounds than the product.
    share = operations * median(p / o for p, o in zip(times["product"], ours, strict=False))
    return [*line, f"{share:.0%}"]


def show(title: str, rows: Rows) -> None:
    """Print a Markdown table."""
    print(f"\n{title}\n")
    for cells in (["cell", "B, T, D, H", "numpy_rnn", *LIBRARIES, "share"], ["---"] * 12, *rows):
        print("| " + " | ".join(cells) + " |")


def main() -> None:
    """Measure every cell at every size and print both tables."""
    parser = argparse.ArgumentParser(description="Recurrent layers beside other libraries.")
    parser.add_argument("--rounds", type=int, default=9, help="turns of each contender")
    parser.add_argument("--cells", nargs="+", default=list(CELLS), choices=list(CELLS))
    every = range(len(SIZES))
    parser.add_argument("--sizes", type=int, nargs="+", default=every, choices=every)
    parser.add_argument("--threads", type=int, default=1, help="threads of each library")
    options = parser.parse_args()
    tables: dict[str, Rows] = {"train": [], "infer": []}
    notes: dict[str, str] = {}
    for cell in options.cells:
        for B, T, D, H in (SIZES[position] for position in options.sizes):
            rng = np.random.default_rng(0)
            layer = CELLS[cell][0](D, H, rng=0, dtype=np.float32)
            x, dy = (
                rng.standard_normal((T, B, n)).astype(np.float32) for n in (D, layer.state_sizes[0])
            )
            task = Task(cell, x, dy, layer)
            able, wrong = contenders(task, notes)
            for what, rows in tables.items():
                actions = {n: run for n, c in able.items() if (run := getattr(c, what))}
                times = measure(actions | {"product": lambda: LARGE @ LARGE}, options.rounds)
                training = what == "train"
                rows.append(row(task, times, wrong if training else set(), 3 if training else 1))
                print(what, *rows[-1], file=sys.stderr, flush=True)
    print(f"{options.threads} thread(s) each; {machine()}")
    show("Training: forward + backward", tables["train"])
    show("Inference", tables["infer"])
    for library, note in notes.items():
        print(f"\n{library}: {note}")


if __name__ == "__main__":
    main()
