"""Files of Keras 1 and 2, weights without a config, and files that are damaged or hostile."""

from __future__ import annotations

import struct
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from numpy_rnn import GRU, LSTM, IndRNN, Linear, Sequential
from numpy_rnn.functional.types import Array
from numpy_rnn.interchange import UnsupportedError, load, read, save
from numpy_rnn.interchange.graph.graph import Graph
from numpy_rnn.reading import DamagedFileError
from tests.interchange.keras.files import (
    Layers,
    encoder_and_decoder,
    functional,
    legacy,
    lstm_and_dense,
    nodes,
    seeds,
    two_inputs,
)

pytestmark = pytest.mark.filterwarnings("ignore:.*does not tell layers")
SEEDS = seeds()
X = np.random.default_rng(1).standard_normal((2, 6, 2))


def sigmoid(z: Array) -> Array:
    return 1 / (1 + np.exp(-z))


def hard(slope: float) -> Callable[[Array], Array]:
    return lambda z: np.clip(slope * z + 0.5, 0, 1)


def lstm(
    x: Array,
    W: Array,
    U: Array,
    b: Array,
    gate: Callable[[Array], Array] = sigmoid,
    state: list[Array] | None = None,
) -> Array:
    """Return the outputs of Keras's LSTM, from its documentation: gates i, f, c, o.

    The last state is left in `state`.
    """
    h, c = state or [np.zeros((len(x), len(U)))] * 2
    outputs = []
    for t in range(x.shape[1]):
        i, f, g, o = np.split(x[:, t] @ W + h @ U + b, 4, axis=1)
        c = gate(f) * c + gate(i) * np.tanh(g)
        h = gate(o) * np.tanh(c)
        outputs.append(h)
    if state is not None:
        state[:] = h, c
    return np.stack(outputs, axis=1)


def gru_reset_before(
    x: Array, W: Array, U: Array, b: Array, gate: Callable[[Array], Array]
) -> Array:
    """Return the outputs of Keras 1's GRU: z, r, h, the reset gate before the product."""
    H = len(U)
    h = np.zeros((len(x), H))
    outputs = []
    for t in range(x.shape[1]):
        a = x[:, t] @ W + b
        z, r = gate(a[:, :H] + h @ U[:, :H]), gate(a[:, H : 2 * H] + h @ U[:, H : 2 * H])
        h = z * h + (1 - z) * np.tanh(a[:, 2 * H :] + (r * h) @ U[:, 2 * H :])
        outputs.append(h)
    return np.stack(outputs, axis=1)


def run(path: Path, content: bytes, **options: Any) -> Array:
    path.write_bytes(content)
    y = load(path, **options).predict(X)
    return np.asarray(y[0] if isinstance(y, tuple) else y)


def weights(*shapes: tuple[int, ...]) -> list[Array]:
    rng = np.random.default_rng(2)
    return [rng.standard_normal(shape) for shape in shapes]


def one(kind: str, config: dict[str, Any], arrays: dict[str, Array]) -> Layers:
    return [("layer_1", kind, {"return_sequences": True, **config}, arrays)]


def test_lstm_of_keras_1_has_twelve_arrays(tmp_path: Path) -> None:
    W, U, b = weights((2, 12), (3, 12), (12,))
    parts = {"W": W, "U": U, "b": b}
    arrays = {
        f"{name}_{gate}": np.split(parts[name], 4, axis=-1)["ifco".index(gate)]
        for gate in "icfo"  # the order in which Keras 1 has them
        for name in "WUb"
    }
    config = {"inner_activation": "hard_sigmoid", "output_dim": 3}
    y = run(tmp_path / "m.h5", legacy(one("LSTM", config, arrays), "1.2.2"))
    np.testing.assert_allclose(y, lstm(X, W, U, b, hard(0.2)), atol=1e-12)


@pytest.mark.parametrize("version", ["1.2.2", "2.0.6"])
def test_old_gru_applies_the_reset_gate_before(version: str, tmp_path: Path) -> None:
    W, U, b = weights((2, 9), (3, 9), (9,))
    arrays = {"kernel": W, "recurrent_kernel": U, "bias": b}
    if version[0] == "1":
        parts = {"W": W, "U": U, "b": b}
        arrays = {
            f"layer_1_{name}_{gate}": np.split(parts[name], 3, axis=-1)["zrh".index(gate)]
            for gate in "zrh"
            for name in "WUb"
        }
    expected = gru_reset_before(X, W, U, b, hard(0.2))
    for config in (True, False):  # hard_sigmoid is the default of these versions
        y = run(tmp_path / "m.h5", legacy(one("GRU", {}, arrays), version, config=config))
        np.testing.assert_allclose(y, expected, atol=1e-12)


@pytest.mark.parametrize(
    ("version", "slope"), [("2.15.0", 0.2), ("2.2.4-tf", 0.2), ("3.4.1", 1 / 6)]
)
def test_hard_sigmoid_is_that_of_the_version(version: str, slope: float, tmp_path: Path) -> None:
    W, U, b = weights((2, 12), (3, 12), (12,))
    arrays = {"kernel": W, "recurrent_kernel": U, "bias": b}
    config = {"recurrent_activation": "hard_sigmoid"}
    y = run(tmp_path / "m.h5", legacy(one("LSTM", config, arrays), version))
    np.testing.assert_allclose(y, lstm(X, W, U, b, hard(slope)), atol=1e-12)


@pytest.mark.parametrize("config", [True, False])
def test_weights_of_cudnn_s_layers(config: bool, tmp_path: Path) -> None:
    W, U, b = weights((2, 12), (3, 12), (24,))
    # cuDNN's layers hold each gate's matrix transposed, in the shape of Keras's, and two biases.
    flat = [
        np.hstack([k.T.reshape(k.shape) for k in np.split(matrix, 4, axis=1)]) for matrix in (W, U)
    ]
    arrays = {"kernel": flat[0], "recurrent_kernel": flat[1], "bias": b}
    y = run(tmp_path / "m.h5", legacy(one("CuDNNLSTM", {}, arrays), "2.1.5", config=config))
    np.testing.assert_allclose(y, lstm(X, W, U, b[:12] + b[12:]), atol=1e-12)


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
    assert "decoder of words, inside/encoder#0.1, inside/encoder#0.2: LSTM" in lines[-1]
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
    (tmp_path / "m.h5").write_bytes(functional(parts, ["sum"], arrays))
    y = load(tmp_path / "m.h5")({"x": x})["sum"]
    np.testing.assert_allclose(y, x + lstm(x, first[0], first[1], first[2])[:, -1:], atol=1e-12)
    parts[0] = ("x", "InputLayer", {}, [])
    (tmp_path / "m.h5").write_bytes(functional(parts, ["sum"], arrays))
    with pytest.raises(UnsupportedError, match="sum of arrays with unknown numbers of axes"):
        load(tmp_path / "m.h5")


def test_inputs_may_have_any_names(tmp_path: Path) -> None:
    parts: Any = [(n, "InputLayer", {"batch_input_shape": [None, 2]}, []) for n in ("x", "y")]
    parts.append(("dot", "Dot", {"axes": 1}, nodes("x", "y")))
    (tmp_path / "m.h5").write_bytes(functional(parts, ["dot"], {}))
    (z,) = load(tmp_path / "m.h5")(X[:, 0], X[:, 1])
    np.testing.assert_allclose(z, (X[:, 0] * X[:, 1]).sum(1, keepdims=True))


def test_an_input_with_the_name_of_a_node(tmp_path: Path) -> None:
    start = {"batch_input_shape": [None, None, 2]}
    parts: Any = [(n, "InputLayer", start, []) for n in ("Add_0", "x")]
    parts += [(n, "Add", {}, nodes("Add_0", "x")) for n in ("sum", "again")]
    (tmp_path / "m.h5").write_bytes(functional(parts, ["sum", "again"], {}))
    with pytest.raises(UnsupportedError, match="Add_0, which is the name of two things"):
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
    with pytest.raises(UnsupportedError, match="look with causal"):
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


def test_normalisations_take_no_memory(tmp_path: Path) -> None:
    """As Linear layers, each of them would be a matrix of 64 MB."""
    arrays = {name: np.ones(4096) for name in ("gamma", "beta", "mean", "variance")}
    layers: Layers = [(f"bn{i}", "BatchNormalization", {}, arrays) for i in range(9)]
    (tmp_path / "m.h5").write_bytes(legacy(layers, "2.4.0"))
    graph, x = load(tmp_path / "m.h5"), np.full((1, 2, 4096), 3.0)
    assert sum(array.size for array in graph.constants.values()) < 1e5
    scale = 1 / np.sqrt(1.001)
    (y,) = graph(x)
    expected = 3.0
    for _ in range(9):
        expected = (expected - 1) * scale + 1
    np.testing.assert_allclose(y, expected)


def test_weights_that_tell_no_class_ask_for_it(tmp_path: Path) -> None:
    table, tokens = np.arange(12.0).reshape(4, 3), np.array([[1, 3]])
    (tmp_path / "m.h5").write_bytes(legacy([("e", "", {}, {"vars": table})], "2.4.0", config=False))
    with pytest.raises(UnsupportedError, match="class_name in layers="):
        load(tmp_path / "m.h5")
    model = load(tmp_path / "m.h5", layers={"e": {"class_name": "Embedding"}})
    np.testing.assert_array_equal(model.predict(tokens), table[tokens])


def test_layers_chooses_and_corrects(tmp_path: Path) -> None:
    (_, _, _, first), (_, _, _, second) = layers = lstm_and_dense()
    content = legacy([*layers, ("top", "Lambda", {}, {})], "2.4.0", config=False)
    with pytest.raises(UnsupportedError, match="top"):
        run(tmp_path / "m.h5", content)
    config = {"lstm": {"recurrent_activation": "hard_sigmoid"}, "dense": {"activation": "tanh"}}
    y = run(tmp_path / "m.h5", content, layers=config)
    h = lstm(X, first["kernel"], first["recurrent_kernel"], first["bias"], hard(0.2))
    np.testing.assert_allclose(y, np.tanh(h @ second["kernel"] + second["bias"]), atol=1e-12)
    with pytest.raises(ValueError, match="expected names out of"):
        load(tmp_path / "m.h5", layers=["lsmt"])


@pytest.mark.parametrize("content", SEEDS)
def test_good_files_load(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "m").write_bytes(content)  # by content, whatever the name is
    assert read(tmp_path / "m").format == "keras"
    assert isinstance(load(tmp_path / "m"), Sequential | Graph)


def soft_link(group: Any) -> None:
    group.file["copy"] = np.zeros((3, 2))
    group["kernel:0"] = h5py.SoftLink("/copy")


def external_link(group: Any) -> None:
    group["kernel:0"] = h5py.ExternalLink("/etc/passwd", "/")


def external_storage(group: Any) -> None:
    group.create_dataset("kernel:0", (3, 2), "f8", external=[("/etc/passwd", 0, 48)])


def virtual(group: Any) -> None:
    layout = h5py.VirtualLayout((3, 2), "f8")
    layout[:] = h5py.VirtualSource("/etc/passwd", "x", (3, 2))
    group.create_virtual_dataset("kernel:0", layout)


def huge(group: Any) -> None:
    group.create_dataset("kernel:0", (1 << 40, 2), "f4")  # without numbers in the file


def huge_chunks(group: Any) -> None:
    group.create_dataset("kernel:0", (3, 2), "f8", chunks=(1 << 16, 1 << 10), maxshape=(None, None))


def compressed(group: Any) -> None:
    group.create_dataset("kernel:0", data=np.zeros((3, 2)), compression="gzip")


def texts(group: Any) -> None:
    group.create_dataset("kernel:0", data=np.array(["a", "b"], object), dtype=h5py.string_dtype())


def integers(group: Any) -> None:
    group["kernel:0"] = np.ones((3, 2), int)


def a_group(group: Any) -> None:
    group.create_group("kernel:0")


def a_cycle(group: Any) -> None:
    group["kernel:0"] = group.file["/"]


HOSTILE = [soft_link, external_link, external_storage, virtual, huge, huge_chunks, compressed]
HOSTILE += [texts, integers, a_group, a_cycle]


@pytest.mark.parametrize("change", HOSTILE)
def test_what_leads_elsewhere_or_takes_memory_is_refused(change: Any, tmp_path: Path) -> None:
    (tmp_path / "m.h5").write_bytes(legacy(lstm_and_dense(), "2.4.0"))
    with h5py.File(tmp_path / "m.h5", "a") as file:
        group = file["model_weights/dense/dense"]
        del group["kernel:0"]
        change(group)
    with pytest.raises((DamagedFileError, UnsupportedError), match=r"m\.h5"):
        load(tmp_path / "m.h5")


def test_a_model_that_is_quantised_to_int8_is_named(tmp_path: Path) -> None:
    arrays: dict[str, Array] = {"kernel": np.ones((3, 2), np.int8), "bias": np.ones(2)}
    (tmp_path / "m.h5").write_bytes(legacy([("dense", "Dense", {}, arrays)], "3.8.0"))
    with pytest.raises(UnsupportedError, match=r"kernel:0' is of dtype int8.*before quantize"):
        load(tmp_path / "m.h5")


@pytest.mark.parametrize(
    ("shape", "config"),
    [
        *(((4, 2), {}), ((3,), {}), ((3, 2), {"activation": 3})),
        *(((3, 2), {"units": units}) for units in ("2", 3, -2, float("nan"))),
    ],
)
def test_wrong_shapes_and_configs(shape: Any, config: dict[str, Any], tmp_path: Path) -> None:
    layers = [*lstm_and_dense()[:1], ("dense", "Dense", config, {"kernel": np.zeros(shape)})]
    (tmp_path / "m.h5").write_bytes(legacy(layers, "2.4.0"))
    units = "weights of 2 units, expected" if "units" in config else ""
    with pytest.raises((DamagedFileError, UnsupportedError), match=rf"m\.h5.*{units}"):
        load(tmp_path / "m.h5")


def test_a_damaged_zip(tmp_path: Path) -> None:
    path = tmp_path / "m.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", "[" * 100_000)
        archive.writestr("metadata.json", "{}")
        archive.writestr("model.weights.h5", bytes(1 << 27))
    with pytest.raises(DamagedFileError, match="entries claim 134317730 bytes"):
        load(path)


def test_what_keras_has_not_is_named(tmp_path: Path) -> None:
    model = Sequential(IndRNN(2, 3), Linear(3, 2), GRU(2, 1, reverse=True))
    with pytest.raises(UnsupportedError, match=r"IndRNN\(2, 3\); GRU\(2, 1, reverse=True\)"):
        save(model, tmp_path / "m.keras", "keras")
    assert not list(tmp_path.iterdir())


def test_attributes_are_texts(tmp_path: Path) -> None:
    (tmp_path / "m.h5").write_bytes(SEEDS[0])
    with h5py.File(tmp_path / "m.h5", "a") as file:
        file["model_weights"].attrs["keras_version"] = 2
    with pytest.raises(DamagedFileError, match="'keras_version' is not text"):
        read(tmp_path / "m.h5")


@pytest.mark.parametrize(("number", "size"), [(0, 0), (0, 8), (1, 1 << 40), (1, (1 << 64) - 16)])
def test_a_heap_of_texts_in_which_hdf5_would_search_for_ever(
    number: int, size: int, tmp_path: Path
) -> None:
    data = bytearray(SEEDS[0])
    struct.pack_into("<H6xQ", data, data.index(b"GCOL") + 16, number, size)
    (tmp_path / "m.h5").write_bytes(data)
    with pytest.raises(DamagedFileError, match=f"a part of the heap at .* claims {size} bytes"):
        load(tmp_path / "m.h5")


@pytest.mark.parametrize("end", [b"\0", b"\x10"])  # of the attribute's name
def test_a_text_takes_no_more_memory_than_the_file_has(end: bytes, tmp_path: Path) -> None:
    save(Sequential(LSTM(2, 3, batch_first=True, rng=0)), tmp_path / "m.h5")
    data = bytearray((tmp_path / "m.h5").read_bytes())
    at = data.index(b"layer_names\0")
    data[at + 11 : at + 12] = end
    assert struct.unpack_from("<I", data, at + 64) == (len("lstm"),)  # after a type and a shape
    struct.pack_into("<I", data, at + 64, 1 << 30)
    (tmp_path / "m.h5").write_bytes(data)
    with pytest.raises(DamagedFileError, match="the texts of 'layer_names' claim more than the"):
        read(tmp_path / "m.h5")


def test_a_heap_of_texts_is_inside_the_file(tmp_path: Path) -> None:
    data = bytearray(SEEDS[0])
    struct.pack_into("<Q", data, data.index(b"GCOL") + 8, 1 << 30)
    (tmp_path / "m.h5").write_bytes(data)
    with pytest.raises(DamagedFileError, match=r"heap at .* claims more than the file holds"):
        read(tmp_path / "m.h5")


@pytest.mark.parametrize("suffix", [".h5", ".keras"])
def test_without_h5py_the_extra_is_named_and_not_the_file(
    suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(Sequential(LSTM(2, 3, batch_first=True, rng=0)), tmp_path / f"m{suffix}")
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(ImportError, match="need h5py, the extra keras: pip install h5py"):
        load(tmp_path / f"m{suffix}")
