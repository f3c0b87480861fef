"""ONNX files: damage, data outside the file, the order of nodes, and what is refused."""

from __future__ import annotations

import os
import time
import tracemalloc
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import helper

from numpy_rnn import interchange
from numpy_rnn.interchange import read
from numpy_rnn.interchange.contents import UnsupportedError
from numpy_rnn.interchange.graph.graph import Graph
from numpy_rnn.interchange.onnx.protobuf import (
    MAX_FIELDS,
    encode,
    from_array,
)
from numpy_rnn.reading import DamagedFileError
from tests.interchange.onnx.seeds import branch, load, model, node, seeds


def refusal(data: bytes, folder: Path) -> str:
    with pytest.raises(DamagedFileError) as raised:
        load(data, folder)
    assert "\n" not in str(raised.value)
    return str(raised.value)


@pytest.mark.parametrize("seed", range(len(seeds())))
def test_a_damaged_file_is_refused_or_read(seed: int, tmp_path: Path) -> None:
    whole, rng, refused = seeds()[seed], np.random.default_rng(0), 0
    cut = [whole[: n * len(whole) // 40] for n in range(40)]
    for _ in range(120):
        data = bytearray(whole)
        for _ in range(rng.integers(1, 5)):
            data[rng.integers(len(data))] = rng.integers(256)
        cut.append(bytes(data))
    for damaged in cut:
        begin = time.process_time()
        try:
            load(damaged, tmp_path)
        except (DamagedFileError, UnsupportedError):
            refused += 1
        assert time.process_time() - begin < 1
    assert refused > 40


@pytest.mark.parametrize(
    ("where", "reason"),
    [
        ("../weights", "inside the folder"),
        ("a/../../weights", "inside the folder"),
        ("/etc/hostname", "inside the folder"),
        ("c:\\weights", "inside the folder"),
        ("link", "inside the folder"),
        ("missing", "its numbers are in 'missing', expected that file beside it"),
        ("pipe", "its numbers are in 'pipe', expected that file beside it"),
        ("short", "has 4 bytes"),
    ],
)
def test_external_data_stays_in_the_folder(where: str, reason: str, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "weights").write_bytes(bytes(8))
    (folder / "short").write_bytes(bytes(4))
    (folder / "link").symlink_to(tmp_path / "weights")
    os.mkfifo(folder / "pipe")
    with pytest.raises((UnsupportedError, ValueError)) as raised:
        load(branch(where), folder)
    assert reason in str(raised.value)


def test_a_graph_takes_no_dtype(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(constant())
    with pytest.raises(ValueError, match="dtype is float64, expected none: a Graph computes in"):
        interchange.load(tmp_path / "m.onnx", dtype="float64")
    with pytest.raises(ValueError, match="dtype is float16, expected one of float32, float64"):
        interchange.load(tmp_path / "m.onnx", dtype="float16")
    with pytest.raises(TypeError, match=r"m.onnx': option 'layers', expected graph, dtype"):
        interchange.load(tmp_path / "m.onnx", layers=["x"])


def test_external_data_is_read(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "weights").write_bytes(np.array([5, 7], "<f4").tobytes())
    graph = load(branch("sub/weights"), tmp_path)
    (y,) = graph(np.zeros((1, 2), np.float32), np.array(True))
    np.testing.assert_array_equal(y, [[5, 7]])


def constant(**fields: Any) -> bytes:
    tensor = from_array("w", np.zeros(4, np.float32)) | fields
    graph = {"node": [node("Identity", ["w"], ["y"])], "initializer": [tensor]}
    return model(graph | {"output": [{"name": "y"}]})


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (constant(dims=[1 << 40]), "raw_data has 16 bytes"),
        (constant(dims=[-4]), "shape (-4,)"),
        (constant(dims=[1 << 62, 1 << 62]), "shape"),
        (constant(raw_data=b"", float_data=[1.0]), "has 1 numbers"),
        (model({"node": [node("Relu", ["x"], ["y"])]}), "'x' is read"),
        (model({"node": [], "output": [{"name": "y"}]}), "'y' is read"),
        (encode("Model", {"ir_version": 8, "producer_name": "a"}), "no graph"),
        (b"\x08\x08\x12" + b"\xff" * 11, "longer than 10 bytes"),
        (b"\x08\x08" + b"\x12\x00" * (MAX_FIELDS + 1), "fields"),
    ],
)
def test_a_wrong_file_is_refused_with_the_reason(data: bytes, reason: str, tmp_path: Path) -> None:
    assert reason in refusal(data, tmp_path)


@pytest.mark.parametrize("inside", [False, True])
def test_nodes_may_be_in_any_order(inside: bool, tmp_path: Path) -> None:
    """onnxruntime's converter to float16 appends the nodes that it inserts."""
    nodes = [node("Add", ["b", "x"], ["y"]), node("Neg", ["a"], ["b"]), node("Exp", ["x"], ["a"])]
    graph = {"node": nodes, "output": [{"name": "y"}]}
    if inside:
        names = ("then_branch", "else_branch")
        branches = [{"name": name, "g": graph, "type": 5} for name in names]
        graph = graph | {"node": [node("If", ["f"], ["y"], *branches)]}
    made = load(model(graph | {"input": [{"name": "x"}, {"name": "f"}]}), tmp_path)
    np.testing.assert_allclose(made(np.ones(2), np.array(True))[0], 1 - np.e)
    assert "two nodes make the value 'y'" in refusal(model({"node": [*nodes, nodes[0]]}), tmp_path)
    nodes[2]["input"] = ["y"]
    cyclic = refusal(model({"node": nodes, "output": [{"name": "y"}]}), tmp_path)
    assert any(f"the value {name!r} depends on itself" in cyclic for name in "yba")


def test_nesting_is_bounded(tmp_path: Path) -> None:
    graph: dict[str, Any] = {"node": []}
    for _ in range(100):
        attribute = {"name": "body", "g": graph, "type": 5}
        graph = {"node": [node("Loop", [], [], attribute)]}
    assert "nested deeper" in refusal(model(graph), tmp_path)


def test_a_small_file_cannot_ask_for_much(tmp_path: Path) -> None:
    """The chain is looked for by a trace, which must not compute what a stranger asks for."""
    weights = [from_array("n", np.array([1 << 20, 1 << 20])), from_array("e", np.ones(1, "f4"))]
    dims = [{"dim_param": "t"}, {"dim_param": "b"}, {"dim_value": 1}]
    value = {"name": "x", "type": {"tensor_type": {"elem_type": 1, "shape": {"dim": dims}}}}
    axis = {"name": "axis", "i": 0, "type": 2}
    values = ["x", *[f"y{n}" for n in range(25)], "y"]
    doubled = [node("Concat", [a, a], [b], axis) for a, b in pairwise(values)]
    for nodes in (
        [node("ConstantOfShape", ["n"], ["z"]), node("Add", ["x", "z"], ["y"])],
        [node("Expand", ["e", "n"], ["z"]), node("Add", ["x", "z"], ["y"])],
        doubled,
    ):
        graph = {"node": nodes, "initializer": weights, "input": [value]}
        tracemalloc.start()
        try:
            made = load(model(graph | {"output": [{"name": "y"}]}), tmp_path)
            assert isinstance(made, Graph)
            assert tracemalloc.get_traced_memory()[1] < 64 << 20
        finally:
            tracemalloc.stop()


@pytest.mark.parametrize("op", ["SequenceMap", "DeformConv", "DynamicQuantizeLSTM"])
def test_an_operator_that_is_missing_is_one_line(op: str, tmp_path: Path) -> None:
    body = {"node": [node("Relu", ["i"], ["o"])], "input": [{"name": "i"}]}
    inside = {"name": "body", "type": 5, "g": body | {"output": [{"name": "o"}]}}
    attributes = [inside] if op == "SequenceMap" else []
    domain = {"domain": "com.microsoft"} if op.startswith("Dynamic") else {}
    bad = node(op, ["x", "x"], ["y"], *attributes) | {"name": "bad"} | domain
    graph = {"node": [bad], "input": [{"name": "x"}], "output": [{"name": "y"}]}
    path = tmp_path / "model.onnx"
    path.write_bytes(model(graph))
    with pytest.raises(UnsupportedError) as raised:
        interchange.load(path)
    named = f"com.microsoft::{op}" if domain else op
    expected = f"node 'bad' ({named}): there is no such operator here"
    assert str(raised.value) == f"{str(path)!r}: {expected}"


def test_sparse_constants_are_named(tmp_path: Path) -> None:
    nodes = [node("Add", ["x", "w"], ["y"])]
    graph: dict[str, Any] = {"node": nodes, "input": [{"name": "x"}]}
    graph |= {"output": [{"name": "y"}], "sparse_initializer": [b""]}
    with pytest.raises(UnsupportedError, match="1 sparse constants"):
        load(model(graph), tmp_path)


def test_unsupported_types_are_named(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match=r"'w'.*element type 8"):
        load(constant(data_type=8), tmp_path)


def test_the_format_is_recognised_by_content(tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(seeds()[0])
    assert interchange.read(path).format == "onnx"
    for other in (b"PK\x03\x04", b"text"):
        path.write_bytes(other)
        with pytest.raises(DamagedFileError, match="none of the known formats"):
            interchange.read(path)


def test_contents_describe_the_file(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(branch())
    contents = read(path)
    assert contents.arrays["w"].tolist() == [1, 1]
    first, second, *nodes, last = contents.architecture
    assert (first, last) == ("input x: float32 (n, 2)", "output y")
    assert second.startswith("input ")
    assert [line.split()[0] for line in nodes] == ["If", "Add", "Cast", "Mul"]
    assert contents.notes == ["v is float16"]
    assert contents.settings["inputs"]["x"] == ["float32", ["n", 2]]


def test_weights_in_branches_are_weights(tmp_path: Path) -> None:
    constant = helper.make_node(
        "Constant", [], ["w"], value=helper.make_tensor("", 1, [2, 1], [1, 2])
    )
    nodes = [constant, helper.make_node("MatMul", ["x", "w"], ["z"])]
    end = helper.make_tensor_value_info("z", 1, None)
    inner = [helper.make_graph(nodes, name, [], [end]) for name in "ab"]
    choice = helper.make_node("If", ["c"], ["y"], then_branch=inner[0], else_branch=inner[1])
    given = [helper.make_tensor_value_info("x", 1, None), helper.make_tensor_value_info("c", 9, [])]
    graph = helper.make_graph([choice], "g", given, [helper.make_tensor_value_info("y", 1, None)])
    (tmp_path / "m.onnx").write_bytes(helper.make_model(graph).SerializeToString())
    assert interchange.read(tmp_path / "m.onnx").arrays["w"].tolist() == [[1], [2]]
