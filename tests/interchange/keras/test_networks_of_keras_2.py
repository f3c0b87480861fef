"""Networks of Keras 2 that are more than a list of layers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from numpy_rnn.functional.types import Array
from numpy_rnn.interchange import UnsupportedError, load, read
from numpy_rnn.reading import DamagedFileError
from tests.interchange.keras.by_hand import (
    X,
    lstm,
    weights,
)
from tests.interchange.keras.files import (
    START,
    Layers,
    encoder_and_decoder,
    functional,
    legacy,
    lstm_and_dense,
    nodes,
    two_inputs,
)


def repeated(y: Array, steps: int) -> Array:
    return np.repeat(y[:, -1:], steps, axis=1)


@pytest.mark.parametrize("version", ["2.2.4", "2.4.0"])
def test_an_autoencoder_of_keras_2(version: str, tmp_path: Path) -> None:
    (W, U, b), (V, R, d) = weights((2, 12), (3, 12), (12,)), weights((3, 8), (2, 8), (8,))
    names = "kernel", "recurrent_kernel", "bias"
    shape = {"batch_input_shape": [None, 6, 2]}
    steps = {"return_sequences": True, "recurrent_activation": "sigmoid"}
    first, second = (dict(zip(names, w, strict=True)) for w in ((W, U, b), (V, R, d)))
    layers: Layers = [
        ("encoder", "LSTM", steps | {"return_sequences": False} | shape, first),
        ("repeat", "RepeatVector", {"n": 6}, {}),
        ("drop", "Dropout", {"rate": 0.5}, {}),
        ("decoder", "LSTM", steps, second),
        ("end", "Activation", {"activation": "tanh"}, {}),
    ]
    (tmp_path / "m.h5").write_bytes(legacy(layers, version))
    (y,) = load(tmp_path / "m.h5")(X)
    expected = np.tanh(lstm(repeated(lstm(X, W, U, b), 6), V, R, d))
    np.testing.assert_allclose(y, expected, atol=1e-12)


def test_a_functional_model_of_keras_2(tmp_path: Path) -> None:
    W, U, b = weights((2, 12), (3, 12), (12,))
    K, c = weights((5, 2), (2,))
    arrays = {"kernel": W, "recurrent_kernel": U, "bias": b}
    (tmp_path / "m.h5").write_bytes(two_inputs(arrays, {"kernel": K, "bias": c}))
    static = X[:, 0]
    z = np.hstack([lstm(X, W, U, b)[:, -1], static]) @ K + c
    e = np.exp(z - z.max(axis=1, keepdims=True))
    (y,) = load(tmp_path / "m.h5")(X, static)
    np.testing.assert_allclose(y, e / e.sum(axis=1, keepdims=True), atol=1e-12)


@pytest.mark.parametrize("keyword", [True, False])
def test_an_encoder_inside_a_model_gives_its_state(keyword: bool, tmp_path: Path) -> None:
    names = "kernel", "recurrent_kernel", "bias"
    first, second = (
        weights((2, 12), (3, 12), (12,)),
        [2 * w for w in weights((2, 12), (3, 12), (12,))],
    )
    arrays = [dict(zip(names, w, strict=True)) for w in (first, second)]
    (tmp_path / "m.h5").write_bytes(encoder_and_decoder(*arrays, keyword=keyword))
    words, state = X[:, :3] + 1, list[Array]()
    lstm(X, first[0], first[1], first[2], state=state)
    lines = read(tmp_path / "m.h5").architecture
    assert "decoder of words, inside/encoder#1.1, inside/encoder#1.2: LSTM" in lines[-1]
    (y,) = load(tmp_path / "m.h5")(X, words)
    np.testing.assert_allclose(
        y, lstm(words, second[0], second[1], second[2], state=state), atol=1e-12
    )


def test_functions_of_tensorflow_are_layers(tmp_path: Path) -> None:
    """As TensorFlow 2 writes ``tf.reduce_sum(tf.tanh(x) * tf.nn.softmax(x, axis=1), axis=1)``."""

    def call(short: str, function: str, *given: str, **options: Any) -> Any:
        node = [given[0], 0, 0, options | ({"y": [given[1], 0, 0]} if given[1:] else {})]
        return (short, "TFOpLambda", {"function": function}, [node])

    parts = [
        ("x", "InputLayer", {"batch_input_shape": [None, None, 2]}, []),
        call("tanh", "math.tanh", "x"),
        call("weights", "nn.softmax", "x", axis=1),
        call("product", "math.multiply", "tanh", "weights", name=None),
        call("sum", "math.reduce_sum", "product", axis=1),
        (
            "last",
            "SlicingOpLambda",
            {"function": "__operators__.getitem"},
            [["x", 0, 0, {"slice_spec": [{"start": None, "stop": None, "step": None}, -1]}]],
        ),
    ]
    dense = {"kernel": np.eye(2), "bias": np.zeros(2)}
    parts.append(("dense", "Dense", {"activation": "linear"}, nodes("sum")))
    (tmp_path / "m.h5").write_bytes(functional(parts, ["dense", "last"], {"dense": dense}))
    e = np.exp(X)
    y = load(tmp_path / "m.h5")({"x": X})
    np.testing.assert_allclose(y["dense"], (np.tanh(X) * e / e.sum(1, keepdims=True)).sum(1))
    np.testing.assert_array_equal(y["last"], X[:, -1])
    constant = ["_CONSTANT_VALUE", -1, 2.0, {"y": ["x", 0, 0]}]
    parts.insert(2, ("less", "TFOpLambda", {"function": "math.subtract"}, [constant]))
    parts.insert(3, call("half", "math.multiply", "less", y=0.5))
    (tmp_path / "m.h5").write_bytes(functional(parts, ["dense", "last", "half"], {"dense": dense}))
    np.testing.assert_allclose(load(tmp_path / "m.h5")({"x": X})["half"], 1 - X / 2)
    parts.insert(2, call("all", "math.reduce_sum", "x"))  # of the batch, too
    (tmp_path / "m.h5").write_bytes(functional(parts, ["dense", "all"], {"dense": dense}))
    np.testing.assert_allclose(load(tmp_path / "m.h5")({"x": X})["all"], X.sum())
    parts.insert(2, call("odd", "math.cumsum", "x"))
    (tmp_path / "m.h5").write_bytes(
        functional(parts, ["dense", "last", "half", "odd"], {"dense": dense})
    )
    with pytest.raises(UnsupportedError, match=r"odd \(math.cumsum\)"):
        load(tmp_path / "m.h5")


def test_a_sum_of_keras_2_adds_axes_after_the_first_one(tmp_path: Path) -> None:
    """With as many steps as rows, NumPy's rules would add other numbers."""
    names, x = ("kernel", "recurrent_kernel", "bias"), X[:, :2]
    first = weights((2, 8), (2, 8), (8,))
    start = {"batch_input_shape": [None, None, 2]}
    parts: Any = [
        ("x", "InputLayer", start, []),
        ("lstm", "LSTM", {}, nodes("x")),
        ("sum", "Add", {}, nodes("x", "lstm")),
    ]
    arrays = {"lstm": dict(zip(names, first, strict=True))}
    expected = x + lstm(x, first[0], first[1], first[2])[:, -1:]
    for config in (start, {}):  # whether the file tells the number of axes, or not
        parts[0] = ("x", "InputLayer", config, [])
        (tmp_path / "m.h5").write_bytes(functional(parts, ["sum"], arrays))
        y = load(tmp_path / "m.h5")({"x": x})["sum"]
        np.testing.assert_allclose(y, expected, atol=1e-12)


def test_inputs_may_have_any_names(tmp_path: Path) -> None:
    parts: Any = [(n, "InputLayer", {"batch_input_shape": [None, 2]}, []) for n in ("x", "y")]
    parts.append(("dot", "Dot", {"axes": 1}, nodes("x", "y")))
    (tmp_path / "m.h5").write_bytes(functional(parts, ["dot"], {}))
    (z,) = load(tmp_path / "m.h5")(X[:, 0], X[:, 1])
    np.testing.assert_allclose(z, (X[:, 0] * X[:, 1]).sum(1, keepdims=True))


def test_an_input_with_the_name_of_a_node(tmp_path: Path) -> None:
    start = {"batch_input_shape": [None, None, 2]}
    parts: Any = [("sum.x", "InputLayer", start, []), ("sum", "Add", {}, nodes("sum.x", "sum.x"))]
    kernel = {"kernel_size": [1], "padding": "valid"}
    parts.append(("conv", "Conv1D", kernel, nodes("sum")))
    for name in ("x", "conv.y"):
        parts[0], parts[1] = (name, *parts[0][1:]), (*parts[1][:3], nodes(name, name))
        arrays = {"conv": {"kernel": np.eye(2)[None]}}
        (tmp_path / "m.h5").write_bytes(functional(parts, ["conv"], arrays))
        if name == "x":
            np.testing.assert_allclose(load(tmp_path / "m.h5")(X)[0], 2 * X, atol=1e-6)
    with pytest.raises(UnsupportedError, match=r"conv.y, which is the name of two things"):
        load(tmp_path / "m.h5")


def test_causal_attention_of_keras_2_is_refused(tmp_path: Path) -> None:
    start = {"batch_input_shape": [None, None, 2]}
    for causal in (False, True):
        parts: Any = [
            ("x", "InputLayer", start, []),
            ("look", "Attention", {"causal": causal}, nodes("x", "x")),
        ]
        (tmp_path / "m.h5").write_bytes(functional(parts, ["look"], {}))
        if not causal:
            load(tmp_path / "m.h5")
    with pytest.raises(UnsupportedError, match=r"look \(Attention\) with causal"):
        load(tmp_path / "m.h5")


def test_a_layer_of_a_graph_with_time_first_is_refused(tmp_path: Path) -> None:
    parts: Any = [
        ("x", "InputLayer", {"batch_input_shape": [None, None, 2]}, []),
        ("lstm", "LSTM", {"time_major": True, "return_state": True}, nodes("x")),
    ]
    arrays = {"lstm": lstm_and_dense()[0][3]}
    (tmp_path / "m.h5").write_bytes(functional(parts, ["lstm"], arrays))
    with pytest.raises(UnsupportedError, match=r"lstm \(LSTM\) with time_major"):
        load(tmp_path / "m.h5")


def test_masks_of_keras_2_that_keras_3_drops_are_refused(tmp_path: Path) -> None:
    start = {"batch_input_shape": [None, None, 2]}
    parts: Any = [
        ("x", "InputLayer", start, []),
        ("masked", "Masking", {}, nodes("x")),
        ("sum", "Add", {}, nodes("masked", "x")),
        ("pool", "GlobalMaxPooling1D", {}, nodes("masked")),
    ]
    (tmp_path / "m.h5").write_bytes(functional(parts, ["sum", "pool"], {}))
    with pytest.raises(UnsupportedError, match=r"sum, whose mask.*; pool, whose mask"):
        load(tmp_path / "m.h5")


def test_a_mask_of_keras_2_follows_the_values(tmp_path: Path) -> None:
    """Its config does not name masks. A masked step carries the state on."""
    names, rng = ("kernel", "recurrent_kernel", "bias"), np.random.default_rng(3)
    first, table = weights((2, 12), (3, 12), (12,)), rng.standard_normal((5, 2))
    tokens = {"batch_input_shape": [None, None], "dtype": "int32"}
    parts: Any = [
        ("words", "InputLayer", tokens, []),
        ("table", "Embedding", {"mask_zero": True}, nodes("words")),
        ("drop", "Dropout", {}, nodes("table")),
        ("lstm", "LSTM", {"return_state": True}, nodes("drop")),
        ("twice", "Add", {}, nodes("lstm", "lstm")),
    ]
    arrays = {"lstm": dict(zip(names, first, strict=True)), "table": {"embeddings": table}}
    (tmp_path / "m.h5").write_bytes(functional(parts, ["lstm", "twice"], arrays))
    y = load(tmp_path / "m.h5")({"words": np.array([[0, 3, 0, 2, 0]])})["lstm"]
    expected = lstm(table[[[3, 2]]], first[0], first[1], first[2])[:, -1]
    np.testing.assert_allclose(y, expected, atol=1e-12)


def test_a_layer_that_reads_itself(tmp_path: Path) -> None:
    parts: Any = [
        ("steps", "InputLayer", {"batch_input_shape": [None, None, 2]}, []),
        ("sum", "Add", {}, nodes("steps", "more")),
        ("more", "Activation", {"activation": "tanh"}, nodes("sum")),
    ]
    (tmp_path / "m.h5").write_bytes(functional(parts, ["more"], {}))
    with pytest.raises(DamagedFileError, match="reads its own output"):
        load(tmp_path / "m.h5")


def test_models_inside_models_do_not_multiply_without_end(tmp_path: Path) -> None:
    """Each of 40 models calls the one inside it twice."""
    start = {"name": "a", "class_name": "InputLayer", "config": {}, "inbound_nodes": []}
    inner: Any = {"class_name": "Activation", "config": {"activation": "tanh"}}
    for _ in range(40):
        inner |= {"name": "b", "inbound_nodes": [*nodes("a"), *nodes("b")]}
        ends = {"input_layers": [["a", 0, 0]], "output_layers": [["b", 1, 0]]}
        inner = {"class_name": "Functional", "config": {"layers": [start, inner]} | ends}
    parts: Any = [
        ("steps", "InputLayer", {"batch_input_shape": [None, None, 2]}, []),
        ("whole", "Functional", inner["config"], nodes("steps")),
    ]
    (tmp_path / "m.h5").write_bytes(functional(parts, ["whole"], {}))
    with pytest.raises(DamagedFileError, match="calls of layers, expected at most"):
        load(tmp_path / "m.h5")


def test_config_gives_a_class_of_ones_own_a_counterpart(tmp_path: Path) -> None:
    first = lstm_and_dense()[0][3]
    parts: list[tuple[str, str, Any, list[Any]]] = [
        ("steps", "InputLayer", START | {"batch_input_shape": [None, None, 1, 2]}, []),
        ("squeeze", "SqueezeLayer", {"axis": 2}, nodes("steps")),
        ("lstm", "LSTM", {"return_sequences": True}, nodes("squeeze")),
        ("sum", "Concatenate", {}, nodes("squeeze", "lstm")),
    ]
    (tmp_path / "m.h5").write_bytes(functional(parts, ["sum"], {"lstm": first}))
    own = r"squeeze \(SqueezeLayer\); expected an ONNX file .* config="
    with pytest.raises(UnsupportedError, match=own):
        load(tmp_path / "m.h5")
    reshape = {"class_name": "Reshape", "target_shape": [-1, 2]}
    (y,) = load(tmp_path / "m.h5", config={"squeeze": reshape})(X[:, :, None])
    h = lstm(X, first["kernel"], first["recurrent_kernel"], first["bias"])
    np.testing.assert_allclose(y, np.concatenate([X, h], axis=2), atol=1e-6)
