"""Write a Sequential as Keras 3 reads it: a ``.keras`` file, or HDF5 if the suffix says so."""

from __future__ import annotations

import json
import zipfile
from collections import Counter
from io import BytesIO
from operator import methodcaller
from pathlib import Path
from typing import Any

from numpy_rnn import layers
from numpy_rnn.files import write_atomically
from numpy_rnn.functional.types import Array
from numpy_rnn.interchange.contents import UnsupportedError
from numpy_rnn.interchange.gates import cell_arrays
from numpy_rnn.interchange.keras.chain import ACTIVATIONS
from numpy_rnn.interchange.keras.entries import RECURRENT, snake_case
from numpy_rnn.interchange.keras.hdf5 import import_h5py
from numpy_rnn.layers.wrappers import Flip, Masked

VERSION = "3.0.0"  # of the layout and of the activations' definitions
CELLS = {kind: (name, cell) for name, (kind, cell, _, _) in RECURRENT.items()}
# Keras's class, and its settings with our attributes.
SETTINGS: dict[Any, tuple[str, dict[str, str]]] = {
    layers.Linear: ("Dense", {"units": "out_features", "use_bias": "bias"}),
    layers.Embedding: ("Embedding", {"input_dim": "num_embeddings", "output_dim": "embedding_dim"}),
    layers.Dropout: ("Dropout", {"rate": "p"}),
    layers.LayerNorm: ("LayerNormalization", {"epsilon": "eps"}),
    layers.LeakyReLU: ("LeakyReLU", {"negative_slope": "negative_slope"}),
    layers.ELU: ("ELU", {"alpha": "alpha"}),
}
SPECS: dict[Any, Any] = {spec: name for name, spec in ACTIVATIONS.items()}
SPECS |= {("linear",): "linear", ("silu",): "silu", ("hard_sigmoid", 1 / 6, 0.5): "hard_sigmoid"}


def write(model: layers.Layer, path: Path) -> list[str]:
    """Write a model, completely or not at all, and return what Keras does not hold."""
    writer = _Writer(model)
    legacy = path.suffix.lower() in (".h5", ".hdf5")
    config = {"class_name": "Sequential", "config": {"name": "model", "layers": writer.configs}}
    weights = BytesIO()
    with import_h5py().File(weights, "w") as file:
        if legacy:
            file.attrs["model_config"] = json.dumps(config)
            file.attrs["keras_version"], file.attrs["backend"] = VERSION, "numpy"
            file.create_group("model_weights").attrs["layer_names"] = list(writer.weights)
        for name, arrays in writer.weights.items():
            group = file.create_group(f"{'model_weights' if legacy else 'layers'}/{name}")
            if legacy:
                group.attrs["weight_names"] = list(arrays)
            for below, array in arrays.items():
                group[below] = array
    data = weights.getvalue()
    if not legacy:
        packed = BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            archive.writestr("metadata.json", json.dumps({"keras_version": VERSION}))
            archive.writestr("config.json", json.dumps({"module": "keras"} | config))
            archive.writestr("model.weights.h5", data)
        data = packed.getvalue()
    write_atomically(path, methodcaller("write", data))
    return writer.missing


class _Writer:
    """Keras's layers for those of a model, with the weights by their paths below each layer."""

    def __init__(self, model: layers.Layer) -> None:
        self.configs: list[dict[str, Any]] = []
        self.weights: dict[str, dict[str, Array]] = {}
        self._numbers: Counter[str] = Counter()  # of layers of each class, as Keras 3 counts
        self._unsupported: list[str] = []
        self.missing: list[str] = []
        if getattr(model, "batch_first", None) is False:
            self.missing.append("the order of axes (T, B, D): Keras has (B, T, D)")
        self._dtype = model.parameters.dtype.name
        self._features: list[int] = []  # of the input; none for tokens
        self._backwards: list[str] = []  # a reversed layer whose output is in order of time
        self._add(model, None)
        self._unsupported += self._backwards
        if self._unsupported:
            raise UnsupportedError(f"no counterpart in Keras for: {'; '.join(self._unsupported)}")
        shape = {"batch_shape": [None, None, *self._features]}
        self.configs.insert(0, self._entry("InputLayer", {"name": "input"} | shape))

    def _entry(self, kind: str, config: dict[str, Any]) -> dict[str, Any]:
        about = {"module": "keras.layers", "class_name": kind, "registered_name": None}
        return about | {"config": {"dtype": self._dtype} | config}

    def _put(
        self, kind: str, config: dict[str, Any], weights: dict[str, Array] | None = None, *D: int
    ) -> None:
        """Add a layer of Keras. D is the size of its input, if that is known."""
        if not any(self.weights.values()):  # the first with weights
            self._features = list(D)
        name = snake_case(kind)
        self._numbers[name] += 1
        name += f"_{self._numbers[name] - 1}" if self._numbers[name] > 1 else ""
        self.configs.append(self._entry(kind, {"name": name} | config))
        self.weights[name] = weights or {}

    def _add(self, layer: Any, mask: float | None) -> None:
        """Add a layer, or those of a chain. A mask is made from the input of the first."""
        if type(layer) in (layers.Sequential, Masked):
            inside = list(layer.layers.values())
            if isinstance(layer, Masked):
                mask = layer.mask_value
                if not isinstance(inside[0], layers.Embedding):
                    self._put("Masking", {"mask_value": mask})
            for i, inner in enumerate(inside):
                self._add(inner, None if i else mask)
        elif isinstance(layer, layers.LastStep | Flip):
            self._end(layer)
        elif type(layer) in CELLS:
            self._add_recurrent(layer)
        elif type(layer) in SETTINGS:
            self._add_weighted(layer, mask)
        else:
            spec = getattr(layer, "_spec", None)
            if isinstance(layer, layers.Softmax) and layer.dim == -1:
                spec = "log_softmax" if isinstance(layer, layers.LogSoftmax) else "softmax"
            if _keras_activation(spec):
                self._put("Activation", {"activation": _keras_activation(spec)})
            else:
                self._unsupported.append(repr(layer))

    def _add_weighted(self, layer: Any, mask: float | None) -> None:
        kind, names = SETTINGS[type(layer)]
        values = dict(layer.parameters.values)
        config = {theirs: getattr(layer, ours) for theirs, ours in names.items()}
        if kind == "Embedding":
            config["mask_zero"] = mask == 0
        if kind == "LayerNormalization":
            if len(layer.normalized_shape) > 1:
                self._unsupported.append(repr(layer))
            config |= {"scale": "weight" in values, "center": "bias" in values}
        arrays = [v.T if kind == "Dense" else v for v in values.values()]
        shape = getattr(layer, "normalized_shape", ())  # which may have no weights
        shape = arrays[0].shape if arrays and kind != "Embedding" else shape
        self._put(kind, config, {f"vars/{i}": a for i, a in enumerate(arrays)}, *shape[:1])

    def _end(self, layer: layers.LastStep | Flip) -> None:
        """Give the recurrent layer before this one the output that it has in Keras."""
        last: Any = next((c for c in reversed(self.configs) if c["class_name"] != "Dropout"), {})
        inner = last["config"].get("layer", last)["config"] if last else {}
        ends = isinstance(layer, Flip), False
        if isinstance(layer, layers.LastStep):
            ends = layer.reverse, layer.bidirectional
        found = bool(self._backwards), bool(last) and "layer" in last["config"]
        if not inner.get("return_sequences") or ends != found:
            self._unsupported.append(f"{layer!r} after another layer than its recurrent one")
        elif isinstance(layer, layers.LastStep):
            inner["return_sequences"] = False
            if layer.bidirectional:
                last["config"]["merge_mode"] = layer.merge
        self._backwards = []

    def _add_recurrent(self, layer: Any) -> None:
        name, cell = CELLS[type(layer)]
        forms = [layer.nonlinearity] if cell == "rnn" else layer.activations or ("sigmoid", "tanh")
        *gates, activation = [_keras_activation(form) for form in forms]
        options = [getattr(layer, n, None) for n in ("proj_size", "clip", "input_forget")]
        if None in (*gates, activation) or any(options) or gates[1:] not in ([], [activation]):
            self._unsupported.append(repr(layer))
            return
        config = {"units": layer.hidden_size, "use_bias": layer.bias, "return_sequences": True}
        config |= {"go_backwards": layer.reverse, "activation": activation}
        config |= {"recurrent_activation": gates[0]} if gates else {}
        if cell == "gru":
            config["reset_after"] = layer.reset_after
            cell = cell if layer.reset_after else "gru_reset_before"
        if layer.reverse:
            self._backwards = [f"{layer!r} without Flip or LastStep after it"]
            self._unsupported += [f"{layer!r}, a stack"] if layer.num_layers > 1 else []
        for k in range(layer.num_layers):
            if k and layer.dropout:
                self._put("Dropout", {"rate": layer.dropout})
            weights: dict[str, Array] = {}
            prefixes = ("forward_layer/", "backward_layer/") if layer.bidirectional else ("",)
            for way, prefix in enumerate(prefixes):
                found = cell_arrays(layer, k, way, "keras", cell).values()
                weights |= {f"{prefix}cell/vars/{i}": v for i, v in enumerate(found)}
            D = layer.parameters.values[f"weight_ih_l{k}"].shape[1]
            if layer.bidirectional:
                # Keras tells objects apart by their addresses and frees this one at once, so
                # that a later one may take its place; a number of its own keeps it alive.
                number = {"shared_object_id": len(self.configs)}
                inner = self._entry(name, {"name": "rnn"} | config) | number
                self._put("Bidirectional", {"layer": inner, "merge_mode": layer.merge}, weights, D)
            else:
                self._put(name, dict(config), weights, D)


def _keras_activation(spec: Any) -> str | None:
    name: str | None = SPECS.get((spec,) if isinstance(spec, str) else spec)
    return name
