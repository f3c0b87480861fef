"""Networks of Keras that are no chain, as a Graph: each layer becomes nodes of ONNX."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from numpy_rnn.interchange.contents import UnsupportedError
from numpy_rnn.interchange.graph.graph import Graph
from numpy_rnn.interchange.graph.nodes import Node
from numpy_rnn.interchange.keras.entries import (
    OF_RECURRENCE,
    REDUCTIONS,
    Call,
    Entry,
    is_loop,
    is_stepwise,
)
from numpy_rnn.interchange.keras.layers import Chain
from numpy_rnn.interchange.keras.masks import mask_of
from numpy_rnn.interchange.keras.merges import join, ones_of, take_steps_apart
from numpy_rnn.interchange.keras.nodes import FAR, WINDOWS, add_plain, join_steps, slice_of, slide
from numpy_rnn.interchange.onnx.file import Reader
from numpy_rnn.interchange.onnx.protobuf import encode
from numpy_rnn.interchange.onnx.write import Writer
from numpy_rnn.layers.wrappers import Flip

# TensorFlow's functions, of which Keras 2 made layers, as Keras 3's operations and activations.
FUNCTIONS = {"__operators__.add": "Add", "concat": "Concatenate", "math.abs": "Absolute"}
FUNCTIONS |= {"nn.softmax": "Softmax"} | {f"math.reduce_{n.lower()}": n for n in REDUCTIONS}
FUNCTIONS |= {f"math.{n.lower()}": n for n in ("Add", "Exp", "Multiply", "Sqrt", "Subtract")}
FUNCTIONS |= {f"{m}.{n}": n for m in ("nn", "math") for n in ("tanh", "sigmoid", "relu")}
SLICES = ("GetItem", "SlicingOpLambda")  # of Keras 3 and 2


def to_graph(
    calls: Sequence[Call], outputs: Sequence[tuple[str, int]], dtype: np.dtype[Any], version: str
) -> Graph:
    """Return a network as a Graph. UnsupportedError names what has no counterpart."""
    writer, values = Writer(dtype, states=False), dict[tuple[str, int], str]()
    embedded = {c.given[0] for c in calls if c.entry.class_name == "Embedding" and c.given}
    masks: dict[tuple[str, int], str] = {}  # (B, T), of values that have one
    for call in calls:
        read = [values.get(v, "") for v in call.given]
        given = [masks.get(v, "") for v in call.given]
        mask, entry, read = mask_of(writer, call, read, given, version)
        if call.mask is not None and bool(call.mask) != any(given):
            writer.unsupported.append(f"{call.name}, whose mask no layer before it has")
        # Keras 3 gives no mask to a layer with initial states, unless its call names one.
        used = mask if call.mask or version[:1] != "3" or len(read) == 1 else ""
        if entry.class_name == "InputLayer":
            read = [_add_input(writer, call, tokens=(call.name, 0) in embedded)]
        else:
            read = _add(writer, call._replace(entry=entry), read, version, used)
        values |= {(call.name, n): x for n, x in enumerate(read)}
        ways = is_loop(call.entry.class_name)
        inner = entry.config["layer"]["config"] if ways == 2 else entry.config
        if mask and (not ways or inner.get("return_sequences")):
            masks[call.name, 0] = mask
    if writer.unsupported:
        raise UnsupportedError("; ".join(writer.unsupported))
    names = [f"{call}.{n}".removesuffix(".0") for call, n in outputs]
    taken = [d["name"] for d in writer.inputs + writer.tensors]
    taken += [name for node in writer.nodes for name in node["output"]]
    if doubled := [name for name, count in Counter(taken).items() if count > 1]:
        raise UnsupportedError(f"{doubled[0]}, which is the name of two things")
    message = writer.model()  # whose last node makes one output "y", which may be an input's name
    message["graph"] |= {"node": message["graph"]["node"][:-1], "output": []}
    graph = Reader(Path(), encode("Model", message)).whole()
    ends = [name if name not in taken else f"{name}_out" for name in names]
    nodes = [Node(e, "Identity", (values[v],), (e,)) for e, v in zip(ends, outputs, strict=True)]
    return Graph((*graph.nodes, *nodes), graph.inputs, ends, graph.constants)


def _add_input(writer: Writer, call: Call, *, tokens: bool) -> str:
    config = call.entry.config
    shape = config.get("batch_shape") or config.get("batch_input_shape")
    if shape is None:
        writer.inputs.append({"name": call.name})
        return call.name
    axes = ["batch", *[n or f"axis{i}" for i, n in enumerate(shape[1:], 1)]]
    if len(shape) > 2 or tokens:
        axes[1:2] = ["time"]
    writer.inputs.append(writer.value(call.name, axes, tokens=tokens))
    return call.name


def _add(writer: Writer, call: Call, given: list[str], version: str, mask: str = "") -> list[str]:
    """Add the nodes of a layer, and return the names of what it gives."""
    entry, config = call.entry._replace(name=call.name), call.entry.config
    if entry.class_name == "TimeDistributed":
        entry = entry.layer_inside()
        call = call._replace(entry=entry)
        if not is_stepwise(config["layer"]):
            y = _add(writer, call, [join_steps(writer, given[0])], version)[0]
            return [take_steps_apart(writer, entry, y, given[0])]
    call = call._replace(entry=_of_function(entry, call.options))
    entry, kind = call.entry, call.entry.class_name
    if kind in OF_RECURRENCE:
        return _add_recurrent(writer, entry, given, version, mask)
    if joined := join(writer, call, given):
        return [joined]
    if len(given) != 1:
        writer.unsupported.append(f"{entry.name} ({kind}), which has {len(given)} inputs")
    elif kind in SLICES:
        return [slice_of(writer, call, given[0])]
    else:
        writer.x = given[0]
        _add_layer(writer, entry, version)
    return [writer.x]


def _of_function(entry: Entry, options: Mapping[str, Any]) -> Entry:
    """Return the layer that a function of TensorFlow is, or a layer itself with today's names."""
    if entry.class_name != "TFOpLambda":
        return entry.as_class(entry.class_name, entry.config)
    name = FUNCTIONS.get(entry.config["function"], entry.config["function"])
    kind = "Activation" if name.islower() and "." not in name else name
    return entry.as_class(kind, {"activation": name, "is_function": True, **options})


def _add_layer(writer: Writer, entry: Entry, version: str) -> None:
    """Add a layer of one input and one output."""
    config, activation = entry.config, entry.config.get("activation")
    if isinstance(activation, dict):
        activation = activation.get("config")
    after = entry.class_name in WINDOWS or (entry.class_name == "Dense" and activation == "gelu")
    if entry.class_name in WINDOWS:
        slide(writer, entry)
    elif entry.class_name == "Activation" and activation == "gelu":
        writer.x = writer.node("Gelu", [writer.x])
    elif not add_plain(writer, entry):
        plain = entry._replace(config={**config, "activation": None}) if after else entry
        _add_chain(writer, plain, version)
    if after and activation is not None:
        _add_layer(writer, entry.as_class("Activation", config)._replace(weights=[]), version)


def _add_chain(writer: Writer, entry: Entry, version: str, *, states: bool = False) -> None:
    """Add what is a layer of this package, or several ones."""
    chain = Chain(version, states=states)
    chain.add(entry)
    writer.unsupported += chain.unsupported
    if chain.masked:
        writer.unsupported.append(f"{entry.name}, whose mask a Graph does not have")
    if chain.unsupported:
        return
    writer.axes = ["batch", "time", 0]  # a Graph needs none of its outputs
    if entry.class_name == "Embedding":
        writer.x = writer.node("Cast", [writer.x], to=7)  # to int64
    for n, layer in enumerate(chain.layers):
        name, *constants = getattr(layer, "_spec", [""])
        if name == "silu":
            writer.x = writer.node("Mul", [writer.x, writer.node("Sigmoid", [writer.x])])
        elif name == "hard_tanh":
            writer.x = writer.node("Clip", [writer.x, *constants])
        elif isinstance(layer, Flip):
            writer.x = writer.node("Slice", [writer.x, [FAR], [-FAR], [1], [-1]])
        else:
            writer.layer(layer, f"{entry.name}.{n}")


def _add_recurrent(
    writer: Writer, entry: Entry, given: list[str], version: str, mask: str
) -> list[str]:
    """Add a recurrent layer. Its states are inputs and outputs, the forward direction's first."""
    ways = is_loop(entry.class_name)
    inner = entry.config["layer"]["config"] if ways == 2 else entry.config
    writer.x, *states = given or [""]
    count = len(states) // ways
    rows = [[writer.node("Unsqueeze", [s, [0]]) for s in states[n::count]] for n in range(count)]
    writer.initial = [r[0] if ways == 1 else writer.node("Concat", r, axis=0) for r in rows]
    writer.mask = writer.node("Transpose", [mask], perm=[1, 0]) if mask else ""
    before = len(writer.nodes)
    _add_chain(writer, entry, version, states=True)
    # The directions repeat other steps.
    if mask and ways == 2 and inner.get("return_sequences") and not Chain(version).repeats:
        writer.x = writer.node("Mul", [writer.x, ones_of(writer, mask)])
    writer.initial, writer.mask, found = [], "", [writer.x]
    if len(writer.nodes) == before:  # it has no counterpart
        return found
    if count * ways != len(states) or count not in (0, len(writer.final)):
        raise ValueError(f"{entry.name} has {len(states)} initial states")
    if inner.get("return_state"):
        for way in range(ways):
            found += [writer.node("Gather", [final, way], axis=0) for final in writer.final]
    return found
