"""Every layer and option in every format: the same again, or refused or said by name."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from numpy_rnn import (
    GRU,
    LSTM,
    RNN,
    Dropout,
    Embedding,
    IndRNN,
    LastStep,
    Layer,
    LayerNorm,
    Linear,
    PeepholeLSTM,
    Sequential,
    Softmax,
    Tanh,
    interchange,
)
from numpy_rnn.interchange import UnsupportedError
from numpy_rnn.layers.activation import ELU, HardSigmoid, LeakyReLU, LogSoftmax
from numpy_rnn.layers.wrappers import Flip, InitialState, Masked, Residual

STATE_DICTS = ("torch", "npz", "pickle")
FORMATS = (*STATE_DICTS, "safetensors", "keras", "onnx")
F: dict[str, Any] = {"dtype": np.float32, "rng": 0}
KERAS = F | {"batch_first": True}
Make = Callable[[], Layer]
# What is changed of a layer, by the name that a message must have if a format cannot hold it.
MODELS: dict[str, Make] = {
    "plain GRU": lambda: GRU(3, 4, **F),
    "plain LSTM": lambda: LSTM(3, 4, 2, **F),
    "plain RNN": lambda: RNN(3, 4, bias=False, **F),
    "bidirectional": lambda: LSTM(3, 4, bidirectional=True, **KERAS),
    "batch_first": lambda: GRU(3, 4, **KERAS),
    "nonlinearity": lambda: RNN(3, 4, nonlinearity="relu", **KERAS),
    "nonlinearity of Keras": lambda: RNN(3, 4, nonlinearity="sigmoid", **KERAS),
    "reset_after": lambda: GRU(3, 4, reset_after=False, **KERAS),
    "reverse": lambda: GRU(3, 4, reverse=True, **KERAS),
    "clip": lambda: LSTM(3, 4, clip=0.5, **KERAS),
    "input_forget": lambda: LSTM(3, 4, input_forget=True, **KERAS),
    "activations": lambda: LSTM(3, 4, activations=("hard_sigmoid", "tanh", "relu"), **KERAS),
    "activations of Keras": lambda: GRU(3, 4, activations=("sigmoid", "relu"), **KERAS),
    "proj_size": lambda: LSTM(3, 4, proj_size=2, **KERAS),
    "dropout": lambda: GRU(3, 4, 2, dropout=0.5, **KERAS),
    "padding_idx": lambda: Embedding(5, 3, padding_idx=2, **F),
    "eps": lambda: LayerNorm(3, eps=0.1, dtype=np.float32),
    "elementwise_affine": lambda: LayerNorm(3, elementwise_affine=False, dtype=np.float32),
    "PeepholeLSTM": lambda: PeepholeLSTM(3, 4, **KERAS),
    "IndRNN": lambda: IndRNN(3, 4, **KERAS),
    "Tanh": lambda: Sequential(a=Linear(3, 4, **F), act=Tanh(), b=Linear(4, 2, **F)),
    "ELU": lambda: Sequential(Linear(3, 4, **F), ELU(0.5), Linear(4, 2, **F)),
    "LeakyReLU": lambda: Sequential(Linear(3, 4, **F), LeakyReLU(0.2)),
    "HardSigmoid": lambda: Sequential(Linear(3, 4, **F), HardSigmoid(0.2, 0.5)),
    "Softmax": lambda: Sequential(Linear(3, 4, **F), Softmax()),
    "Softmax(dim=1)": lambda: Sequential(Linear(3, 4, **F), Softmax(1)),
    "LogSoftmax": lambda: Sequential(Linear(3, 4, **F), LogSoftmax()),
    "Dropout": lambda: Sequential(a=Linear(3, 4, **F), drop=Dropout(0.5)),
    "LastStep": lambda: Sequential(rnn=GRU(3, 4, **KERAS), end=LastStep(True)),
    "LastStep, bidirectional": lambda: Sequential(
        rnn=GRU(3, 4, bidirectional=True, **KERAS), end=LastStep(True, bidirectional=True)
    ),
    "LastStep, merged": lambda: Sequential(
        rnn=GRU(3, 4, bidirectional=True, **KERAS),
        end=LastStep(True, bidirectional=True, merge="mul"),
    ),
    "LastStep, reversed": lambda: Sequential(
        rnn=GRU(3, 4, reverse=True, **KERAS), end=LastStep(True, reverse=True)
    ),
    "Flip": lambda: Sequential(rnn=GRU(3, 4, reverse=True, **KERAS), end=Flip(True)),
    "merge": lambda: GRU(3, 4, bidirectional=True, merge="sum", **KERAS),
    "Residual": lambda: Residual(GRU(3, 3, **KERAS)),
    "Masked": lambda: Masked(GRU(3, 4, **KERAS), mask_value=1.0),
    "InitialState": lambda: InitialState(RNN(3, 2, **KERAS), initial=[[[1.0, 2.0]]]),
    "tied": lambda: Sequential(
        Embedding(5, 3, **F), Linear(3, 5, **F), tied={"1.weight": "0.weight"}
    ),
}


def outputs(model: Any, x: Any) -> Any:
    if isinstance(model, Layer):
        y = model.predict(x)
        return y[0] if isinstance(y, tuple) else y
    return model(x)[0]


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("kind", MODELS)
def test_an_option_is_kept_or_named(kind: str, form: str, tmp_path: Path) -> None:
    model = MODELS[kind]().eval()
    rng = np.random.default_rng(0)
    first = next(iter(getattr(model, "layers", {"": model}).values()))
    x: Any = rng.standard_normal((2, 2, 3)).astype(np.float32)
    x[0, 1] = 1.0  # what Masked passes over
    if isinstance(first, Embedding):
        x = rng.integers(0, 5, (2, 3))
    told = {"batch_first": True} if form in STATE_DICTS and "batch_first" in repr(first) else {}
    said: list[Any] = []
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            interchange.save(model, tmp_path / "m", form)
            again = interchange.load(tmp_path / "m", **told)
        except UnsupportedError as error:
            said.append(error)
    message = " ".join(map(str, [*(w.message for w in warned), *said]))
    word = kind.partition(",")[0].partition(" ")[0]
    if said or (word in message and word != "batch_first"):
        parts = getattr(model, "layers", {"": model}).values()
        assert any(name in message for name in (word, *(type(part).__name__ for part in parts)))
        return
    axes = [getattr(part, "batch_first", None) for part in (again, model)]
    if isinstance(again, Layer) and axes[0] != axes[1]:
        assert "the order of axes" in message
        return
    np.testing.assert_allclose(outputs(again, x), outputs(model, x), atol=2e-6)
