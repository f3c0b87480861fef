"""Loop, Scan and sequences beside onnxruntime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from numpy_rnn.interchange import read
from numpy_rnn.interchange.contents import UnsupportedError
from numpy_rnn.interchange.graph import run as graph_run
from tests.interchange.onnx.nodes import onnxruntime_outputs

R = np.random.default_rng(0)
FLOAT, INT, BOOL = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL
MINUS = np.array([-1])
W, START = R.standard_normal((3, 3)).astype(np.float32), np.float32(0.5)


def value(name: str, kind: int = FLOAT, shape: Any = None) -> Any:
    return helper.make_tensor_value_info(name, kind, shape)


def body(nodes: list[Any], inputs: list[Any], outputs: list[Any], **constants: Any) -> Any:
    tensors = [onnx.numpy_helper.from_array(np.asarray(x), n) for n, x in constants.items()]
    return helper.make_graph(nodes, "body", inputs, outputs, tensors)


def compare(nodes: list[Any], inputs: dict[str, Any], outputs: list[Any], path: Path) -> Any:
    """Run a model twice for each size of the batch. Return it."""
    kinds = {"f": FLOAT, "i": INT, "b": BOOL}
    given = [value(n, kinds[x.dtype.kind], [None] * x.ndim) for n, x in inputs.items()]
    whole = body(
        nodes, given, outputs, W=W, zero=np.int64(0), two=np.int64(2), start=START, minus=MINUS
    )
    made = helper.make_model(whole, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path = path / "model.onnx"
    path.write_bytes(made.SerializeToString())
    ours = read(path).build()
    for k in range(4):
        arrays = {n: x[: 3 - k // 2] if x.ndim else x for n, x in inputs.items()}
        theirs = onnxruntime_outputs(path.read_bytes(), arrays)
        for a, b in zip(ours(*arrays.values()), theirs, strict=True):
            assert (a.dtype, a.shape) == (b.dtype, b.shape)
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
        inputs = {n: x + 1 if x.dtype.kind == "f" else x for n, x in inputs.items()}
    return ours


def node(op: str, inputs: str, outputs: str, **attributes: Any) -> Any:
    names = [name if name != "-" else "" for name in inputs.split()]
    return helper.make_node(op, names, outputs.split(), **attributes)


TURN = [
    node("MatMul", "h W", "a"),
    node("Cast", "turn", "t", to=FLOAT),
    node("Add", "a t", "b"),
    node("Tanh", "b", "h_out"),
    node("Mul", "h_out t", "part"),
]
STATE = [value("turn", INT, []), value("go", BOOL, []), value("h")]


def looped(condition: list[Any]) -> Any:
    outputs = [value("go_out", BOOL), value("h_out"), value("part")]
    return body([*TURN, *condition], STATE, outputs, limit=np.float32(2.2))


SAME = [node("Identity", "go", "go_out")]
SMALL = [
    node("Abs", "h_out", "s"),
    node("ReduceSum", "s", "sum", keepdims=0),
    node("Less", "sum limit", "go_out"),
]
X = R.standard_normal((3, 3)).astype(np.float32)
H, PART = value("H"), value("part_of_each", FLOAT, [None, None, None])


@pytest.mark.parametrize(
    ("reads", "condition"), [("n - x", SAME), ("n yes x", SMALL), ("- yes x", SMALL)]
)
def test_a_loop(reads: str, condition: list[Any], tmp_path: Path) -> None:
    """The number of turns is an input. So a plan is for one of them, or there is none."""
    loop = node("Loop", reads, "H part_of_each", body=looped(condition))
    inputs = {"x": X, "n": np.array(4), "yes": np.array(True)}
    inputs = {name: x for name, x in inputs.items() if name in reads.split()}
    compare([loop], inputs, [H, PART], tmp_path)


def test_a_loop_over_the_timesteps_collects_a_sequence(tmp_path: Path) -> None:
    kind = helper.make_sequence_type_proto(helper.make_tensor_type_proto(FLOAT, None))
    parts = [helper.make_value_info(name, kind) for name in ("parts", "parts_out")]
    insert = node("SequenceInsert", "parts h_out", "parts_out")
    outputs = [value("go_out", BOOL), value("h_out"), parts[1]]
    inner = body([*TURN, insert, *SAME], [*STATE, parts[0]], outputs)
    nodes = [
        node("Shape", "x", "shape"),
        node("Gather", "shape zero", "n"),
        node("SequenceEmpty", "", "none"),
        node("Loop", "n - x none", "H all", body=inner),
        node("ConcatFromSequence", "all", "stacked", axis=1, new_axis=1),
        node("SequenceAt", "all zero", "first"),
        node("SequenceLength", "all", "length"),
        node("SplitToSequence", "x two", "rows", axis=1),
        node("SplitToSequence", "x", "vectors", axis=0, keepdims=0),
        node("ConcatFromSequence", "rows", "again", axis=1),
        node("SequenceAt", "vectors zero", "vector"),
    ]
    names = ("H", "stacked", "first", "again", "vector")
    ours = compare(nodes, {"x": X}, [*map(value, names), value("length", INT)], tmp_path)
    assert len(ours._own.plans) == 2


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("backwards", [0, 1])
def test_a_scan(axis: int, backwards: int, tmp_path: Path) -> None:
    nodes = [
        node("Add", "h u", "a"),
        node("ReduceMax", "a", "h_out", keepdims=0),
        node("Mul", "a v", "part"),
    ]
    inner = body(nodes, [*map(value, "huv")], [value("h_out"), value("part")])
    scan = node(
        "Scan",
        "start x x",
        "H part_of_each",
        body=inner,
        num_scan_inputs=2,
        scan_input_axes=[axis, axis],
        scan_input_directions=[backwards, 0],
        scan_output_axes=[axis],
        scan_output_directions=[1 - backwards],
    )
    compare([scan], {"x": X}, [H, value("part_of_each", FLOAT, [None, None])], tmp_path)


def test_a_scan_of_a_vector(tmp_path: Path) -> None:
    """Its slices are scalars, which have to be those of each run."""
    nodes = [node("Add", "h u", "h_out"), node("Mul", "h_out u", "part")]
    inner = body(nodes, [value("h"), value("u")], [value("h_out"), value("part")])
    scan = node("Scan", "start v", "H part_of_each", body=inner, num_scan_inputs=1)
    vector = node("Reshape", "x minus", "v")
    compare([vector, scan], {"x": X}, [H, value("part_of_each", FLOAT, [None])], tmp_path)


def test_results_are_stacked_along_their_own_axes(tmp_path: Path) -> None:
    """Nothing of a turn is kept under the name of a node that is gone."""
    nodes = [node("Add", "h u", "h_out"), *[node("Identity", "h_out", f"p{n}") for n in range(6)]]
    names = [f"p{n}" for n in range(6)]
    inner = body(nodes, [value("h"), value("u")], [*map(value, ["h_out", *names])])
    scan = node("Scan", "row x", "H " + " ".join(names), body=inner, num_scan_inputs=1)
    axes = helper.make_attribute("scan_output_axes", [0, 1, 1, 0, 1, 0])
    scan.attribute.append(axes)
    shapes = [value(name, FLOAT, [None, None]) for name in names]
    first = node("Gather", "x zero", "row")
    compare([first, scan], {"x": X}, [H, *shapes], tmp_path)
    loop = node("Loop", "- yes x", "L part_of_each", body=looped(SMALL))
    inputs = {"x": X, "yes": np.array(True)}
    compare([first, loop, scan], inputs, [value("L"), PART, H, *shapes], tmp_path)


def test_a_loop_that_never_ends_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loop = node("Loop", "- - x", "H part_of_each", body=looped(SAME), name="endless")
    whole = body([loop], [value("x", FLOAT, [3, 3])], [H], W=W)
    path = tmp_path / "model.onnx"
    path.write_bytes(helper.make_model(whole).SerializeToString())
    monkeypatch.setattr(graph_run, "MAX_TURNS", 50)
    with pytest.raises(ValueError, match=r"node 'endless' \(Loop\): more than 50 turns"):
        read(path).build()(X)


def test_a_body_that_does_not_fit_is_named(tmp_path: Path) -> None:
    inner = looped(SAME)
    nodes = [
        node("Loop", "- - x x", "a b", body=inner, name="first"),
        node("Scan", "x", "c", body=inner, num_scan_inputs=3, name="second"),
        node("Scan", "x x x", "d", body=inner, name="third"),
        node("Loop", "- - x", "e f", name="fourth"),
    ]
    whole = body(nodes, [value("x", FLOAT, [3, 3])], [value(name) for name in "abcdef"], W=W)
    path = tmp_path / "model.onnx"
    path.write_bytes(helper.make_model(whole).SerializeToString())
    with pytest.raises(UnsupportedError) as raised:
        read(path).build()
    for name, reason in {
        "first": "3 inputs and 3 outputs",
        "second": "3 inputs and 3 outputs",
        "third": "attributes",
        "fourth": "attributes",
    }.items():
        line = next(line for line in str(raised.value).split("; ") if name in line)
        assert reason in line


def test_an_input_or_output_that_is_no_tensor_is_named(tmp_path: Path) -> None:
    kind = helper.make_sequence_type_proto(helper.make_tensor_type_proto(FLOAT, None))
    split = node("SplitToSequence", "x", "rows")
    whole = body([split], [value("x")], [helper.make_value_info("rows", kind)])
    path = tmp_path / "model.onnx"
    path.write_bytes(helper.make_model(whole).SerializeToString())
    with pytest.raises(UnsupportedError, match="'rows' is no tensor"):
        read(path).build()
