"""Networks that PyTorch quantised dynamically are read with the weights that PyTorch uses."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from numpy_rnn import interchange
from numpy_rnn.interchange.contents import UnsupportedError

D, H = 4, 6


class Network(nn.Module):
    """A recurrent layer and a Linear."""

    def __init__(self, kind: Any, size: int = D, **options: Any) -> None:
        super().__init__()
        self.rnn = kind(size, H, **options)
        self.head = nn.Linear(H * (1 + self.rnn.bidirectional), 3)

    def forward(self, x: Any) -> Any:
        return self.head(self.rnn(x)[0])


def quantised(network: nn.Module, dtype: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch announces that this moves to torchao
        kinds = {nn.LSTM, nn.GRU, nn.LSTMCell, nn.GRUCell, nn.Linear}
        return torch.ao.quantization.quantize_dynamic(network.eval(), kinds, dtype=dtype)  # type: ignore[no-untyped-call]


@pytest.mark.parametrize("whole", [False, True], ids=["state_dict", "module"])
@pytest.mark.parametrize("options", [{}, {"num_layers": 2}, {"bidirectional": True}], ids=str)
@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU])
def test_float16_weights_give_the_outputs_of_pytorch(
    kind: Any, options: dict[str, Any], whole: bool, tmp_path: Path
) -> None:
    network = quantised(Network(kind, **options), torch.float16)
    torch.save(network if whole else network.state_dict(), tmp_path / "q.pt")
    x = torch.randn(5, 2, D)
    y, _ = interchange.load(tmp_path / "q.pt", batch_first=False).forward(x.numpy())
    assert np.abs(y - network(x).detach().numpy()).max() < 1e-6


@pytest.mark.parametrize("deep", [1, 2])
@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU])
def test_int8_weights_are_the_original_ones_to_half_a_step(
    kind: Any, deep: int, tmp_path: Path
) -> None:
    network = Network(kind, num_layers=deep, bidirectional=deep == 2)
    torch.save(quantised(network, torch.qint8).state_dict(), tmp_path / "q.pt")
    read = interchange.load(tmp_path / "q.pt", batch_first=False).state_dict()
    original = {name: weight.numpy() for name, weight in network.state_dict().items()}
    assert list(read) == list(original)
    for name, weight in original.items():
        step = 2 * np.abs(weight).max() / 255 if "weight" in name else 0.0
        assert np.abs(read[name] - weight).max() <= 0.51 * step, name


def test_cells_and_layers_alone_are_whole(tmp_path: Path) -> None:
    cell = nn.ModuleDict({"cell": nn.LSTMCell(D, H), "fc": nn.Linear(H, 2)})
    for network, shown in (
        (cell, "Sequential(cell=LSTM(4, 6, dtype=float32), fc=Linear(6, 2, dtype=float32))"),
        (nn.Sequential(nn.GRU(D, H, 3)), "GRU(4, 6, num_layers=3, dtype=float32)"),
    ):
        torch.save(quantised(network, torch.qint8).state_dict(), tmp_path / "q.pt")
        assert repr(interchange.load(tmp_path / "q.pt", batch_first=False)) == shown


def test_two_cells_of_square_weights_need_the_module(tmp_path: Path) -> None:
    network = quantised(Network(nn.LSTM, H, num_layers=2), torch.qint8)
    torch.save(network.state_dict(), tmp_path / "state.pt")
    with pytest.raises(UnsupportedError, match=re.escape("rnn: its two packed cells")):
        interchange.load(tmp_path / "state.pt")
    torch.save(network, tmp_path / "whole.pt")
    assert "num_layers=2" in repr(interchange.load(tmp_path / "whole.pt"))
