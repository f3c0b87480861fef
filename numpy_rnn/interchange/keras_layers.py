"""Keras's layers as layers of this package, and the classes of weights without a config."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from numpy_rnn.functional.types import Array
from numpy_rnn.interchange.gates import recurrent_layer
from numpy_rnn.layers.activation import Activation, LogSoftmax, Softmax
from numpy_rnn.layers.base import Layer
from numpy_rnn.layers.dropout import Dropout
from numpy_rnn.layers.embedding import Embedding
from numpy_rnn.layers.last_step import LastStep
from numpy_rnn.layers.layer_norm import LayerNorm
from numpy_rnn.layers.linear import Linear
from numpy_rnn.layers.rnn import GRU, LSTM, RNN
from numpy_rnn.layers.sequential import Sequential
from numpy_rnn.layers.wrappers import Flip, Masked

# Class, cell, number of gates, and their order in Keras 1, which has three arrays for each.
RECURRENT: dict[str, tuple[type[RNN | LSTM | GRU], str, int, str]] = {
    "SimpleRNN": (RNN, "rnn", 1, ""),
    "LSTM": (LSTM, "lstm", 4, "icfo"),
    "GRU": (GRU, "gru", 3, "zrh"),
}
# Names and constants here, where they are not Keras's.
ACTIVATIONS: dict[str | None, tuple[Any, ...]] = {
    None: ("linear",),
    "swish": ("silu",),
    "elu": ("elu", 1.0),
    "leaky_relu": ("leaky_relu", 0.2),
}
NAMES = {"linear", "tanh", "relu", "sigmoid", "softplus", "softsign", "softmax", "log_softmax"}
NAMES |= {"selu", "silu", "exponential"}
OLD_NAMES = {"inner_activation": "recurrent_activation", "alpha": "negative_slope", "p": "rate"}
IDENTITIES = ("InputLayer", "GaussianNoise", "GaussianDropout", "ActivityRegularization")


class Entry(NamedTuple):
    """A layer of a file."""

    name: str
    class_name: str
    config: Mapping[str, Any]
    weights: Sequence[Array]


class Chain:
    """Layers added one by one, and what has no counterpart among them.

    Parameters
    ----------
    version : str
        Keras's version. hard_sigmoid changed with 3, and the gates' default with 2.3.
    """

    def __init__(self, version: str) -> None:
        self.unsupported: list[str] = []
        self.layers: list[Layer] = []
        self.size: int | None = None  # of the features
        self._masked: tuple[int, float] | None = None  # number of layers before it, mask value
        self._slope = 0.2 if version[:2] in ("0.", "1.", "2.") else 1 / 6
        self._gates = "hard_sigmoid" if re.match(r"[01]\.|2\.[0-2]\.\d+$", version) else "sigmoid"

    def model(self) -> Sequential:
        """Return the layers as a model."""
        if self._masked is None:
            return Sequential(*self.layers)
        first, value = self._masked
        masked = Masked(*self.layers[first:], mask_value=value)
        return Sequential(*self.layers[:first], masked) if first else masked

    def add(self, entry: Entry) -> None:
        """Add the counterpart of a layer."""
        config = {OLD_NAMES.get(name, name): value for name, value in entry.config.items()}
        kind = config.get("class_name", entry.class_name).removeprefix("CuDNN")
        entry = entry._replace(class_name=kind, config=config)
        if kind in RECURRENT:
            self._recurrent(entry, [entry.weights], "")
        elif kind in BUILDERS:
            BUILDERS[kind](self, entry)
        elif kind not in IDENTITIES:
            self._refuse(entry, "")

    def _refuse(self, entry: Entry, what: str) -> None:
        self.size = None
        self.unsupported.append(f"{entry.name} ({entry.class_name}){what and f' with {what}'}")

    def _append(self, entry: Entry, layer: Layer, inputs: int, outputs: int) -> None:
        """Add a layer with this number of input and of output features."""
        if self.size not in (None, inputs):
            raise ValueError(f"{entry.name} takes {inputs} features, and there are {self.size}")
        self.layers.append(layer)
        self.size = outputs

    def _form(self, entry: Entry, name: str, default: str | None = None) -> Any:
        """Return an activation of a config: its name, or a tuple of name, alpha and beta."""
        value = entry.config.get(name, default)
        if isinstance(value, dict) and isinstance(value.get("config"), str):
            value = value["config"]  # a function of Keras 3
        form: Any = ACTIVATIONS.get(value, (value,)) if isinstance(value, str | None) else ()
        if value == "hard_sigmoid":
            form = ("hard_sigmoid", self._slope, 0.5)
        elif value not in ACTIVATIONS and value not in NAMES:
            self._refuse(entry, f"{name} {value!r}")
            return "linear"
        return form if len(form) > 1 else form[0]

    def _activation(self, form: Any) -> None:
        """Add an activation layer."""
        name, *constants = (form,) if isinstance(form, str) else form
        if name in ("softmax", "log_softmax"):
            self.layers.append(Softmax() if name == "softmax" else LogSoftmax())
        elif name != "linear":
            self.layers.append(Activation(name, *constants))

    def _activation_class(self, entry: Entry) -> None:
        """Add a layer that is an activation."""
        config, kind = entry.config, entry.class_name
        slope = config.get("negative_slope")
        if config.get("max_value") is not None or config.get("threshold"):
            self._refuse(entry, "max_value or threshold")
        elif kind == "Softmax" and config.get("axis", -1) != -1:
            self._refuse(entry, f"axis {config['axis']}")
        elif kind == "Activation":
            self._activation(self._form(entry, "activation"))
        elif kind == "LeakyReLU" or (kind == "ReLU" and slope):
            self._activation(("leaky_relu", 0.3 if slope is None else float(slope)))
        elif kind == "ELU":
            self._activation(("elu", 1.0 if slope is None else float(slope)))
        else:
            self._activation(kind.lower())

    def _dense(self, entry: Entry) -> None:
        kernel, *bias = entry.weights
        D, K = kernel.shape
        layer = Linear(D, K, bias=bool(bias), dtype=kernel.dtype)
        layer.load_state_dict({"weight": kernel.T} | ({"bias": bias[0]} if bias else {}))
        self._append(entry, layer, D, K)
        self._activation(self._form(entry, "activation"))

    def _embedding(self, entry: Entry) -> None:
        (table,) = entry.weights
        V, E = table.shape
        if entry.config.get("mask_zero"):
            self._mask(entry, 0)
        layer = Embedding(V, E, dtype=table.dtype)
        layer.load_state_dict({"weight": table})
        self._append(entry, layer, -1, E)

    def _masking(self, entry: Entry) -> None:
        self._mask(entry, float(entry.config.get("mask_value", 0)))

    def _mask(self, entry: Entry, value: float) -> None:
        if self._masked is not None:
            self._refuse(entry, "a second mask")
        self._masked = len(self.layers), value

    def _dropout(self, entry: Entry) -> None:
        self.layers.append(Dropout(float(entry.config.get("rate", 0.5))))

    def _layer_normalization(self, entry: Entry) -> None:
        config, weights = entry.config, list(entry.weights)
        H = len(weights[0]) if weights else self.size or 1
        rank = 2 if any(isinstance(layer, LastStep) for layer in self.layers) else 3
        if config.get("axis", -1) not in (-1, [-1], rank - 1, [rank - 1]) or config.get(
            "rms_scaling"
        ):
            return self._refuse(entry, f"axis {config.get('axis')}")
        dtype = weights[0].dtype if weights else np.float32
        layer = LayerNorm(H, float(config.get("epsilon", 1e-3)), dtype=dtype)
        for name, flag in {"weight": "scale", "bias": "center"}.items():
            if config.get(flag, True):
                layer.load_state_dict({name: weights.pop(0)}, strict=False)
        return self._append(entry, layer, H, H)

    def _time_distributed(self, entry: Entry) -> None:
        inner = entry.config["layer"]
        if inner["class_name"] not in ("Dense", "Dropout", "LayerNormalization", "Activation"):
            return self._refuse(entry, f"a {inner['class_name']}")
        return self.add(entry._replace(class_name=inner["class_name"], config=inner["config"]))

    def _bidirectional(self, entry: Entry) -> None:
        config, half = entry.config, len(entry.weights) // 2
        inner = config["layer"]
        forward = entry._replace(
            class_name=inner["class_name"].removeprefix("CuDNN"),
            config={OLD_NAMES.get(n, n): v for n, v in inner["config"].items()},
        )
        other = config.get("backward_layer") or inner
        differ = [
            n for n, v in inner["config"].items() if n in SAME and other["config"].get(n) != v
        ]
        if forward.class_name not in RECURRENT or config.get("merge_mode", "concat") is None:
            self._refuse(
                entry, f"a {inner['class_name']} and merge_mode {config.get('merge_mode')}"
            )
        elif (
            differ
            or other["class_name"] != inner["class_name"]
            or forward.config.get("go_backwards")
        ):
            self._refuse(entry, f"directions that differ in {differ or 'go_backwards'}")
        else:
            halves = [entry.weights[:half], entry.weights[half:]]
            self._recurrent(forward, halves, config.get("merge_mode", "concat"))

    def _recurrent(self, entry: Entry, directions: list[Sequence[Array]], merge: str) -> None:
        """Add a recurrent layer; `merge` is "" for one of one direction."""
        config = entry.config
        kind, cell, _, _ = RECURRENT[entry.class_name]
        read = [_cell_arrays(entry, weights) for weights in directions]
        arrays, source, gates = [a for a, _, _ in read], read[0][1], self._gates
        if read[0][2] == "cudnn":
            gates = "sigmoid"
        options: dict[str, Any] = {"batch_first": not config.get("time_major", False)}
        backwards, last = bool(config.get("go_backwards")), not config.get("return_sequences")
        options |= {"merge": merge} if merge and not last else {}
        options |= {"reverse": True} if backwards else {}
        activation = self._form(entry, "activation", "tanh")
        if entry.class_name == "SimpleRNN":
            options["nonlinearity"] = activation
        else:
            forms = (self._form(entry, "recurrent_activation", gates), activation)
            if forms != ("sigmoid", "tanh"):
                options["activations"] = (*forms, activation)[: 3 if cell == "lstm" else 2]
        if cell == "gru":
            bias = arrays[0].get("bias")
            after = (
                config.get("reset_after", gates == "sigmoid") if bias is None else bias.ndim == 2
            )
            options["reset_after"] = bool(after)
            cell = "gru" if after else "gru_reset_before"
        if config.get("return_state"):
            self._refuse(entry, "return_state")
        layer = recurrent_layer(kind, arrays, source, cell, **options)
        H = layer.hidden_size
        outputs = 2 * H if merge == "concat" else H
        self._append(entry, layer, layer.input_size, outputs)
        batch_first = options["batch_first"]
        if last and merge:
            self.layers.append(LastStep(batch_first, bidirectional=True, merge=merge))
        elif last:
            self.layers.append(LastStep(batch_first, reverse=backwards))
        elif backwards:
            self.layers.append(Flip(batch_first))


SAME = (
    "units",
    "activation",
    "recurrent_activation",
    "reset_after",
    "use_bias",
    "return_sequences",
)
BUILDERS: dict[str, Callable[[Chain, Entry], None]] = {
    "Dense": Chain._dense,
    "Embedding": Chain._embedding,
    "Masking": Chain._masking,
    "Dropout": Chain._dropout,
    "SpatialDropout1D": Chain._dropout,
    "LayerNormalization": Chain._layer_normalization,
    "TimeDistributed": Chain._time_distributed,
    "TimeDistributedDense": Chain._dense,
    "Bidirectional": Chain._bidirectional,
} | dict.fromkeys(("Activation", "ReLU", "LeakyReLU", "ELU", "Softmax"), Chain._activation_class)


def _cell_arrays(entry: Entry, weights: Sequence[Array]) -> tuple[dict[str, Array], str, str]:
    """Return the arrays of one cell, their convention, and "cudnn" if cuDNN's layer wrote them."""
    _, _, gates, order = RECURRENT[entry.class_name]
    if order and len(weights) == 3 * gates:
        names = [f"{what}_{gate}" for gate in order for what in "WUb"]
        return dict(zip(names, weights, strict=True)), "keras1", ""
    if not 2 <= len(weights) <= 3 or weights[0].ndim != 2 or weights[1].ndim != 2:
        shapes = [w.shape for w in weights]
        raise ValueError(f"{entry.name} has weights {shapes}, expected those of {entry.class_name}")
    arrays = dict(zip(("kernel", "recurrent_kernel", "bias"), weights, strict=False))
    D, H = len(weights[0]), len(weights[1])
    if len(weights) < 3 or weights[2].shape != (2 * gates * H,) or weights[0].size != D * gates * H:
        return arrays, "keras", ""
    # Each block is the transposed matrix, flat; there are two biases.
    for name, rows in {"kernel": D, "recurrent_kernel": H}.items():
        blocks = np.split(arrays[name], gates, axis=1)
        arrays[name] = np.hstack([block.reshape(-1, rows).T for block in blocks])
    bias = weights[2].reshape(2, -1)
    return arrays | {"bias": bias.sum(axis=0) if gates == 4 else bias}, "keras", "cudnn"


def guess_class(name: str, weights: Sequence[Array], first: str) -> Entry:
    """Return an entry for weights without a config. `first` is the name of the first one."""
    shapes = [w.shape for w in weights]
    config: dict[str, Any] = {}
    kind = "unknown"
    half = shapes[: len(shapes) // 2]
    both = len(shapes) in (4, 6) and half == shapes[len(half) :]
    cell = half if both else shapes
    gates = cell[1][1] // max(cell[1][0], 1) if len(cell) > 1 and len(cell[1]) == 2 else 0
    known = {gates: kind for kind, (_, _, gates, _) in RECURRENT.items()}
    if len(shapes) in (9, 12):
        kind, config = "GRU" if len(shapes) == 9 else "LSTM", {"return_sequences": True}
    elif gates in known:
        kind, config = known[gates], {"return_sequences": True}
        if both:
            config = {"layer": {"class_name": kind, "config": config}}
            kind = "Bidirectional"
    elif [len(shape) for shape in shapes] == [2, 1] or (
        [len(shape) for shape in shapes] == [2] and re.search("/kernel|^dense", first)
    ):
        kind = "Dense"
    elif len(shapes) == 1 and re.search("/embeddings|^embedding", first):
        kind = "Embedding"
    elif [len(shape) for shape in shapes] == [1, 1]:
        kind = "LayerNormalization"
    elif not shapes and re.match("input|dropout", name):
        kind = "InputLayer"
    return Entry(name, kind, config, weights)


def snake_case(name: str) -> str:
    """Return the name that Keras 3 gives to the weights of a class."""
    name = re.sub(r"\W+", "", name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()
