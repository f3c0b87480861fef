"""Keras's layers as layers of this package, and the classes of weights without a config."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from numpy_rnn import layers
from numpy_rnn.functional.types import Array
from numpy_rnn.interchange.gates import recurrent_layer
from numpy_rnn.layers.activation import activation_layer
from numpy_rnn.layers.wrappers import Flip, Masked

# Class, cell, number of gates, and their order in Keras 1, which has three arrays for each.
RECURRENT: dict[str, tuple[type[layers.RNN | layers.LSTM | layers.GRU], str, int, str]] = {
    "SimpleRNN": (layers.RNN, "rnn", 1, ""),
    "LSTM": (layers.LSTM, "lstm", 4, "icfo"),
    "GRU": (layers.GRU, "gru", 3, "zrh"),
}
NAMES = "linear tanh relu sigmoid softplus softsign softmax log_softmax selu silu exponential"
# Activations by Keras's name. Those with another name or other constants here are told apart.
ACTIVATIONS: dict[str | None, tuple[Any, ...]] = {
    **{name: (name,) for name in NAMES.split()},
    None: ("linear",),
    "swish": ("silu",),
    "elu": ("elu", 1.0),
    "leaky_relu": ("leaky_relu", 0.2),
    "relu6": ("hard_tanh", 0.0, 6.0),
}
ACTIVATION_LAYERS = ("Activation", "ReLU", "LeakyReLU", "ELU", "Softmax")
SOFTMAX = {"softmax": layers.Softmax, "log_softmax": layers.LogSoftmax}
OLD_NAMES = {"inner_activation": "recurrent_activation", "alpha": "negative_slope", "p": "rate"}
STEPWISE = ("Dense", "Dropout", "LayerNormalization", "BatchNormalization", "Activation")
MAX_NORMALISED = 1 << 21  # numbers in the matrices that all BatchNormalizations become
SAME: tuple[str, ...] = ("units", "activation", "recurrent_activation", "reset_after", "use_bias")
SAME += ("return_sequences",)  # what both directions must agree in


class Entry(NamedTuple):
    """A layer of a file."""

    name: str
    class_name: str
    config: Mapping[str, Any]
    weights: Sequence[Array]

    def as_class(self, class_name: str, config: Mapping[str, Any]) -> Entry:
        """Return the entry of a layer inside, with the class and the config of today's Keras."""
        config = {OLD_NAMES.get(name, name): value for name, value in config.items()}
        return self._replace(class_name=class_name.removeprefix("CuDNN"), config=config)


class Call(NamedTuple):
    """One use of a layer in a network. A value is the name of a call, and which of its outputs."""

    name: str
    entry: Entry
    given: Sequence[tuple[str, int]]  # the values that it reads
    options: Mapping[str, Any] = {}  # its other arguments
    mask: tuple[Any, ...] | None = None  # a mask that it is given: where a value differs from which


class Chain:
    """Layers added one by one, and what has no counterpart among them.

    With `states`, recurrent layers may return their states, which the caller sees to.
    """

    def __init__(self, version: str, *, states: bool = False) -> None:
        self._states = states
        self.unsupported: list[str] = []
        self.layers: list[layers.Layer] = []
        self.size: int | None = None  # of the features
        self._normalised = 0  # numbers in matrices that BatchNormalizations become
        self._masked: tuple[int, float] | None = None  # number of layers before it, mask value
        # hard_sigmoid changed with version 3 of Keras, and the gates' default with 2.3.
        slope = 0.2 if version[:2] in ("0.", "1.", "2.") else 1 / 6
        self._activations = ACTIVATIONS | {"hard_sigmoid": ("hard_sigmoid", slope, 0.5)}
        self._gates = "hard_sigmoid" if re.match(r"[01]\.|2\.[0-2]\.\d+$", version) else "sigmoid"

    @property
    def masks(self) -> bool:
        """Whether a layer makes a mask."""
        return self._masked is not None

    def model(self) -> layers.Sequential:
        """Return the layers as a model."""
        if self._masked is None:
            return layers.Sequential(*self.layers)
        first, value = self._masked
        masked = Masked(*self.layers[first:], mask_value=value)
        return layers.Sequential(*self.layers[:first], masked) if first else masked

    def add(self, entry: Entry) -> None:  # noqa: C901, PLR0912 (one case for each kind of layer)
        """Add the counterpart of a layer."""
        entry = entry.as_class(entry.config.get("class_name", entry.class_name), entry.config)
        config, weights = entry.config, entry.weights
        match entry.class_name:
            case "SimpleRNN" | "LSTM" | "GRU":
                self._recurrent(entry, "")
            case "Bidirectional":
                self._bidirectional(entry)
            case "RNN":
                self._cells(entry)
            case "Dense" | "TimeDistributedDense" if len(weights) > 2:  # quantised, or of LoRA
                self._refuse(entry, f"{len(weights)} arrays")
            case "Dense" | "TimeDistributedDense":
                self._linear(entry, *weights)
                self._activation(entry.as_class("Activation", config))
            case "TimeDistributed" if is_stepwise(config["layer"]):
                self.add(entry.as_class(config["layer"]["class_name"], config["layer"]["config"]))
            case "TimeDistributed":
                self._refuse(entry, f"a {config['layer']['class_name']}")
            case kind if kind in ACTIVATION_LAYERS:
                self._activation(entry)
            case "Embedding":
                self._embedding(entry)
            case "Masking":
                self._mask(entry, float(config.get("mask_value", 0)))
            case "Dropout" | "SpatialDropout1D":
                self.layers.append(layers.Dropout(float(config.get("rate", 0.5))))
            case "LayerNormalization":
                self._layer_norm(entry)
            case "BatchNormalization" | "Normalization":
                self._normalise(entry)
            case "Flatten" if not self.ended:
                self._refuse(entry, "steps to be joined")
            case "Flatten" | "InputLayer" | "GaussianNoise" | "GaussianDropout":
                pass
            case "ActivityRegularization":
                pass
            case "unknown":
                self._refuse(entry, "weights that tell no class, expected class_name in layers=")
            case _:
                self._refuse(entry, "")

    def _refuse(self, entry: Entry, what: str) -> None:
        self.size = None
        self.unsupported.append(f"{entry.name} ({entry.class_name}){what and f' with {what}'}")

    def _append(
        self, entry: Entry, layer: layers.Layer, inputs: int, outputs: int, **weights: Array
    ) -> None:
        if self.size not in (None, inputs):
            raise ValueError(f"{entry.name} takes {inputs} features, and there are {self.size}")
        if weights:
            layer.load_state_dict(weights, strict=False)
        self.layers.append(layer)
        self.size = outputs

    def _linear(self, entry: Entry, kernel: Array, *bias: Array) -> None:
        D, K = kernel.shape
        layer = layers.Linear(D, K, bias=bool(bias), dtype=kernel.dtype)
        self._append(entry, layer, D, K, weight=kernel.T, **dict(zip(["bias"], bias, strict=False)))

    def _spec(self, entry: Entry, name: str, default: str | None = None) -> tuple[Any, ...]:
        """Return the activation of a config: its name and constants."""
        value = entry.config.get(name, default)
        if isinstance(value, dict) and isinstance(value.get("config"), str):
            value = value["config"]  # a function of Keras 3
        if not isinstance(value, str | None) or value not in self._activations:
            self._refuse(entry, f"{name} {value!r}")
        return self._activations.get(value if isinstance(value, str) else None, ("linear",))

    def _activate(self, name: str, *constants: float) -> None:
        if name in SOFTMAX:
            self.layers.append(SOFTMAX[name]())
        elif name != "linear":
            self.layers.append(activation_layer(name, *constants))

    def _activation(self, entry: Entry) -> None:
        config, kind = entry.config, entry.class_name
        slope, most = config.get("negative_slope"), config.get("max_value")
        if config.get("threshold") or (most is not None and slope):
            self._refuse(entry, "a threshold, or max_value and a slope")
        elif most is not None:
            self._activate("hard_tanh", 0.0, float(most))
        elif kind == "Softmax" and config.get("axis", -1) != -1:
            self._refuse(entry, f"axis {config['axis']}")
        elif kind == "Activation":
            given: Any = config.get("activation")
            inner = given.get("class_name") if isinstance(given, dict) else None
            if inner in ACTIVATION_LAYERS:
                self._activation(entry.as_class(inner, given["config"]))
            else:
                self._activate(*self._spec(entry, "activation"))
        elif kind == "ELU":
            self._activate("elu", 1.0 if slope is None else float(slope))
        elif kind == "LeakyReLU" or slope:
            self._activate("leaky_relu", 0.3 if slope is None else float(slope))
        else:
            self._activate(kind.lower())

    def _embedding(self, entry: Entry) -> None:
        (table,) = entry.weights
        V, E = table.shape
        if entry.config.get("mask_zero"):
            self._mask(entry, 0)
        self._append(entry, layers.Embedding(V, E, dtype=table.dtype), -1, E, weight=table)

    def _mask(self, entry: Entry, value: float) -> None:
        if self._masked is not None:
            self._refuse(entry, "a second mask")
        self._masked = len(self.layers), value

    def _layer_norm(self, entry: Entry) -> None:
        config, axis = entry.config, entry.config.get("axis", -1)
        last = 1 if self.ended else 2
        flags = {"weight": "scale", "bias": "center"}
        names = [name for name, flag in flags.items() if config.get(flag, True)]
        H = len(entry.weights[0]) if names else self.size
        if axis not in (-1, [-1], last, [last]) or config.get("rms_scaling"):
            self._refuse(entry, f"axis {axis}, rms_scaling {config.get('rms_scaling')}")
        elif H is None:
            self._refuse(entry, "neither weights nor a layer before it that tells its size")
        else:
            dtype = np.result_type(np.float32, *entry.weights)
            layer = layers.LayerNorm(H, float(config.get("epsilon", 1e-3)), dtype=dtype)
            self._append(entry, layer, H, H, **dict(zip(names, entry.weights, strict=True)))

    def _normalise(self, entry: Entry) -> None:
        """Add the affine map that a normalisation by recorded means and variances is."""
        config, arrays = entry.config, [array.astype(np.float64) for array in entry.weights]
        axis = config.get("axis", -1)
        scale: Any = 1.0
        shift: Any = 0.0
        last = len(config.get("build_shape", "123")) - 1  # of arrays (B, T, D), if it is not known
        if axis in (-2, [-2]) or (
            axis in (1, [1], 2, [2]) and np.ravel(axis)[0] < last and not self.ended
        ):
            self._refuse(entry, f"axis {axis}")
            return
        if entry.class_name == "BatchNormalization":
            scale = arrays.pop(0) if config.get("scale", True) else scale
            shift = arrays.pop(0) if config.get("center", True) else shift
            scale = scale / np.sqrt(arrays[1] + config.get("epsilon", 1e-3))
        elif axis not in (-1, [-1]) or config.get("invert") or not arrays:
            self._refuse(entry, f"axis={axis!r}, with invert, or not adapted")
            return
        else:
            scale = 1 / np.maximum(np.sqrt(arrays[1]), 1e-7)
        shift = shift - arrays[0] * scale
        self._normalised += scale.size**2
        if self._normalised > MAX_NORMALISED:
            self._refuse(entry, f"{scale.size} features: too large a matrix")
        else:
            dtype = entry.weights[0].dtype
            self._linear(entry, np.diag(scale.ravel()).astype(dtype), shift.ravel())

    @property
    def ended(self) -> bool:
        """Whether a recurrent layer gave its last step alone."""
        return any(isinstance(layer, layers.LastStep) for layer in self.layers)

    def _bidirectional(self, entry: Entry) -> None:
        inner, mode = entry.config["layer"], entry.config.get("merge_mode", "concat")
        other = entry.config.get("backward_layer") or inner
        forward = entry.as_class(inner["class_name"], inner["config"])
        differ = [n for n in SAME if inner["config"].get(n) != other["config"].get(n)]
        differ += ["class"] if other["class_name"] != inner["class_name"] else []
        differ += ["go_backwards"] if forward.config.get("go_backwards") else []
        if forward.class_name not in RECURRENT or mode is None:
            self._refuse(entry, f"a {inner['class_name']} and merge_mode {mode}")
        elif differ:
            self._refuse(entry, f"directions that differ in {', '.join(differ)}")
        else:
            self._recurrent(forward, mode)

    def _cells(self, entry: Entry) -> None:
        """Add an RNN of one cell, or of several ones that are stacked."""
        weights, cells = [*entry.weights], [entry.config["cell"]]
        if cells[0]["class_name"] == "StackedRNNCells":
            cells = cells[0]["config"]["cells"]
        kind, *others = sorted({cell["class_name"] for cell in cells})
        single = any(entry.config.get(n) for n in ("go_backwards", "return_state"))
        # Keras 3 sorts the weights by name, in which 10 is before 2.
        if (
            others
            or kind.removesuffix("Cell") not in RECURRENT
            or len(cells) > (1 if single else 9)
        ):
            self._refuse(entry, f"cells {[cell['class_name'] for cell in cells]}")
            return
        for n, cell in enumerate(cells, start=1):
            config, size = {**entry.config, **cell["config"]}, len(entry.weights) // len(cells)
            config["return_sequences"] = n < len(cells) or config.get("return_sequences")
            part, weights = weights[:size], weights[size:]
            inner = entry.as_class(kind.removesuffix("Cell"), config)
            self._recurrent(inner._replace(weights=part), "")

    def _recurrent(self, entry: Entry, merge: str) -> None:
        """Add a recurrent layer; `merge` is "" for one of one direction."""
        config, half = entry.config, len(entry.weights) // 2
        kind, cell, _, _ = RECURRENT[entry.class_name]
        parts = [entry.weights[:half], entry.weights[half:]] if merge else [entry.weights]
        arrays = [_cell_arrays(entry, part) for part in parts]
        source = "keras1" if "W_h" in arrays[0] or "W_c" in arrays[0] else "keras"
        gates = "sigmoid" if "cudnn" in arrays[0] else self._gates
        batch_first = not config.get("time_major", False)
        backwards, last = bool(config.get("go_backwards")), not config.get("return_sequences")
        options: dict[str, Any] = {"batch_first": batch_first, "reverse": backwards or None}
        options["merge"] = None if last else merge or None
        names = {"activation": "tanh"} | ({} if cell == "rnn" else {"recurrent_activation": gates})
        form, *of_gates = [
            spec if len(spec) > 1 else spec[0]
            for spec in (self._spec(entry, name, default) for name, default in names.items())
        ]
        if cell == "rnn":
            options["nonlinearity"] = form
        else:
            options["activations"] = (*of_gates, form, form)[: 3 if cell == "lstm" else 2]
        if cell == "gru":
            bias = arrays[0].get("bias")
            after = config.get("reset_after", gates == "sigmoid") if bias is None else bias.ndim > 1
            options["reset_after"] = bool(after)
            cell = "gru" if after else "gru_reset_before"
        if config.get("return_state") and not self._states:
            self._refuse(entry, "return_state")
        if config.get("zero_output_for_mask") and not merge:
            self._refuse(entry, "zero_output_for_mask")
        layer = recurrent_layer(kind, arrays, source, cell, **options)
        H = layer.hidden_size
        self._append(entry, layer, layer.input_size, 2 * H if merge == "concat" else H)
        if last:
            ends = {"bidirectional": True, "merge": merge} if merge else {"reverse": backwards}
            self.layers.append(layers.LastStep(batch_first, **ends))
        elif backwards:
            self.layers.append(Flip(batch_first))


def is_stepwise(layer: Mapping[str, Any]) -> bool:
    """Return whether a layer of a config does the same at each step as at all steps at once."""
    axis = layer["config"].get("axis", -1)
    return layer["class_name"] in STEPWISE and axis in (-1, [-1])


def _cell_arrays(entry: Entry, weights: Sequence[Array]) -> dict[str, Array]:
    """Return the arrays of one cell by name, with "cudnn" if cuDNN wrote them."""
    _, _, gates, order = RECURRENT[entry.class_name]
    if order and len(weights) == 3 * gates:
        names = [f"{what}_{gate}" for gate in order for what in "WUb"]
        return dict(zip(names, weights, strict=True))
    if not 2 <= len(weights) <= 3 or weights[0].ndim != 2 or weights[1].ndim != 2:
        shapes = [w.shape for w in weights]
        raise ValueError(f"{entry.name} has weights {shapes}, expected those of {entry.class_name}")
    arrays = dict(zip(("kernel", "recurrent_kernel", "bias"), weights, strict=False))
    (D, columns), H = weights[0].shape, len(weights[1])
    if len(weights) < 3 or weights[2].shape != (2 * columns,) or columns != gates * H:
        return arrays
    # Each block is the transposed matrix, flat; there are two biases.
    for name, rows in {"kernel": D, "recurrent_kernel": H}.items():
        blocks = np.split(arrays[name], gates, axis=1)
        arrays[name] = np.hstack([block.reshape(-1, rows).T for block in blocks])
    bias = weights[2].reshape(2, -1)
    return arrays | {"bias": bias.sum(axis=0) if gates == 4 else bias, "cudnn": bias}


def guess_class(name: str, weights: Sequence[Array], first: str) -> Entry:
    """Return an entry for weights without a config. `first` is the name of the first one."""
    shapes = [w.shape for w in weights]
    ranks, half = [len(shape) for shape in shapes], len(shapes) // 2
    state = shapes[1] if ranks[1:2] == [2] else (1, 0)
    known = {gates: kind for kind, (_, _, gates, _) in RECURRENT.items()}
    kind = {9: "GRU", 12: "LSTM"}.get(len(shapes)) or known.get(state[1] // max(state[0], 1))
    config: dict[str, Any] = {"return_sequences": True} if kind else {}
    if kind and half in (2, 3) and shapes[:half] == shapes[half:]:
        both = {"layer": {"class_name": kind, "config": config}}
        return Entry(name, "Bidirectional", both, weights)
    if ranks == [2, 1] or (ranks == [2] and re.search("/kernel|^dense", first)):
        kind = "Dense"
    elif ranks == [2] and re.search("/embeddings|^embedding", first):
        kind = "Embedding"
    elif set(ranks) == {1} and len(ranks) in (2, 4):
        kind = "LayerNormalization" if len(ranks) == 2 else "BatchNormalization"
    elif not shapes and re.match("input|dropout", name):
        kind = "InputLayer"
    return Entry(name, kind or "unknown", config, weights)


def snake_case(name: str) -> str:
    """Return the name that Keras 3 gives to the weights of a class."""
    name = re.sub(r"\W+", "", name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()
