"""benchmarks/real_models.py: each model of a folder has a line, with its difference or a reason."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks import real_models
from numpy_rnn import GRU, Embedding, Linear, Sequential, interchange
from tests.interchange.keras.keras_3 import L, functional, keras, store

pytestmark = [
    pytest.mark.torch,
    pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning"),  # Keras on PyTorch
]


def compared(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["real_models", str(folder)])
    real_models.main()


def two_outputs(tokens: Any) -> list[Any]:
    x = L.Embedding(7, 3, mask_zero=True)(tokens)
    x = L.Bidirectional(L.LSTM(4, return_sequences=True), "sum")(x)
    return [L.Dense(n)(x) for n in (2, 1)]


def test_every_file_of_a_folder_has_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    inner = tmp_path / "models"
    inner.mkdir()
    torch.save(torch.nn.LSTM(3, 4).state_dict(), inner / "lstm.pt")
    torch.save({"conv.weight": torch.zeros(2, 3, 5)}, inner / "conv.pt")
    chain = Sequential(Embedding(5, 3, rng=0), GRU(3, 4, rng=1), Linear(4, 2, rng=2))
    interchange.save(chain, inner / "chain.onnx")
    graph = functional(two_outputs, (None,))
    graph.save(inner / "graph.keras")
    graph.save_weights(inner / "alone.weights.h5")
    store(keras.Sequential([keras.Input((None, 3)), L.GRU(4)]), inner / "old.h5")
    (inner / "read.me").write_text("hello")
    (inner / "empty").touch()
    monkeypatch.setattr(real_models, "STEPS", 5)
    compared(tmp_path, monkeypatch)
    *lines, last = capsys.readouterr().out.splitlines()
    said = {line.partition(": ")[0].removeprefix("models/"): line for line in lines}
    assert set(said) == {
        *("alone.weights.h5", "chain.onnx", "conv.pt", "graph.keras", "lstm.pt", "old.h5")
    }
    for name in ("chain.onnx", "graph.keras", "lstm.pt", "old.h5"):
        assert "differs from" in said[name], said[name]
    why = "not run: it holds no layers, and no layer that is known here has conv.weight"
    assert why in said["conv.pt"]
    assert float(last.removeprefix("worst difference: ").partition(",")[0]) < 1e-6
    assert last.endswith(", 4 models")


def test_a_folder_without_models_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "read.me").write_text("hello")
    with pytest.raises(SystemExit):
        compared(tmp_path, monkeypatch)
    assert "no model below" in capsys.readouterr().err
