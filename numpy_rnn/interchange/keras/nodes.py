"""Layers of one input that are nodes of ONNX and no layer of this package."""

from __future__ import annotations

from typing import Any

import numpy as np

from numpy_rnn.functional.types import Array
from numpy_rnn.interchange.keras.entries import REDUCTIONS, Call, Entry
from numpy_rnn.interchange.keras.layers import affine
from numpy_rnn.interchange.onnx.write import Writer

POOLS = {"GlobalAveragePooling": "ReduceMean", "GlobalMaxPooling": "ReduceMax"}
POOLS = {f"{name}{n}D": op for name, op in POOLS.items() for n in (1, 2)}
WINDOWS = {"Conv": "Conv", "MaxPooling": "MaxPool", "AveragePooling": "AveragePool"}
WINDOWS = {f"{name}{n}D": op for name, op in WINDOWS.items() for n in (1, 2)}
FUNCTIONS_OF_ONE = {"Absolute": "Abs", "Negative": "Neg"} | {
    name: name for name in ("Exp", "Log", "Relu", "Sigmoid", "Sqrt", "Tanh")
}
FAR = 2**31 - 1  # beyond the end of any axis


def add_plain(writer: Writer, entry: Entry) -> bool:  # noqa: C901, PLR0912 (one case for each kind of layer)
    """Add a layer that no layer of this package is, if it is one of these."""
    config, kind = entry.config, entry.class_name
    if kind in POOLS or (kind in REDUCTIONS and config.get("axis") is not None):
        axes = [*map(int, np.ravel(config.get("axis", 0)))]
        if kind in POOLS:
            first = 2 if config.get("data_format") == "channels_first" else 1
            axes = [*range(first, first + int(kind[-2]))]
        keep = int(bool(config.get("keepdims")))
        writer.x = writer.node((POOLS | REDUCTIONS)[kind], [writer.x], axes=axes, keepdims=keep)
    elif kind == "RepeatVector":
        steps = writer.node("Unsqueeze", [writer.x, [1]])
        writer.x = writer.node("Tile", [steps, [1, int(config["n"]), 1]])
    elif kind == "Flatten" or "target_shape" in config:
        target = [-1] if kind == "Flatten" else [*map(int, config["target_shape"])]
        writer.x = writer.node("Reshape", [writer.x, [0, *target]])
    elif kind == "Permute":
        writer.x = writer.node("Transpose", [writer.x], perm=[0, *map(int, config["dims"])])
    elif kind == "ZeroPadding1D":
        before, after = map(int, np.broadcast_to(config["padding"], 2))
        writer.x = writer.node("Pad", [writer.x, [0, before, 0, 0, after, 0]])
    elif kind == "Softmax":
        writer.x = writer.node("Softmax", [writer.x], axis=int(config.get("axis", -1)))
    elif kind == "Rescaling":
        for op, option in (("Mul", "scale"), ("Add", "offset")):
            writer.x = writer.node(op, [writer.x, np.asarray(config[option], float)])
    elif kind == "BatchNormalization":
        _normalise(writer, entry)
    elif kind == "JoinedSteps":
        writer.x = join_steps(writer, writer.x)
    elif kind in FUNCTIONS_OF_ONE:
        writer.x = writer.node(FUNCTIONS_OF_ONE[kind], [writer.x])
    elif kind == "PReLU":
        writer.x = writer.node("PRelu", [writer.x, *entry.weights])
    else:
        return False
    return True


def _normalise(writer: Writer, entry: Entry) -> None:
    """Add a BatchNormalization over any axis."""
    form = [1] * (entry.config["ranks"][0] or 3)
    form[np.ravel(entry.config.get("axis", -1))[0]] = -1
    for op, numbers in zip(("Mul", "Add"), affine(entry), strict=True):
        writer.x = writer.node(op, [writer.x, numbers.reshape(form)])


def slide(writer: Writer, entry: Entry) -> None:
    """Add a convolution or a pool over time or an image. ONNX has the channels before that."""
    config, weights = entry.config, list[Array]()
    names = {"kernel_size": "kernel_shape", "pool_size": "kernel_shape", "strides": "strides"}
    names |= {"dilation_rate": "dilations"}
    ndim = int(entry.class_name[-2])
    options: dict[str, Any] = {
        names[n]: [*map(int, np.broadcast_to(v, ndim))] for n, v in config.items() if n in names
    }
    if config.get("data_format", "channels_last") != "channels_last":
        writer.unsupported.append(f"{entry.name} with data_format {config['data_format']}")
    if entry.weights:
        kernel, *bias = entry.weights
        options["group"] = int(config.get("groups", 1))
        weights = [kernel.transpose(ndim + 1, ndim, *range(ndim)), *bias]
    if config["padding"] == "causal":
        options["pads"] = [(options["kernel_shape"][0] - 1) * options["dilations"][0], 0]
    else:
        options["auto_pad"] = {"same": "SAME_UPPER", "valid": "VALID"}[config["padding"]]
    x = writer.node("Transpose", [writer.x], perm=[0, ndim + 1, *range(1, ndim + 1)])
    y = writer.node(WINDOWS[entry.class_name], [x, *weights], **options)
    writer.x = writer.node("Transpose", [y], perm=[0, *range(2, ndim + 2), 1])


def slice_of(writer: Writer, call: Call, x: str) -> str:
    """Add what ``x[:, -1]`` and the like are."""
    key = call.options.get("slice_spec", [*call.options.get("args", ()), None, None][1])
    key, axis = key if isinstance(key, list) else [key], 0
    bounds, dropped = list[tuple[int, ...]](), list[int]()
    for part in key:
        if type(part) is int:
            bounds.append((axis, part, part + 1 or FAR, 1))
            dropped.append(axis)
        elif isinstance(part, dict) and part.get("class_name") == "__ellipsis__":
            axis -= len(key)
        elif isinstance(part, dict) and "start" in (at := part.get("config", part)):
            step = at["step"] or 1
            ends = (0, FAR) if step > 0 else (FAR, -FAR)
            start = ends[0] if at["start"] is None else at["start"]
            stop = ends[1] if at["stop"] is None else at["stop"]
            bounds.append((axis, start, stop, step))
        else:
            writer.unsupported.append(f"{call.entry.name} ({call.entry.class_name}) by {part!r}")
        axis += 1
    if bounds:
        axes, starts, stops, steps = map(list, zip(*bounds, strict=True))
        x = writer.node("Slice", [x, starts, stops, axes, steps])
    return writer.node("Squeeze", [x, np.array(dropped, int)])


def join_steps(writer: Writer, x: str) -> str:
    """Make all steps of the whole batch a batch."""
    sizes = writer.node("Concat", [[-1], writer.node("Shape", [x], start=2)], axis=0)
    return writer.node("Reshape", [x, sizes])
