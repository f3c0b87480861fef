"""Sequence models in three lines, beside the same model in PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from numpy_rnn.layers import LSTM, CrossEntropyLoss, Embedding, LastStep, Linear, Sequential
from tests.layers.test_against_torch import equal, gradients_equal, load


class Theirs(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = torch.nn.Embedding(7, 3, dtype=torch.float64)
        self.lstm = torch.nn.LSTM(3, 4, 2, dtype=torch.float64)
        self.head = torch.nn.Linear(4, 5, dtype=torch.float64)


@pytest.mark.parametrize("many_to_one", [False, True])
def test_embedding_stack_and_head(many_to_one: bool) -> None:
    rng = np.random.default_rng(0)
    last: dict[str, Any] = {"last": LastStep()} if many_to_one else {}
    ours = Sequential(embedding=Embedding(7, 3), lstm=LSTM(3, 4, 2), **last, head=Linear(4, 5))
    theirs = Theirs()
    load(theirs, ours)
    x, lengths = rng.integers(0, 7, (6, 3)), np.array([4, 6, 1])
    mask = np.arange(6)[:, None] < lengths
    targets = rng.integers(0, 5, 3 if many_to_one else (6, 3))

    h, _ = theirs.lstm(theirs.embedding(torch.from_numpy(x)))
    h = h[lengths - 1, np.arange(3)] if many_to_one else h[torch.from_numpy(mask)]
    wanted = targets if many_to_one else targets[mask]
    ty = theirs.head(h)
    loss = torch.nn.CrossEntropyLoss()(ty, torch.from_numpy(wanted))
    loss.backward()

    criterion = CrossEntropyLoss()
    y, state = ours.forward(x, lengths=lengths)
    got = criterion.forward(y, targets, None if many_to_one else mask)
    dx, _ = ours.backward(criterion.backward())
    assert dx is None
    assert [component.shape for component in state[0]] == [(2, 3, 4)] * 2
    equal(np.asarray(got), loss)
    gradients_equal(ours, theirs)


def test_dropout_is_for_training() -> None:
    model = Sequential(LSTM(3, 8, 2, dropout=0.5, rng=1), Linear(8, 5, rng=2))
    x = np.ones((4, 2, 3))
    assert not np.array_equal(model.forward(x)[0], model.forward(x)[0])
    model.eval()
    assert np.array_equal(model.forward(x)[0], model.forward(x)[0])
    model.train()
    assert not np.array_equal(model.forward(x)[0], model.forward(x)[0])
