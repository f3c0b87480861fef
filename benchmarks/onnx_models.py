"""Trained ONNX models beside onnxruntime: ``python -m benchmarks.onnx_models FILE.onnx ...``.

Every input whose shape is free gets small sizes. Outputs that have the shape of an input are
carried from call to call. Both programs have one thread (set OPENBLAS_NUM_THREADS=1).
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from numpy_rnn import interchange

STEPS = 300


class Result(NamedTuple):
    """The worst difference relative to 1 + |value|, and medians in microseconds a call."""

    name: str
    nodes: int
    difference: float
    ours: float
    theirs: float


def compare(path: Path, fed: list[dict[str, Any]] | None = None) -> Result:
    """Run a file in both programs, with carried state. `fed` are inputs of each call."""
    import onnxruntime  # noqa: PLC0415 (an extra)

    graph = interchange.load(path, graph=True)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options)
    r = np.random.default_rng(0)
    first = {value.name: _example(value, r) for value in graph.inputs}
    fed = (
        [{graph.inputs[0].name: _example(graph.inputs[0], r)} for _ in range(STEPS)]
        if fed is None
        else fed
    )
    states: list[dict[str, Any]] = [dict(first), dict(first)]
    times: list[list[float]] = [[], []]
    worst = 0.0
    runs = graph, lambda inputs: dict(zip(graph.outputs, session.run(None, inputs), strict=True))
    for given in fed:
        outputs = []
        for run, state, spent in zip(runs, states, times, strict=True):
            state.update(given)
            begin = time.perf_counter()
            outputs.append(run(state))
            spent.append(time.perf_counter() - begin)
        for value, other in zip(outputs[0].values(), outputs[1].values(), strict=True):
            worst = max(worst, float(np.max(np.abs(value - other) / (1 + np.abs(other)))))
        for state, output in zip(states, outputs, strict=True):
            carried = [n for n in state if n not in given and state[n].ndim]
            for value in output.values():
                same = [n for n in carried if state[n].shape == value.shape]
                state.update(dict.fromkeys(same[:1], value))
    ours, theirs = (float(np.median(spent)) * 1e6 for spent in times)
    return Result(path.name, len(graph.nodes), worst, ours, theirs)


def silero(folder: Path) -> Result:
    """Silero's voice detector on the recording beside it: chunks of 512 after 64 samples."""
    import wave  # noqa: PLC0415 (this model alone)

    with wave.open(str(folder / "speech_10s_16k.wav")) as file:
        sound = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float32) / 32768
    padded = np.concatenate([np.zeros(64, np.float32), sound])
    chunks = [padded[n : n + 576][None] for n in range(0, len(sound) - 511, 512)]
    state = {"state": np.zeros((2, 1, 128), np.float32), "sr": np.array(16000)}
    (path,) = folder.glob("*.onnx")
    result = compare(path, [{"input": chunk, "sr": state["sr"]} for chunk in chunks])
    graph, ours = interchange.load(path, graph=True), []
    for chunk in chunks:
        y, state["state"] = graph(chunk, state["state"], state["sr"])
        ours.append(float(y[0, 0]))
    recorded = np.loadtxt(folder / "probabilities_onnxruntime.csv")
    worst = max(result.difference, float(np.max(np.abs(np.array(ours) - recorded))))
    return result._replace(difference=worst)


def _example(value: Any, r: np.random.Generator) -> Any:
    """Numbers for the first input with axes, zeros of the right shape for scalars."""
    shape = [n if isinstance(n, int) else 1 for n in value.shape]
    numbers = r.uniform(-0.1, 0.1, shape)
    return np.asarray(numbers if value.dtype.kind == "f" else np.zeros(shape), value.dtype)


def main() -> None:
    """Print a line for each file."""
    print(f"{'file':32}{'nodes':>6}{'difference':>12}{'us':>8}{'onnxruntime us':>16}")
    for path in map(Path, sys.argv[1:]):
        result = silero(path.parent) if path.name == "silero_vad_16k_op15.onnx" else compare(path)
        name, nodes, difference, ours, theirs = result
        print(f"{name:32}{nodes:6}{difference:12.1e}{ours:8.0f}{theirs:16.0f}")


if __name__ == "__main__":
    main()
