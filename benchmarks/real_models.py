"""Run every model file below a folder beside the program that its format comes from.

    python -m benchmarks.real_models FOLDER                      (extra: benchmark)

One line per model: format, layers, reference, worst difference of outputs for random inputs, and
microseconds a timestep of both, for one sequence on one thread. The difference is divided by the
largest output, if that is above 1. If a file's layers are no chain, each of its recurrent layers is
run alone. What cannot be run or compared is a line with the reason. The last line is the worst
difference of all. A format gets a reference by one line in REFERENCES.
"""

from __future__ import annotations

import argparse
import os
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import keras_audio, keras_files, onnx_models
from numpy_rnn import Embedding, Layer, Sequential, interchange
from numpy_rnn.functional.types import Array
from numpy_rnn.interchange import Contents, UnsupportedError
from numpy_rnn.interchange.graph.graph import Graph
from numpy_rnn.layers.workers import one_blas_thread
from numpy_rnn.reading import DamagedFileError

NO_MODEL = ("none of the known formats", "is empty, expected a model", "without arrays, expected")
STEPS = 200  # timesteps of the random input
REPEATS = 20
Reference = Callable[[Path, Contents, Any, Array], tuple[str, Callable[[], Any]]]


def torch_module(layer: Layer) -> Any:
    """Return PyTorch's module for a layer, with its weights."""
    import torch  # noqa: PLC0415 (an extra)

    described = layer.describe()
    name, dtype = described.pop("class"), getattr(torch, layer.parameters.dtype.name)
    if isinstance(layer, Sequential):
        parts = torch.nn.Sequential()
        for part_name, part in layer.layers.items():
            parts.add_module(part_name, torch_module(part))
        return parts
    defaults = layer._arguments()
    kept = {n: v for n, v in described.items() if n not in defaults or v != defaults[n]}
    if "dtype" in kept:
        kept["dtype"] = dtype
    module = getattr(torch.nn, name)(**kept)
    weights = {n: torch.from_numpy(v) for n, v in layer.state_dict().items()}
    module.load_state_dict(weights)
    return module.eval()


def beside_torch(_: Path, __: Contents, model: Any, x: Array) -> tuple[str, Callable[[], Any]]:
    """Return the call of the same layers in PyTorch."""
    import torch  # noqa: PLC0415 (an extra)

    torch.set_num_threads(1)
    module, inputs = torch_module(model), torch.from_numpy(x)

    def run(part: Any, y: Any) -> Any:
        if isinstance(part, torch.nn.Sequential):
            for inner in part:
                y = run(inner, y)
            return y
        y = part(y)
        return y[0] if isinstance(y, tuple) else y

    def call() -> Any:
        with torch.no_grad():
            return run(module, inputs).numpy()

    return f"torch {torch.__version__}", call


def beside_onnxruntime(path: Path, _: Contents, __: Any, x: Array) -> tuple[str, Callable[[], Any]]:
    """Return the call of the same file in onnxruntime, with zeros for all inputs but the first."""
    import onnxruntime  # noqa: PLC0415 (an extra)

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options)
    first, *others = session.get_inputs()
    given = {first.name: x}
    for value in others:
        shape = [n if isinstance(n, int) else 1 for n in value.shape]
        given[value.name] = np.zeros(shape, np.float32)
    return f"onnxruntime {onnxruntime.__version__}", lambda: session.run(None, given)[0]


REFERENCES: dict[str, Reference] = {
    "onnx": beside_onnxruntime,
    "torch": beside_torch,
    "safetensors": beside_torch,
    "npz": beside_torch,
    "pickle": beside_torch,
}


def models_of(contents: Contents) -> Iterator[tuple[str, Any]]:
    """Yield name and model: the whole, or each recurrent layer of a file that is no chain."""
    try:
        yield "", contents.build()
    except UnsupportedError:
        split = [line.partition(": ") for line in contents.architecture]
        loops = [name for name, _, kind in split if kind.startswith(("LSTM(", "GRU(", "RNN("))]
        if not loops:
            raise
        for name in loops:
            yield f"{name} of ", contents.build(layers=[name])


def in_float64(contents: Contents, part: str, x: Array) -> Array:
    """Return the outputs of the same weights in float64, to tell whose rounding a difference is."""
    model = dict(models_of(contents))[part]
    model.parameters.to("float64")
    y = model.predict(x if x.dtype.kind in "iu" else x.astype(np.float64))
    return np.asarray(y[0] if isinstance(y, tuple) else y)


def random_input(model: Any, rng: np.random.Generator) -> Array:
    """Return an input (T, 1, D), or token ids (T, 1)."""
    first = model
    while isinstance(first, Sequential):
        first = next(iter(first.layers.values()))
    shape = (1, STEPS) if getattr(model, "batch_first", False) else (STEPS, 1)
    if isinstance(first, Embedding):
        return rng.integers(0, first.num_embeddings, shape)
    size = int(getattr(first, "input_size", 0) or getattr(first, "in_features", 1))
    return rng.standard_normal((*shape, size)).astype(model.parameters.dtype)


def microseconds(call: Callable[[], Any]) -> float:
    """Return the least time of a call, in microseconds a timestep."""
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return 1e6 * min(times) / STEPS


def compare(path: Path, rng: np.random.Generator) -> Iterator[tuple[str, float | None]]:
    """Yield one line for each model in a file, and its worst difference from the reference.

    It is None if nothing was compared.
    """
    contents = interchange.read(path)
    if contents.format == "onnx" and isinstance(contents.build(), Graph):
        recorded = onnx_models.has_recording(path)
        result = onnx_models.silero(path.parent) if recorded else onnx_models.compare(path)
        times = f"{result.ours:.1f} us a call, {result.theirs:.1f} us"
        name = "onnxruntime and its recorded outputs" if recorded else "onnxruntime"
        line = f"{path.parent.name}/{path.name}: onnx, Graph of {result.nodes} nodes"
        worst = result.difference
        rounding = list(result.exact)
        line += " (float64 is {:.1e} from ours, {:.1e} from the reference)".format(*rounding)
        yield f"{line}: differs from {name} by {worst:.1e}, {times}", worst
        return
    if found := list(keras_audio.lines(path)):
        yield from found
        return
    if contents.format == "keras":
        yield from keras_files.lines(path)
        return
    for part, model in models_of(contents):
        x = random_input(model, rng)
        line = f"{path.parent.name}/{path.name}: {contents.format}, {part}{model!r}"
        if contents.format not in REFERENCES:
            yield f"{line}, no reference", None
            continue
        name, call = REFERENCES[contents.format](path, contents, model, x)

        def ours(model: Any = model, x: Array = x) -> Any:
            y = model.predict(x)
            return y[0] if isinstance(y, tuple) else y

        y = call()
        worst = float(np.abs(ours() - y).max() / max(1.0, np.abs(y).max()))
        exact = in_float64(contents, part, x)
        rounding = [float(np.abs(z - exact).max() / max(1.0, np.abs(y).max())) for z in (ours(), y)]
        line += " (float64 is {:.1e} from ours, {:.1e} from the reference)".format(*rounding)
        times = f"{microseconds(ours):.1f} us a step, {microseconds(call):.1f} us"
        yield f"{line}: differs from {name} by {worst:.1e}, {times}", worst


def main() -> None:
    """Print a line for every file."""
    parser = argparse.ArgumentParser(description="Compare models with their references.")
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    rng, found = np.random.default_rng(0), list[float | None]()
    with warnings.catch_warnings(), one_blas_thread():
        warnings.simplefilter("ignore")  # of layers without parameters that a file does not tell
        walk = os.walk(options.folder, followlinks=True)
        for path in sorted(Path(folder, name) for folder, _, names in walk for name in names):
            try:
                for line, difference in compare(path, rng):
                    print(line, flush=True)
                    found.append(difference)
            except (DamagedFileError, UnsupportedError) as error:
                if any(text in str(error) for text in NO_MODEL):
                    continue
                print(f"{path.parent.name}/{path.name}: not run: {error}", flush=True)
            except Exception as error:  # of a reference, which may refuse its own program's file
                reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
                print(f"{path.parent.name}/{path.name}: not compared: {reason}", flush=True)
    compared = [difference for difference in found if difference is not None]
    if not compared:
        parser.error(f"no model below {options.folder} was compared")
    print(f"worst difference: {max(compared):.1e}, {len(compared)} models")


if __name__ == "__main__":
    main()
