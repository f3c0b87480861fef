"""Graphs that are a chain of layers become one, and no others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from numpy_rnn.interchange import read
from numpy_rnn.interchange.graph.graph import Graph
from numpy_rnn.interchange.onnx.protobuf import (
    from_array,
)
from numpy_rnn.interchange.onnx.write import write
from numpy_rnn.layers import GRU, LastStep, Linear, Sequential
from tests.interchange.onnx.seeds import load, model, node


def recurrent_chain(**change: Any) -> bytes:
    """An RNN and its output, squeezed: a chain, unless something is changed."""
    r = np.random.default_rng(0)
    shapes = {"W": (1, 2, 2), "R": (1, 2, 2), "h": (1, 3, 2)}
    weights = [from_array(n, r.standard_normal(s).astype("f4")) for n, s in shapes.items()]
    nodes = [
        node("RNN", ["x", "W", "R", "", "", change.get("state", "")], ["Y", "Y_h"]),
        node("Squeeze", ["Y", "axes"][: change.get("axes", 2)], ["y"]),
        node("Relu", ["y"], ["z"]),
        node("Tanh", ["y"], ["t"]),
    ]
    weights.append(from_array("axes", np.array([1])))
    sizes = change.get("sizes", ("t", 3))
    dims = [{"dim_param": n} if n == "t" else {"dim_value": n} for n in (*sizes, 2)]
    value = {"name": "x", "type": {"tensor_type": {"elem_type": 1, "shape": {"dim": dims}}}}
    graph = {"node": nodes, "initializer": weights, "input": [value]}
    return model(graph | {"output": [{"name": n} for n in change.get("outputs", ["z"])]})


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({}, Sequential),
        ({"outputs": ["z", "Y_h"]}, Sequential),
        ({"state": "h"}, Graph),  # an initial state that is not zero
        ({"outputs": ["z", "y"]}, Graph),  # the layer's output is wanted too
        ({"outputs": ["z", "t"]}, Graph),  # two branches
        ({"sizes": (4, 1)}, Sequential),
        ({"sizes": (4, -1)}, Sequential),  # any batch size, as Paddle writes it
        ({"axes": 1}, Graph),  # which axes are removed depends on their sizes
        ({"sizes": (1, 1)}, Graph),  # the order of the axes cannot be told
    ],
)
def test_what_is_no_chain_of_layers_stays_a_graph(
    change: dict[str, Any], kind: Any, tmp_path: Path
) -> None:
    made = load(recurrent_chain(**change), tmp_path)
    assert type(made) is kind
    T, B = change.get("sizes", (4, 3))
    x = np.random.default_rng(1).standard_normal((T, max(B, 1), 2)).astype("f4")
    graph = read(tmp_path / "model.onnx").build(graph=True)
    ours = made.predict(x)[0] if kind is Sequential else made(x)[0]
    np.testing.assert_allclose(ours, graph(x)[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("op", "kind"), [("Identity", Sequential), ("Mul", Graph)])
def test_an_initial_state_may_only_be_moved(op: str, kind: Any, tmp_path: Path) -> None:
    made = onnx.load_from_string(recurrent_chain(state="s"))
    given = ["h0"] if op == "Identity" else ["h0", "h0"]
    made.graph.node.insert(0, helper.make_node(op, given, ["s"]))
    made.graph.input.append(helper.make_tensor_value_info("h0", TensorProto.FLOAT, [1, 3, 2]))
    assert type(load(made.SerializeToString(), tmp_path)) is kind


LAST = (1 << 63) - 1
WHOLE = [node("Shape", ["x"], ["s"]), node("Slice", ["s", "zero", "one"], ["t"])]


@pytest.mark.parametrize(
    ("nodes", "bound", "kind"),
    [
        ([node("Slice", ["x", "zero", "n", "zero"], ["c"])], LAST, Sequential),
        ([node("Slice", ["x", "zero", "n", "zero"], ["c"])], 7, Graph),
        ([node("Slice", ["x", "zero", "n", "zero"], ["c"])], 13, Graph),
        ([node("Slice", ["x", "zero", "n", "zero"], ["c"])], 1000, Graph),
        ([node("Slice", ["x", "n", "end", "zero"], ["c"])], -1000, Graph),
        ([node("Slice", ["x", "zero", "n", "two"], ["c"])], 50, Graph),  # features
        ([*WHOLE, node("Slice", ["x", "zero", "t", "zero"], ["c"])], 0, Graph),
        (
            [
                *WHOLE,
                node("Sub", ["t", "n"], ["b"]),
                node("Slice", ["x", "b", "end", "zero"], ["c"]),
            ],
            1000,
            Graph,
        ),
        ([node("Split", ["x", "halves"], ["c", "d"])], 0, Graph),
        (
            [
                *WHOLE,
                node("Equal", ["t", "n"], ["e"]),
                node("Where", ["e", "one", "end"], ["u"]),
                node("Slice", ["x", "zero", "u", "zero"], ["c"]),
            ],
            1000,
            Graph,
        ),
    ],
)
def test_what_a_longer_input_could_change_is_no_chain(
    nodes: list[Any], bound: int, kind: Any, tmp_path: Path
) -> None:
    """The small inputs that are tried have at most 13 steps."""
    constants = {"zero": [0], "one": [1], "two": [2], "n": [bound], "end": [LAST]}
    constants["halves"] = [1000, 1000]
    weights = [from_array(name, np.array(value)) for name, value in constants.items()]
    weights.append(from_array("w", np.ones((3, 2), np.float32)))
    dims: list[Any] = [{"dim_param": "t"}, {"dim_param": "b"}, {"dim_value": 3}]
    value = {"name": "x", "type": {"tensor_type": {"elem_type": 1, "shape": {"dim": dims}}}}
    graph = {"node": [*nodes, node("MatMul", ["c", "w"], ["y"])], "initializer": weights}
    made = load(model(graph | {"input": [value], "output": [{"name": "y"}]}), tmp_path)
    assert type(made) is kind


def test_the_last_of_one_step_is_a_last_step(tmp_path: Path) -> None:
    shared: Any = {"rng": 0, "dtype": np.float32}
    net = Sequential(GRU(3, 4, **shared), LastStep(), Linear(4, 2, **shared))
    write(net, tmp_path / "model.onnx")
    made = onnx.load(tmp_path / "model.onnx")
    made.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    read_again = load(made.SerializeToString(), tmp_path)
    assert [type(layer) for layer in read_again.layers.values()] == [GRU, LastStep, Linear]
