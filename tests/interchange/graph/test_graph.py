"""Graphs: nodes in order, branches, threads, and messages."""

from __future__ import annotations

import copy
import pickle
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from numpy_rnn.interchange import read
from numpy_rnn.interchange.contents import UnsupportedError
from numpy_rnn.interchange.graph.graph import Graph
from numpy_rnn.interchange.graph.nodes import Node, Value
from tests.interchange.onnx.seeds import branch

X = np.arange(6.0).reshape(3, 2)
SHAPE = np.array([3, 2])


def chain() -> Graph:
    """``y = (x + shape of x) w``, and x itself."""
    nodes = [
        Node("shape", "Shape", ("x",), ("s",)),
        Node("cast", "Cast", ("s",), ("f",), {"to": 11}),
        Node("add", "Add", ("x", "f"), ("a",)),
        Node("matmul", "MatMul", ("a", "w"), ("y",)),
        Node("same", "Identity", ("x",), ("z",)),
        Node("unused", "Relu", ("a",), ("u",)),
    ]
    return Graph(nodes, ["x"], ["y", "z"], {"w": np.eye(2) * 2})


def test_arrays_give_a_tuple_and_a_dict_gives_a_dict() -> None:
    graph = chain()
    y, z = graph(X)
    np.testing.assert_array_equal(y, (X + SHAPE) * 2)
    assert all(np.array_equal(a, b) for a, b in zip(graph.predict(X), (y, z), strict=True))
    named = graph({"x": X})
    np.testing.assert_array_equal(named["y"], y)
    np.testing.assert_array_equal(named["z"], z)


def test_what_depends_on_constants_alone_is_computed_once() -> None:
    nodes = [
        Node("twice", "Add", ("w", "w"), ("v",)),
        Node("square", "Mul", ("v", "v"), ("u",)),
        Node("add", "Add", ("x", "u"), ("y",)),
    ]
    graph = Graph(nodes, ["x"], ["y", "v"], {"w": np.ones(2)})
    for _ in range(2):
        y, v = graph(X)
        np.testing.assert_array_equal(y, X + 4)
        v[...] = -1
    ((_, steps, _),) = graph._own.plans.values()
    assert [node.name for node, _ in steps] == ["add"]


def test_shapes_may_change_from_call_to_call() -> None:
    graph = chain()
    for rows in [*range(1, 12), 1, 5]:
        x = np.ones((rows, 2))
        np.testing.assert_array_equal(graph(x)[0], (x + x.shape) * 2)
    assert len(graph._own.plans) == 8


def test_values_are_dropped_after_their_last_use() -> None:
    nodes = [Node(f"n{n}", "Add", (f"v{n}", f"v{n}"), (f"v{n + 1}",)) for n in range(20)]
    graph = Graph(nodes, ["v0"], ["v20"])
    x = np.ones(1 << 16)
    tracemalloc.start()
    try:
        np.testing.assert_array_equal(graph(x)[0], x * 2**20)
        assert tracemalloc.get_traced_memory()[1] < 6 * x.nbytes
    finally:
        tracemalloc.stop()


def test_outputs_are_not_the_inputs_and_inputs_stay() -> None:
    graph, x = chain(), X.copy()
    for _ in range(2):
        y, z = graph(x)
        y[...] = z[...] = -1
        np.testing.assert_array_equal(x, X)
        np.testing.assert_array_equal(graph.constants["w"], np.eye(2) * 2)
    np.testing.assert_array_equal(graph(x)[0], (X + SHAPE) * 2)


def test_constants_that_are_outputs_are_copies() -> None:
    graph = Graph([], ["x"], ["w"], {"w": np.ones(2)})
    for _ in range(3):
        (w,) = graph(X)
        assert w.tolist() == [1, 1]
        w[...] = 5


def test_a_shape_that_numbers_decide_is_not_kept() -> None:
    nodes = [
        Node("reshape", "Reshape", ("x", "s"), ("a",)),
        Node("unsqueeze", "Unsqueeze", ("a", "zero"), ("b",)),
        Node("shape", "Shape", ("b",), ("y",)),
        Node("cut", "Slice", ("b", "zero", "minus", "one"), ("z",)),
    ]
    constants = {"zero": np.array([0]), "one": np.array([1]), "minus": np.array([-1])}
    graph = Graph(nodes, ["x", "s"], ["y", "z"], constants)
    for rows in (3, 2, 6, 1):
        shape, cut = graph(X, np.array([rows, 6 // rows]))
        assert shape.tolist() == [1, rows, 6 // rows]
        np.testing.assert_array_equal(cut, X.reshape(1, rows, -1)[:, :-1])


def test_a_branch_by_numbers_is_chosen_at_each_call(tmp_path: Path) -> None:
    path = tmp_path / "branch.onnx"
    path.write_bytes(branch())
    graph, x = read(path).build(), np.full((3, 2), 4, np.float32)
    for flag in (True, False, False, True):
        expected = x + 1 if flag else x * [1, 2]
        np.testing.assert_array_equal(graph(x, np.array(flag))[0], expected)


def test_branches_of_different_shapes_are_run_again() -> None:
    """One branch gives a value of the graph around it, which must stay as it is."""
    same = Graph([Node("same", "Identity", ("a",), ("b",))], [], ["b"])
    rows = Graph([Node("rows", "ReduceSum", ("a",), ("b",), {"axes": (0,)})], [], ["b"])
    two = Graph([Node("two", "Add", ("a", "a"), ("b",))], [], ["b"])
    for other, expected in ((rows, (2 * X).sum(0, keepdims=True)), (two, 4 * X)):
        branches = {"then_branch": same, "else_branch": other}
        nodes = [
            Node("twice", "Add", ("x", "x"), ("a",)),
            Node("if", "If", ("flag",), ("c",), branches),
            Node("shape", "Shape", ("c",), ("s",)),
        ]
        graph = Graph(nodes, ["x", "flag"], ["a", "c", "s"])
        for flag in (True, False, False, True, True, False):
            a, c, s = graph(X, np.array(flag))
            np.testing.assert_array_equal(a, 2 * X)
            np.testing.assert_array_equal(c, 2 * X if flag else expected)
            assert s.tolist() == list(c.shape)


@pytest.mark.parametrize("by", ["If", "Loop"])
def test_what_follows_a_chosen_constant_is_no_constant(by: str) -> None:
    """A branch or a body gives a constant. What is computed from it is not kept for another one."""
    one, two = (Graph([], [], ["o"], {"o": np.array([n])}) for n in (1.0, 2.0))
    inputs = ("turn", "go", "carried")
    body = Graph([], inputs, ["go", "o"], {"o": np.array([1.0])})
    chosen = {
        "If": Node("if", "If", ("n",), ("y",), {"then_branch": one, "else_branch": two}),
        "Loop": Node("loop", "Loop", ("n", "", "two"), ("y",), {"body": body}),
    }
    follows = Node("negative", "Neg", ("y",), ("z",))
    graph = Graph([chosen[by], follows], ["n"], ["z"], {"two": np.array([2.0])})
    for n in (1, 0, 0, 1):
        for flag in (np.array(n), np.array([n])):
            assert graph(flag)[0].tolist() == [-1.0 if n else -2.0]


def test_a_whole_scalar_chooses_the_plan_and_a_real_one_does_not() -> None:
    graph = Graph([Node("scale", "Mul", ("x", "k"), ("y",))], ["x", "k"], ["y"])
    for k, plans in ((1.5, 1), (2.5, 1), (2, 2), (3, 3), (2, 3), (3.5, 3)):
        np.testing.assert_array_equal(graph(X, np.array(k))[0], X * k)
        assert len(graph._own.plans) == plans


@pytest.mark.parametrize("op", ["LSTM", "Conv"])
def test_weights_that_are_inputs_may_change(op: str) -> None:
    r = np.random.default_rng(0)
    shapes = ((1, 16, 3), (1, 16, 4)) if op == "LSTM" else ((4, 3, 2),)
    names = ("W", "R")[: len(shapes)]
    graph = Graph([Node("node", op, ("x", *names), ("y",))], ["x", *names], ["y"])
    x = r.standard_normal((2, 3, 3))
    for _ in range(3):
        weights = [r.standard_normal(shape) for shape in shapes]
        fresh = Graph(graph.nodes, ["x"], ["y"], dict(zip(names, weights, strict=True)))
        np.testing.assert_array_equal(graph(x, *weights)[0], fresh(x)[0])


def test_a_large_graph_keeps_no_plan() -> None:
    graph = Graph([Node("a", "Add", ("x", "x"), ("y",))], ["x"], ["y"])
    for _ in range(2):
        np.testing.assert_array_equal(graph(np.ones(1 << 18))[0], np.full(1 << 18, 2))
    assert not graph._own.plans


def test_threads_do_not_disturb_each_other() -> None:
    r = np.random.default_rng(0)
    weights = {"W": r.standard_normal((1, 16, 3)), "R": r.standard_normal((1, 16, 4))}
    node = Node("lstm", "LSTM", ("x", "W", "R"), ("y",))
    graph = Graph([node], ["x"], ["y"], weights)
    inputs = [r.standard_normal((1, 2, 3)) for _ in range(8)]
    expected = [graph(x)[0] for x in inputs]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(20):
            for ours, right in zip(pool.map(graph, inputs), expected, strict=True):
                np.testing.assert_array_equal(ours[0], right)


def test_a_copy_and_a_pickle_run() -> None:
    graph = chain()
    expected = graph(X)
    for again in (pickle.loads(pickle.dumps(graph)), copy.deepcopy(graph)):  # noqa: S301 (its own)
        np.testing.assert_array_equal(again(X)[0], expected[0])


@pytest.mark.parametrize(
    ("inputs", "reason"),
    [
        ((), "there are 0 inputs"),
        ((X, X), "there are 2 inputs"),
        (({"z": X},), r"inputs are \['z'\]"),
        ((np.ones((2, 5)),), r"node 'add' \(Add\)"),
    ],
)
def test_wrong_inputs_are_named(inputs: Any, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        chain()(*inputs)


def test_wrong_shapes_and_dtypes_are_named() -> None:
    value = Value("x", np.dtype("f4"), (None, "n", 2))
    graph = Graph([Node("relu", "Relu", ("x",), ("y",))], [value], ["y"])
    assert graph(np.ones((1, 5, 2)))[0].dtype == np.float32
    with pytest.raises(ValueError, match=r"'x' has shape \(1, 5, 3\), expected"):
        graph(np.ones((1, 5, 3)))
    with pytest.raises(TypeError, match="'x' has dtype complex128, expected float32"):
        graph(np.ones((1, 5, 2), complex))


def test_a_node_that_fails_is_named() -> None:
    nodes = [Node("take", "Gather", ("w", "x"), ("y",))]
    graph = Graph(nodes, ["x"], ["y"], {"w": np.arange(3)})
    assert graph(np.array([2]))[0].tolist() == [2]
    for _ in range(2):
        with pytest.raises(ValueError, match=r"node 'take' \(Gather\): .*out of bounds"):
            graph(np.array([3]))


def test_what_cannot_run_is_refused_at_once() -> None:
    graph = Graph([Node("a", "Nothing", ("x",), ("y",))], ["x"], ["y"])
    with pytest.raises(UnsupportedError, match=r"node 'a' \(Nothing\)"):
        graph(X)
    with pytest.raises(ValueError, match="'q' is read"):
        Graph([Node("a", "Relu", ("q",), ("y",))], ["x"], ["y"])(X)


def test_predict_returns_one_output_by_itself() -> None:
    graph = Graph([Node("double", "Add", ("x", "x"), ("y",))], ["x"], ["y"])
    np.testing.assert_array_equal(graph.predict(X), 2 * X)


@pytest.mark.parametrize(
    ("op", "options", "mean", "deviation"),
    [
        ("RandomNormal", {"shape": (100, 100), "mean": 2.0, "scale": 3.0}, 2, 3),
        ("RandomUniform", {"shape": (100, 100), "low": -2.0, "high": 4.0}, 1, 3**0.5),
        ("RandomNormalLike", {"dtype": 1, "scale": 0.5}, 0, 0.5),
        ("RandomUniformLike", {}, 0.5, 12**-0.5),
        ("Multinomial", {"sample_size": 2}, 0.75, 3**0.5 / 4),
    ],
)
def test_random_numbers_differ_in_each_run(
    op: str, options: dict[str, Any], mean: float, deviation: float
) -> None:
    inputs = () if "shape" in options else ("x",)
    graph = Graph([Node("random", op, inputs, ("y",), options, opset=17)], ["x"], ["y"])
    x = np.zeros((100, 100)) if op != "Multinomial" else np.log(np.full((5000, 2), [1.0, 3]))
    first, second = graph(x)[0], graph(x)[0]
    assert (first != second).any()
    assert first.shape == second.shape == ((5000, 2) if op == "Multinomial" else (100, 100))
    dtypes = {"Multinomial": np.int32, "RandomUniformLike": np.float64}
    assert first.dtype == second.dtype == dtypes.get(op, np.float32)
    for y in (first, second):
        assert abs(y.mean() - mean) < 0.05 * deviation
        assert abs(y.std() - deviation) < 0.05 * deviation
