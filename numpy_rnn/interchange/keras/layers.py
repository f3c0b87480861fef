"""Keras's layers as layers of this package."""

from __future__ import annotations

import numpy as np

from numpy_rnn import layers
from numpy_rnn.functional.types import Array
from numpy_rnn.interchange.contents import UnsupportedError
from numpy_rnn.interchange.keras.activations import ACTIVATION_LAYERS
from numpy_rnn.interchange.keras.entries import WITHOUT_EFFECT, Entry, is_stepwise
from numpy_rnn.interchange.keras.recurrent import RecurrentLayers
from numpy_rnn.layers.wrappers import Masked

COUNTS = {"Dense": (1, 2), "TimeDistributedDense": (1, 2), "Embedding": (1,)}  # of weights
MAX_NORMALISED = 1 << 21  # numbers in the matrices that all BatchNormalizations become


class Chain(RecurrentLayers):
    """Layers of this package for a chain of Keras's layers."""

    def model(self) -> layers.Sequential:
        """Return the layers as a model."""
        if self.masked is None:
            return layers.Sequential(*self.layers)
        first, value = self.masked
        masked = Masked(*self.layers[first:], mask_value=value)
        return layers.Sequential(*self.layers[:first], masked) if first else masked

    def add(self, entry: Entry) -> None:  # noqa: C901, PLR0912 (one case for each kind of layer)
        """Add the counterpart of a layer."""
        entry = entry.as_class(entry.class_name, entry.config)
        config, weights = entry.config, entry.weights
        match entry.class_name:
            case "SimpleRNN" | "LSTM" | "GRU":
                self._recurrent(entry, "")
            case "Bidirectional":
                self._bidirectional(entry)
            case "RNN":
                self._cells(entry)
            case kind if len(weights) not in COUNTS.get(kind, [len(weights)]):  # also of LoRA
                self._refuse(entry, f"{len(weights)} arrays")
            case "Dense" | "TimeDistributedDense":
                self._linear(entry, *weights)
                self._activation(entry.as_class("Activation", config))
            case "TimeDistributed" if is_stepwise(config["layer"]):
                self.add(entry.layer_inside())
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
            case kind if kind in ("Flatten", *WITHOUT_EFFECT):
                pass
            case "unknown":
                self._refuse(entry, "a name and weights that tell no class")
            case _:
                self._refuse(entry, "")

    def _linear(self, entry: Entry, kernel: Array, *bias: Array) -> None:
        D, K = kernel.shape
        layer = layers.Linear(D, K, bias=bool(bias), dtype=kernel.dtype)
        self._append(entry, layer, D, K, weight=kernel.T, **dict(zip(["bias"], bias, strict=False)))

    def _embedding(self, entry: Entry) -> None:
        (table,) = entry.weights
        V, E = table.shape
        if entry.config.get("mask_zero"):
            self._mask(entry, 0)
        self._append(entry, layers.Embedding(V, E, dtype=table.dtype), -1, E, weight=table)

    def _mask(self, entry: Entry, value: float) -> None:
        if self.masked is not None:
            self._refuse(entry, "a second mask")
        self.masked = len(self.layers), value

    def _layer_norm(self, entry: Entry) -> None:
        config, axis, last = entry.config, entry.config.get("axis", -1), self._last_axis(entry)
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
        config, axis, last = entry.config, entry.config.get("axis", -1), self._last_axis(entry)
        of_batch = entry.class_name == "BatchNormalization"
        if axis not in ((-1, [-1], last, [last]) if of_batch else (-1, [-1])):
            self._refuse(entry, f"axis {axis}")
            return
        if config.get("invert") or not entry.weights:
            self._refuse(entry, "invert, or not adapted")
            return
        scale, shift = affine(entry)
        self._normalised += scale.size**2
        if self._normalised > MAX_NORMALISED:
            self._refuse(entry, f"{scale.size} features: too large a matrix")
        else:
            dtype = entry.weights[0].dtype
            self._linear(entry, np.diag(scale.ravel()).astype(dtype), shift.ravel())

    def _last_axis(self, entry: Entry) -> int:
        rank = next(iter(entry.config.get("ranks", ())), None)
        return (2 if self.ended else 3) - 1 if rank is None else rank - 1


def affine(entry: Entry) -> tuple[Array, Array]:
    """Return scale and shift of a normalisation by recorded means and variances."""
    config, arrays = entry.config, [array.astype(np.float64) for array in entry.weights]
    if entry.class_name != "BatchNormalization":
        scale = 1 / np.maximum(np.sqrt(arrays[1]), 1e-7)
        return scale, -arrays[0] * scale
    gamma = arrays.pop(0) if config.get("scale", True) else 1.0
    beta = arrays.pop(0) if config.get("center", True) else 0.0
    if config.get("mode") == 1:  # of Keras 1: over the features, at each step
        raise UnsupportedError(f"{entry.name} (BatchNormalization) with mode 1")
    scale = gamma / np.sqrt(arrays[1] + config.get("epsilon", 1e-3))
    return scale, beta - arrays[0] * scale
