"""ONNX files: every encoding of a tensor, damage, data outside the file, and what is refused."""

from __future__ import annotations

import os
import time
import tracemalloc
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from numpy_rnn import interchange
from numpy_rnn.interchange import read
from numpy_rnn.interchange.contents import UnsupportedError
from numpy_rnn.interchange.graph.graph import Graph
from numpy_rnn.interchange.onnx.protobuf import (
    DTYPES,
    MAX_FIELDS,
    Decoder,
    encode,
    from_array,
    to_array,
)
from numpy_rnn.layers import Sequential
from numpy_rnn.reading import DamagedFileError
from tests.interchange.onnx.seeds import branch, model, node, seeds


def load(data: bytes, folder: Path) -> Any:
    path = folder / "model.onnx"
    path.write_bytes(data)
    return read(path).build()


def refusal(data: bytes, folder: Path) -> str:
    with pytest.raises(DamagedFileError) as raised:
        load(data, folder)
    assert "\n" not in str(raised.value)
    return str(raised.value)


@pytest.mark.parametrize("number", sorted(DTYPES))
@pytest.mark.parametrize("raw", [True, False])
def test_every_encoding_of_a_tensor(number: int, raw: bool) -> None:
    exact = np.array([[0, 1, 1], [0, 1, 1]]) if number == 9 else np.arange(6).reshape(2, 3)
    if number in (3, 5, 6, 7):
        exact = exact - 3
    if number in (1, 10, 11, 16):
        exact = exact / 4 - 0.5
    dtype = helper.tensor_dtype_to_np_dtype(number)
    if raw:
        tensor = helper.make_tensor("t", number, [2, 3], exact.astype(dtype).tobytes(), raw=True)
    else:
        tensor = helper.make_tensor("t", number, [2, 3], exact.astype(dtype).ravel())
    message = Decoder().read(memoryview(tensor.SerializeToString()), "Tensor")
    np.testing.assert_array_equal(to_array(message, Path()), exact)


def test_large_and_negative_integers_survive() -> None:
    values = np.array([0, -1, 127, 128, 2**62, -(2**63), 2**63 - 1])
    tensor = helper.make_tensor("t", TensorProto.INT64, [7], values)
    message = Decoder().read(memoryview(tensor.SerializeToString()), "Tensor")
    np.testing.assert_array_equal(to_array(message, Path()), values)
    again = Decoder().read(memoryview(encode("Tensor", message | {"name": "u"})), "Tensor")
    np.testing.assert_array_equal(again["int64_data"], values)


def test_what_is_written_is_what_the_onnx_package_reads() -> None:
    for data in seeds():
        made = onnx.load_from_string(data)
        assert made.SerializeToString(deterministic=True) != b""
        assert len(made.graph.node) > 0
        ours = Decoder().read(memoryview(data), "Model")["graph"]["node"]
        assert [n["op_type"] for n in ours] == [n.op_type for n in made.graph.node]


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


@pytest.mark.parametrize(
    ("message", "values"),
    [
        ("Graph", {"node": [{}] * 4000}),
        ("Node", {"attribute": [{}] * 4000}),
        ("Graph", {"initializer": [{}] * 4000}),
        ("Graph", {"initializer": [{"dims": [1], "float_data": [1.0]}] * 2000}),
        ("Node", {"input": ["long enough to be a string of its own"] * 20000}),
        ("Attribute", {"ints": [1] * 20000}),
    ],
)
def test_small_messages_take_little_memory(message: str, values: dict[str, Any]) -> None:
    """As many fields as are allowed, which is more than here, take at most 64 MB."""
    data, decoder = memoryview(encode(message, values)), Decoder()
    tracemalloc.start()
    try:
        read = decoder.read(data, message)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert all(len(read[name]) == len(value) for name, value in values.items())
    assert peak / decoder.fields * MAX_FIELDS < 4 * len(data) + (64 << 20)


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
