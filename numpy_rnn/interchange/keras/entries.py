"""The layers of a Keras file, and the classes of weights without a config."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from numpy_rnn import layers
from numpy_rnn.functional.types import Array

# Class, cell, number of gates, and their order in Keras 1, which has three arrays for each.
RECURRENT: dict[str, tuple[type[layers.RNN | layers.LSTM | layers.GRU], str, int, str]] = {
    "SimpleRNN": (layers.RNN, "rnn", 1, ""),
    "LSTM": (layers.LSTM, "lstm", 4, "icfo"),
    "GRU": (layers.GRU, "gru", 3, "zrh"),
}
OF_RECURRENCE = {*RECURRENT, *[f"CuDNN{kind}" for kind in RECURRENT], "Bidirectional", "RNN"}
REDUCTIONS = {"Sum": "ReduceSum", "Mean": "ReduceMean", "Max": "ReduceMax", "Min": "ReduceMin"}
OLD_NAMES = {"inner_activation": "recurrent_activation", "alpha": "negative_slope", "p": "rate"}
OLD_NAMES |= {"pool_length": "pool_size", "stride": "strides", "border_mode": "padding"}
MODES = {"sum": "Add", "mul": "Multiply", "ave": "Average", "max": "Maximum"}  # of Keras 1's Merge
MODES |= {"concat": "Concatenate"}
WITHOUT_EFFECT = ["GaussianNoise", "GaussianDropout", "AlphaDropout", "ActivityRegularization"]
WITHOUT_EFFECT += ["Identity", "InputLayer"]
# Layers by the numbers of axes of their weights, and what is in the layer's name or those of them.
PLAIN: list[tuple[list[int], str, str]] = [
    ([2], "/kernel|^dense", "Dense"),
    ([2, 1], r"/kernel|^dense|_W(:0)?\b|/vars/0\b", "Dense"),
    ([2], "/embeddings|^embedding", "Embedding"),
    ([1, 1, 1, 1], "", "BatchNormalization"),
    ([1, 1], "layer_?norm", "LayerNormalization"),
    ([], "^(input|dropout)", "InputLayer"),
]
STEPWISE = ("Dense", "Dropout", "LayerNormalization", "BatchNormalization", "Activation")


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

    def layer_inside(self) -> Entry:
        """Return the layer of a TimeDistributed, whose arrays have no axis of steps."""
        inner = self.config["layer"]
        ranks = [rank and rank - 1 for rank in self.config.get("ranks", ())]
        return self.as_class(inner["class_name"], {**inner["config"], "ranks": ranks})


class Call(NamedTuple):
    """One use of a layer in a network. A value is the name of a call, and which of its outputs."""

    name: str
    entry: Entry
    given: Sequence[tuple[str, int]]  # the values that it reads
    options: Mapping[str, Any] = {}  # its other arguments
    mask: tuple[Any, ...] | None = None  # a mask that it is given: where a value differs from which

    def __str__(self) -> str:
        read = ", ".join([f"{name}.{n}".removesuffix(".0") for name, n in self.given])
        return f"{self.name} of {read}".removesuffix(" of ")


def is_loop(class_name: str) -> int:
    """Return 1 for a recurrent layer, 2 for two directions, else 0."""
    return (class_name in OF_RECURRENCE) + (class_name == "Bidirectional")


def is_stepwise(layer: Mapping[str, Any]) -> bool:
    """Return whether a layer of a config does the same at each step as at all steps at once."""
    axis = layer["config"].get("axis", -1)
    return layer["class_name"] in STEPWISE and axis in (-1, [-1])


def guess_class(name: str, weights: Sequence[Array], names: Sequence[str]) -> Entry:
    """Return an entry for weights without a config. Their names tell what their shapes do not."""
    ranks, text = [w.ndim for w in weights], " ".join([name, *names])
    both = "backward" in text
    count = len(weights) // (1 + both)
    state = weights[1].shape if ranks[1:2] == [2] else (1, 0)
    known = {gates: kind for kind, (_, _, gates, _) in RECURRENT.items()}
    kind = {9: "GRU", 12: "LSTM"}.get(count) or known.get(state[1] // max(state[0], 1))
    if kind and count in (2, 3, 9, 12) and re.search(r"recurrent_kernel|cell/|_U(_|\b)", text):
        config = {"return_sequences": True}
        if not both:
            return Entry(name, kind, config, weights)
        inner = {"layer": {"class_name": kind, "config": config}}
        return Entry(name, "Bidirectional", inner, weights)
    kinds = [kind for form, end, kind in PLAIN if form == ranks and re.search(end, text)]
    return Entry(name, [*kinds, "unknown"][0], {}, weights)


def snake_case(name: str) -> str:
    """Return the name that Keras 3 gives to the weights of a class."""
    name = re.sub(r"\W+", "", name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()
