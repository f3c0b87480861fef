"""Layers of a Keras file and their calls, by the classes and settings of today's Keras."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from numpy_rnn import layers
from numpy_rnn.functional.types import Array
from numpy_rnn.interchange.contents import UnsupportedError

Value = tuple[str, int]  # the name of a call, and which of its outputs

# Class, cell, number of gates, and their order in Keras 1, which has three arrays for each.
RECURRENT: dict[str, tuple[type[layers.RNN | layers.LSTM | layers.GRU], str, int, str]] = {
    "SimpleRNN": (layers.RNN, "rnn", 1, ""),
    "LSTM": (layers.LSTM, "lstm", 4, "icfo"),
    "GRU": (layers.GRU, "gru", 3, "zrh"),
}
ACTIVATION_LAYERS = ("Activation", "ReLU", "LeakyReLU", "ELU", "Softmax")
WITHOUT_EFFECT = ["GaussianNoise", "GaussianDropout", "AlphaDropout", "ActivityRegularization"]
WITHOUT_EFFECT += ["Identity", "InputLayer", "Masking"]


class Entry(NamedTuple):
    """A layer of a file."""

    name: str
    class_name: str
    config: Mapping[str, Any]
    weights: Sequence[Array]

    @property
    def ways(self) -> int:
        """1 for a recurrent layer, 2 for two directions, else 0."""
        return 2 if self.class_name == "Bidirectional" else int(self.class_name in RECURRENT)

    @property
    def recurrence(self) -> dict[str, Any]:
        """The config of a recurrent layer, or of that of two directions."""
        inner: Any = self.config["layer"]["config"] if self.ways == 2 else self.config
        return dict(inner)

    @property
    def merge(self) -> Any:
        """How two directions are merged; "" for one."""
        return self.config.get("merge_mode", "concat") if self.ways == 2 else ""

    @property
    def masked_value(self) -> float | None:
        """What a layer makes a mask by; None if it makes none."""
        if self.class_name == "Masking":
            return float(self.config.get("mask_value", 0))
        embeds = self.class_name == "Embedding" and self.config.get("mask_zero")
        return 0.0 if embeds else None


class Call(NamedTuple):
    """One use of a layer in a network."""

    name: str
    entry: Entry
    given: Sequence[Any]  # what it reads: values, and numbers of a function
    options: Mapping[str, Any] = {}  # its other arguments
    masks: Sequence[Value | None] = ()  # that the call names, one for each input

    def __str__(self) -> str:
        named = [v if isinstance(v, tuple) else (str(v), 0) for v in self.given]
        read = ", ".join([f"{name}.{n}".removesuffix(".0") for name, n in named])
        return f"{self.name} of {read}".removesuffix(" of ")


def refused(entry: Entry, what: str = "") -> UnsupportedError:
    """Return the error for a layer, or for what a layer has."""
    return UnsupportedError(f"{entry.name} ({entry.class_name}){what and f' with {what}'}")


CLASSES = {"CuDNNLSTM": "LSTM", "CuDNNGRU": "GRU", "TimeDistributedDense": "Dense"}
SETTINGS = {"inner_activation": "recurrent_activation", "alpha": "negative_slope", "p": "rate"}
SETTINGS |= {"pool_length": "pool_size", "stride": "strides", "border_mode": "padding"}
MODES = {"sum": "Add", "mul": "Multiply", "ave": "Average", "max": "Maximum"}  # of Keras 1's Merge
MODES |= {"concat": "Concatenate"}
REDUCTIONS = {"Sum": np.sum, "Mean": np.mean, "Max": np.max, "Min": np.min}
# TensorFlow's functions, of which Keras 2 made layers, as Keras 3's operations and activations.
FUNCTIONS = {"__operators__.add": "Add", "concat": "Concatenate", "math.abs": "Absolute"}
FUNCTIONS |= {"nn.softmax": "Softmax"} | {f"math.reduce_{n.lower()}": n for n in REDUCTIONS}
FUNCTIONS |= {f"math.{n.lower()}": n for n in ("Add", "Exp", "Multiply", "Sqrt", "Subtract")}
FUNCTIONS |= {f"{m}.{n}": n for m in ("nn", "math") for n in ("tanh", "sigmoid", "relu")}
STEPWISE = ("Dense", "Dropout", "LayerNormalization", "BatchNormalization", "Activation")
ACTIVATED = ("Dense", "Conv1D", "Conv2D")  # whose activation is a layer of its own here


class Version:
    """What the versions of Keras compute in different ways."""

    def __init__(self, text: str) -> None:
        self.is_3 = not re.match(r"[012]\b", text)
        # hard_sigmoid changed with version 3 of Keras, and the gates' default with 2.3.
        self.slope = 1 / 6 if self.is_3 else 0.2
        self.old_gates = bool(re.match(r"[01]\b|2\.[0-2]\.\d+$", text))
        # At masked steps, both directions repeat their outputs. Later versions give zeros.
        self.repeats = bool(re.match(r"[01]\b|2\.[0-3]\.\d+$", text))


def renamed(pairs: Iterable[tuple[str, Any]]) -> Any:
    """Return an object in a config: a layer by today's names, an activation by its name.

    A class that is not Keras's gets another name than Keras's.
    """
    value = dict(pairs)
    kind, config, module = value.get("class_name"), value.get("config"), value.get("module")
    if kind == "function":  # of Keras 3
        return config
    if value.get("registered_name") and not str(module).startswith(("keras", "builtins")):
        value["class_name"] = f"{module or 'custom'}.{kind}"
    elif kind:
        value["class_name"] = CLASSES.get(kind, kind)
    if isinstance(config, dict):
        value["config"] = with_todays_names(config)
    return value


def with_todays_names(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the config of a layer with today's names of its settings."""
    return {SETTINGS.get(name, name): value for name, value in config.items()}


def today(calls: Iterable[Call], dtype: np.dtype[Any]) -> list[Call]:
    """Return the calls of layers of today's Keras that do the same, with weights of a dtype."""
    found: list[Call] = []
    for call in calls:
        weights = [array.astype(dtype) for array in call.entry.weights]
        found += _parts(call._replace(entry=call.entry._replace(weights=weights)))
    return found


def _parts(call: Call) -> Iterator[Call]:
    entry, config, activation = call.entry, call.entry.config, call.entry.config.get("activation")
    match entry.class_name:
        case "RNN":
            yield from _cells(call)
        case "TFOpLambda":
            name = FUNCTIONS.get(config["function"], config["function"])
            kind = "Activation" if name.islower() and "." not in name else name
            function = {"activation": name, "is_function": True, **call.options}
            yield call._replace(entry=Entry(entry.name, kind, function, []))
        case "Merge":
            merge = {**config, "axis": config.get("concat_axis", -1)}
            kind = MODES.get(config["mode"], "Merge")
            yield call._replace(entry=Entry(entry.name, kind, merge, []))
        case "Activation" if isinstance(activation, dict):
            kind, config = activation["class_name"], activation["config"]
            if kind not in ACTIVATION_LAYERS:
                raise refused(entry, f"activation {kind}")
            yield call._replace(entry=Entry(entry.name, kind, config, []))
        case kind if kind in ACTIVATED and activation not in (None, "linear"):
            before = f"{call.name}.before"
            yield call._replace(name=before)
            after = Entry(entry.name, "Activation", {"activation": activation}, [])
            yield from _parts(Call(call.name, after, [(before, 0)]))
        case _:
            yield call


def _cells(call: Call) -> Iterator[Call]:
    """Yield the layers that an RNN of one cell is, or of several ones that are stacked."""
    entry, cells = call.entry, [call.entry.config["cell"]]
    if cells[0]["class_name"] == "StackedRNNCells":
        cells = cells[0]["config"]["cells"]
    kind, *others = sorted({cell["class_name"] for cell in cells})
    # Keras 3 sorts the weights by name, in which 10 is before 2.
    most = 1 if any(entry.config.get(n) for n in ("go_backwards", "return_state")) else 9
    if others or kind.removesuffix("Cell") not in RECURRENT or len(cells) > most:
        raise refused(entry, f"cells {[cell['class_name'] for cell in cells]}")
    size, given = len(entry.weights) // len(cells), call.given
    for n, cell in enumerate(cells, start=1):
        name = call.name if n == len(cells) else f"{call.name}.{n}"
        config = {**entry.config, **cell["config"]}
        config["return_sequences"] = n < len(cells) or config.get("return_sequences")
        weights = entry.weights[(n - 1) * size : n * size]
        part = Entry(entry.name, kind.removesuffix("Cell"), config, weights)
        yield call._replace(name=name, entry=part, given=given)
        given = [(name, 0)]


def snake_case(name: str) -> str:
    """Return the name that Keras 3 gives to the weights of a class."""
    name = re.sub(r"\W+", "", name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()
