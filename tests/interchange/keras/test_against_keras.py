"""Models that Keras 3 makes, saved by it and read here, and the way back."""

from __future__ import annotations

import gc
import importlib
import os
import warnings
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from numpy_rnn import GRU, Sequential
from numpy_rnn.functional.types import Array
from numpy_rnn.interchange import UnsupportedError, load, save
from numpy_rnn.layers.wrappers import Masked

keras: Any = None
L: Any = None  # keras.layers
CELLS = ("SimpleRNN", "LSTM", "GRU")
PRECISE = ["tanh", "sigmoid", "relu", "elu", "softsign", "leaky_relu", "linear", "silu"]
NAMES = [*PRECISE, "hard_sigmoid", "selu", "softplus"]  # PyTorch's gradients have float32 constants
SEEDS = range(24)


@pytest.fixture(scope="module", autouse=True)
def imported_keras() -> None:
    """Import Keras in the process that runs these tests: it takes five seconds."""
    global keras, L  # noqa: PLW0603 (as the import of a module would)
    os.environ["KERAS_BACKEND"] = "torch"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        keras = importlib.import_module("keras")
        backend = importlib.import_module("keras.src.backend")
    keras.config.set_floatx("float64")
    backend.numpy.matmul = torch.matmul  # Keras's own computes float64 in float32
    L = keras.layers


def random_layers(rng: np.random.Generator, *, precise: bool) -> tuple[list[Any], str]:
    """Return layers of Keras and the kind of their input: tokens or features."""

    names = PRECISE if precise else NAMES

    def pick(*values: Any) -> Any:
        return values[rng.integers(len(values))]

    def cell(*, last: bool) -> Any:
        kind = pick(*CELLS)
        layer = getattr(L, kind)
        options = {"units": int(rng.integers(1, 5)), "return_sequences": not last}
        options |= {"activation": pick("tanh", *names), "use_bias": pick(True, True, False)}
        if kind != "SimpleRNN":
            options["recurrent_activation"] = pick("sigmoid", *names[-3:], pick(*names))
        if kind == "GRU":
            options["reset_after"] = pick(True, False)
        if rng.random() < 0.4:
            mode = pick("concat", "sum", "mul", "ave")
            return L.Bidirectional(layer(**options), merge_mode=mode)
        return layer(**options, go_backwards=pick(False, False, True))

    kind = pick("tokens", "features")
    layers = []
    if kind == "tokens":
        layers = [L.Embedding(6, 3, mask_zero=pick(True, False), dtype="float64")]
    elif rng.random() < 0.5:
        layers = [L.Masking(pick(0.0, 1.0))]
    for _ in range(rng.integers(0, 3)):
        layers.append(cell(last=False))
        layers += pick([], [L.Dropout(0.3)])
        layers += pick([], [L.LayerNormalization(scale=pick(True, False))]) if not precise else []
    layers.append(cell(last=pick(True, False)))
    dense = L.Dense(
        3, activation=pick(*names, "softmax", "log_softmax"), use_bias=pick(True, False)
    )
    layers += pick(
        [dense], [L.TimeDistributed(dense)] if layers[-1].return_sequences else [dense], []
    )
    layers += pick([], [L.LeakyReLU(0.2)], [L.ReLU()], [L.ELU(0.5)])
    return layers, kind


def random_input(rng: np.random.Generator, kind: str) -> Array:
    """Return an input with holes that a mask passes over, and with a row of nothing else."""
    if kind == "tokens":
        tokens = rng.integers(0, 6, (4, 7)) * (rng.random((4, 7)) > 0.3)
        tokens[1] = 0
        return tokens
    x = rng.standard_normal((4, 7, 3))
    x[rng.random((4, 7)) < 0.2] = 0.0
    x[rng.random((4, 7)) < 0.2] = 1.0
    return x


def make(seed: int, *, precise: bool = False) -> tuple[Any, Array]:
    """Return a model of Keras with weights far from its initial ones, and an input."""
    rng = np.random.default_rng(seed)
    layers, kind = random_layers(rng, precise=precise)
    shape = (None,) if kind == "tokens" else (None, 3)
    if seed % 2:
        model = keras.Sequential([keras.Input(shape), *layers])
    else:
        inputs = outputs = keras.Input(shape)
        for layer in layers:
            outputs = layer(outputs)
        model = keras.Model(inputs, outputs)
    for weight in model.weights:
        weight.assign(rng.standard_normal(weight.shape) * (0.4 if precise else 0.7))
    return model, random_input(rng, kind)


def predict(model: Any, x: Array) -> Array:
    """Return the output of a model of Keras, or of ours without its state."""
    if isinstance(model, keras.Model):
        return np.asarray(model(torch.tensor(x), training=False).detach().numpy())
    y = model.predict(x)
    return np.asarray(y[0] if isinstance(y, tuple) else y)


def store(model: Any, path: Path) -> None:
    """Save a model with Keras, which warns of its older format."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.save(path)


def close(ours: Array, theirs: Array, model: Any, tolerance: float = 1e-12) -> None:
    """Compare; Keras normalises layers in float32 whatever the dtype."""
    if any(isinstance(layer, L.LayerNormalization) for layer in model.layers):
        tolerance = 1e-5
    np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("seed", SEEDS)
def test_outputs_are_keras_s_in_both_directions(seed: int, tmp_path: Path) -> None:
    model, x = make(seed)
    endings = ("keras", "h5") if seed % 4 < 2 else ("h5", "keras")
    path, back = tmp_path / f"a.{endings[0]}", tmp_path / f"b.{endings[1]}"
    store(model, path)
    ours, expected = load(path), predict(model, x)
    close(predict(ours, x), expected, model)
    save(ours, back, "keras")
    again = load(back)
    assert {n: w.tolist() for n, w in again.state_dict().items()} == {
        n: w.tolist() for n, w in ours.state_dict().items()
    }
    np.testing.assert_array_equal(predict(again, x), predict(ours, x))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        close(predict(keras.models.load_model(back), x), expected, model)


def test_keras_opens_two_bidirectional_layers_whatever_memory_it_reuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keras mixes two layers up if the second one has the address of a freed object."""
    known: list[tuple[Any, int]] = []

    def address(value: Any) -> int:
        gc.collect()
        for reference, number in known:
            if reference() is value:
                return number
        free = [number for reference, number in known if reference() is None]
        reused = free[0] if free and hasattr(value, "go_backwards") else len(known)
        known.append((weakref.ref(value), reused))
        return reused

    first, second = (
        GRU(D, 2, bidirectional=True, batch_first=True, dtype=np.float64, rng=0) for D in (3, 4)
    )
    model = Sequential(first, second)
    save(model, tmp_path / "model.keras", "keras")
    serialization = importlib.import_module("keras.src.saving.serialization_lib")
    monkeypatch.setattr(serialization, "id", address, raising=False)
    x = np.random.default_rng(0).standard_normal((2, 5, 3))
    opened = keras.models.load_model(tmp_path / "model.keras")
    close(predict(opened, x), predict(model, x), opened)


@pytest.mark.parametrize("seed", range(100, 108))
def test_gradients_are_keras_s(seed: int, tmp_path: Path) -> None:
    model, x = make(seed, precise=True)
    store(model, tmp_path / "model.keras")
    ours = load(tmp_path / "model.keras")
    y, _, cache = ours.apply(x, training=False)
    dy = np.random.default_rng(seed).standard_normal(y.shape)
    dx, _, gradients = ours.vjp(cache, dy)
    inputs = torch.tensor(x, requires_grad=x.dtype.kind == "f")
    model(inputs, training=False).backward(torch.tensor(dy))
    if dx is not None:
        assert inputs.grad is not None
        close(dx, inputs.grad.numpy(), model, 1e-10)
    # Gradients stored as weights come back in our layout.
    for weight in model.weights:
        weight.assign(weight.value.grad)
    store(model, tmp_path / "gradients.keras")
    expected = load(tmp_path / "gradients.keras").state_dict()
    for name, gradient in gradients.items():
        if "bias_hh" not in name or expected[name].any():
            close(gradient, expected[name], model, 1e-10)


def test_float32_models_agree_to_single_precision(tmp_path: Path) -> None:
    layers = [L.GRU(4, return_sequences=True, dtype="float32"), L.LSTM(5, dtype="float32")]
    model = keras.Sequential([keras.Input((None, 3), dtype="float32"), *layers])
    store(model, tmp_path / "model.keras")
    x = np.random.default_rng(0).standard_normal((2, 6, 3)).astype(np.float32)
    ours = load(tmp_path / "model.keras")
    assert ours.parameters.dtype == np.float32
    np.testing.assert_allclose(predict(ours, x), predict(model, x), atol=1e-6)


def functional(function: Any, *shapes: tuple[int | None, ...]) -> Any:
    inputs = [keras.Input(shape) for shape in shapes]
    return keras.Model(inputs, function(*inputs))


def branches(a: Any) -> Any:
    return L.Concatenate()([L.LSTM(2)(a), L.GRU(2)(a)])


def quantised() -> Any:
    model = keras.Sequential([keras.Input((None, 2)), L.Dense(3)])
    model.layers[-1].quantize("float8")
    return model


def own_cell() -> Any:
    return type("LSTMCell", (L.LSTMCell,), {"__module__": "own"})(3)


UNSUPPORTED: dict[str, tuple[Callable[[], Any], str]] = {
    "statistics of the batch": (
        lambda: functional(lambda a: L.BatchNormalization()(a, training=True), (None, 2)),
        "batch_normalization.*, called with training=True",
    ),
    "noise in a model inside": (
        lambda: functional(
            lambda a: keras.Sequential([L.Dropout(0.5)])(a, training=True), (None, 2)
        ),
        "dropout.*, called with training=True",
    ),
    "a layer's normalised axis that is not the last": (
        lambda: functional(L.LayerNormalization(axis=-2), (4, 4)),
        r"axis \[-2\]",
    ),
    "a softmax with a mask": (
        lambda: keras.Sequential([keras.Input((None, 2)), L.Masking(), L.Softmax()]),
        "softmax.* mask",
    ),
    "a product of four axes": (
        lambda: functional(lambda a: L.Dot(axes=(3, 1))([a, L.Flatten()(a)[:, :2]]), (3, 2, 2)),
        r"dot.* of arrays with \[4, 2\] axes",
    ),
    "8-bit floats": (quantised, r"dense.* with \d+ arrays"),
    "a layer of another package": (
        lambda: functional(L.RNN(own_cell()), (None, 2)),
        "cells .*LSTMCell",
    ),
    "a causal mask": (
        lambda: functional(lambda a: L.Attention()([a, a], use_causal_mask=True), (None, 2)),
        "attention.* with use_causal_mask",
    ),
    "attention with a mask of its own": (
        lambda: functional(
            lambda a: L.Attention()(
                [L.Masking()(a), a], mask=[None, keras.ops.any(keras.ops.not_equal(a, 0), -1)]
            ),
            (None, 2),
        ),
        "attention.* mask",
    ),
    "attention of heads with a mask": (
        lambda: functional(lambda a: L.MultiHeadAttention(1, 2)(*[L.Masking()(a)] * 2), (None, 2)),
        "multi_head_attention.* mask",
    ),
    "a product with masks": (
        lambda: functional(lambda a: L.Multiply()([L.Masking()(a)] * 2), (None, 2)),
        "multiply.* mask",
    ),
    "a maximum with a mask": (
        lambda: functional(lambda a: L.Maximum()([a, L.Masking()(a)]), (None, 2)),
        "maximum.* mask",
    ),
    "a mask that functions join": (
        lambda: functional(
            lambda a: L.GRU(2)(
                L.Masking()(a),
                mask=keras.ops.concatenate(
                    [
                        keras.ops.any(keras.ops.not_equal(a[:, :2], 0), -1),
                        keras.ops.ones_like(a[:, 2:, 0], "bool"),
                    ],
                    axis=1,
                ),
            ),
            (5, 2),
        ),
        "mask",
    ),
    "a mask in the place of the layer's": (
        lambda: functional(
            lambda a: L.GRU(2)(
                L.Embedding(5, 3, mask_zero=True)(a), mask=keras.ops.ones_like(a, "bool")
            ),
            (None,),
        ),
        "gru.* mask",
    ),
    "two masks of a sum": (
        lambda: functional(lambda a: L.Add()([L.Masking()(a), L.Masking(1.0)(a)]), (None, 2)),
        "add.* mask",
    ),
    "another mask than the layer's": (
        lambda: functional(
            lambda a: L.LSTM(2)(
                L.Embedding(5, 3, mask_zero=True)(a), mask=keras.ops.not_equal(a, 3)
            ),
            (None,),
        ),
        "lstm.* that no layer makes",
    ),
    "a mask of a joined sequence": (
        lambda: functional(
            lambda a: L.GRU(2)(L.Concatenate(axis=1)([L.Masking()(a), L.Masking()(a)])), (None, 2)
        ),
        "mask",
    ),
    "a mask that is no layer's": (
        lambda: functional(
            lambda a: L.GRU(2)(a, mask=keras.ops.any(keras.ops.not_equal(a, 0), -1)), (None, 2)
        ),
        "mask",
    ),
    "zeros where the mask is": (
        lambda: keras.Sequential(
            [
                keras.Input((None, 2)),
                L.Masking(),
                L.GRU(2, return_sequences=True, zero_output_for_mask=True),
            ]
        ),
        "zero_output_for_mask",
    ),
    "weights of attention": (
        lambda: functional(
            lambda a: L.Attention()([a, a], return_attention_scores=True)[1], (None, 2)
        ),
        "attention.* with return_attention_scores",
    ),
    "cells of different kinds": (
        lambda: keras.Sequential([keras.Input((9, 2)), L.RNN([L.GRUCell(2), L.LSTMCell(2)])]),
        r"rnn.* \(RNN\)",
    ),
    "a convolution of recurrent layers": (
        lambda: keras.Sequential([keras.Input((5, 4, 4, 1)), L.ConvLSTM2D(2, 3)]),
        r"conv_lstm2d.* \(ConvLSTM2D\)",
    ),
    "a convolution's activation": (
        lambda: keras.Sequential([keras.Input((9, 2)), L.Conv1D(2, 3, activation="mish")]),
        "mish",
    ),
    "two directions apart": (
        lambda: functional(lambda a: L.Bidirectional(L.GRU(2), merge_mode=None)(a)[1], (None, 2)),
        "merge_mode",
    ),
    "different directions": (
        lambda: keras.Sequential(
            [
                keras.Input((9, 2)),
                L.Bidirectional(L.GRU(2), backward_layer=L.GRU(2, "relu", go_backwards=True)),
            ]
        ),
        "activation",
    ),
    "a mask that leaves a model": (
        lambda: keras.Sequential(
            [
                keras.Input((None,)),
                keras.Sequential([keras.Input((None,)), L.Embedding(5, 3, mask_zero=True)]),
                L.LSTM(2),
            ]
        ),
        "mask",
    ),
    "an activation": (lambda: keras.Sequential([keras.Input((9, 2)), L.Dense(2, "mish")]), "mish"),
    "a threshold": (
        lambda: keras.Sequential([keras.Input((9, 2)), L.ReLU(threshold=1.0)]),
        "threshold",
    ),
}


def encoder_and_decoder(a: Any, b: Any) -> Any:
    _, *states = L.LSTM(3, return_state=True)(a)
    y, *_ = L.LSTM(3, return_sequences=True, return_state=True)(b, initial_state=states)
    return L.Dense(2, "softmax")(y)


def decoder_alone(b: Any, h: Any, c: Any) -> Any:
    lstm = L.LSTM(3, return_sequences=True, return_state=True)
    y, *states = lstm(b, initial_state=[h, c])
    return [L.Dense(2)(y), *states]


def states_of_two_directions(a: Any) -> Any:
    gru = L.Bidirectional(L.GRU(2, return_state=True, return_sequences=True), merge_mode="sum")
    y, *states = gru(a)
    lstm = L.Bidirectional(L.LSTM(2, return_state=True))
    z, *more = lstm(y, initial_state=[*states, *states[::-1]])
    return [z, *states, *more, L.GRU(2, return_state=True, go_backwards=True)(a)[1]]


def shared(a: Any, b: Any) -> Any:
    lstm = L.LSTM(3)
    return L.Subtract()([lstm(a), lstm(b)])


def model_for_each_step(a: Any) -> Any:
    steps = keras.Input((4, 2))
    both = L.Concatenate()([L.LSTM(3)(steps), L.GlobalMaxPooling1D()(L.Dense(2)(steps))])
    each = L.TimeDistributed(keras.Model(steps, L.Dense(2)(both)))
    return [L.GRU(2)(each(a)), each(L.Dense(2)(a))]


def inner() -> Any:
    a, b = keras.Input((5, 2)), keras.Input((5, 2))
    both = L.Concatenate()([L.GRU(2, return_sequences=True)(a), b])
    return keras.Model([a, b], [L.Dense(2)(both), L.LSTM(3)(both)], name="inner")


def models_inside(a: Any, b: Any) -> Any:
    model, head = inner(), keras.Sequential([keras.Input((5, 2)), L.Dense(3, "tanh"), L.GRU(2)])
    y, z = model([a, b])
    again, _ = model([L.Dense(2)(y), a])
    return [z, head(y), head(again)]


def inside_and_beside(a: Any, b: Any) -> Any:
    """Keras 3 saves the weights of a model or of a layer in the first model that has it."""
    layer, steps = L.GRU(3), keras.Input((5, 2))
    model = keras.Sequential([keras.Input((5, 2)), L.LSTM(3), L.Dense(3)])
    outer = keras.Model(steps, L.Add()([model(steps), layer(steps)]))
    return [outer(a), model(b), layer(b)]


GRAPHS: dict[str, Callable[[], Any]] = {
    "inside a model and beside it": lambda: functional(inside_and_beside, (5, 2), (5, 2)),
    "sums of arrays with 2 and 3 axes": lambda: functional(
        lambda a: [L.Add()([a, L.GRU(2)(a)]), L.Maximum()([L.GRU(2)(a), a])], (3, 2)
    ),
    "numbers and functions": lambda: functional(
        lambda a: keras.ops.abs(1.0 - keras.ops.exp(a * 2 - 0.5)) + a, (None, 2)
    ),
    "similar vectors": lambda: functional(
        lambda a: [
            L.Dot(axes=1, normalize=True)([L.GRU(3)(a), L.LSTM(3)(a)]),
            L.Dot(axes=-1)([L.GRU(3)(a), L.LSTM(3)(a)]),
            L.Dot(axes=(1, -2), normalize=True)([a, L.Dense(2)(a)]),
            L.Dot(axes=(1, 2))([L.GRU(2)(a), a]),
            L.Dot(axes=(-1, 1))([L.Dense(3)(a), L.GRU(3)(a)]),
            L.Dot(axes=(1, 2), normalize=True)([L.GRU(2)(a), L.Dense(2)(a)]),
            L.Add()([L.Dot(axes=2)([L.Dense(2)(a), a]), L.Dense(1)(a)]),
            L.Add()([L.Dot(axes=(1, 2))([L.GRU(2)(a), a])[:, :2], L.GRU(2)(a)]),
        ],
        (None, 2),
    ),
    "two inputs": lambda: functional(
        lambda a, b: L.Dense(2)(L.Concatenate()([L.LSTM(3)(a), b])), (None, 2), (3,)
    ),
    "two outputs": lambda: functional(
        lambda a: [
            L.Dense(1)(a),
            L.GRU(2, go_backwards=True)(a),
            L.LSTM(2, go_backwards=True, return_sequences=True)(a),
        ],
        (None, 2),
    ),
    "a skip connection": lambda: functional(lambda a: a + L.Dense(2, "tanh")(a), (None, 2)),
    "all merges": lambda: functional(
        lambda a: L.Average()(
            [L.Add()([a, a, a]), L.Multiply()([a, a, a]), L.Maximum()([a, a]), L.Minimum()([a, a])]
        ),
        (None, 2),
    ),
    "two directions": lambda: functional(
        lambda a: L.Concatenate()(
            [L.Bidirectional(L.LSTM(2), merge_mode=mode)(a) for mode in ("sum", "mul", "concat")]
        ),
        (None, 2),
    ),
    "pools": lambda: functional(
        lambda a: L.Add()([L.GlobalAveragePooling1D()(a), L.GlobalMaxPooling1D()(a)]), (None, 2)
    ),
    "pools of features": lambda: functional(
        L.GlobalMaxPooling1D("channels_first", keepdims=True), (None, 2)
    ),
    "an autoencoder": lambda: keras.Sequential(
        [
            keras.Input((5, 2)),
            L.LSTM(3),
            L.RepeatVector(5),
            L.LSTM(4, return_sequences=True),
            L.TimeDistributed(L.Dense(2)),
        ]
    ),
    "a flat sequence": lambda: keras.Sequential(
        [keras.Input((5, 2)), L.GRU(3, return_sequences=True), L.Flatten(), L.Dense(2, "softmax")]
    ),
    "attention": lambda: functional(
        lambda a: L.Concatenate()(
            [a, L.Attention()([a, L.Dense(3)(a), L.LSTM(2, return_sequences=True)(a)])]
        ),
        (None, 2),
    ),
    "weights of the steps": lambda: functional(
        lambda a: L.Multiply()([a, L.Softmax(axis=1)(L.Dense(1, "tanh")(a))]), (None, 2)
    ),
    "scaled and padded": lambda: keras.Sequential(
        [
            keras.Input((5, 2)),
            L.Rescaling(0.5, offset=-1),
            L.ZeroPadding1D((2, 1)),
            L.Identity(),
            L.AlphaDropout(0.1),
            L.GRU(3),
        ]
    ),
    "convolutions": lambda: keras.Sequential(
        [
            keras.Input((9, 4)),
            L.Conv1D(6, 4, strides=2, padding="same", activation="relu"),
            L.MaxPooling1D(2, padding="same"),
            L.Conv1D(4, 2, groups=2),
            L.LSTM(3),
        ]
    ),
    "a causal convolution": lambda: keras.Sequential(
        [
            keras.Input((9, 2)),
            L.GRU(4, return_sequences=True),
            L.Conv1D(3, 3, padding="causal", dilation_rate=2, use_bias=False),
            L.AveragePooling1D(3, strides=1, padding="same"),
            L.Dense(2),
        ]
    ),
    "an encoder and a decoder": lambda: functional(encoder_and_decoder, (None, 2), (None, 4)),
    "a decoder with its states as inputs": lambda: functional(decoder_alone, (None, 4), (3,), (3,)),
    "states of two directions": lambda: functional(states_of_two_directions, (None, 2)),
    "a shared layer": lambda: functional(shared, (None, 2), (None, 2)),
    "models inside": lambda: functional(models_inside, (5, 2), (5, 2)),
    "activations": lambda: functional(
        lambda a: (
            [
                L.Dense(2, name)(a)
                for name in ("gelu", "silu", "selu", "exponential", "relu6", "log_softmax")
            ]
            + [L.PReLU(shared_axes=[1])(a), L.PReLU()(a), L.ReLU(0.5)(a)]
        ),
        (5, 2),
    ),
    "scaled attention": lambda: functional(
        lambda a: [
            L.Attention(use_scale=True)([a, a]),
            L.Attention(score_mode="concat")([a, a]),
            L.Attention(score_mode="concat", use_scale=True)([a, a]),
            L.AdditiveAttention()([a, L.Dense(2)(a), L.Dense(2)(a)]),
            L.AdditiveAttention(use_scale=False)([a, a]),
        ],
        (None, 2),
    ),
    "attention with heads": lambda: functional(
        lambda a, b: [
            L.MultiHeadAttention(2, 4)(query=a, key=b, value=L.Dense(4)(b)),
            L.MultiHeadAttention(3, 1, value_dim=4, output_shape=5, use_bias=False)(a, b),
        ],
        (None, 4),
        (None, 2),
    ),
    "an image of text": lambda: keras.Sequential(
        [
            keras.Input((8, 6, 1)),
            L.Conv2D(3, (3, 2), padding="same", activation="relu"),
            L.MaxPooling2D((2, 2)),
            L.Conv2D(2, 2, strides=(1, 2)),
            L.AveragePooling2D((1, 1)),
            L.Reshape((3, 2)),
            L.Dense(4, "relu"),
            L.Bidirectional(L.LSTM(2, return_sequences=True)),
        ]
    ),
    "layers for each step": lambda: keras.Sequential(
        [
            keras.Input((3, 6, 2)),
            L.TimeDistributed(L.Conv1D(2, 2, activation="relu")),
            L.TimeDistributed(L.MaxPooling1D(2)),
            L.TimeDistributed(L.Flatten()),
            L.LSTM(2),
        ]
    ),
    "a model for each step": lambda: functional(model_for_each_step, (5, 4, 2)),
    "slices": lambda: functional(
        lambda a: [L.Dense(2)(a[:, -1]), a[:, 1:4:2, :1], a[:, -3:, 0], a[..., 1]], (5, 2)
    ),
    "differences and products": lambda: functional(
        lambda a, b: [
            L.Subtract()([L.Dense(2)(a), b]),
            L.Dot(axes=(2, 2))([a, b]),
            L.Dot(axes=(2, 1))([b, L.Permute((2, 1))(a)]),
        ],
        (5, 2),
        (5, 2),
    ),
    "reductions": lambda: functional(
        lambda a: [
            keras.ops.sum(L.Dense(2)(a), axis=1),
            keras.ops.max(a, axis=[1, 2], keepdims=True),
            keras.ops.mean(a, axis=-1),
        ],
        (5, 2),
    ),
    "steps that are normalised": lambda: functional(
        lambda a: [L.BatchNormalization(axis=1)(a), L.BatchNormalization(axis=-2, scale=False)(a)],
        (5, 5),
    ),
    "images that are normalised": lambda: functional(
        lambda a: [L.BatchNormalization(axis=n)(a) for n in (1, 2, 3)], (4, 4, 4)
    ),
    "reshapes": lambda: keras.Sequential(
        [keras.Input((10,)), L.Reshape((2, 5)), L.Permute((2, 1)), L.BatchNormalization(), L.GRU(3)]
    ),
}


@pytest.mark.parametrize("kind", GRAPHS)
def test_what_is_no_chain_is_a_graph(kind: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    model = GRAPHS[kind]()
    for weight in model.weights:
        weight.assign(rng.uniform(0.2, 1, weight.shape))
    x = [rng.standard_normal((3, *(n or 5 for n in i.shape[1:]))) for i in model.inputs]
    expected = model([torch.tensor(a) for a in x] if len(x) > 1 else torch.tensor(x[0]))
    expected = expected if isinstance(expected, list) else [expected]
    # Keras's own means and normalisations are in float32, whatever the dtype.
    in_float32 = ["all merges", "pools", "pools of features", "reshapes", "activations"]
    in_float32 += ["attention with heads", "reductions", "steps that are normalised"]
    in_float32 += [
        "images that are normalised",
        "numbers and functions",
        "similar vectors",
        "sums of arrays with 2 and 3 axes",
    ]
    tolerance = 5e-6 if kind in in_float32 else 1e-10
    for ending in ("keras", "h5"):
        store(model, tmp_path / f"model.{ending}")
        graph = load(tmp_path / f"model.{ending}")
        for ours, theirs in zip(graph(*x), expected, strict=True):
            np.testing.assert_allclose(
                ours, theirs.detach().numpy(), rtol=tolerance, atol=tolerance
            )


@pytest.mark.parametrize("ending", ["keras", "h5"])
def test_inputs_in_a_dict_have_keras_s_order(ending: str, tmp_path: Path) -> None:
    """Keras sorts the names."""
    a, b = (keras.Input((4, 2), name=name) for name in "ba")
    model = keras.Model({"b": a, "a": b}, L.Subtract()([L.GRU(2)(a), L.LSTM(2)(b)]))
    store(model, tmp_path / f"model.{ending}")
    x = np.random.default_rng(0).standard_normal((2, 3, 4, 2))
    (y,) = load(tmp_path / f"model.{ending}")(*x)
    given = {name: torch.tensor(part) for name, part in zip("ab", x, strict=True)}
    expected = model(given).detach().numpy()
    np.testing.assert_allclose(y, expected, atol=1e-12)


def with_masks(a: Any, b: Any, c: Any) -> Any:
    """Encode and decode tokens; mask features beside them."""
    embedded = L.Embedding(6, 3, mask_zero=True)(a)
    _, *states = L.LSTM(3, return_state=True)(
        L.Bidirectional(L.GRU(3, return_sequences=True))(embedded)
    )
    steps = {"return_sequences": True, "return_state": True}
    words = L.Dropout(0.1)(L.Embedding(6, 3, mask_zero=True)(b))
    y, h, _ = L.LSTM(3, **steps)(words, initial_state=states)
    again = L.LSTM(3, return_sequences=True)(words, initial_state=None)
    masked = L.Masking(1.0)(c)
    z = L.TimeDistributed(L.Dense(3))(
        L.RNN([L.GRUCell(3), L.GRUCell(2)], return_sequences=True)(masked)
    )
    last = L.Add()(
        [L.Bidirectional(L.LSTM(3), merge_mode="sum")(z), L.GRU(3, go_backwards=True)(masked)]
    )
    return [L.Dense(4, "softmax")(y), h, again, last, z]


def with_masked_attention(a: Any, b: Any, c: Any) -> Any:
    """Translate: attention of a decoder's words to those of an encoder. Join and pool."""
    words, masked = L.Embedding(6, 3, mask_zero=True), L.Masking(1.0)(c)
    read, *states = L.LSTM(3, return_sequences=True, return_state=True)(words(a))
    spoken = L.LSTM(3, return_sequences=True)(L.SpatialDropout1D(0.1)(words(b)))
    written = L.LSTM(3, return_sequences=True)(words(b), initial_state=states)
    context = L.AdditiveAttention()([written, read])
    y = L.TimeDistributed(L.Dense(4))(L.Concatenate()([written, context]))
    z = L.GRU(2, return_sequences=True)(L.Add()([masked, L.Dense(3)(masked)]))
    mixed = L.Concatenate()([masked, L.Dense(2)(c)])  # of which one has no mask
    pooled = [L.GlobalAveragePooling1D()(v) for v in (context, z, mixed, spoken)]
    return [y, *pooled, L.GRU(3)(mixed), L.Attention()([masked, c]), L.Attention()([c, masked])]


def with_lost_masks(a: Any, b: Any, c: Any) -> Any:
    """Give masked sequences to layers and functions that drop a mask."""
    read = L.LSTM(3, return_sequences=True)(L.Embedding(6, 3, mask_zero=True)(a))
    seen = L.GRU(2)(L.Conv1D(2, 2, padding="same")(L.Embedding(6, 3, mask_zero=True)(b)))
    steps = L.GRU(3, return_sequences=True)(L.Masking(1.0)(c))
    functions = [keras.ops.max(steps, axis=1), L.LSTM(2)(steps + steps), steps[:, -1]]
    product = L.Dot(axes=2)([steps, L.Masking(1.0)(c)])
    return [L.GlobalMaxPooling1D()(read), seen, *functions, L.GRU(2)(L.Permute((2, 1))(c)), product]


@pytest.mark.parametrize("ending", ["keras", "h5"])
@pytest.mark.parametrize("network", [with_masks, with_masked_attention, with_lost_masks])
@pytest.mark.filterwarnings("ignore:Layer .* was passed an input with a mask")
@pytest.mark.filterwarnings("ignore:invalid value encountered in divide")  # a row without steps
def test_masks_of_branches(network: Any, ending: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    sizes = (None,), (None,), (7, 3) if network is with_lost_masks else (None, 3)
    model = functional(network, *sizes)
    for weight in model.weights:
        weight.assign(rng.standard_normal(weight.shape))
    store(model, tmp_path / f"model.{ending}")
    x = [random_input(rng, kind) for kind in ("tokens", "tokens", "features")]
    expected = model([torch.tensor(a) for a in x], training=False)
    for ours, theirs in zip(load(tmp_path / f"model.{ending}")(*x), expected, strict=True):
        close(ours, theirs.detach().numpy(), model)


@pytest.mark.parametrize("ending", ["keras", "h5"])
def test_a_model_inside_a_chain_is_part_of_the_chain(ending: str, tmp_path: Path) -> None:
    embedding = L.Embedding(6, 4, mask_zero=True)
    inside = keras.Sequential([keras.Input((None,)), embedding, L.GRU(3, reset_after=False)])
    model = keras.Sequential([keras.Input((None,)), inside, L.Dense(2, "relu6")])
    rng = np.random.default_rng(0)
    for weight in model.weights:
        weight.assign(rng.standard_normal(weight.shape) * 3)
    store(model, tmp_path / f"model.{ending}")
    ours, x = load(tmp_path / f"model.{ending}"), random_input(rng, "tokens")
    assert type(ours) is Masked
    close(predict(ours, x), predict(model, x), model)


@pytest.mark.parametrize("ending", ["keras", "h5"])
@pytest.mark.parametrize("kind", CELLS)
def test_cells_are_layers(kind: str, ending: str, tmp_path: Path) -> None:
    cell = getattr(L, f"{kind}Cell")
    layers = [L.RNN([cell(4), cell(3)], return_sequences=True), L.RNN(cell(2), go_backwards=True)]
    model = keras.Sequential([keras.Input((None, 3)), L.Masking(), *layers])
    rng = np.random.default_rng(0)
    for weight in model.weights:
        weight.assign(rng.standard_normal(weight.shape))
    store(model, tmp_path / f"model.{ending}")
    x = random_input(rng, "features")
    close(predict(load(tmp_path / f"model.{ending}"), x), predict(model, x), model)


@pytest.mark.parametrize("kind", ["flat", "normal"])
def test_layers_without_a_counterpart_of_their_own_are_in_a_chain(
    kind: str, tmp_path: Path
) -> None:
    more = [L.GRU(3), L.Flatten()] if kind == "flat" else [L.GRU(3, return_sequences=True)]
    layers = [*more, L.BatchNormalization(scale=kind == "flat"), L.Activation("relu"), L.Dense(2)]
    model = keras.Sequential([keras.Input((None, 2)), L.BatchNormalization(), *layers])
    rng = np.random.default_rng(0)
    for weight in model.weights:
        weight.assign(rng.uniform(0.2, 1, weight.shape))
    store(model, tmp_path / "model.keras")
    x = rng.standard_normal((2, 5, 2))
    ours = load(tmp_path / "model.keras")
    assert isinstance(ours, Sequential)
    np.testing.assert_allclose(
        predict(ours, x), predict(model, x), rtol=1e-6
    )  # of Keras in float32


@pytest.mark.parametrize("kind", UNSUPPORTED)
def test_what_has_no_counterpart_is_named(kind: str, tmp_path: Path) -> None:
    build, name = UNSUPPORTED[kind]
    for ending in ("keras", "h5"):
        store(build(), tmp_path / f"model.{ending}")
        with pytest.raises(UnsupportedError, match=name):
            load(tmp_path / f"model.{ending}")


def test_weights_alone_ask_for_the_order(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((None, 2)), L.GRU(3), L.Dense(2, "tanh")])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.save_weights(tmp_path / "model.weights.h5")
    with pytest.raises(UnsupportedError, match="expected layers="):
        load(tmp_path / "model.weights.h5")
    x = np.random.default_rng(0).standard_normal((2, 5, 2))
    layers = {"gru": {"return_sequences": False}, "dense": {"activation": "tanh"}}
    close(predict(load(tmp_path / "model.weights.h5", layers=layers), x), predict(model, x), model)


@pytest.mark.parametrize("ending", ["keras", "weights.h5"])
def test_a_model_of_a_class_of_its_own_asks_for_the_order(ending: str, tmp_path: Path) -> None:
    class Own(keras.Model):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.d, self.many, self.rnn = L.Dense(2), [L.Dense(4), L.Dense(5)], L.GRU(3)

        def call(self, x: Any) -> Any:
            return self.many[1](self.many[0](self.d(self.rnn(x))))

    model, x = Own(), np.random.default_rng(0).standard_normal((2, 5, 2))
    path = tmp_path / f"model.{ending}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = predict(model, x)
        model.compile("adam")
        model.save(path) if ending == "keras" else model.save_weights(path)
    with pytest.raises(UnsupportedError, match="expected layers="):
        load(path)
    # Keras saves the layers by attributes, and those in lists by classes.
    rnn, *dense = ["layers/gru", "d", "layers/dense_1", "layers/dense_2"]
    order: dict[str, Any] = {rnn: {"return_sequences": False}} | {name: {} for name in dense}
    close(predict(load(path, layers=order), x), expected, model)


@pytest.mark.parametrize("ending", ["keras", "h5"])
def test_a_normalization_is_what_it_was_adapted_to(ending: str, tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(3, 2, (4, 5, 2))
    normalization = L.Normalization()
    normalization.adapt(x)
    model = keras.Sequential([keras.Input((None, 2)), normalization, L.LSTM(3)])
    store(model, tmp_path / f"model.{ending}")
    y = load(tmp_path / f"model.{ending}").predict(x)[0]
    np.testing.assert_allclose(y, model(torch.tensor(x)).detach().numpy(), atol=1e-6)
