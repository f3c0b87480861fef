"""What Keras 3 has and this package has not is named, and so is what a file does not tell."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from numpy_rnn.interchange import UnsupportedError, load
from tests.interchange.keras.keras_3 import (
    L,
    close,
    functional,
    keras,
    predict,
    store,
)


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
        "sequential.*, called with training=True",
    ),
    "a layer's normalised axis that is not the last": (
        lambda: functional(L.LayerNormalization(axis=-2), (4, 4)),
        r"axis \[-2\]",
    ),
    "a softmax with a mask": (
        lambda: keras.Sequential([keras.Input((None, 2)), L.Masking(), L.Softmax()]),
        "softmax.* mask",
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
    "two masks of a sum": (
        lambda: functional(lambda a: L.Add()([L.Masking()(a), L.Masking(1.0)(a)]), (None, 2)),
        "add.* mask",
    ),
    "a mask of a joined sequence": (
        lambda: functional(
            lambda a: L.GRU(2)(L.Concatenate(axis=1)([L.Masking()(a), L.Masking()(a)])), (None, 2)
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
    config = {"gru": {"return_sequences": False}, "dense": {"activation": "tanh"}}
    ours = load(tmp_path / "model.weights.h5", layers=["gru", "dense"], config=config)
    close(predict(ours, x), predict(model, x), model)


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
    order = ["layers/gru", "d", "layers/dense_1", "layers/dense_2"]
    ours = load(path, layers=order, config={"layers/gru": {"return_sequences": False}})
    close(predict(ours, x), expected, model)


def test_a_layer_s_normalised_axis_is_the_last_of_the_input(tmp_path: Path) -> None:
    store(functional(L.LayerNormalization(axis=1), (4, 4)), tmp_path / "model.keras")
    with pytest.raises(ValueError, match=r"layer_normalization.*axis 1 of .* 3 axes, expected"):
        load(tmp_path / "model.keras")(np.zeros((2, 4, 4)))
