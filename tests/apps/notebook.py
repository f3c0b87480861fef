"""The notebook's model, training loop and generation in PyTorch, as the notebook wrote them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import nn

from numpy_rnn.apps.recall import CHARACTERS, SENTENCE
from numpy_rnn.functional.types import Array
from numpy_rnn.layers import Sequential

# Losses that the notebook printed, at epochs 0, 10, ..., 250.
PRINTED = (
    "2.5141 1.6394 1.3345 1.2275 1.1483 1.0734 1.0046 0.9369 0.8702 0.8063 0.7463 0.6914 0.6419 "
    "0.5976 0.5572 0.5195 0.4838 0.4499 0.4177 0.3875 0.3597 0.3345 0.3117 0.2911 0.2725 0.2556"
)

V = len(CHARACTERS)


class NotebookRNN(nn.Module):
    """Three linear layers and a tanh."""

    def __init__(self, model: Sequential, dtype: torch.dtype) -> None:
        super().__init__()
        self.i2h = nn.Linear(V, V, dtype=dtype)
        self.h2h = nn.Linear(V, V, dtype=dtype)
        self.i2o = nn.Linear(V, V, dtype=dtype)
        with torch.no_grad():  # numpy_rnn's initial weights, under the notebook's names
            for theirs, ours in self.names().items():
                theirs.copy_(torch.from_numpy(model.parameters.values[ours]))

    def names(self) -> dict[torch.Tensor, str]:
        return {
            self.i2h.weight: "rnn.weight_ih_l0",
            self.h2h.weight: "rnn.weight_hh_l0",
            self.i2h.bias: "rnn.bias_ih_l0",
            self.h2h.bias: "rnn.bias_hh_l0",
            self.i2o.weight: "i2o.weight",
            self.i2o.bias: "i2o.bias",
        }

    def forward(self, row: torch.Tensor, hidden: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        hidden = torch.tanh(self.i2h(row) + self.h2h(hidden))
        return self.i2o(hidden), hidden


def one_hot_rows(dtype: torch.dtype) -> torch.Tensor:
    """Return the one-hot rows (50, V) of the start token, each character and the end token."""
    places = [V - 2, *(CHARACTERS.index(c) for c in SENTENCE), V - 1]
    return torch.eye(V, dtype=dtype)[places]


def epochs(model: NotebookRNN, rows: torch.Tensor) -> Iterator[float]:
    """Run the notebook's training loop, and yield the loss of each epoch after its update.

    An epoch is 49 steps, the sum of their losses, one backward and one step of Adam.
    """
    adam = torch.optim.Adam(model.parameters(), lr=0.001)
    criterion = nn.MSELoss()
    while True:
        adam.zero_grad()
        hidden = torch.zeros(V, dtype=rows.dtype)
        total = torch.zeros((), dtype=rows.dtype)
        for j in range(len(rows) - 1):
            output, hidden = model(rows[j], hidden)
            total = total + criterion(output, rows[j + 1])
        total.backward()  # type: ignore[no-untyped-call]  # PyTorch's hints lack it
        adam.step()
        yield total.item()


@torch.no_grad()
def generate(model: NotebookRNN, rows: torch.Tensor, *, raw: bool) -> str:
    """Generate by the notebook's loop, or with the one-hot row of the argmax fed back."""
    row, hidden, text = rows[0], torch.zeros(V, dtype=rows.dtype), ""
    for _ in range(len(SENTENCE)):
        output, hidden = model(row, hidden)
        best = int(output.argmax())
        text += CHARACTERS[best]
        row = output if raw else torch.eye(V, dtype=rows.dtype)[best]
    return text


def largest_difference(model: Sequential, theirs: NotebookRNN) -> float:
    """Return the largest difference of a weight, relative to the largest weight of its matrix."""
    worst = 0.0
    for parameter, name in theirs.names().items():
        want: Array = parameter.detach().numpy()
        got = model.parameters.values[name]
        worst = max(worst, float(np.abs(got - want).max() / np.abs(want).max()))
    return worst
