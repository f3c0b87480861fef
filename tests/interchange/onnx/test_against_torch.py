"""What PyTorch's exporters write: a chain of layers is a Sequential, all else a Graph."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from numpy_rnn import interchange
from numpy_rnn.interchange.graph.graph import Graph
from numpy_rnn.layers import Sequential
from numpy_rnn.layers.validate import to_dtype


class Tagger(nn.Module):
    """Embedding or numbers, a recurrent stack, a linear layer, and something after it."""

    def __init__(
        self, kind: str = "LSTM", tokens: bool = True, after: str = "softmax", **options: Any
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(9, 5) if tokens else nn.Identity()
        self.rnn = getattr(nn, kind)(5, 4, **options)
        self.linear = nn.Linear(4 * (1 + self.rnn.bidirectional), 3)
        self.after = after

    def forward(self, x: Any) -> Any:
        y, _ = self.rnn(self.embedding(x))
        if "last" in self.after:
            y = y[:, -1] if self.rnn.batch_first else y[-1]
        if "residual" in self.after:
            y = y + torch.relu(y)
        y = self.linear(y)
        return torch.softmax(y, -1) if "softmax" in self.after else y


class Final(nn.Module):
    """The final state of a bidirectional layer, both directions beside each other."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.GRU(5, 4, bidirectional=True)

    def forward(self, x: Any) -> Any:
        return self.rnn(x)[1].transpose(0, 1).flatten(1)


class Joined(nn.Module):
    """The final states of the last layer's directions, as they are usually joined."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.LSTM(5, 4, 2, bidirectional=True)

    def forward(self, x: Any) -> Any:
        h = self.rnn(x)[1][0]
        return torch.cat([h[-2], h[-1]], dim=-1)


BOTH: Any = {"bidirectional": True}
CASES: dict[str, tuple[nn.Module, bool, list[str] | None]] = {
    "flagship": (
        Tagger(num_layers=2, batch_first=True, **BOTH),
        True,
        ["Embedding", "LSTM", "LSTM", "Linear", "Softmax"],
    ),
    "time-major GRU": (
        Tagger("GRU", num_layers=2),
        True,
        ["Embedding", "GRU", "GRU", "Linear", "Softmax"],
    ),
    "RNN of numbers": (Tagger("RNN", False, "", nonlinearity="relu"), False, ["RNN", "Linear"]),
    "last step": (Tagger("GRU", False, "last"), False, ["GRU", "LastStep", "Linear"]),
    "last step, batch first": (
        Tagger("LSTM", True, "last softmax", batch_first=True, bias=False),
        True,
        ["Embedding", "LSTM", "LastStep", "Linear", "Softmax"],
    ),
    "final state": (Final(), False, ["GRU", "LastStep"]),
    "final states of a stack": (Joined(), False, ["LSTM", "LSTM", "LastStep"]),
    "residual": (Tagger("LSTM", False, "residual"), False, None),
    "last step of both directions": (Tagger("LSTM", True, "last", **BOTH), True, None),
}


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """The exporters warn, log and print."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        logging.disable(logging.CRITICAL)
        try:
            yield
        finally:
            logging.disable(logging.NOTSET)


def compare(
    path: Path, net: nn.Module, tokens: bool, expected: list[str] | None, free: bool = True
) -> None:
    model, graph = interchange.load(path), interchange.load(path, graph=True)
    assert isinstance(graph, Graph)
    if expected is None:
        assert isinstance(model, Graph)
    else:
        assert [type(layer).__name__ for layer in model.layers.values()] == expected
    for T, B in ((6, 3), (2, 5), (1, 1)) if free else ((6, 3),):
        x = torch.randint(0, 9, (T, B)) if tokens else torch.randn(T, B, 5)
        want = net(x).detach().numpy()
        np.testing.assert_allclose(graph(x.numpy())[0], want, rtol=1e-5, atol=1e-6)
        if isinstance(model, Sequential):
            np.testing.assert_allclose(model.predict(x.numpy())[0], want, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", CASES)
def test_the_exporter_by_tracing(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    net, tokens, expected = CASES[name]
    net.eval()
    path = tmp_path / "model.onnx"
    x = torch.zeros((6, 3), dtype=torch.int64) if tokens else torch.randn(6, 3, 5)
    with quiet():
        torch.onnx.export(
            net, (x,), path, dynamo=False, input_names=["x"], dynamic_axes={"x": {0: "t", 1: "b"}}
        )
    compare(path, net, tokens, expected)


class Packed(nn.Module):
    """A padded batch and its lengths."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.GRU(5, 4, 2, bidirectional=True)

    def forward(self, x: Any, lengths: Any) -> Any:
        y, _ = self.rnn(nn.utils.rnn.pack_padded_sequence(x, lengths))
        return nn.utils.rnn.pad_packed_sequence(y)[0]


def test_lengths_are_an_input(tmp_path: Path) -> None:
    """A Sequential would take them as an option, and without it read the padding."""
    net, path = Packed().eval(), tmp_path / "model.onnx"
    for T, lengths in ((6, [6, 4, 1]), (7, [7, 7])):
        inputs = torch.randn(T, len(lengths), 5), torch.tensor(lengths)
        if T == 6:
            axes = {"x": {0: "t", 1: "b"}, "n": {0: "b"}}
            with quiet():
                torch.onnx.export(
                    net, inputs, path, dynamo=False, input_names=["x", "n"], dynamic_axes=axes
                )
        model = interchange.load(path)
        assert isinstance(model, Graph)
        (y,) = model(*[x.numpy() for x in inputs])
        np.testing.assert_allclose(y, net(*inputs).detach().numpy(), rtol=1e-5, atol=1e-6)


def test_the_exporter_by_dynamo(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net, tokens, expected = CASES["flagship"]
    net.eval()
    path = tmp_path / "model.onnx"  # the weights are in a second file
    x = torch.zeros((6, 3), dtype=torch.int64)
    with quiet():
        torch.onnx.export(net, (x,), path, dynamo=True)
    compare(path, net, tokens, expected, free=False)


def test_gradients_of_a_read_model_equal_torch(tmp_path: Path) -> None:
    net = Tagger(tokens=False, after="", num_layers=2, **BOTH).double()
    path = tmp_path / "model.onnx"
    x = torch.randn(6, 3, 5, dtype=torch.float64, requires_grad=True)
    with quiet():
        torch.onnx.export(net, (x,), path, dynamo=False)
    model = interchange.load(path)
    assert isinstance(model, Sequential)
    y, _ = model(to_dtype(x.detach().numpy(), model.parameters.dtype))
    dx, _ = model.backward(2 * y)
    np.testing.assert_allclose(
        dx, torch.autograd.grad(net(x).pow(2).sum(), x)[0].numpy(), rtol=1e-12, atol=1e-12
    )
