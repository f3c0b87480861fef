"""What Keras 1 and 2 wrote in another way than Keras 3, or computed in another way."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from numpy_rnn.functional.types import Array
from numpy_rnn.interchange import UnsupportedError, load, read
from numpy_rnn.reading import DamagedFileError
from tests.interchange.keras.by_hand import X, gru_reset_before, hard, lstm, weights

Groups = Mapping[str, Mapping[str, Array]]  # the arrays of each layer, by the names in the file
W, U, b = weights((2, 12), (3, 12), (12,))
W2, U2, b2 = (-array for array in (W, U, b))
GATES = {"lstm": ("ifco", "icfo"), "gru": ("zrh", "zrh")}  # in an array, and in a file of Keras 1
LSTM = {"return_sequences": True, "inner_activation": "hard_sigmoid"}
NAMES = ("kernel", "recurrent_kernel", "bias")


def written(
    path: Path, groups: Groups, config: Any = None, version: str = "", **about: str
) -> Path:
    """Write a file with the given names of weights: of a whole model, if there is a config."""
    with h5py.File(path / "m.h5", "w") as file:
        root = file if config is None else file.create_group("model_weights")
        for name, text in {**about, **({"keras_version": version} if version else {})}.items():
            root.attrs[name] = text.encode()
        root.attrs["layer_names"] = [name.encode() for name in groups]
        for name, arrays in groups.items():
            root.create_group(name).attrs["weight_names"] = [key.encode() for key in arrays]
            for key, array in arrays.items():
                root[name].create_dataset(key, data=array)
        if config is not None:
            file.attrs["model_config"] = json.dumps(config)
    return path / "m.h5"


def chain(*layers: tuple[str, dict[str, Any]]) -> dict[str, Any]:
    listed = [{"class_name": kind, "config": config} for kind, config in layers]
    return {"class_name": "Sequential", "config": listed}


def of_keras_1(name: str, cell: str, *arrays: Array, end: str = ":0") -> dict[str, Array]:
    """Return the weights of a recurrent layer: three for each gate."""
    at, order = GATES[cell]
    return {
        f"{name}_{what}_{gate}{end}": np.split(array, len(at), -1)[at.index(gate)]
        for gate in order
        for what, array in zip("WUb", arrays, strict=True)
    }


def of_keras_2(prefix: str, *arrays: Array, names: Sequence[str] = NAMES) -> dict[str, Array]:
    return {f"{prefix}/{n}:0": array for n, array in zip(names, arrays, strict=False)}


def predicted(path: Path, x: Array = X, **options: Any) -> Array:
    model = load(path, **options)
    y = model(x)[0] if type(model).__name__ == "Graph" else model.predict(x)
    return np.asarray(y[0] if isinstance(y, tuple) else y)


@pytest.mark.parametrize("whole", [True, False])
def test_a_file_without_a_version_is_of_keras_1(whole: bool, tmp_path: Path) -> None:
    config = chain(("LSTM", {"name": "l", **LSTM})) if whole else None
    path = written(tmp_path, {"l": of_keras_1("l", "lstm", W, U, b)}, config)
    np.testing.assert_allclose(predicted(path), lstm(X, W, U, b, hard(0.2)), atol=1e-12)
    G, R, d = weights((2, 9), (3, 9), (9,))
    path = written(tmp_path, {"g": of_keras_1("g", "gru", G, R, d)})
    np.testing.assert_allclose(predicted(path), gru_reset_before(X, G, R, d, hard(0.2)))


def masked_lstm(x: Array, mask: Array, *arrays: Array) -> Array:
    """Return the outputs of an LSTM that repeats its output at masked steps, at first zeros."""
    state = [np.zeros((len(x), 3)), np.zeros((len(x), 3))]
    outputs = []
    for t in range(x.shape[1]):
        before = [*state]
        lstm(x[:, t : t + 1], arrays[0], arrays[1], arrays[2], hard(0.2), state)
        m = mask[:, t, None]
        state[:] = [np.where(m, new, old) for new, old in zip(state, before, strict=True)]
        outputs.append(state[0])
    return np.stack(outputs, axis=1)


@pytest.mark.parametrize("version", ["1.2.2", "2.2.4", "2.3.1", "2.2.4-tf", "2.4.0"])
def test_both_directions_at_masked_steps(version: str, tmp_path: Path) -> None:
    """Keras repeats their outputs there; TensorFlow's, and each since 2.4, gives zeros."""
    x, mask = X.copy(), np.ones((2, 6), bool)
    mask[0, 4:] = mask[1, 2:4] = False
    x[~mask] = 0
    inner = {"class_name": "LSTM", "config": {"name": "l", **LSTM}}
    both = {"name": "both", "layer": inner, "merge_mode": "concat"}
    config = chain(
        ("Masking", {"name": "mask", "mask_value": 0.0}),
        ("Bidirectional", both),
        ("Activation", {"name": "end", "activation": "tanh"}),
    )
    arrays = of_keras_2("f", W, U, b) | of_keras_2("g", W2, U2, b2)
    path = written(tmp_path, {"mask": {}, "both": arrays, "end": {}}, config, version)
    back = masked_lstm(x[:, ::-1], mask[:, ::-1], W2, U2, b2)[:, ::-1]
    expected = np.concatenate([masked_lstm(x, mask, W, U, b), back], axis=-1)
    if version in ("2.2.4-tf", "2.4.0"):
        expected *= mask[..., None]
    np.testing.assert_allclose(predicted(path, x), np.tanh(expected), atol=1e-8)


def test_a_normalisation_over_features_of_keras_1_is_refused(tmp_path: Path) -> None:
    arrays = of_keras_2("n", *np.ones((4, 2)), names=("gamma", "beta", "mean", "std"))
    for mode in (0, 1):
        config = chain(("BatchNormalization", {"name": "n", "mode": mode, "axis": -1}))
        path = written(tmp_path, {"n": arrays}, config, "1.2.2")
        if not mode:
            load(path)
    with pytest.raises(UnsupportedError, match=r"n \(BatchNormalization\) with mode 1"):
        load(path)


@pytest.mark.parametrize("backend", ["tensorflow", "theano", "cntk"])
def test_theano_reverses_the_kernels_of_convolutions(backend: str, tmp_path: Path) -> None:
    kernel, bias = weights((3, 2, 2), (2,))
    config = chain(("Conv1D", {"name": "c", "kernel_size": [3], "padding": "valid"}))
    path = written(
        tmp_path,
        {"c": of_keras_2("c", kernel, bias, names=("kernel", "bias"))},
        config,
        "2.1.0",
        backend=backend,
    )
    used = kernel[::-1] if backend == "theano" else kernel
    expected = bias + sum(X[:, i : i + 4] @ used[i] for i in range(3))
    np.testing.assert_allclose(predicted(path), expected, atol=1e-7)


K, c = weights((3, 2), (2,))
DENSE = {"name": "d", "activation": "tanh"}


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize(
    "arrays",
    [
        of_keras_1("l", "lstm", W, U, b) | {"d_W:0": K, "d_b:0": c},
        of_keras_1("l", "lstm", W, U, b, end="") | {"d_W": K, "d_b": c},
        of_keras_2("l_1", W, U, b) | of_keras_2("d_2", K, c, names=("kernel", "bias")),
        of_keras_2("m/l", W, U, b) | of_keras_2("m/d", K, c, names=("kernel", "bias")),
    ],
    ids=["Keras 1", "Theano", "a second model in one session", "TensorFlow 2"],
)
def test_a_model_inside_a_model(arrays: dict[str, Array], named: bool, tmp_path: Path) -> None:
    inner = chain(("LSTM", {"name": "l", **LSTM}), ("Dense", DENSE))
    config = chain(("Activation", {"name": "end", "activation": "tanh"}))
    config["config"].insert(0, {**inner, **({"name": "m"} if named else {})})
    path = written(tmp_path, {"m": arrays, "end": {}}, config, "2.1.0")
    expected = np.tanh(np.tanh(lstm(X, W, U, b, hard(0.2)) @ K + c))
    np.testing.assert_allclose(predicted(path), expected, atol=1e-12)


@pytest.mark.parametrize(
    ("kind", "arrays", "what"),
    [
        ("Dense", {}, r"d \(Dense\) with 0 arrays"),
        ("Embedding", {}, r"d \(Embedding\) with 0 arrays"),
        ("GRU", of_keras_2("d", W, U, b), r"d has weights \[.*\], expected those of GRU"),
    ],
)
def test_weights_of_another_layer(
    kind: str, arrays: dict[str, Array], what: str, tmp_path: Path
) -> None:
    path = written(tmp_path, {"d": arrays}, chain((kind, {"name": "d"})), "2.1.0")
    with pytest.raises((UnsupportedError, DamagedFileError), match=what):
        load(path)


def test_a_stateful_layer_is_noted(tmp_path: Path) -> None:
    config = chain(("LSTM", {"name": "l", **LSTM, "stateful": True}))
    notes = read(written(tmp_path, {"l": of_keras_2("l", W, U, b)}, config, "2.1.0")).notes
    assert "l is stateful: give its state to the next call" in notes


def test_weights_alone_are_warned_of(tmp_path: Path) -> None:
    path = written(
        tmp_path, {"d": of_keras_2("d", K, c, names=("kernel", "bias"))}, version="2.4.0"
    )
    with pytest.warns(
        UserWarning,
        match="config, so it takes config='default activations, every step'",
    ):
        load(path)
    load(path, config={"d": {"activation": "tanh"}})


def test_a_name_with_a_slash(tmp_path: Path) -> None:
    config = chain(("LSTM", {"name": "a/l", **LSTM}), ("Dense", DENSE | {"name": "a/d"}))
    groups = {"a/l": of_keras_2("a/l", W, U, b)}
    groups["a/d"] = of_keras_2("a/d", K, c, names=("kernel", "bias"))
    path = written(tmp_path, groups, config, "2.2.0")
    expected = np.tanh(lstm(X, W, U, b, hard(0.2)) @ K + c)
    np.testing.assert_allclose(predicted(path), expected, atol=1e-12)


def test_weights_of_two_directions_of_keras_1(tmp_path: Path) -> None:
    for cell, arrays in (("lstm", (W, U, b)), ("gru", weights((2, 9), (3, 9), (9,)))):
        parts = [of_keras_1(f"{way}_x", cell, *arrays) for way in ("forward", "backward")]
        path = written(tmp_path, {"both": parts[0] | parts[1]}, version="1.2.2")
        step: Callable[..., Array] = lstm if cell == "lstm" else gru_reset_before
        both = [step(x, *arrays, hard(0.2)) for x in (X, X[:, ::-1])]
        expected = np.concatenate([both[0], both[1][:, ::-1]], axis=-1)
        np.testing.assert_allclose(predicted(path), expected, atol=1e-12)


SQUARE = weights((3, 12), (3, 12), (12,))
UNCLEAR = {
    "two LSTMs of a model inside": of_keras_2("l", *SQUARE) | of_keras_2("m", *SQUARE),
    "stacked cells": of_keras_2("r", *SQUARE)
    | of_keras_2("r", *SQUARE, names=[f"{n}_1" for n in NAMES]),
    "two Dense layers without biases": {"p/kernel:0": K, "q/kernel:0": np.eye(2)},
    "a custom layer like a SimpleRNN": {"a/W:0": np.eye(2), "a/u:0": np.eye(2), "a/b:0": c},
    "a custom layer like Dense": {"a/V:0": K, "a/v:0": c},
    "BatchNormalization without scale": {"n/moving_mean:0": c, "n/moving_variance:0": c},
    "GroupNormalization": of_keras_2("group", c, c, names=("gamma", "beta")),
}


@pytest.mark.parametrize("arrays", UNCLEAR.values(), ids=UNCLEAR)
def test_shapes_alone_do_not_tell_a_class(arrays: dict[str, Array], tmp_path: Path) -> None:
    path = written(tmp_path, {"part": arrays}, version="2.4.0")
    with pytest.raises(
        UnsupportedError,
        match=r"part \(unknown\); expected .* as weights alone tell neither the classes",
    ):
        load(path)


def functional(kind: str, config: dict[str, Any]) -> dict[str, Any]:
    """Return a model of Keras 1 whose last layer reads both inputs."""
    inputs = [
        {"class_name": "InputLayer", "name": n, "inbound_nodes": []}
        | {"config": {"name": n, "batch_input_shape": [None, None, 2]}}
        for n in "xy"
    ]
    last: dict[str, Any] = {"class_name": kind, "name": "z", "config": {"name": "z", **config}}
    last["inbound_nodes"] = [[["x", 0, 0], ["y", 0, 0]]]
    ends = {"input_layers": [["x", 0, 0], ["y", 0, 0]], "output_layers": [["z", 0, 0]]}
    return {"class_name": "Model", "config": {"name": "m", "layers": [*inputs, last], **ends}}


MODES: dict[str, Callable[[Array, Array], Array]] = {
    "sum": np.add,
    "mul": np.multiply,
    "max": np.maximum,
    "ave": lambda x, y: (x + y) / 2,
    "concat": lambda x, y: np.concatenate([x, y], axis=1),
}


@pytest.mark.parametrize("mode", [*MODES, "cos"])
def test_merge_of_keras_1(mode: str, tmp_path: Path) -> None:
    config = functional("Merge", {"mode": mode, "concat_axis": 1, "dot_axes": -1})
    path = written(tmp_path, {n: {} for n in "xyz"}, config, "1.2.2")
    if mode in MODES:
        np.testing.assert_allclose(load(path)(X, X + 1)[0], MODES[mode](X, X + 1), atol=1e-6)
    else:
        with pytest.raises(UnsupportedError, match=r"z \(Merge\)"):
            load(path)


def test_branches_and_graphs_of_keras_1_are_named(tmp_path: Path) -> None:
    parts = [chain(("LSTM", {"name": "l", **LSTM}))] * 2
    merge = ("Merge", {"name": "z", "mode": "concat", "layers": parts})
    groups = {"l": of_keras_1("l", "lstm", W, U, b)}
    for config, what in ((chain(merge), "Merge"), ({"class_name": "Graph", "config": {}}, "Graph")):
        with pytest.raises(UnsupportedError, match=f"a model of class {what}"):
            load(written(tmp_path, groups, config, "1.2.2"))


def test_pools_of_keras_1(tmp_path: Path) -> None:
    settings = {"pool_length": 2, "stride": 2, "border_mode": "valid"}
    config = chain(("MaxPooling1D", {"name": "p", **settings}))
    path = written(tmp_path, {"p": {}}, config, "1.2.2")
    np.testing.assert_allclose(predicted(path), np.maximum(X[:, ::2], X[:, 1::2]))
