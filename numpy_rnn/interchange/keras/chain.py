"""Layers of this package for a chain of Keras's layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from numpy_rnn import layers
from numpy_rnn.functional.types import Array
from numpy_rnn.interchange.gates import recurrent_layer
from numpy_rnn.interchange.keras.entries import (
    ACTIVATION_LAYERS,
    RECURRENT,
    WITHOUT_EFFECT,
    Entry,
    Version,
    refused,
)
from numpy_rnn.layers.activation import activation_layer
from numpy_rnn.layers.recurrent import Recurrent
from numpy_rnn.layers.wrappers import Flip, Masked

COUNTS = {"Dense": (1, 2), "Embedding": (1,)}  # of weights
MAX_NORMALISED = 1 << 21  # numbers in the matrices that all BatchNormalizations become


class Chain:
    """Layers added one by one. UnsupportedError names what has no counterpart among them.

    `rank` is the number of axes of the last output, None if it is not known.
    """

    def __init__(self, version: Version) -> None:
        self._version = version
        self.rank: int | None = None
        self.layers: list[layers.Layer] = []
        self.size: int | None = None  # of the features
        self._normalised = 0  # numbers in matrices that BatchNormalizations become
        self.masked: tuple[int, float] | None = None  # number of layers before it, mask value

    def model(self) -> layers.Sequential:
        """Return the layers as a model."""
        if self.masked is None:
            return layers.Sequential(*self.layers)
        first, value = self.masked
        masked = Masked(*self.layers[first:], mask_value=value)
        return layers.Sequential(*self.layers[:first], masked) if first else masked

    def add(self, entry: Entry) -> None:  # noqa: C901, PLR0912 (one case for each kind of layer)
        """Add the counterpart of a layer."""
        config, weights, kind = entry.config, entry.weights, entry.class_name
        if len(weights) not in COUNTS.get(kind, [len(weights)]):  # also of LoRA
            raise refused(entry, f"{len(weights)} arrays")
        if entry.masked_value is not None:
            if self.masked is not None:
                raise refused(entry, "a second mask")
            self.masked = len(self.layers), entry.masked_value
        match kind:
            case _ if entry.ways:
                self._recurrent(entry)
            case "InputLayer":
                shape = config.get("batch_shape") or config.get("batch_input_shape")
                self.rank = shape and len(shape)
            case "Dense":
                self._linear(entry, *weights)
            case "Softmax" if self.masked:
                raise refused(entry, "a mask")
            case _ if kind in ACTIVATION_LAYERS:
                self.layers += activation_layers(entry, self._version)
            case "Embedding":
                V, E = weights[0].shape
                layer = layers.Embedding(V, E, dtype=weights[0].dtype)
                self._append(entry, layer, -1, E, weight=weights[0])
                self.rank = self.rank and self.rank + 1
            case "Dropout" | "SpatialDropout1D":
                self.layers.append(layers.Dropout(float(config.get("rate", 0.5))))
            case "LayerNormalization":
                self._layer_norm(entry)
            case "BatchNormalization" | "Normalization":
                self._normalise(entry)
            case _ if kind not in WITHOUT_EFFECT and (kind, self.rank) != ("Flatten", 2):
                raise refused(entry)

    def _append(
        self, entry: Entry, layer: layers.Layer, inputs: int, outputs: int, **weights: Array
    ) -> None:
        if self.size not in (None, inputs):
            takes = "token ids" if inputs < 0 else f"{inputs} features"
            raise ValueError(f"{entry.name} takes {takes}, and there are {self.size} features")
        if not entry.ways and (units := entry.config.get("units")) not in (None, outputs):
            raise _wrong_units(entry, outputs, units)
        if weights:
            layer.load_state_dict(weights, strict=False)
        self.layers.append(layer)
        self.size = outputs

    def _recurrent(self, entry: Entry) -> None:
        config = entry.recurrence
        if config.get("return_state"):
            raise refused(entry, "return_state")
        repeats = entry.ways == 2 and self._version.repeats and config.get("return_sequences")
        if self.masked and repeats:
            raise refused(entry, "a mask in a chain")
        last, backwards = not config.get("return_sequences"), bool(config.get("go_backwards"))
        batch_first, merge = not config.get("time_major", False), entry.merge
        options: dict[str, Any] = {"reverse": backwards or None, "batch_first": batch_first}
        options["merge"] = None if last else merge or None
        (layer,) = recurrent_layers(entry, self._version, **options)
        H = layer.hidden_size
        self._append(entry, layer, layer.input_size, 2 * H if merge == "concat" else H)
        if last:
            ends = {"bidirectional": True, "merge": merge} if merge else {"reverse": backwards}
            self.layers.append(layers.LastStep(batch_first, **ends))
        elif backwards:
            self.layers.append(Flip(batch_first))
        self.rank = 2 if last else 3

    def _linear(self, entry: Entry, kernel: Array, *bias: Array) -> None:
        D, K = kernel.shape
        layer = layers.Linear(D, K, bias=bool(bias), dtype=kernel.dtype)
        self._append(entry, layer, D, K, weight=kernel.T, **dict(zip(["bias"], bias, strict=False)))

    def _layer_norm(self, entry: Entry) -> None:
        config = entry.config
        flags = {"weight": "scale", "bias": "center"}
        names = [name for name, flag in flags.items() if config.get(flag, True)]
        H = len(entry.weights[0]) if names else self.size
        if not self._is_last(entry) or config.get("rms_scaling"):
            what = f"axis {config.get('axis')}, rms_scaling {config.get('rms_scaling')}"
            raise refused(entry, what)
        if H is None:
            raise refused(entry, "neither weights nor a layer before it that tells its size")
        dtype = np.result_type(np.float32, *entry.weights)
        layer = layers.LayerNorm(H, float(config.get("epsilon", 1e-3)), dtype=dtype)
        self._append(entry, layer, H, H, **dict(zip(names, entry.weights, strict=True)))

    def _normalise(self, entry: Entry) -> None:
        """Add the affine map that a normalisation by recorded means and variances is."""
        config = entry.config
        if not self._is_last(entry) or config.get("invert") or not entry.weights:
            raise refused(entry, f"axis {config.get('axis')}, or invert, or not adapted")
        scale, shift = affine(entry)
        self._normalised += scale.size**2
        if self._normalised > MAX_NORMALISED:
            raise refused(entry, f"{scale.size} features: too large a matrix")
        dtype = entry.weights[0].dtype
        self._linear(entry, np.diag(scale.ravel()).astype(dtype), shift.ravel())

    def _is_last(self, entry: Entry) -> bool:
        """Return whether a normalisation is one of the last axis."""
        last = (3 if self.rank is None else self.rank) - 1
        return entry.config.get("axis", -1) in (-1, [-1], last, [last])


def _wrong_units(entry: Entry, own: int, units: Any) -> ValueError:
    return ValueError(f"{entry.name} has weights of {own} units, expected {units!r}")


def affine(entry: Entry) -> tuple[Array, Array]:
    """Return scale and shift of a normalisation by recorded means and variances."""
    config, arrays = entry.config, [array.astype(np.float64) for array in entry.weights]
    if entry.class_name != "BatchNormalization":
        scale = 1 / np.maximum(np.sqrt(arrays[1]), 1e-7)
        return scale, -arrays[0] * scale
    gamma = arrays.pop(0) if config.get("scale", True) else 1.0
    beta = arrays.pop(0) if config.get("center", True) else 0.0
    if config.get("mode") == 1:  # of Keras 1: over the features, at each step
        raise refused(entry, "mode 1")
    scale = gamma / np.sqrt(arrays[1] + config.get("epsilon", 1e-3))
    return scale, beta - arrays[0] * scale


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
SOFTMAX = {"softmax": layers.Softmax, "log_softmax": layers.LogSoftmax}


def activation_of(
    entry: Entry, version: Version, name: str = "activation", default: str | None = None
) -> tuple[Any, ...]:
    """Return the activation in a setting: its name and constants."""
    value = entry.config.get(name, default)
    known = ACTIVATIONS | {"hard_sigmoid": ("hard_sigmoid", version.slope, 0.5)}
    if not isinstance(value, str | None) or value not in known:
        raise refused(entry, f"{name} {value!r}")
    return known[value]


def activation_layers(entry: Entry, version: Version) -> list[layers.Layer]:
    """Return what an activation layer is: no layer, if it is linear."""
    config, kind = entry.config, entry.class_name
    slope, most = config.get("negative_slope"), config.get("max_value")
    if config.get("threshold") or (most is not None and slope):
        raise refused(entry, "a threshold, or max_value and a slope")
    spec: tuple[Any, ...] = (kind.lower(),)
    if most is not None:
        spec = ("hard_tanh", 0.0, float(most))
    elif kind == "Activation":
        spec = activation_of(entry, version)
    elif kind == "ELU":
        spec = ("elu", 1.0 if slope is None else float(slope))
    elif kind == "LeakyReLU" or slope:
        spec = ("leaky_relu", 0.3 if slope is None else float(slope))
    if spec[0] in SOFTMAX:
        if config.get("axis", -1) != -1:
            raise refused(entry, f"axis {config['axis']}")
        return [SOFTMAX[spec[0]]()]
    return [] if spec == ("linear",) else [activation_layer(*spec)]


# What both directions must agree in.
SAME = ["units", "activation", "recurrent_activation", "reset_after", "use_bias"]
SAME += ["return_sequences"]


def recurrent_layers(
    entry: Entry, version: Version, *, each: bool = False, **options: Any
) -> list[Recurrent]:
    """Return a layer of all directions, or `each` one as a layer, with more options.

    UnsupportedError names what has no counterpart.
    """
    one = _one_direction(entry) if entry.ways == 2 else entry
    (kind, cell, _, _), size = RECURRENT[one.class_name], len(entry.weights) // entry.ways
    directions = [entry.weights[:size], entry.weights[size:]][: entry.ways]
    arrays = [_cell_arrays(one, weights) for weights in directions]
    if one.config.get("zero_output_for_mask") and entry.ways == 1:
        raise refused(entry, "zero_output_for_mask")
    old_gates = version.old_gates and "cudnn" not in arrays[0]
    names = {"activation": "tanh"}
    names |= {"recurrent_activation": "hard_sigmoid" if old_gates else "sigmoid"}
    specs = [activation_of(one, version, name, default) for name, default in names.items()]
    form, gates = (spec if len(spec) > 1 else spec[0] for spec in specs)
    if cell == "rnn":
        options["nonlinearity"] = form
    else:
        options["activations"] = (gates, form, form)[: 3 if cell == "lstm" else 2]
    if cell == "gru":
        bias = arrays[0].get("bias")
        after = one.config.get("reset_after", not old_gates) if bias is None else bias.ndim > 1
        options["reset_after"] = bool(after)
        cell = "gru" if after else "gru_reset_before"
    source = "keras1" if "W_h" in arrays[0] or "W_c" in arrays[0] else "keras"
    groups = [[own] for own in arrays] if each else [arrays]
    made = [recurrent_layer(kind, group, source, cell, **options) for group in groups]
    units = one.config.get("units")
    if units not in (None, made[0].hidden_size):
        raise _wrong_units(entry, made[0].hidden_size, units)
    return made


def _one_direction(entry: Entry) -> Entry:
    """Return the forward direction of a Bidirectional, once it is known to be as the other."""
    inner, mode = entry.config["layer"], entry.merge
    other = entry.config.get("backward_layer") or inner
    config, kind = inner["config"], inner["class_name"]
    differ = [n for n in SAME if config.get(n) != other["config"].get(n)]
    differ += ["class"] if other["class_name"] != kind else []
    differ += ["go_backwards"] if config.get("go_backwards") else []
    if kind not in RECURRENT or mode is None:
        raise refused(entry, f"a {kind} and merge_mode {mode}")
    if differ:
        raise refused(entry, f"directions that differ in {', '.join(differ)}")
    return entry._replace(class_name=kind, config=config)


def _cell_arrays(entry: Entry, weights: Sequence[Array]) -> dict[str, Array]:
    """Return the arrays of one cell by name, with "cudnn" if cuDNN wrote them."""
    _, _, gates, order = RECURRENT[entry.class_name]
    if order and len(weights) == 3 * gates:
        names = [f"{what}_{gate}" for gate in order for what in "WUb"]
        return dict(zip(names, weights, strict=True))
    shapes = [w.shape for w in weights]
    columns = {shape[1:] for shape in shapes[:2]}
    if not 2 <= len(weights) <= 3 or columns != {(gates * len(weights[1]),)}:
        raise ValueError(f"{entry.name} has weights {shapes}, expected those of {entry.class_name}")
    arrays = dict(zip(("kernel", "recurrent_kernel", "bias"), weights, strict=False))
    D, H = len(weights[0]), len(weights[1])
    if shapes[2:] != [(2 * gates * H,)]:
        return arrays
    # Each block is the transposed matrix, flat; there are two biases.
    for name, rows in {"kernel": D, "recurrent_kernel": H}.items():
        blocks = np.split(arrays[name], gates, axis=1)
        arrays[name] = np.hstack([block.reshape(-1, rows).T for block in blocks])
    bias = weights[2].reshape(2, -1)
    return arrays | {"bias": bias.sum(axis=0) if gates == 4 else bias, "cudnn": bias}
