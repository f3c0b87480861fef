"""Keras's models that are no chain of layers, as a Graph: branches, sums, several inputs, reshapes.

Each layer becomes the nodes that onnx_write.py has for our counterpart of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from numpy_rnn.interchange.contents import UnsupportedError
from numpy_rnn.interchange.graph import Graph
from numpy_rnn.interchange.keras_layers import Chain, Entry
from numpy_rnn.interchange.onnx_file import _Reader
from numpy_rnn.interchange.onnx_tensor import NUMBERS
from numpy_rnn.interchange.onnx_write import _value, _Writer
from numpy_rnn.interchange.protobuf import Decoder

INT64 = 7  # ONNX's number of the dtype
MERGES = {"Add": "Add", "Multiply": "Mul", "Maximum": "Max", "Minimum": "Min", "Average": "Add"}
POOLS = {"GlobalAveragePooling1D": "ReduceMean", "GlobalMaxPooling1D": "ReduceMax"}


class Topology(NamedTuple):
    """How the layers of a model are connected, by their names."""

    sources: Mapping[str, list[str]]  # of each layer, in order
    outputs: list[str]


def to_graph(entries: Sequence[Entry], topology: Topology, version: str) -> Graph:
    """Return the model. UnsupportedError names every layer that has no counterpart."""
    arrays = [array.dtype for entry in entries for array in entry.weights]
    inputs = [e.config.get("dtype") for e in entries if e.class_name == "InputLayer" and not arrays]
    dtype = np.result_type(np.float32, *arrays, *(["f8"] if "float64" in inputs else []))
    builder = _Builder(dtype, version)
    waiting = list(entries)
    while ready := [e for e in waiting if builder.values.keys() >= {*topology.sources[e.name]}]:
        for entry in ready:
            readers = [e.class_name for e in entries if entry.name in topology.sources[e.name]]
            builder.add(entry, topology.sources[entry.name], tokens="Embedding" in readers)
        waiting = [entry for entry in waiting if entry not in ready]
    builder.unsupported += [f"{entry.name}, whose inputs are not known" for entry in waiting]
    return builder.graph(topology.outputs)


class _Builder:
    """The nodes so far, and the value and the axes that each layer gives."""

    def __init__(self, dtype: np.dtype[Any], version: str) -> None:
        self.writer, self.version = _Writer(dtype, states=False), version
        self.values: dict[str, tuple[str, list[Any]]] = {}
        self.unsupported: list[str] = []

    def add(self, entry: Entry, sources: Sequence[str], *, tokens: bool) -> None:
        """Add a layer whose inputs are there."""
        writer, inputs = self.writer, [self.values[name][0] for name in sources]
        if sources:
            writer.x, writer.axes = inputs[0], list(self.values[sources[0]][1])
        if entry.class_name == "InputLayer":
            shape = entry.config.get("batch_shape") or entry.config["batch_input_shape"]
            writer.axes = ["batch", *(n or f"axis{i}" for i, n in enumerate(shape[1:], 1))]
            if len(shape) > 2 or tokens:
                writer.axes[1] = "time"
            kind = INT64 if tokens else NUMBERS[writer.dtype]
            writer.inputs.append(_value(entry.name, kind, writer.axes))
            writer.x = entry.name
        elif len(inputs) > 1 and entry.class_name in (*MERGES, "Concatenate"):
            self._merge(entry, inputs, [self.values[name][1][-1] for name in sources])
        elif len(inputs) != 1:
            self.unsupported.append(f"{entry.name}, which has {len(inputs)} inputs")
        elif not self._reshape(entry):
            chain = Chain(self.version)
            chain.add(entry)
            self.unsupported += chain.unsupported
            if chain.layers and not chain.unsupported:
                writer.layer(chain.model(), entry.name)
        self.values[entry.name] = writer.x, list(writer.axes)

    def _merge(self, entry: Entry, inputs: list[str], sizes: list[Any]) -> None:
        writer, kind = self.writer, entry.class_name
        if kind == "Concatenate":
            axis = int(entry.config.get("axis", -1))
            writer.x = writer.node("Concat", inputs, axis=axis)
            if axis in (-1, len(writer.axes) - 1) and all(isinstance(n, int) for n in sizes):
                writer.axes[-1] = sum(sizes)
            return
        for other in inputs[1:]:
            writer.x = writer.node(MERGES[kind], [writer.x, other])
        if kind == "Average":
            count = writer.tensor(f"{entry.name}.count", float(len(inputs)))
            writer.x = writer.node("Div", [writer.x, count])

    def _reshape(self, entry: Entry) -> bool:
        """Add a layer without weights that changes the axes, if it is one."""
        writer, config, name = self.writer, entry.config, f"{entry.name}.sizes"
        if entry.class_name in POOLS:
            writer.x = writer.node(POOLS[entry.class_name], [writer.x], axes=[1], keepdims=0)
            del writer.axes[1]
        elif entry.class_name == "RepeatVector":
            axis = writer.tensor(f"{entry.name}.axis", [1])
            steps = writer.node("Unsqueeze", [writer.x, axis])
            writer.x = writer.node("Tile", [steps, writer.tensor(name, [1, int(config["n"]), 1])])
            writer.axes.insert(1, "time")
        elif entry.class_name in ("Flatten", "Reshape"):
            target = [-1] if entry.class_name == "Flatten" else [*map(int, config["target_shape"])]
            writer.x = writer.node("Reshape", [writer.x, writer.tensor(name, [0, *target])])
            writer.axes = ["batch", *("time" if i else n for i, n in enumerate(target, -1))]
        elif entry.class_name == "Permute":
            axes = [0, *map(int, config["dims"])]
            writer.x = writer.node("Transpose", [writer.x], perm=axes)
            writer.axes = ["batch", "time", *(writer.axes[i] for i in axes[2:])]
        else:
            return False
        return True

    def graph(self, outputs: Sequence[str]) -> Graph:
        """Return the graph with these layers' values as outputs."""
        unsupported = self.unsupported + self.writer.unsupported
        if unsupported:
            raise UnsupportedError("; ".join(unsupported))
        self.writer.x, self.writer.axes = self.values[outputs[0]]
        for n, name in enumerate(outputs[1:], start=1):
            value, axes = self.values[name]
            self.writer.node("Identity", [value], [f"y{n}"])
            self.writer.outputs.append(_value(f"y{n}", NUMBERS[self.writer.dtype], axes))
        model = Decoder().read(memoryview(self.writer.model()), "Model")
        return _Reader(Path(), model).graph(model["graph"])
