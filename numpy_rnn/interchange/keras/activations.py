"""Collect the layers of a chain one by one, and know Keras's activations."""

from __future__ import annotations

import re
from typing import Any

from numpy_rnn import layers
from numpy_rnn.functional.types import Array
from numpy_rnn.interchange.keras.entries import Entry
from numpy_rnn.layers.activation import activation_layer

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


class Layers:
    """Layers added one by one, and what has no counterpart among them.

    With `states`, recurrent layers may return their states, which the caller sees to.
    """

    def __init__(self, version: str, *, states: bool = False) -> None:
        self._states = states
        self.unsupported: list[str] = []
        self.layers: list[layers.Layer] = []
        self.size: int | None = None  # of the features
        self._normalised = 0  # numbers in matrices that BatchNormalizations become
        self.masked: tuple[int, float] | None = None  # number of layers before it, mask value
        # hard_sigmoid changed with version 3 of Keras, and the gates' default with 2.3.
        slope = 0.2 if re.match(r"[012]\b", version) else 1 / 6
        self._activations = ACTIVATIONS | {"hard_sigmoid": ("hard_sigmoid", slope, 0.5)}
        self._gates = "hard_sigmoid" if re.match(r"[01]\b|2\.[0-2]\.\d+$", version) else "sigmoid"
        # At masked steps, both directions repeat their outputs. Later versions give zeros.
        self.repeats = bool(re.match(r"[01]\b|2\.[0-3]\.\d+$", version))

    @property
    def ended(self) -> bool:
        """Whether a recurrent layer gave its last step alone."""
        return any(isinstance(layer, layers.LastStep) for layer in self.layers)

    def _refuse(self, entry: Entry, what: str) -> None:
        self.size = None
        self.unsupported.append(f"{entry.name} ({entry.class_name}){what and f' with {what}'}")

    def _append(
        self, entry: Entry, layer: layers.Layer, inputs: int, outputs: int, **weights: Array
    ) -> None:
        if self.size not in (None, inputs):
            takes = "token ids" if inputs < 0 else f"{inputs} features"
            raise ValueError(f"{entry.name} takes {takes}, and there are {self.size} features")
        units, own = entry.config.get("units"), getattr(layer, "hidden_size", outputs)
        if units is not None and units != own:
            raise ValueError(f"{entry.name} has weights of {own} units, expected {units!r}")
        if weights:
            layer.load_state_dict(weights, strict=False)
        self.layers.append(layer)
        self.size = outputs

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
        elif kind == "Softmax" and (config.get("axis", -1) != -1 or self.masked):
            self._refuse(entry, f"axis {config.get('axis')}, or a mask")
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
