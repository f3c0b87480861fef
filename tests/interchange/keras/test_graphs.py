"""Networks of Keras 3 that are no chain of layers become a Graph."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from numpy_rnn.interchange import load
from tests.interchange.keras.keras_3 import (
    L,
    functional,
    keras,
    store,
)


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
    "similar images": lambda: functional(
        lambda a: [
            L.Dot(axes=(3, 1))([a, L.Flatten()(a)[:, :2]]),
            L.Dot(axes=(1, 1))([a, L.Permute((2, 1))(L.Reshape((4, 3))(a))]),
        ],
        (3, 2, 2),
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
        lambda a: [
            L.BatchNormalization(axis=1)(a),
            L.BatchNormalization(axis=-2, scale=False)(a),
            L.LayerNormalization(axis=2, center=False)(a),
        ],
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
        "similar images",
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


@pytest.mark.parametrize(
    ("shape", "kind", "n"), [((3,), "RepeatVector", 2**28), ((2, 3), "ZeroPadding1D", 2**21)]
)
def test_a_small_file_cannot_take_much_memory(
    shape: tuple[int, ...], kind: str, n: int, tmp_path: Path
) -> None:
    """The size is checked where it is known: on loading, or when the network runs."""
    store(functional(getattr(L, kind)(n), shape), tmp_path / "m.keras")
    with pytest.raises(ValueError, match=r"expected at most \d+"):
        load(tmp_path / "m.keras")(np.ones((1, *shape)))


@pytest.mark.parametrize("token", [-1, 5])
def test_a_token_outside_the_vocabulary_is_refused(token: int, tmp_path: Path) -> None:
    tokens = keras.Input((4,), dtype="int64")
    both = L.Concatenate()([L.Embedding(5, 2)(tokens), L.Embedding(5, 3)(tokens)])
    store(keras.Model(tokens, both), tmp_path / "m.keras")
    with pytest.raises(ValueError, match=f"x is {token} at index .*, expected 0 to 4"):
        load(tmp_path / "m.keras")(np.full((1, 4), token))
