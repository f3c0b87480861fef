"""Models that Keras 3 makes, saved by it and read here, and the way back."""

from __future__ import annotations

import gc
import importlib
import warnings
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from numpy_rnn import GRU, Sequential
from numpy_rnn.functional.types import Array
from numpy_rnn.interchange import load, save
from numpy_rnn.layers.wrappers import Masked
from tests.interchange.keras.keras_3 import (
    L,
    close,
    keras,
    predict,
    random_input,
    store,
)

CELLS = ("SimpleRNN", "LSTM", "GRU")
PRECISE = ["tanh", "sigmoid", "relu", "elu", "softsign", "leaky_relu", "linear", "silu"]
NAMES = [*PRECISE, "hard_sigmoid", "selu", "softplus"]  # PyTorch's gradients have float32 constants
SEEDS = range(24)


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


@pytest.mark.parametrize("ending", ["keras", "h5"])
def test_a_normalization_is_what_it_was_adapted_to(ending: str, tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(3, 2, (4, 5, 2))
    normalization = L.Normalization()
    normalization.adapt(x)
    model = keras.Sequential([keras.Input((None, 2)), normalization, L.LSTM(3)])
    store(model, tmp_path / f"model.{ending}")
    y = load(tmp_path / f"model.{ending}").predict(x)[0]
    np.testing.assert_allclose(y, model(torch.tensor(x)).detach().numpy(), atol=1e-6)
