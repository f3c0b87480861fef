"""Whole modules of PyTorch, pickled or scripted: weights and options are read, code is not."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.utils import prune

from numpy_rnn import (
    interchange,
)
from numpy_rnn.interchange import UnsupportedError


@pytest.mark.parametrize(
    "layer",
    [
        *(torch.nn.EmbeddingBag(5, 3), torch.nn.GroupNorm(1, 3), torch.nn.RMSNorm(3)),
        torch.nn.BatchNorm1d(3, track_running_stats=False),
        torch.nn.Embedding(5, 3, max_norm=1.0),
    ],
)
def test_a_pickled_layer_with_the_names_of_another_one_is_refused(
    layer: torch.nn.Module, tmp_path: Path
) -> None:
    model = torch.nn.ModuleDict({"layer_norm": layer, "fc": torch.nn.Linear(3, 3)})
    torch.save(model, tmp_path / "m")
    with pytest.raises(UnsupportedError, match=r"no layer that is known here has layer_norm"):
        interchange.load(tmp_path / "m")


def test_a_whole_torchscript_module_is_read(tmp_path: Path) -> None:
    class Scripted(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn = torch.nn.LSTM(3, 4)
            self.head = torch.nn.Linear(4, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y: torch.Tensor = self.head(self.rnn(x)[0])
            return y

    theirs = Scripted()
    torch.jit.save(torch.jit.script(theirs), tmp_path / "m.pt")
    ours = interchange.load(tmp_path / "m.pt")
    for name, value in theirs.state_dict().items():
        np.testing.assert_array_equal(ours.parameters.values[name], value.numpy())


class WithOptions(torch.nn.Module):
    """Layers with options that no weight tells."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = torch.nn.LayerNorm(3, eps=0.2)
        self.gru = torch.nn.GRU(3, 4, batch_first=True)
        self.rnn = torch.nn.RNN(4, 2, nonlinearity="relu", batch_first=True, bidirectional=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.rnn(self.gru(self.norm(x))[0])[0]
        return y


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
@pytest.mark.parametrize("compiled", [torch.jit.script, torch.jit.trace])
def test_the_code_of_torchscript_tells_the_options(compiled: Any, tmp_path: Path) -> None:
    torch.manual_seed(0)
    x, theirs = torch.randn(3, 3, 3), WithOptions()
    made = compiled(theirs, *[x] * (compiled is torch.jit.trace))
    torch.jit.save(made, tmp_path / "m.pt")
    model = interchange.load(tmp_path / "m.pt", layers=["norm", "gru", "rnn"])
    np.testing.assert_allclose(model.predict(x.numpy())[0], theirs(x).detach(), atol=1e-6)


def test_a_frozen_torchscript_module_is_refused_with_what_to_do(tmp_path: Path) -> None:
    frozen = torch.jit.freeze(torch.jit.script(WithOptions().eval()))
    torch.jit.save(frozen, tmp_path / "m.pt")
    with pytest.raises(UnsupportedError, match=r"frozen.*save it before torch\.jit\.freeze"):
        interchange.load(tmp_path / "m.pt")


@pytest.mark.filterwarnings("ignore:.*spectral_norm.*:FutureWarning")
@pytest.mark.parametrize(
    "change",
    [
        torch.nn.utils.spectral_norm,
        torch.nn.utils.parametrizations.spectral_norm,
        torch.nn.utils.parametrizations.weight_norm,
        partial(prune.l1_unstructured, amount=0.5),
        partial(prune.ln_structured, amount=0.5, n=2, dim=1),
    ],
)
def test_weights_that_are_kept_in_parts_are_computed(change: Any, tmp_path: Path) -> None:
    torch.manual_seed(0)
    gru, fc = torch.nn.GRU(3, 4), torch.nn.Linear(4, 2)
    change(gru, "weight_hh_l0")
    change(fc, "weight")
    theirs = torch.nn.ModuleDict({"rnn": gru, "fc": fc}).eval()
    x = torch.randn(5, 2, 3)
    expected = theirs["fc"](theirs["rnn"](x)[0]).detach()
    torch.save(theirs.state_dict(), tmp_path / "m")
    model = interchange.load(tmp_path / "m", batch_first=False)
    np.testing.assert_allclose(model.predict(x.numpy())[0], expected, atol=1e-6)


def test_a_pickled_module_tells_its_options(tmp_path: Path) -> None:
    theirs = torch.nn.Sequential(
        torch.nn.Embedding(5, 3, padding_idx=2),
        torch.nn.RNN(3, 4, nonlinearity="relu", batch_first=True),
        torch.nn.LayerNorm(4, eps=0.1),
    )
    torch.save(theirs, tmp_path / "m")
    assert repr(interchange.load(tmp_path / "m")) == (
        "Sequential(Embedding(5, 3, padding_idx=2, dtype=float32), RNN(3, 4, nonlinearity='relu', "
        "batch_first=True, dtype=float32), LayerNorm((4,), eps=0.1, dtype=float32))"
    )
    assert interchange.read(tmp_path / "m").guessed == {}
    torch.save(theirs.state_dict(), tmp_path / "m")
    assert set(interchange.read(tmp_path / "m").guessed) == {"nonlinearity", "batch_first"}
    cell = torch.nn.ModuleDict({"cell": torch.nn.RNNCell(3, 4, nonlinearity="relu")})
    torch.save(cell, tmp_path / "m")
    assert "nonlinearity='relu'" in repr(interchange.load(tmp_path / "m"))
    words = torch.nn.Sequential(torch.nn.Embedding(3, 3), torch.nn.LSTM(3, 2))
    torch.save(words, tmp_path / "m")
    assert repr(interchange.load(tmp_path / "m")).startswith("Sequential(Embedding(3, 3")
    torch.save(torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.ReLU()), tmp_path / "m")
    with pytest.raises(UnsupportedError, match=r"at 1 \(ReLU\) is a layer without parameters"):
        interchange.load(tmp_path / "m")
    assert repr(interchange.load(tmp_path / "m", layers=["", "ReLU"])).endswith("ReLU())")
    torch.save(torch.nn.Sequential(torch.nn.Dropout(), torch.nn.Linear(2, 2)), tmp_path / "m")
    assert repr(interchange.load(tmp_path / "m")) == "Linear(2, 2, dtype=float32)"
