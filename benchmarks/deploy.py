"""What it costs to run one LSTM: numpy_rnn beside PyTorch and ONNX Runtime.

    python -m benchmarks.deploy [--rounds N]                     (extra: benchmark; Linux)

An LSTM of 128 units on 32 features, float32, takes one timestep at a time for one user, and carries
its state. Every number is of a fresh process with one thread. In each round the three programs run
one after another; the table has the medians over the rounds, and the medians of the ratios to
numpy_rnn's. It is the table of docs/deploy.md.

- disk: the installed packages with all that they depend on, without byte code
- memory: the peak of the resident set up to the first answer
- start: from the start of the process to the first answer, with the model read from its file
- step: median duration of a timestep
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import timing

Numbers = dict[str, Any]

FEATURES, UNITS = 32, 128
# The installed packages of each program. Those that they depend on are added.
PACKAGES = {"numpy_rnn": ["numpy"], "torch": ["torch", "numpy"], "onnxruntime": ["onnxruntime"]}

# Each defines `step(x) -> y`, for x (1, 32) and y (1, 128), and reads its file in `folder`.
PROGRAMS = {
    "numpy_rnn": """
import numpy as np, numpy_rnn
stepper, state = numpy_rnn.load(folder + "/model.safetensors").stepper(), None
def step(x):
    global state
    y, state = stepper(x, state)
    return y
""",
    "torch": f"""
import numpy as np, torch
torch.set_num_threads(1)
torch.set_grad_enabled(False)
lstm, state = torch.nn.LSTM({FEATURES}, {UNITS}), None
lstm.load_state_dict(torch.load(folder + "/model.pt", weights_only=True))
lstm.eval()
def step(x):
    global state
    y, state = lstm(torch.from_numpy(x)[None], state)
    return y[0].numpy()
""",
    "onnxruntime": f"""
import numpy as np, onnxruntime
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = options.inter_op_num_threads = 1
session = onnxruntime.InferenceSession(folder + "/model.onnx", options, ["CPUExecutionProvider"])
feed = dict.fromkeys(("h0", "c0"), np.zeros((1, 1, {UNITS}), np.float32))
def step(x):
    feed["x"] = x[None]
    y, feed["h0"], feed["c0"] = session.run(["y", "h0_out", "c0_out"], feed)
    return y[0]
""",
}
MEASURE = f"""
import time
y = step(np.ones((1, {FEATURES}), np.float32))
seconds = time.monotonic() - started
status = open("/proc/self/status").read()
memory = int(status.split("VmHWM:")[1].split()[0]) * 1024
rng = np.random.default_rng(0)
inputs = rng.standard_normal((2000, 1, {FEATURES})).astype(np.float32)
times = []
for x in inputs:
    start = time.perf_counter()
    y = step(x)
    times.append(time.perf_counter() - start)
numbers = {{"memory": memory, "start": seconds, "step": float(np.median(times[200:]))}}
import json
print(json.dumps(numbers | {{"y": y[0].tolist()}}))
"""


def closure(names: list[str]) -> set[str]:
    """Return the installed ones of these packages, with all that they depend on."""
    from packaging.requirements import Requirement  # noqa: PLC0415 (pytest and others bring it)

    found: set[str] = set()
    while names:
        name = names.pop()
        try:
            requires = distribution(name).requires or []
        except PackageNotFoundError:
            continue
        if name not in found:
            found.add(name)
            names += [
                requirement.name.lower()
                for requirement in map(Requirement, requires)
                if requirement.marker is None or requirement.marker.evaluate({"extra": ""})
            ]
    return found


def files(name: str) -> Iterator[Path]:
    """Yield the files of an installed package, without byte code."""
    for file in distribution(name).files or []:
        path = Path(str(file.locate()))
        if path.suffix != ".pyc" and path.is_file():
            yield path


def disk(program: str) -> float:
    """Return the bytes of the packages of a program."""
    every = {path for name in closure(list(PACKAGES[program])) for path in files(name)}
    if program == "numpy_rnn":  # it may be installed from its source
        every |= set((Path(__file__).parents[1] / "numpy_rnn").rglob("*.py"))
    return float(sum(path.stat().st_size for path in every))


def write_models(folder: str) -> None:
    """Write the same LSTM in the format of each program, in a process of its own."""
    code = f"""
from pathlib import Path
import numpy as np
from numpy_rnn import LSTM, interchange
from numpy_rnn.interchange.onnx import write
model = LSTM({FEATURES}, {UNITS}, rng=0, dtype=np.float32)
model.save({folder!r} + "/model.safetensors")
interchange.save(model, {folder!r} + "/model.pt")
write.write(model, Path({folder!r}, "model.onnx"), states=True)
"""
    timing.run_python("-c", code)


def run(program: str, folder: str) -> Numbers:
    """Run a program in a fresh process and return its numbers."""
    begin = f"folder, started = {folder!r}, {time.monotonic()}\n"
    numbers: Numbers = json.loads(timing.run_python("-c", f"{begin}{PROGRAMS[program]}{MEASURE}"))
    return numbers


def row(name: str, rounds: list[Numbers], ours: list[Numbers]) -> str:
    """Return a row of the table: medians, and medians of the ratios to ours."""
    cells = []
    for key, scale, unit in (
        ("disk", 1e-6, "MB"),
        ("memory", 1e-6, "MB"),
        ("start", 1, "s"),
        ("step", 1e6, "µs"),
    ):
        value = median(numbers[key] for numbers in rounds) * scale
        ratio = median(n[key] / o[key] for n, o in zip(rounds, ours, strict=True))
        text = f"{value:.2f}" if unit == "s" else f"{value:.0f}"
        cells.append(f"{text} {unit}" + ("" if name == "numpy_rnn" else f" ({ratio:.2g}x)"))
    return f"| {name} | {' | '.join(cells)} |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="What it costs to run one LSTM.")
    parser.add_argument("--rounds", type=int, default=11, help="fresh processes of each program")
    options = parser.parse_args()
    os.environ.update(timing.ONE_THREAD)  # of the processes
    where = timing.surroundings("numpy", "torch", "onnxruntime")
    results: dict[str, list[Numbers]] = {name: [] for name in PROGRAMS}
    sizes = {name: disk(name) for name in PROGRAMS}
    with tempfile.TemporaryDirectory() as folder:
        write_models(folder)
        for _ in range(options.rounds + 1):
            for name in PROGRAMS:
                results[name].append(run(name, folder) | {"disk": sizes[name]})
    worst = max(
        abs(a - b)
        for rounds in results.values()
        for a, b in zip(rounds[0]["y"], results["numpy_rnn"][0]["y"], strict=True)
    )
    if worst > 1e-5:
        raise SystemExit(f"their outputs differ by {worst}, expected at most 1e-5")
    print(
        f"Measured by `python -m benchmarks.deploy` on {where['date']}, {where['cores']} cores "
        f"({where['machine']}),\nPython {where['python']}, NumPy {where['numpy']}, "
        f"PyTorch {where['torch']}, ONNX Runtime {where['onnxruntime']}:\n"
    )
    print("| | disk | memory | start to first answer | one step |\n| --- | --- | --- | --- | --- |")
    for name, rounds in results.items():  # the first round filled the disk's cache
        print(row(name, rounds[1:], results["numpy_rnn"][1:]))


if __name__ == "__main__":
    main()
