"""Models written as ONNX: checked by the onnx package, run by onnxruntime, read again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from numpy_rnn import interchange
from numpy_rnn.interchange.contents import UnsupportedError
from numpy_rnn.interchange.onnx.write import write
from numpy_rnn.layers import (
    ELU,
    GRU,
    LRU,
    LSTM,
    RNN,
    Dropout,
    Embedding,
    HardSigmoid,
    Identity,
    IndRNN,
    LastStep,
    Layer,
    LayerNorm,
    LeakyReLU,
    Linear,
    LogSoftmax,
    PeepholeLSTM,
    ReLU,
    Sequential,
    Sigmoid,
    Softmax,
    Softplus,
    Softsign,
    Tanh,
)
from numpy_rnn.layers.activation import activation_layer
from tests.interchange.onnx.nodes import onnxruntime_outputs

OPTIONS: dict[str, Any] = {"dtype": np.float32, "rng": 0}


def models(batch_first: bool) -> dict[str, Layer]:
    """Every layer that ONNX has, in either layout."""
    o = OPTIONS | {"batch_first": batch_first}
    both = o | {"bidirectional": True}
    last = LastStep(batch_first)
    return {
        "embedding": Sequential(
            Embedding(9, 3, **OPTIONS), LSTM(3, 4, 2, **both), Linear(8, 2, **OPTIONS), Softmax()
        ),
        "last step": Sequential(
            GRU(3, 4, reset_after=False, **o),
            LayerNorm(4, dtype=np.float32),
            last,
            Linear(4, 2, bias=False, **OPTIONS),
        ),
        "relu": Sequential(RNN(3, 4, 2, "relu", bias=False, **o), Dropout()),
        "peepholes": Sequential(PeepholeLSTM(3, 4, 2, **both), LastStep(batch_first, True)),
        "reverse": LSTM(3, 4, reverse=True, **o),
        "first step": Sequential(GRU(3, 4, reverse=True, **o), LastStep(batch_first, reverse=True)),
        "merged ends": Sequential(GRU(3, 4, **both), LastStep(batch_first, True, merge="sum")),
        **{merge: GRU(3, 4, 2, merge=merge, **both) for merge in ("sum", "ave", "mul")},
        "hard": Sequential(
            LSTM(3, 4, activations=(("hard_sigmoid", 0.25, 0.5), "softsign", "tanh"), **o),
            GRU(4, 4, activations=("sigmoid", "relu"), clip=0.4, **o),
            LSTM(4, 3, input_forget=True, clip=0.5, **o),
        ),
        "activations": Sequential(
            *(Linear(3, 4, **OPTIONS), LeakyReLU(0.2), ELU(0.5), Softplus(), Softsign()),
            *(HardSigmoid(), Tanh(), Sigmoid(), Identity(), ReLU(), Softmax(), LogSoftmax()),
        ),
    }


def split_state(model: Any, state: Any) -> list[Any]:
    """The parts of a state, one layer of a stack after the other."""
    parts: list[Any] = []
    stateful = [layer for layer in getattr(model, "layers", {"": model}).values() if layer.stateful]
    states = state if isinstance(model, Sequential) else (state,)
    for layer, own in zip(stateful, states, strict=True):
        ways = 2 if layer.bidirectional else 1
        for n in range(layer.num_layers):
            rows = slice(n * ways, (n + 1) * ways)
            parts += [part[rows] for part in (own if isinstance(own, tuple) else (own,))]
    return parts


def joined_state(model: Any, parts: list[Any]) -> tuple[Any, ...]:
    """The state of a model without stacks."""
    state, left = [], list(parts)
    for layer in model.layers.values():
        if layer.stateful:
            own = [left.pop(0) for _ in layer.state_sizes]
            state.append(tuple(own) if len(own) > 1 else own[0])
    return tuple(state)


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("states", [False, True])
@pytest.mark.parametrize("name", models(False))
def test_a_written_model_equals_onnxruntime_and_is_read_again(
    name: str, states: bool, batch_first: bool, tmp_path: Path
) -> None:
    model, path, r = models(batch_first)[name], tmp_path / "model.onnx", np.random.default_rng(0)
    model.eval()
    write(model, path, states=states)
    made = onnx.load(path)
    onnx.checker.check_model(made, full_check=True)
    again = interchange.load(path)
    assert isinstance(again, Sequential)
    for T, B in ((5, 3), (1, 1), (2, 7)):
        shape = (B, T) if batch_first else (T, B)
        tokens = name == "embedding"
        x = r.integers(0, 9, shape) if tokens else r.standard_normal((*shape, 3)).astype("f4")
        inputs, state = {"x": x}, model.zero_state(B)
        flat = split_state(model, state)
        if states:
            for value, part in zip(made.graph.input[1:], flat, strict=True):
                part[...] = r.uniform(-1, 1, part.shape)
                inputs[value.name] = part
        y = model.predict(x, state) if model.stateful else model.predict(x)
        y = y if isinstance(y, tuple) else (y, ())
        theirs = onnxruntime_outputs(path.read_bytes(), inputs)
        np.testing.assert_allclose(theirs[0], y[0], rtol=1e-5, atol=1e-6)
        if states:
            ends = split_state(model, y[1]) if model.stateful else []
            for a, b in zip(theirs[1:], ends, strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
        ours = again.predict(x, joined_state(again, flat)) if model.stateful else again.predict(x)
        np.testing.assert_allclose(ours[0] if model.stateful else ours, y[0], rtol=1e-5, atol=1e-6)


def test_a_large_model_is_a_chain_too(tmp_path: Path) -> None:
    parts = LSTM(64, 128, 2, bidirectional=True, **OPTIONS), Linear(256, 5000, **OPTIONS)
    write(Sequential(*parts), tmp_path / "model.onnx")
    assert isinstance(interchange.load(tmp_path / "model.onnx"), Sequential)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_weights_are_the_same_bits_after_a_round_trip(dtype: Any, tmp_path: Path) -> None:
    o = {"dtype": dtype, "rng": 0}
    model = Sequential(
        Embedding(9, 3, **o),
        LSTM(3, 4, bidirectional=True, **o),
        PeepholeLSTM(8, 4, **o),
        GRU(4, 3, reset_after=False, **o),
        RNN(3, 3, **o),
        LayerNorm(3, dtype=dtype),
        LastStep(),
        Linear(3, 2, **o),
    )
    path = tmp_path / "model.onnx"
    write(model, path, dtype=dtype)
    again = interchange.load(path)
    assert list(again.parameters.values) == list(model.parameters.values)
    for name, weight in model.parameters.values.items():
        np.testing.assert_array_equal(again.parameters.values[name], weight)
        assert again.parameters.values[name].dtype == dtype


def test_a_read_model_trains(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    write(models(False)["embedding"], path)
    model = interchange.load(path, dtype=np.float64)
    x = np.array([[1, 2], [3, 4]])
    y, _ = model(x)
    dx, _ = model.backward(y - 1)
    assert dx is None
    assert all(np.abs(g).max() > 0 for g in model.parameters.grads.values())


@pytest.mark.parametrize("name", ["selu", "exponential"])
def test_activations_that_no_chain_of_onnx_has_become_a_graph(name: str, tmp_path: Path) -> None:
    model = Sequential(Linear(3, 4, rng=0, dtype=np.float32), activation_layer(name))
    interchange.save(model, tmp_path / "model.onnx")
    x = np.random.default_rng(0).standard_normal((2, 5, 3)).astype(np.float32)
    (expected,) = onnxruntime_outputs((tmp_path / "model.onnx").read_bytes(), {"x": x})
    np.testing.assert_allclose(model(x), expected, atol=1e-6)
    (y,) = interchange.load(tmp_path / "model.onnx")(x)
    np.testing.assert_allclose(y, expected, atol=1e-6)


def test_all_layers_without_an_operator_are_named_and_nothing_is_written(tmp_path: Path) -> None:
    model = Sequential(
        IndRNN(3, 4),
        LSTM(4, 4, proj_size=2),
        GRU(2, 2, activations=("silu", "tanh")),
        inner=Sequential(Linear(2, 3), LRU(3, 4)),
    )
    with pytest.raises(UnsupportedError) as raised:
        write(model, tmp_path / "model.onnx")
    for name in (
        "model.0: IndRNN(3, 4",
        "model.1: LSTM(4, 4",
        "model.2: GRU(2, 2",
        "model.inner.1: LRU(3, 4",
    ):
        assert name in str(raised.value)
    assert "Linear" not in str(raised.value)
    assert not list(tmp_path.iterdir())
