"""Read ONNX files. A chain of layers becomes a Sequential, every other network a Graph."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from numpy_rnn.functional.types import Array
from numpy_rnn.interchange.contents import Contents, UnsupportedError, read_bytes
from numpy_rnn.interchange.graph.graph import Graph
from numpy_rnn.interchange.graph.nodes import CALL, Node, Value
from numpy_rnn.interchange.onnx.chain import to_sequential
from numpy_rnn.interchange.onnx.integers import with_float_weights
from numpy_rnn.interchange.onnx.protobuf import BFLOAT16, FIELDS, Decoder, array_type, to_array
from numpy_rnn.parameters import check_dtype

LEAST_OPSET = 7  # before it, broadcasting was an attribute
MAX_CALLS = 64  # of functions inside each other
MAX_NODES = 1 << 14  # of the functions of all calls
# Activation to its parameters, in the order of `activation_params`.
PARAMETERS = {"LeakyRelu": ["alpha"], "HardSigmoid": ["alpha", "beta"], "Clip": ["min", "max"]}
Message = dict[str, Any]


def read(path: Path) -> Contents:
    """Read an ONNX file without building a model.

    ``build(graph=True)`` returns a Graph in any case, and
    ``build(dtype=...)`` chooses the dtype of a Sequential. It raises UnsupportedError with a line
    for every node that has no counterpart.
    """
    reader = Reader(path.parent, read_bytes(path))
    whole = reader.whole()

    def build(*, graph: bool = False, dtype: Any = None) -> Any:
        whole.check(reader.unsupported)
        chosen = None if dtype is None else check_dtype(dtype, "load: ")
        model = None if graph else to_sequential(whole, chosen)
        if model is None and chosen is not None:
            raise ValueError(f"dtype is {chosen}, expected none: a Graph computes in its file's")
        return model or whole

    settings = {
        "producer": reader.model["producer_name"],
        "opset": reader.opset,
        "inputs": {v.name: [str(v.dtype), v.shape and list(v.shape)] for v in whole.inputs},
        "outputs": list(whole.outputs),
    }
    lines = [
        *[f"input {v.name}: {v.dtype or 'any dtype'} {_shape(v.shape)}" for v in whole.inputs],
        *_lines(whole),
        *[f"output {name}" for name in whole.outputs],
    ]
    return Contents("onnx", reader.weights, lines, build, reader.notes, settings)


def _shape(shape: tuple[int | str | None, ...] | None) -> str:
    return "of any shape" if shape is None else f"({', '.join(str(n or '?') for n in shape)})"


def _lines(graph: Graph, indent: str = "") -> Iterator[str]:
    for node in graph.nodes:
        shapes = [str(graph.constants[n].shape) for n in node.inputs if n in graph.constants]
        yield " ".join([f"{indent}{node.op}", node.name, *shapes])
        for inner in node.graphs():
            yield from _lines(inner, indent + "  ")


def _key(message: Message, name: str) -> tuple[str, ...]:
    return message["domain"], message[name], message["overload"]


def _domain(name: str) -> str:
    return "" if name == "ai.onnx" else name


def _parts(node: Node) -> list[Node]:
    """Return what a node stands for: onnxruntime's optimiser adds activations to nodes."""
    options = dict(node.attributes)
    if node.op not in ("com.microsoft::FusedConv", "com.microsoft::FusedGemm"):
        return with_float_weights(_of_today(node))
    kind, given = options.pop("activation", ""), options.pop("activation_params", ())
    named = dict(zip(PARAMETERS.get(kind, ()), given, strict=False))
    named |= {k[11:]: options.pop(k) for k in [*options] if k.startswith("activation_")}
    between = (f"{node.outputs}, before {kind}",)
    first = node._replace(op=node.op[-4:], outputs=between, attributes=options)
    return [first, node._replace(op=kind, inputs=between, attributes=named)]


def _of_today(node: Node) -> Node:
    """Return a node with the attributes that old versions and the number of outputs imply."""
    given, implied = node.attributes, dict[str, Any]()
    if node.op == "Split":
        implied = {"num_outputs": len(node.outputs)}
    elif node.op in ("Softmax", "LogSoftmax") and node.opset < 13:
        implied = {"axis": 1, "joined": 1}
    elif node.op in ("Resize", "Upsample") and node.opset < 11 and len(node.inputs) == 2:
        implied = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
        x, scales = node.inputs
        node = node._replace(op="Resize", inputs=(x, "", scales), opset=13)
    return node._replace(attributes={**implied, **given})


class Reader:
    """The bytes of a file as a Graph. `own` are the attributes of the function that it is in."""

    def __init__(self, folder: Path, data: bytes) -> None:
        self.folder, self.model = folder, Decoder().read(memoryview(data), "Model")
        self.unsupported: list[str] = []
        self.notes: list[str] = []
        self.weights: dict[str, Array] = {}
        self.functions = {_key(f, "name"): f for f in self.model["functions"]}
        self.calls: tuple[Any, ...] = ()  # the functions around a node
        self.called = 0  # nodes of all calls
        given = [entry for f in self.model["functions"] for entry in f["opset_import"]]
        imported = [*given, *self.model["opset_import"]]
        opsets = {_domain(entry["domain"]): entry["version"] for entry in imported}
        self.opset = opsets.get("", LEAST_OPSET)
        if self.opset < LEAST_OPSET:
            self.unsupported.append(f"opset {self.opset}, expected at least {LEAST_OPSET}")
        others = {e["version"] for e in given if not _domain(e["domain"])} - {self.opset}
        self.unsupported += [f"functions of opset {n}, expected {self.opset}" for n in others]

    def whole(self) -> Graph:
        """Return the file's graph."""
        message = self.model["graph"]
        if message is None:
            raise ValueError("it has no graph")
        for v in message["input"] + message["output"]:
            if v["type"] is not None and v["type"]["tensor_type"] is None:
                self.unsupported.append(f"{v['name']!r} is no tensor")
        return self._closed(message, {})

    def _closed(self, message: Message, own: Mapping[str, Any]) -> Graph:
        """Return a graph that is in no other one."""
        graph = self.graph(message, own)
        graph.check_values()
        return graph

    def graph(self, message: Message, own: Mapping[str, Any]) -> Graph:
        """Return a graph. Its constant nodes are constants."""
        constants = {t["name"]: self._tensor(t, t["name"]) for t in message["initializer"]}
        self.weights |= constants
        if message["sparse_initializer"]:
            raise UnsupportedError(f"{len(message['sparse_initializer'])} sparse constants")
        nodes: list[Node] = []
        for n, node in enumerate(message["node"]):
            ends = tuple(node["input"]), tuple(node["output"])
            name, key = node["name"] or "".join(ends[1][:1]) or f"#{n}", _key(node, "op_type")
            op = "::".join(filter(None, [_domain(node["domain"]), node["op_type"]]))
            attributes = self._attributes(node["attribute"], name, own)
            if key in self.functions:
                nodes.append(Node(name, CALL, *ends, {"body": self._body(key, name, attributes)}))
            elif op == "Constant" and len(ends[1]) == len(attributes) == 1:
                constants[ends[1][0]] = self._constant(ends[1][0], *attributes.items())
            else:
                nodes += _parts(Node(name, op, *ends, attributes, self.opset))
            if op == "com.microsoft::DynamicQuantizeLSTM":
                self.notes.append(f"{name} is int8, read as float32")
        inputs = [self._value(v) for v in message["input"] if v["name"] not in constants]
        return Graph(nodes, inputs, [v["name"] for v in message["output"]], constants)

    def _body(self, key: tuple[str, ...], name: str, given: Mapping[str, Any]) -> Graph:
        """Return a function as a graph, for a call with these attributes."""
        function, around = self.functions[key], self.calls
        if key in around:
            raise ValueError(f"its function {key[1]!r} calls itself")
        self.calls, self.called = (*around, key), self.called + len(function["node"])
        if len(self.calls) > MAX_CALLS or self.called > MAX_NODES:
            most = f"{MAX_NODES} nodes or {MAX_CALLS} calls inside each other"
            raise ValueError(f"its functions have more than {most}")
        own = {**self._attributes(function["attribute_proto"], name, {}), **given}
        ends = {n: [{"name": v, "type": None} for v in function[n]] for n in ("input", "output")}
        none: Message = {"initializer": [], "sparse_initializer": []}
        body = self._closed(none | ends | {"node": function["node"]}, own)
        self.calls = around
        return body

    def _constant(self, name: str, attribute: tuple[str, Any]) -> Array:
        kind, value = attribute
        array = np.asarray(value, {"value_float": "f4", "value_floats": "f4"}.get(kind))
        if array.ndim > 1 and array.dtype.kind == "f":  # as in the branches of some exporters
            self.weights[name] = array
        return array

    def _tensor(self, tensor: dict[str, Any], name: str) -> Array:
        try:
            array = to_array(tensor, self.folder)
        except UnsupportedError as error:
            self.unsupported.append(f"constant {name!r}: {error}")
            return np.zeros(())
        except ValueError as error:
            raise ValueError(f"constant {name!r}: {error}") from None
        if tensor["data_type"] in (10, BFLOAT16):
            self.notes.append(f"{name} is {'float16' if array.dtype == 'f2' else 'bfloat16'}")
        return array

    def _attributes(
        self, messages: list[Message], node: str, own: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Return attributes by name. Those of a function that the call leaves out are left out."""
        found = {}
        for message in messages:
            if not message["ref_attr_name"]:
                found[message["name"]] = self._attribute(message, node, own)
            elif message["ref_attr_name"] in own:
                found[message["name"]] = own[message["ref_attr_name"]]
        return found

    def _attribute(self, attribute: Message, node: str, own: Mapping[str, Any]) -> Any:
        name, kind = attribute["name"], attribute["type"]
        if kind not in FIELDS:
            self.unsupported.append(f"node {node!r}: attribute {name!r} of type {kind}")
            return None
        value = attribute[FIELDS[kind]]
        if value is None:
            raise ValueError(f"node {node!r}: attribute {name!r} has no value")
        if kind == 4:
            return self._tensor(value, f"{node}.{name}")
        if kind == 5:
            return self.graph(value, own)
        return tuple(value.tolist()) if kind in (6, 7) else tuple(value) if kind == 8 else value

    def _value(self, message: dict[str, Any]) -> Value:
        tensor = (message["type"] or {}).get("tensor_type")
        if not tensor:
            return Value(message["name"])
        shape = None
        if tensor["shape"] is not None:
            dims = tensor["shape"]["dim"]  # some programs write -1 for any size
            shape = tuple(d["dim_param"] or max(d["dim_value"], 0) or None for d in dims)
        try:
            return Value(message["name"], array_type(tensor["elem_type"]), shape)
        except UnsupportedError as error:
            self.unsupported.append(f"input {message['name']!r}: {error}")
            return Value(message["name"])
