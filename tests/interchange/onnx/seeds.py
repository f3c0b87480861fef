"""Small ONNX files, made by code, for tests of damage and for the fuzz target."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from numpy_rnn.interchange import read
from numpy_rnn.interchange.onnx.protobuf import encode, from_array
from numpy_rnn.interchange.onnx.write import write
from numpy_rnn.layers import GRU, LSTM, RNN, Embedding, LastStep, Linear, Sequential


@cache
def seeds() -> tuple[bytes, ...]:
    """Files of every kind of message: chains of layers, graphs with inner ones, int8 weights."""
    shared: Any = {"dtype": np.float32, "rng": 0}
    models = [
        Sequential(Embedding(5, 3, **shared), LSTM(3, 2, bidirectional=True, **shared)),
        Sequential(GRU(3, 2, batch_first=True, **shared), LastStep(True), Linear(2, 2, **shared)),
        RNN(2, 2, 2, "relu", **shared),
    ]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "seed.onnx")
        written = []
        for n, model in enumerate(models):
            write(model, path, states=n == 2)
            written.append(path.read_bytes())
    return (*written, branch(), loop(), int8(), function())


def function() -> bytes:
    """A call of a function that has an attribute."""
    body = node("Elu", ["a"], ["b"], {"name": "alpha", "ref_attr_name": "slope", "type": 1})
    own = {"name": "Own", "domain": "own", "input": ["a"], "output": ["b"], "node": [body]}
    slope = {"name": "slope", "f": 0.5, "type": 1}
    nodes = [node("Own", ["x"], ["y"], slope) | {"domain": "own"}]
    graph = {"node": nodes, "input": [{"name": "x"}], "output": [{"name": "y"}]}
    return model(graph) + encode("Model", {"functions": [own]})


def loop() -> bytes:
    """A graph that doubles its input three times and stacks the results."""
    names = ("turn", "go", "x")
    body = {"node": [node("Add", ["x", "x"], ["y"]), node("Identity", ["y"], ["z"])]}
    inner = body | {"input": [{"name": name} for name in names]}
    inner |= {"output": [{"name": name} for name in ("go", "y", "z")]}
    attribute = {"name": "body", "g": inner, "type": 5}
    nodes = [node("Loop", ["n", "", "x"], ["y", "z"], attribute)]
    weights = [from_array("n", np.array(3))]
    outputs = [{"name": name} for name in "yz"]
    return model(
        {"node": nodes, "initializer": weights, "input": [{"name": "x"}], "output": outputs}
    )


def int8() -> bytes:
    """An LSTM and a product of int8 weights."""
    arrays: dict[str, Any] = {
        "w": np.ones((1, 2, 8), np.int8),
        "s": np.ones(1, np.float32),
        "z": np.zeros(1, "i1"),
    }
    names = ["x", "w", "w", "", "", "", "", "", *"szsz"]
    size = {"name": "hidden_size", "i": 2, "type": 2}
    domain = {"domain": "com.microsoft"}
    nodes = [
        node("DynamicQuantizeLSTM", names, ["y"], size) | domain,
        node("MatMulInteger", ["q", "w", "", "z"], ["g"]),
    ]
    weights = [from_array(name, array) for name, array in arrays.items()]
    graph = {"node": nodes, "initializer": weights, "input": [{"name": name} for name in "xq"]}
    return model(graph | {"output": [{"name": name} for name in "yg"]})


def branch(external: str = "") -> bytes:
    """A graph whose branch depends on its input: ``y = x + w if flag else x * v``."""
    weights: list[dict[str, Any]] = [from_array("w", np.ones(2, np.float32))]
    if external:
        entries = {"location": external, "offset": "0", "length": "8"}
        data = [{"key": key, "value": value} for key, value in entries.items()]
        weights[0].pop("raw_data")
        weights[0] |= {"external_data": data, "data_location": 1}
    typed = {"dims": [2], "data_type": 10, "name": "v", "int32_data": [0x3C00, 0x4000]}
    branches = []
    for number, (op, name) in enumerate((("Add", "w"), ("Mul", "v"))):
        inner: dict[str, Any] = {"node": [node(op, ["x", name], ["z"])], "output": [{"name": "z"}]}
        if name == "v":
            inner["initializer"] = [typed]
            inner["node"].insert(0, node("Cast", ["v"], ["u"], {"name": "to", "i": 1, "type": 2}))
            inner["node"][1]["input"] = ["x", "u"]
        attribute = ("then_branch", "else_branch")[number]
        branches.append({"name": attribute, "g": inner, "type": 5})
    values: list[dict[str, Any]] = []
    for name, kind, dims in (("x", 1, [{"dim_param": "n"}, {"dim_value": 2}]), ("flag", 9, [])):
        tensor = {"elem_type": kind, "shape": {"dim": dims}}
        values.append({"name": name, "type": {"tensor_type": tensor}})
    graph: dict[str, Any] = {
        "node": [node("If", ["flag"], ["y"], *branches)],
        "initializer": weights,
    }
    graph |= {"input": values, "output": [{"name": "y"}]}
    return model(graph)


def model(graph: dict[str, Any], opset: int = 17) -> bytes:
    """A file of a graph message."""
    fields = {"ir_version": 8, "graph": graph, "opset_import": [{"domain": "", "version": opset}]}
    return encode("Model", fields)


def node(op: str, inputs: list[str], outputs: list[str], *attributes: Any) -> dict[str, Any]:
    """A node message."""
    return {"op_type": op, "input": inputs, "output": outputs, "attribute": attributes}


def load(data: bytes, folder: Path) -> Any:
    """Return the model of a file with this content."""
    path = folder / "model.onnx"
    path.write_bytes(data)
    return read(path).build()
