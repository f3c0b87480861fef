"""Layers of Keras 1 and 2, weights without a config, and what is asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from numpy_rnn import GRU, IndRNN, Linear, Sequential
from numpy_rnn.functional.types import Array
from numpy_rnn.interchange import UnsupportedError, load, read, save
from numpy_rnn.interchange.graph.graph import Graph
from numpy_rnn.reading import DamagedFileError
from tests.interchange.keras.by_hand import (
    X,
    gru_reset_before,
    hard,
    lstm,
    one,
    run,
    weights,
)
from tests.interchange.keras.files import (
    Layers,
    legacy,
    lstm_and_dense,
    seeds,
)

SEEDS = seeds()


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
    with pytest.raises(UnsupportedError, match=r"e .unknown.; expected .* config=.*class_name"):
        load(tmp_path / "m.h5")
    model = load(tmp_path / "m.h5", config={"e": {"class_name": "Embedding"}})
    np.testing.assert_array_equal(model.predict(tokens), table[tokens])


def test_layers_chooses_and_corrects(tmp_path: Path) -> None:
    (_, _, _, first), (_, _, _, second) = layers = lstm_and_dense()
    content = legacy([*layers, ("top", "Lambda", {}, {})], "2.4.0", config=False)
    with pytest.raises(UnsupportedError, match="top"):
        run(tmp_path / "m.h5", content)
    config = {"lstm": {"recurrent_activation": "hard_sigmoid"}, "dense": {"activation": "tanh"}}
    y = run(tmp_path / "m.h5", content, layers=["lstm", "dense"], config=config)
    h = lstm(X, first["kernel"], first["recurrent_kernel"], first["bias"], hard(0.2))
    np.testing.assert_allclose(y, np.tanh(h @ second["kernel"] + second["bias"]), atol=1e-12)
    with pytest.raises(ValueError, match="expected names out of"):
        load(tmp_path / "m.h5", layers=["lsmt"])


def test_config_corrects_and_keeps_the_rest(tmp_path: Path) -> None:
    path = tmp_path / "m.h5"
    (_, _, _, first), (_, _, _, second) = layers = lstm_and_dense()
    content = legacy(layers, "2.4.0", config=False)
    y = run(path, content, config={"lstm": {"recurrent_activation": "hard_sigmoid"}})
    h = lstm(X, first["kernel"], first["recurrent_kernel"], first["bias"], hard(0.2))
    np.testing.assert_allclose(y, h @ second["kernel"] + second["bias"], atol=1e-12)
    last = {"return_sequences": False}
    assert run(path, content, layers=["lstm"], config={"lstm": last}).shape == (2, 3)
    with pytest.raises(ValueError, match=r"config has \['lsmt'\], expected names out of"):
        load(path, config={"lsmt": {}})
    for wrong in ("{", {"lstm": 3}):
        with pytest.raises(
            TypeError, match=r"config is .*, expected a dict of each layer's settings"
        ):
            load(path, config=wrong)
    with pytest.raises(TypeError, match="layers is a dict, expected a list of names"):
        load(path, layers={"lstm": {}})


def test_weights_of_branches_tell_no_order(tmp_path: Path) -> None:
    layers = [*lstm_and_dense(), ("last", "Dense", {}, {"kernel": np.ones((5, 2))})]
    (tmp_path / "m.h5").write_bytes(legacy(layers, "2.4.0", config=False))
    with pytest.raises(
        UnsupportedError, match=r"last takes 5 .* layers=.* weights alone .*branches"
    ):
        load(tmp_path / "m.h5")


@pytest.mark.parametrize("content", SEEDS)
def test_good_files_load(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "m").write_bytes(content)  # by content, whatever the name is
    assert read(tmp_path / "m").format == "keras"
    assert isinstance(load(tmp_path / "m"), Sequential | Graph)


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


def test_what_keras_has_not_is_named(tmp_path: Path) -> None:
    model = Sequential(IndRNN(2, 3), Linear(3, 2), GRU(2, 1, reverse=True))
    with pytest.raises(UnsupportedError, match=r"IndRNN\(2, 3\); GRU\(2, 1, reverse=True\)"):
        save(model, tmp_path / "m.keras", "keras")
    assert not list(tmp_path.iterdir())
