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
from numpy_rnn.interchange.onnx_file import Reader
from numpy_rnn.interchange.onnx_write import Writer
from numpy_rnn.interchange.protobuf import encode

MERGES = {"Add": "Add", "Multiply": "Mul", "Maximum": "Max", "Minimum": "Min", "Average": "Mean"}
POOLS = {"GlobalAveragePooling1D": "ReduceMean", "GlobalMaxPooling1D": "ReduceMax"}
WINDOWS = {"Conv1D": "Conv", "MaxPooling1D": "MaxPool", "AveragePooling1D": "AveragePool"}


class Topology(NamedTuple):
    """How the layers of a model are connected, by their names."""

    sources: Mapping[str, list[str]]  # of each layer, in order
    outputs: list[str]


def to_graph(entries: Sequence[Entry], topology: Topology, version: str) -> Graph:
    """Return the model. UnsupportedError names every layer that has no counterpart."""
    arrays = [array.dtype for entry in entries for array in entry.weights]
    inputs = [e.config.get("dtype") for e in entries if e.class_name == "InputLayer" and not arrays]
    dtype = np.result_type(np.float32, *arrays, *(["f8"] if "float64" in inputs else []))
    writer = Writer(dtype, states=False)
    values: dict[str, str] = {}  # what each layer gives
    waiting = list(entries)
    while ready := [e for e in waiting if values.keys() >= {*topology.sources[e.name]}]:
        for entry in ready:
            readers = [e.class_name for e in entries if entry.name in topology.sources[e.name]]
            given = [values[name] for name in topology.sources[entry.name]]
            if entry.class_name == "InputLayer":
                _add_input(writer, entry, tokens="Embedding" in readers)
            else:
                _add(writer, entry, given, version)
            values[entry.name] = writer.x
        waiting = [entry for entry in waiting if entry not in ready]
    writer.unsupported += [f"{entry.name}, whose inputs are not known" for entry in waiting]
    if writer.unsupported:
        raise UnsupportedError("; ".join(writer.unsupported))
    for n, name in enumerate(topology.outputs[1:], start=1):
        writer.node("Identity", [values[name]], [f"y{n}"])
        writer.outputs.append(writer.value(f"y{n}", []))
    writer.x = values[topology.outputs[0]]
    return Reader(Path(), encode("Model", writer.model())).graph()


def _add(writer: Writer, entry: Entry, given: list[str], version: str) -> None:
    writer.x = given[0] if given else ""
    writer.axes = ["batch", "time", 0]  # a Graph needs none of its outputs
    if len(given) > 1 and entry.class_name == "Concatenate":
        writer.x = writer.node("Concat", given, axis=int(entry.config.get("axis", -1)))
    elif len(given) > 1 and entry.class_name in MERGES:
        writer.x = writer.node(MERGES[entry.class_name], given)
    elif len(given) != 1:
        writer.unsupported.append(f"{entry.name}, which has {len(given)} inputs")
    elif entry.class_name in WINDOWS:
        _slide(writer, entry)
        if entry.config.get("activation", "linear") != "linear":
            _add(writer, entry.as_class("Activation", entry.config), [writer.x], version)
    elif not _reshape(writer, entry):
        chain = Chain(version)
        chain.add(entry)
        writer.unsupported += chain.unsupported
        if chain.layers and not chain.unsupported:
            writer.layer(chain.model(), entry.name)


def _add_input(writer: Writer, entry: Entry, *, tokens: bool) -> None:
    shape = entry.config.get("batch_shape") or entry.config["batch_input_shape"]
    axes = ["batch", *[n or f"axis{i}" for i, n in enumerate(shape[1:], 1)]]
    if len(shape) > 2 or tokens:
        axes[1] = "time"
    writer.x = entry.name
    writer.inputs.append(writer.value(entry.name, axes, tokens=tokens))


def _slide(writer: Writer, entry: Entry) -> None:
    """Add a convolution or a pool over time. ONNX has time last and kernels as (F, D, K)."""
    config, tensors = entry.config, list[str]()
    names = {"kernel_size": "kernel_shape", "pool_size": "kernel_shape", "strides": "strides"}
    names |= {"dilation_rate": "dilations"}
    options: dict[str, Any] = {
        names[n]: [*map(int, np.ravel(v))] for n, v in config.items() if n in names
    }
    if config.get("data_format", "channels_last") != "channels_last":
        writer.unsupported.append(f"{entry.name} with data_format {config['data_format']}")
    if entry.weights:
        kernel, *bias = entry.weights
        options["group"] = int(config.get("groups", 1))
        tensors = [writer.tensor(f"{entry.name}.kernel", kernel.transpose(2, 1, 0))]
        tensors += [writer.tensor(f"{entry.name}.bias", b) for b in bias]
    if config["padding"] == "causal":
        options["pads"] = [(options["kernel_shape"][0] - 1) * options["dilations"][0], 0]
    else:
        options["auto_pad"] = {"same": "SAME_UPPER", "valid": "VALID"}[config["padding"]]
    time_last = writer.node("Transpose", [writer.x], perm=[0, 2, 1])
    y = writer.node(WINDOWS[entry.class_name], [time_last, *tensors], **options)
    writer.x = writer.node("Transpose", [y], perm=[0, 2, 1])


def _reshape(writer: Writer, entry: Entry) -> bool:
    """Add a layer without weights that changes the axes, if it is one."""
    config, name = entry.config, f"{entry.name}.sizes"
    if entry.class_name in POOLS:
        writer.x = writer.node(POOLS[entry.class_name], [writer.x], axes=[1], keepdims=0)
    elif entry.class_name == "RepeatVector":
        steps = writer.node("Unsqueeze", [writer.x, writer.tensor(f"{entry.name}.axis", [1])])
        writer.x = writer.node("Tile", [steps, writer.tensor(name, [1, int(config["n"]), 1])])
    elif entry.class_name in ("Flatten", "Reshape"):
        target = [-1] if entry.class_name == "Flatten" else [*map(int, config["target_shape"])]
        writer.x = writer.node("Reshape", [writer.x, writer.tensor(name, [0, *target])])
    elif entry.class_name == "Permute":
        writer.x = writer.node("Transpose", [writer.x], perm=[0, *map(int, config["dims"])])
    else:
        return False
    return True
