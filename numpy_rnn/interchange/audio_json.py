"""JSON of audio models: RTNeural and AIDA-X, GuitarML, and Neural Amp Modeler's LSTM (``.nam``).

Sources: RTNeural's model_loader.h, aidadsp-lv2's loadModelFromPath, GuitarML's training script,
NeuralAmpModelerCore's lstm.cpp.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from numpy_rnn.functional.types import Array
from numpy_rnn.interchange.contents import Contents, UnsupportedError, read_bytes
from numpy_rnn.interchange.keras.chain import Chain
from numpy_rnn.interchange.keras.entries import Call, Entry, Version, today
from numpy_rnn.interchange.torch.state_dict import StateDict
from numpy_rnn.interchange.torch.tree import Found
from numpy_rnn.layers import Layer, Linear, Sequential
from numpy_rnn.layers.wrappers import InitialState, Residual
from numpy_rnn.reading import parse_json

SELF_TEST = ("input_batch", "output_batch")  # AIDA-X's, computed in float32 too
TOLERANCE = 1e-4
MAX_LAYERS = 1000
MAX_CHANNELS = 256  # of a model with gains
MAX_SLOPES = 64  # of a prelu, which becomes two matrices
MAX_KEPT = 512  # numbers that a convolution keeps of its last inputs
SKIPS = "skip connection: the first input is added to the output"
KINDS = {"dense": "Dense", "time-distributed-dense": "Dense", "lstm": "LSTM", "gru": "GRU"}
KINDS |= {"activation": "Activation", "batchnorm": "BatchNormalization", "prelu": "PReLU"}
KINDS |= {"conv1d": "Conv1D"}
# What the config of a .nam file may say beside the sizes, because it is for training alone.
WITHOUT_EFFECT = {"train_burn_in", "train_truncate"}
SIZES = ("input_size", "hidden_size", "num_layers")


def read(path: Path) -> Contents:
    """Read a model file of any of the programs. See :func:`numpy_rnn.interchange.read`."""
    data = read_bytes(path)
    model = parse_json(data.removeprefix(b"\xef\xbb\xbf"), len(data))
    for entry, reader in READERS.items():
        if entry in model:
            return reader(model)
    if "modelTopology" in model:
        raise UnsupportedError("it is of TensorFlow.js: use tensorflowjs_converter or tf2onnx")
    if "class_name" in model:
        raise UnsupportedError("it holds the layers of Keras alone: save the whole model as .keras")
    if not all(isinstance(value, list) for value in model.values()):
        raise UnsupportedError("it holds other things than lists of weights, expected a model")
    return StateDict(Found(_finite(model))).contents("audio-json")


def _finite(values: dict[str, Any]) -> dict[str, Array]:
    arrays = {name: np.array(value, np.float32) for name, value in values.items()}
    if not all(np.isfinite(array).all() for array in arrays.values()):
        raise ValueError("it has numbers that are not finite")
    return arrays


def _sizes(config: dict[str, Any], *names: str) -> list[int]:
    for name in names:
        if type(config[name]) is not int or not 1 <= config[name] < 1 << 20:
            raise ValueError(f"{name} is {config[name]!r}, expected a whole number above 0")
    return [config[name] for name in names]


def _contents(
    kind: str, model: Layer | None, unsupported: Sequence[str] = (), **rest: Any
) -> Contents:
    """Return what was read as Contents. The model is None if nothing of it is supported."""

    def build() -> Layer | None:
        if unsupported:
            raise UnsupportedError(f"{kind} has {', '.join(unsupported)}: no counterpart here")
        return copy.deepcopy(model)

    arrays = _finite({} if model is None else model.state_dict())
    lines = [*map(repr, getattr(model, "layers", {}).values()), *unsupported]
    return Contents("audio-json", arrays, lines, build, **rest)


def _scaled(size: int, first: float, others: float) -> Linear:
    """Return the layer that multiplies the features by constants."""
    layer = Linear(size, size, bias=False, dtype=np.float32)
    layer.load_state_dict({"weight": np.diag([first, *[others] * (size - 1)])})
    return layer


def _read_rtneural(model: dict[str, Any]) -> Contents:
    (D,), chain = _sizes({"in_shape": model["in_shape"][-1]}, "in_shape"), Chain(Version("3"))
    chain.size, unsupported = D, list[str]()
    entries = _entries(model["layers"])
    for call in today([Call(entry.name, entry, ()) for entry in entries], np.dtype(np.float32)):
        try:
            chain.add(call.entry)
        except UnsupportedError as error:
            chain.size = None
            unsupported.append(str(error))
    if not (chain.layers or unsupported):
        raise ValueError("it has no layers, expected at least one")
    skip, gains = model.get("in_skip") or 0, [model.get(n) or 0 for n in ("in_gain", "out_gain")]
    if skip not in (0, 1) or not all(type(g) in (int, float) and abs(g) < 200 for g in gains):
        raise ValueError(f"in_skip and gains are {skip!r}, {gains}, expected 0 or 1 and dB")
    if any(gains) and max(D, chain.size or 1) > MAX_CHANNELS:  # each is a matrix
        raise ValueError(f"it has {D} inputs and gains, expected at most {MAX_CHANNELS}")

    settings = {k: v for k, v in model.items() if k not in ("layers", *SELF_TEST)}
    if unsupported:
        some = Sequential(*chain.layers) if chain.layers else None
        return _contents("RTNeural", some, unsupported, settings=settings)
    whole: Layer = Residual(*chain.layers) if skip else Sequential(*chain.layers)
    notes = [SKIPS] if skip else []
    if any(gains):
        notes.append(f"gains of {gains[0]} and {gains[1]} dB before and after")
        before, after = (10 ** (gain / 20) for gain in gains)
        # The gain of the input is for the audio, not for the knobs.
        whole = Sequential(_scaled(D, before, 1), whole, _scaled(chain.size or 1, after, after))
    if all(name in model for name in SELF_TEST):
        worst = _self_test(whole, D, *(model[name] for name in SELF_TEST))
        notes.append(f"self-test passed, worst difference {worst:.1e}")
    return _contents("RTNeural", whole, settings=settings, notes=notes)


def _entries(layers: Sequence[dict[str, Any]]) -> Iterator[Entry]:
    """Yield RTNeural's layers as Keras's."""
    if len(layers) > MAX_LAYERS:
        raise ValueError(f"it has {len(layers)} layers, expected at most {MAX_LAYERS}")
    for i, layer in enumerate(layers):
        kind = KINDS.get(layer["type"], layer["type"])
        if not isinstance(kind, str):
            raise ValueError(f"layers[{i}] has type {kind!r}")  # noqa: TRY004 (the file is damaged)
        given = layer.get("weights", []) if kind in KINDS.values() else []
        weights = [np.array(w, np.float32) for w in given]
        config = {"activation": layer.get("activation") or None}
        if kind in ("LSTM", "GRU"):  # its layers know no other
            config = {"activation": "tanh", "return_sequences": True, "time_major": True}
        elif kind == "BatchNormalization":
            affine = len(weights) != 2
            config = {"epsilon": layer["epsilon"], "scale": affine, "center": affine}
        entry = Entry(f"layers[{i}]", kind, config, weights)
        if kind == "Conv1D":
            size, dilation = layer["kernel_size"][-1], layer["dilation"][-1]
            yield from _convolution(entry, size, dilation, layer.get("groups", 1))
        else:
            yield from _prelu(entry) if kind == "PReLU" else [entry]


def _convolution(entry: Entry, size: int, dilation: int, groups: int) -> list[Entry]:
    """Return layers that do the same: one that keeps the last inputs, and one that weighs them."""
    kernel, *bias = entry.weights  # of (size, inputs of a group, outputs), the latest input last
    _sizes({"size": size, "dilation": dilation, "groups": groups}, "size", "dilation", "groups")
    D, (inputs, outputs) = kernel.shape[1] * groups, kernel.shape[1:]
    kept = D * ((size - 1) * dilation + 1)
    if kernel.shape[0] != size or outputs % groups:
        raise ValueError(f"{entry.name} has weights {kernel.shape}, {size} steps, {groups} groups")
    if kept > MAX_KEPT:
        raise UnsupportedError(
            f"{entry.name} keeps {kept} numbers of its last inputs, expected {MAX_KEPT}"
        )
    weights = np.zeros((kept, outputs), np.float32)  # row 0 is of the latest input
    for step, group in product(range(size), range(groups)):
        first = (size - 1 - step) * dilation * D + group * inputs
        columns = slice(group * outputs // groups, (group + 1) * outputs // groups)
        weights[first : first + inputs, columns] = kernel[step, :, columns]
    shift = [np.eye(D, kept, dtype=np.float32), np.eye(kept, k=D, dtype=np.float32)]
    memory = {"activation": "linear", "return_sequences": True, "time_major": True}
    dense = entry._replace(class_name="Dense", weights=[weights, *bias])
    return [Entry(entry.name, "SimpleRNN", memory, shift), dense]


def _prelu(entry: Entry) -> list[Entry]:
    """Return layers that do the same: a slope for all features, or relu(x) - slopes relu(-x)."""
    slopes = entry.weights[0].reshape(-1)
    if slopes.size == 1:
        return [Entry(entry.name, "LeakyReLU", {"negative_slope": float(slopes[0])}, [])]
    if slopes.size > MAX_SLOPES:
        raise UnsupportedError(f"{entry.name} has {slopes.size} slopes, expected {MAX_SLOPES}")
    one = np.eye(slopes.size, dtype=np.float32)
    parts = {"relu": np.hstack([one, -one]), None: np.vstack([one, -one * slopes])}
    return [Entry(entry.name, "Dense", {"activation": a}, [w]) for a, w in parts.items()]


def _self_test(model: Layer, D: int, audio: Any, output: Any) -> float:
    x, expected = (np.array(v, np.float32).reshape(-1, 1) for v in (audio, output))
    most = min(10**7 // D, 10**9 // (1 + model.parameters.data.size), 10_000)
    steps = min(len(x), len(expected), most)
    y, _ = model.predict(np.pad(x[:steps], ((0, 0), (0, D - 1))))
    worst = float(np.abs(y - expected[:steps]).max(initial=0))
    if not worst <= TOLERANCE:
        raise ValueError(f"its self-test fails: the worst difference is {worst:.3g}")
    return worst


def _read_guitarml(model: dict[str, Any]) -> Contents:
    """Read GuitarML's recurrent layer and its linear layer, under PyTorch's names."""
    data = {"num_layers": 1, "output_size": 1, "unit_type": "LSTM", "skip": 0}
    data |= model["model_data"]
    if (kind := data.get("model", "SimpleRNN")) != "SimpleRNN":
        return _contents("GuitarML", None, [f"a {kind}"])
    sizes = _sizes(data, "input_size", "hidden_size", "num_layers", "output_size")
    unit, skip = data["unit_type"], data["skip"]
    if unit not in ("LSTM", "GRU") or skip not in (0, 1):
        return _contents("GuitarML", None, [f"unit_type {unit!r} with skip {skip!r}"])
    state = StateDict(Found(_finite(model["state_dict"])))
    whole: Any = state.build(layers=["rec", "lin"])
    rnn, linear = whole.layers.values()
    found = [rnn.input_size, rnn.hidden_size, rnn.num_layers, linear.out_features]
    if found != sizes or type(rnn).__name__ != unit or len(state.parts) > 2 or state.leftover:
        raise ValueError(f"it has {rnn!r} and {linear!r}, expected {unit} with sizes {sizes}")
    settings = {k: v for k, v in model.items() if k != "state_dict"}
    notes = [SKIPS] if skip else []
    return _contents("GuitarML", Residual(whole) if skip else whole, settings=settings, notes=notes)


def _read_nam(model: dict[str, Any]) -> Contents:
    """Read an LSTM of Neural Amp Modeler, which starts from a state of its own."""
    settings = {"sample_rate": 48000} | {k: v for k, v in model.items() if k != "weights"}
    if model["architecture"] != "LSTM":
        return _contents("it", None, [f"architecture {model['architecture']}"], settings=settings)
    config = {n: v for n, v in model["config"].items() if n not in WITHOUT_EFFECT}
    D, H, L = sizes = _sizes(config, *SIZES)
    known = dict(zip(SIZES, sizes, strict=True)) | {"in_channels": D, "out_channels": 1}
    if unknown := [f"config {n} = {v!r}" for n, v in config.items() if v != known.get(n)]:
        return _contents("NAM", None, unknown, settings=settings)
    rest = np.array(model["weights"], np.float32)
    total = 4 * H * (D + H) + (L - 1) * 8 * H * H + 6 * L * H + H + 1
    if rest.shape != (total,):
        raise ValueError(f"its weights have shape {rest.shape}, expected {total} numbers")
    arrays, initial = dict[str, Array](), []
    for layer in range(L):
        d = H if layer else D
        kernel, bias, h, c, rest = np.split(rest, np.cumsum([4 * H * (d + H), 4 * H, H, H]))
        W_ih, W_hh = np.split(kernel.reshape(4 * H, d + H), [d], axis=1)
        values = {"weight_ih": W_ih, "weight_hh": W_hh, "bias_ih": bias}
        arrays |= {f"rnn.{name}_l{layer}": value for name, value in values.items()}
        initial.append((h, c))
    arrays |= {"head.weight": rest[None, :H], "head.bias": rest[H:]}
    whole: Any = StateDict(Found(_finite(arrays))).build(layers=["rnn", "head"])
    layers = copy.deepcopy([*whole.layers.values()])
    starting = InitialState(*layers, initial=(tuple(zip(*initial, strict=True)),))
    notes = ["the initial state is not zero"]
    return _contents("NAM", starting, settings=settings, notes=notes)


# The entry that tells the program, and its reader.
READERS: dict[str, Callable[[dict[str, Any]], Contents]] = {
    "in_shape": _read_rtneural,
    "model_data": _read_guitarml,
    "architecture": _read_nam,
}
