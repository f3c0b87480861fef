"""Model files: every layer comes back bit by bit, and a damaged file is one error."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

import numpy_rnn
from numpy_rnn import (
    ELU,
    GRU,
    LRU,
    LSTM,
    RNN,
    Activation,
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
    MinGRU,
    PeepholeLSTM,
    ReLU,
    Sequential,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Softsign,
    Tanh,
)
from numpy_rnn.layers.model_file import CLASSES
from numpy_rnn.layers.wrappers import Flip, InitialState, Masked, Residual
from numpy_rnn.reading import DamagedFileError
from tests.layers.mgu import MGU

MODELS: list[Layer] = [
    RNN(3, 4, 2, "relu", dropout=0.5),
    LSTM(3, 4, 2, bidirectional=True, proj_size=2, dtype=np.float32),
    PeepholeLSTM(3, 4, recompute=2),
    GRU(3, 4, bias=False, batch_first=True, reset_after=False),
    IndRNN(3, 4),
    MinGRU(3, 4),
    LRU(3, 4),
    Linear(3, 2, bias=False),
    Embedding(5, 3),
    LayerNorm(3, 0.1, bias=False),
    Dropout(0.3),
    Dropout(0.3, dtype=np.float32),
    LastStep(batch_first=True, bidirectional=True),
    Sequential(Embedding(5, 3), Dropout(), LSTM(3, 4), LastStep(), Linear(4, 2)),
    Sequential(Embedding(5, 3, 1), GRU(3, 3), Linear(3, 5), tied={"2.weight": "0.weight"}),
    Sequential(LSTM(3, 4, reverse=True, dtype=np.float32), Activation("leaky_relu", 0.5)),
    RNN(3, 4, nonlinearity=("elu", 0.5), bidirectional=True, merge="ave", clip=3.0),
    LSTM(3, 4, activations=("sigmoid", ("scaled_tanh", 0.5, 2.0), "softsign"), input_forget=True),
    Sequential(ReLU(), Tanh(), Sigmoid(), SiLU(), Softsign(), Identity(), HardSigmoid(0.2)),
    Sequential(LeakyReLU(0.1), ELU(2.0), Softplus(2.0), Softmax(0), LogSoftmax()),
    Sequential(a=Sequential(RNN(3, 4), b=GRU(4, 3)), self_=Linear(3, 1)),
    Residual(Linear(3, 3), GRU(3, 2, batch_first=True), Flip(batch_first=True)),
    Masked(LSTM(3, 2), mask_value=0.5),
    InitialState(LSTM(3, 2), Linear(2, 1), initial=((np.ones((1, 2)), np.full((1, 2), 0.1)),)),
    Residual(GRU(3, 4), Linear(4, 1)),
    InitialState(GRU(3, 2), initial=(((0.5, 1.0),),)),
    Masked(Embedding(5, 3), LSTM(3, 2), mask_value=0.0),
    Sequential(GRU(3, 4, reverse=True), Flip()),
]


def test_the_models_have_every_layer() -> None:
    assert {name for model in MODELS for name in classes(model.describe())} == set(CLASSES)


def classes(description: dict[str, Any]) -> set[str]:
    inside = [classes(part) for part in description.get("layers", {}).values()]
    return {description["class"]}.union(*inside)


@pytest.mark.parametrize("model", MODELS, ids=repr)
def test_a_model_comes_back_bit_by_bit(tmp_path: Path, model: Layer) -> None:
    for name in ("one", "two.safetensors"):
        model.save(str(tmp_path / name), vocabulary="abc")
    data = (tmp_path / "one").read_bytes()
    assert data == (tmp_path / "two.safetensors").read_bytes()
    again = numpy_rnn.load(tmp_path / "one")
    assert repr(again) == repr(model)
    assert again.describe() == model.describe()
    assert not again.training
    assert again.vocabulary == "abc"
    assert again.parameters.data.tobytes() == model.parameters.data.tobytes()
    theirs = safetensors.numpy.load_file(tmp_path / "one")
    assert {n: a.tolist() for n, a in theirs.items()} == {
        n: model.parameters.values[n].tolist() for n in model.parameters.shapes
    }
    again.save(tmp_path / "three")  # with its own vocabulary
    assert data == (tmp_path / "three").read_bytes()


def test_a_custom_cell_needs_its_class(tmp_path: Path) -> None:
    model = Sequential(MGU(3, 4, rng=0), Linear(4, 1))
    model.save(tmp_path / "m", vocabulary=["an", "other"])
    with pytest.raises(DamagedFileError, match=r"layer 'MGU' is unknown.*custom=\{'MGU': MGU\}"):
        numpy_rnn.load(tmp_path / "m")
    again = numpy_rnn.load(tmp_path / "m", custom={"MGU": MGU})
    x = np.ones((5, 2, 3))
    np.testing.assert_array_equal(model.predict(x)[0], again.predict(x)[0])
    assert again.vocabulary == ("an", "other")


class Square(MGU):
    """A cell whose constructor has other arguments than that of its base."""

    def __init__(self, size: int, *, rng: Any = None) -> None:
        self.size = size
        super().__init__(size, size, num_layers=2, rng=rng)


def test_a_custom_cell_is_described_by_the_arguments_of_its_own_constructor(tmp_path: Path) -> None:
    model = Square(3, rng=0)
    assert (repr(model), model.describe()) == ("Square(3)", {"class": "Square", "size": 3})
    model.save(tmp_path / "m")
    again = numpy_rnn.load(tmp_path / "m", custom={"Square": Square}, rng=1)
    assert again.parameters.data.tobytes() == model.parameters.data.tobytes()


def test_a_layer_that_cannot_be_described_writes_no_file(tmp_path: Path) -> None:
    class Renamed(Linear):
        def __init__(self, size: int) -> None:
            super().__init__(size, size)

    class Holds(Renamed):
        def __init__(self, size: Any) -> None:
            super().__init__(2)
            self.size = size

    broken = Linear(1, 1)
    broken.parameters.data[0] = np.nan
    for model, kind, message in (
        (Renamed(2), TypeError, "Renamed has no attribute 'size', expected one"),
        (Holds(object()), TypeError, "Holds: .* expected plain values"),
        (broken, ValueError, r"Linear\(1, 1\).save: there are weights that are not finite"),
    ):
        with pytest.raises(kind, match=message):
            model.save(tmp_path / "m")
    assert not list(tmp_path.iterdir())


def damaged(path: Path, model: Any, version: int = 1, vocabulary: Any = None) -> Path:
    """A file that holds the weights of a Linear(2, 2) and this description."""
    about = json.dumps({"version": version, "model": model, "vocabulary": vocabulary})
    arrays = {"weight": np.ones((2, 2)), "bias": np.ones(2)}
    safetensors.numpy.save_file(arrays, path, {"numpy_rnn": about})
    return path


LINEAR = Linear(2, 2).describe()
HUGE = 10**9


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (LINEAR | {"in_features": HUGE, "out_features": HUGE}, "expected at most 6"),
        (LINEAR | {"in_features": True, "out_features": 2}, "is True, expected a whole number"),
        (LINEAR | {"in_features": -1}, "in_features is -1, expected at least 1"),
        (LINEAR | {"in_features": "2"}, "in_features is '2', expected a whole number"),
        (LINEAR | {"bias": 1}, "bias is 1, expected True or False"),
        (LINEAR | {"dtype": "object"}, "dtype is object, expected one of"),
        (LINEAR | {"dtype": "float32"}, "'weight' is float64 of"),
        (LINEAR | {"rng": 3}, "'rng', not an argument"),
        (LINEAR | {"more": 3}, "unexpected keyword argument 'more'"),
        (LINEAR | {"class": "os.system"}, "layer 'os.system' is unknown"),
        (LINEAR | {"class": ["Linear"]}, "not described by a class"),
        ([], "not described by a class"),
        (LSTM(1, 1).describe() | {"num_layers": HUGE}, "num_layers 1000000000, and 2 arrays"),
        (LSTM(1, 1).describe() | {"layers": {}, "hidden_size": HUGE}, "unexpected keyword"),
        (Embedding(1, 1).describe() | {"num_embeddings": HUGE}, "expected at most 6"),
        ({"class": "Sequential", "layers": []}, "no layers by name"),
        ({"class": "Sequential", "layers": {"0": {}}}, "not described by a class"),
        ({"class": "Sequential", "layers": {"a": LINEAR, "b": LINEAR}}, "expected at most 0"),
        (
            {"class": "Sequential", "layers": {str(i): Dropout().describe() for i in range(1001)}},
            "more than 1000 layers",
        ),
    ],
)
def test_a_wrong_description_is_one_error(tmp_path: Path, model: Any, message: str) -> None:
    with pytest.raises(DamagedFileError, match=message):
        numpy_rnn.load(damaged(tmp_path / "m", model))


def test_the_rest_of_the_settings_is_checked(tmp_path: Path) -> None:
    with pytest.raises(DamagedFileError, match="version is 2, expected 1"):
        numpy_rnn.load(damaged(tmp_path / "m", LINEAR, version=2))
    with pytest.raises(DamagedFileError, match="vocabulary is not a text"):
        numpy_rnn.load(damaged(tmp_path / "m", LINEAR, vocabulary=[1]))
    safetensors.numpy.save_file({"weight": np.ones(2)}, tmp_path / "m")
    hint = r"model file of numpy_rnn \(interchange.load reads others\): 'numpy_rnn' is missing"
    with pytest.raises(DamagedFileError, match=hint):
        numpy_rnn.load(tmp_path / "m")


@pytest.mark.parametrize(
    "name",
    ["layers.segments.Cell", "layers.shards.Workers", "parameters.Parameters", "layers.rnn.LSTM"],
)
def test_a_class_is_still_where_pickles_look_for_it(name: str) -> None:
    module, _, kind = f"numpy_rnn.{name}".rpartition(".")
    assert isinstance(getattr(import_module(module), kind), type)
