"""Networks of Keras that are no chain, as a Graph: each layer is a function of arrays."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from numpy_rnn.functional.types import Array
from numpy_rnn.interchange.contents import UnsupportedError
from numpy_rnn.interchange.graph.graph import Graph
from numpy_rnn.interchange.graph.nodes import Node
from numpy_rnn.interchange.graph.nodes import Value as Input
from numpy_rnn.interchange.keras.entries import (
    STEPWISE,
    WITHOUT_EFFECT,
    Call,
    Entry,
    Value,
    Version,
    refused,
)
from numpy_rnn.interchange.keras.functions import ATTENTION, MEAN, POOLS, function_of
from numpy_rnn.interchange.onnx.operators import FUNCTION

WINDOWS = {"Conv": "Conv", "MaxPooling": "MaxPool", "AveragePooling": "AveragePool"}
WINDOWS = {f"{name}{n}D": op for name, op in WINDOWS.items() for n in (1, 2)}
PASSING = (*STEPWISE, "SpatialDropout1D", "ReLU", "LeakyReLU", "ELU", *WITHOUT_EFFECT)
SLIDING = {"kernel_size": "kernel_shape", "pool_size": "kernel_shape", "strides": "strides"}
SLIDING |= {"dilation_rate": "dilations"}  # settings of windows, and attributes of ONNX
JOINING = ("Add", "Subtract", "Average", "Concatenate")  # which compute the same with masks
# What drops a mask in Keras 3, as functions do.
DROPPING = {*WINDOWS, *POOLS, "Flatten", "RepeatVector", "Reshape", "Permute", "ZeroPadding1D"}


def to_graph(
    calls: Sequence[Call], outputs: Sequence[Value], dtype: np.dtype[Any], version: Version
) -> Graph:
    """Return a network as a Graph. UnsupportedError names what has no counterpart."""
    network, reasons = _Network(calls, dtype, version), list[str]()
    for call in calls:
        try:
            network.add(call)
        except UnsupportedError as error:
            reasons.append(str(error))
    if reasons:
        raise UnsupportedError("; ".join(reasons))
    names = [*network.constants, *[value.name for value in network.inputs]]
    names += [name for node in network.nodes for name in node.outputs]
    if doubled := [name for name, n in Counter(names).items() if n > 1]:
        raise UnsupportedError(f"{doubled[0]}, which is the name of two things")
    return Graph(network.nodes, network.inputs, [*map(_name, outputs)], network.constants)


def _name(value: Value) -> str:
    return f"{value[0]}.{value[1]}".removesuffix(".0")


class _Network:
    """The nodes of calls, and the names of masks."""

    def __init__(self, calls: Sequence[Call], dtype: np.dtype[Any], version: Version) -> None:
        self.dtype, self.version = dtype, version
        self.nodes: list[Node] = []
        self.inputs: list[Input] = []
        self.constants: dict[str, Array] = {}
        self.masks: dict[Value, str] = {}  # (B, T), of values that have one
        self._tokens = {c.given[0] for c in calls if c.entry.class_name == "Embedding" and c.given}

    def add(self, call: Call) -> None:
        """Add the nodes of a call."""
        settings = {**call.options, **call.entry.config}
        entry = call.entry._replace(name=call.name, config=settings)
        kind, read = entry.class_name, [self._read(call.name, v) for v in call.given]
        if kind == "InputLayer":
            self._input(entry)
            return
        masks = [self.masks.get(v, "") for v in call.given]
        named = [_name(v) if v else "" for v in call.masks]
        mask, used = self._mask(entry, read, masks, named)
        if kind in WINDOWS and len(read) == 1:
            self._slide(entry, read[0])
            return
        if entry.ways and read[1:] and self.version.is_3 and not named:
            used = []  # Keras 3 gives no mask to a layer with initial states
        taken = 1 if entry.ways or kind == MEAN else 2 if kind in ATTENTION else 0
        read = read[:1] if kind in ("GetItem", "SlicingOpLambda") else read
        self._function(entry, [*[*used, "", ""][:taken], *read], len(read))
        if mask and (not entry.ways or entry.recurrence.get("return_sequences")):
            self.masks[call.name, 0] = mask

    def _read(self, name: str, value: Any) -> str:
        if isinstance(value, tuple):
            return _name(value)
        number = f"{name}.number{len(self.constants)}"
        self.constants[number] = np.array(value, self.dtype)
        return number

    def _input(self, entry: Entry) -> None:
        shape = entry.config.get("batch_shape") or entry.config.get("batch_input_shape")
        value = Input(entry.name)
        if shape is not None:
            tokens = (entry.name, 0) in self._tokens
            axes = ["batch", *[n or f"axis{i}" for i, n in enumerate(shape[1:], 1)]]
            if len(shape) > 2 or tokens:
                axes[1:2] = ["time"]
            dtype = np.dtype(np.int64) if tokens else self.dtype
            value = Input(entry.name, dtype, tuple(axes))
        self.inputs.append(value)

    def _function(self, entry: Entry, read: list[str], count: int) -> None:
        make = partial(function_of, entry, count, self.version)
        outputs = range(getattr(make(), "outputs", 1))
        names = tuple([_name((entry.name, n)) for n in outputs])
        self.nodes.append(Node(entry.name, FUNCTION, tuple(read), names, {"make": make}))

    def _slide(self, entry: Entry, x: str) -> None:
        """Add a convolution or a pool over time or an image. ONNX has the channels before that."""
        config, ndim, name = entry.config, int(entry.class_name[-2]), entry.name
        if config.get("data_format", "channels_last") != "channels_last":
            raise refused(entry, f"data_format {config['data_format']}")
        options: dict[str, Any] = {
            ours: [*map(int, np.broadcast_to(config[theirs], ndim))]
            for theirs, ours in SLIDING.items()
            if theirs in config
        }
        if config["padding"] == "causal":
            options["pads"] = [(options["kernel_shape"][0] - 1) * options["dilations"][0], 0]
        else:
            options["auto_pad"] = {"same": "SAME_UPPER", "valid": "VALID"}[config["padding"]]
        if entry.weights:
            kernel, *bias = entry.weights
            arrays = [kernel.transpose(ndim + 1, ndim, *range(ndim)), *bias]
            self.constants |= {f"{name}.{n}.weight": array for n, array in enumerate(arrays)}
            options["group"] = int(config.get("groups", 1))
        inputs = [f"{name}.x", *[f"{name}.{n}.weight" for n in range(len(entry.weights))]]
        first, last = [0, ndim + 1, *range(1, ndim + 1)], [0, *range(2, ndim + 2), 1]
        self._node(f"{name}.x", "Transpose", [x], perm=first)
        self._node(f"{name}.y", WINDOWS[entry.class_name], inputs, **options)
        self._node(name, "Transpose", [f"{name}.y"], perm=last)

    def _node(self, name: str, op: str, inputs: list[str], **attributes: Any) -> None:
        self.nodes.append(Node(name, op, tuple(inputs), (name,), attributes))

    def _mask(
        self, entry: Entry, read: list[str], masks: list[str], named: list[str]
    ) -> tuple[str, list[str]]:
        """Return the mask of a layer's output, and the masks that it uses.

        `masks` are those of the inputs, `named` those that the call names, which come before them.
        """
        kind, makes, used = entry.class_name, entry.masked_value is not None, named or masks
        passed = self._passed(entry, masks) if any(masks) else ""
        takes = entry.ways or kind in (*PASSING, *ATTENTION, MEAN)
        if passed is None or (named and not takes) or (makes and any(used)):
            raise UnsupportedError(f"{entry.name}, whose mask a Graph does not have")
        if "#" in entry.name and (makes or any(used)):
            raise UnsupportedError(f"{entry.name}, whose mask is that of a model inside")
        if makes:
            passed = f"{entry.name}.mask"
            self._function(entry._replace(name=passed, class_name=f"MaskOf{kind}"), read, 1)
        return passed, used

    def _passed(self, entry: Entry, masks: Sequence[str]) -> str | None:
        """Return the mask behind a layer that gets masks, "" if it drops them, None if unknown."""
        kind, config, first = entry.class_name, entry.config, next(filter(None, masks))
        function = "name" in config and "trainable" not in config and kind != "SpatialDropout1D"
        joins_features = kind != "Concatenate" or config.get("axis", -1) in (-1, 2)
        drops = self.version.is_3 and (function or kind in DROPPING)
        if kind in ("Dot", MEAN) or drops:
            return ""
        if kind in ATTENTION:
            return masks[0]
        if kind in JOINING and "" in masks:  # Keras 2 keeps the mask of the others
            return "" if self.version.is_3 and joins_features else None
        passes = entry.ways or kind in (*PASSING, *JOINING)
        return first if {*masks} <= {first, ""} and passes and joins_features else None
