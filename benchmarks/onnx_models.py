"""Trained ONNX models beside onnxruntime: ``python -m benchmarks.onnx_models FILE.onnx ...``.

A free axis of the first input gets the first of SIZES that both programs take; the batch and other
axes are 1. Outputs that have the shape of an input are carried from call to call. Both programs
have one thread (set OPENBLAS_NUM_THREADS=1).
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from numpy_rnn import interchange
from numpy_rnn.interchange.graph.graph import Graph

STEPS = 300
SIZES = (1, 7, 64, 288, 576)
FLOAT, DOUBLE = 1, 11  # ONNX's numbers


class Result(NamedTuple):
    """Worst differences relative to 1 + |value|, and medians in microseconds a call.

    `exact` are the distances of both programs from a run of the same graph in float64.
    """

    name: str
    nodes: int
    difference: float
    exact: tuple[float, float]
    ours: float
    theirs: float


def in_float64(graph: Graph) -> Graph:
    """Return a graph that computes in float64 what this one computes in float32."""
    wide, single = np.dtype(np.float64), np.dtype(np.float32)

    def widened(value: Any) -> Any:
        if isinstance(value, Graph):
            return in_float64(value)
        is_single = isinstance(value, np.ndarray) and value.dtype == single
        return value.astype(wide) if is_single else value

    nodes = []
    for node in graph.nodes:
        attributes = {name: widened(value) for name, value in node.attributes.items()}
        if node.op == "Cast" and attributes["to"] == FLOAT:
            attributes["to"] = DOUBLE
        nodes.append(node._replace(attributes=attributes))
    inputs = [v._replace(dtype=wide) if v.dtype == single else v for v in graph.inputs]
    constants = {name: widened(array) for name, array in graph.constants.items()}
    return Graph(nodes, inputs, graph.outputs, constants)


def compare(path: Path, fed: list[dict[str, Any]] | None = None) -> Result:
    """Run a file in both programs, with carried state. `fed` are inputs of each call."""
    import onnxruntime  # noqa: PLC0415 (an extra)

    graph = interchange.load(path, graph=True)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options)
    r = np.random.default_rng(0)
    size = next((n for n in SIZES if _runs(graph, session, n)), SIZES[-1])
    first = _examples(graph, r, size)
    if fed is None:
        name = graph.inputs[0].name
        fed = [{name: _examples(graph, r, size)[name]} for _ in range(STEPS)]
    states: list[dict[str, Any]] = [dict(first), dict(first), dict(first)]
    times: list[list[float]] = [[], [], []]
    worst = [0.0, 0.0, 0.0]  # between both, and of each from the run in float64

    def onnxruntime_outputs(inputs: dict[str, Any]) -> dict[str, Any]:
        return dict(zip(graph.outputs, session.run(None, inputs), strict=True))

    runs = graph, onnxruntime_outputs, in_float64(graph)
    for given in fed:
        outputs = []
        for run, state, spent in zip(runs, states, times, strict=True):
            state.update(given)
            begin = time.perf_counter()
            outputs.append(run(state))
            spent.append(time.perf_counter() - begin)
        for n, (one, other) in enumerate(((0, 1), (0, 2), (1, 2))):
            for value, right in zip(outputs[one].values(), outputs[other].values(), strict=True):
                apart = float(np.max(np.abs(value - right) / (1 + np.abs(right))))
                worst[n] = max(worst[n], apart)
        for state, output in zip(states, outputs, strict=True):
            carried = [n for n in state if n not in given and state[n].ndim]
            for value in output.values():
                same = [n for n in carried if state[n].shape == value.shape]
                state.update(dict.fromkeys(same[:1], value))
    spent = [float(np.median(spent)) * 1e6 for spent in times]
    return Result(path.name, len(graph.nodes), worst[0], (worst[1], worst[2]), spent[0], spent[1])


def has_recording(path: Path) -> bool:
    """Whether a recording and its probabilities are beside a model, as for Silero's."""
    return (path.parent / "probabilities_onnxruntime.csv").is_file()


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


def _runs(graph: Graph, session: Any, size: int) -> bool:
    """Whether both programs take an input of a size."""
    given = _examples(graph, np.random.default_rng(0), size)
    try:
        graph(given)
        session.run(None, given)
    except Exception:  # whatever onnxruntime raises
        return False
    return True


def _examples(graph: Graph, r: np.random.Generator, size: int) -> dict[str, Any]:
    """Return random numbers for each input, and zeros for whole numbers."""
    first, found = graph.inputs[0].name, dict[str, Any]()
    free = {n for n in (graph.inputs[0].shape or ())[1:] if not isinstance(n, int)}
    for value in graph.inputs:
        own = free if value.name == first else free - {None}  # axes without a name are its own
        axes = enumerate(value.shape or ())
        shape = [n if isinstance(n, int) else size if i and n in own else 1 for i, n in axes]
        dtype = value.dtype or np.dtype(np.float32)
        numbers = r.uniform(-0.1, 0.1, shape) if dtype.kind == "f" else np.zeros(shape)
        found[value.name] = np.asarray(numbers, dtype)
    return found


def main() -> None:
    """Print a line for each file."""
    print(
        f"{'file':32}{'nodes':>6}{'difference':>12}{'from float64':>14}{'onnxruntime':>13}"
        f"{'us':>8}{'onnxruntime us':>16}"
    )
    for path in map(Path, sys.argv[1:]):
        result = silero(path.parent) if has_recording(path) else compare(path)
        name, nodes, difference, (mine, other), ours, theirs = result
        rounding = f"{mine:14.1e}{other:13.1e}"
        print(f"{name:32}{nodes:6}{difference:12.1e}{rounding}{ours:8.0f}{theirs:16.0f}")


if __name__ == "__main__":
    main()
