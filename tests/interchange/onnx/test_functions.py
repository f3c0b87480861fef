"""Functions of a file's own, beside onnxruntime."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from numpy_rnn.interchange import UnsupportedError, load
from numpy_rnn.reading import DamagedFileError
from tests.interchange.onnx.nodes import difference, onnxruntime_outputs

R = np.random.default_rng(0)
OPSETS = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]


def node(op: str, inputs: str, outputs: str, **options: Any) -> Any:
    """A node; the name of a function has a capital letter too, and its domain is `own`."""
    domain = "own" if op in ("Head", "Twice", "Cell", "Chosen") else ""
    return helper.make_node(op, inputs.split(","), outputs.split(","), domain=domain, **options)


def function(name: str, inputs: str, nodes: list[Any], opsets: Any = OPSETS, **more: Any) -> Any:
    return helper.make_function("own", name, inputs.split(","), ["y"], nodes, opsets, **more)


def given(name: str, own: str, kind: Any) -> Any:
    """A node's attribute that is an attribute of the function."""
    attribute = onnx.AttributeProto()
    attribute.name, attribute.ref_attr_name, attribute.type = name, own, kind
    return attribute


def slope() -> Any:
    leaky = node("LeakyRelu", "t", "y")
    leaky.attribute.append(given("alpha", "slope", onnx.AttributeProto.FLOAT))
    default = helper.make_attribute("slope", 0.25)
    nodes = [node("MatMul", "x,w", "t"), leaky]
    return function("Head", "x,w", nodes, attribute_protos=[default])


def branch(op: str) -> Any:
    value = helper.make_tensor_value_info("o", TensorProto.FLOAT, None)
    return helper.make_graph([node("Head", "x,w", "t"), node(op, "t", "o")], op, [], [value])


FUNCTIONS = {
    "Head": slope(),
    "Twice": function(
        "Twice", "x,w", [node("Head", "x,w", "t", slope=0.5), node("Head", "t,w", "y")]
    ),
    "Cell": function(
        "Cell",
        "x,w",
        [
            node("Unsqueeze", "w,axis", "W"),
            node("RNN", "x,W,W", "Y,h", hidden_size=3),
            node("Squeeze", "h,axis", "y"),
        ],
    ),
    "Chosen": function(
        "Chosen",
        "x,w",
        [
            node("ReduceSum", "x", "s", keepdims=0),
            node("Cast", "s", "c", to=TensorProto.BOOL),
            node("If", "c", "y", then_branch=branch("Tanh"), else_branch=branch("Neg")),
        ],
    ),
}
FUNCTIONS["Cell"].node.insert(0, helper.make_node("Constant", [], ["axis"], value_ints=[0]))


def model(nodes: list[Any], functions: list[Any]) -> bytes:
    values = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["T", "B", 3])
    result = helper.make_empty_tensor_value_info("y")
    weights = onnx.numpy_helper.from_array(R.standard_normal((3, 3)).astype("f4"), "w")
    graph = helper.make_graph(nodes, "graph", [values], [result], [weights])
    made = helper.make_model(graph, opset_imports=OPSETS, functions=functions, ir_version=8)
    data: bytes = made.SerializeToString()
    return data


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_call_equals_onnxruntime(name: str, tmp_path: Path) -> None:
    """Each is called twice, so values inside must not be mistaken for each other."""
    nodes = [node(name, "x,w", "a"), node("Add", "a,x", "t"), node(name, "t,w", "y")]
    data = model(nodes, [*FUNCTIONS.values()])
    (tmp_path / "model.onnx").write_bytes(data)
    x = R.standard_normal((4, 2, 3)).astype(np.float32)
    theirs = onnxruntime_outputs(data, {"x": x})
    assert difference(load(tmp_path / "model.onnx", graph=True)(x), theirs) < 1e-5


@pytest.mark.parametrize(
    ("body", "error", "reason"),
    [
        ([node("Head", "x,w", "t"), node("Head", "t,w", "y")], DamagedFileError, "calls itself"),
        ([node("Relu", "q", "y")], DamagedFileError, "value 'q' is read"),
    ],
)
def test_a_bad_function_is_refused(body: Any, error: Any, reason: str, tmp_path: Path) -> None:
    data = model([node("Head", "x,w", "y")], [function("Head", "x,w", body)])
    (tmp_path / "model.onnx").write_bytes(data)
    with pytest.raises(error, match=reason):
        load(tmp_path / "model.onnx")


def test_functions_that_double_each_other_are_bounded(tmp_path: Path) -> None:
    names = ["Head", *(f"f{n}" for n in range(40))]
    doubled = [
        helper.make_function(
            "own",
            b,
            ["x"],
            ["y"],
            [
                helper.make_node(a, ["x"], ["t"], domain="own"),
                helper.make_node(a, ["t"], ["y"], domain="own"),
            ],
            OPSETS,
        )
        for a, b in pairwise(names)
    ]
    call = helper.make_node("f39", ["x"], ["y"], domain="own")
    (tmp_path / "model.onnx").write_bytes(model([call], doubled))
    with pytest.raises(DamagedFileError, match="its functions have more than"):
        load(tmp_path / "model.onnx")


def test_a_function_of_another_opset_is_named(tmp_path: Path) -> None:
    own = function("Head", "x,w", [node("MatMul", "x,w", "y")], [helper.make_opsetid("", 9)])
    (tmp_path / "model.onnx").write_bytes(model([node("Head", "x,w", "y")], [own]))
    with pytest.raises(UnsupportedError, match="functions of opset 9, expected 17"):
        load(tmp_path / "model.onnx")


def test_a_model_of_calls_alone_has_the_opset_of_its_functions(tmp_path: Path) -> None:
    softmax = function("Head", "x", [node("Softmax", "x", "y")])
    data = onnx.load_from_string(model([node("Head", "x", "y")], [softmax]))
    del data.opset_import[0]
    (tmp_path / "model.onnx").write_bytes(data.SerializeToString())
    y = load(tmp_path / "model.onnx").predict(np.ones((2, 3, 3), np.float32))
    np.testing.assert_allclose(y, 1 / 3, rtol=1e-6)
