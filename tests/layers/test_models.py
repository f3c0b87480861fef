"""Sequence models in three lines, beside the same model in PyTorch."""

from __future__ import annotations

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
    last = {"last": LastStep()} if many_to_one else {}
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


def test_a_row_without_a_step_has_no_last_one() -> None:
    last = LastStep(batch_first=True)
    x = np.arange(12.0).reshape(2, 3, 2)
    assert last.forward(x, np.array([0, 2])).tolist() == [[0, 0], [8, 9]]
    dx = last.backward(np.array([[1.0, 1.0], [2.0, 3.0]]))
    assert dx is not None
    assert dx[0].tolist() == [[0, 0]] * 3
    assert dx[1].tolist() == [[0, 0], [2, 3], [0, 0]]


def test_a_model_streams() -> None:
    model = Sequential(Embedding(7, 3, rng=0), LSTM(3, 4, 2, rng=1), Linear(4, 5, rng=2))
    x = np.random.default_rng(0).integers(0, 7, (6, 2))
    y, _ = model.forward(x)
    state = None
    for t in range(6):
        y_t, state = model.step(x[t], state)
        np.testing.assert_allclose(y_t, y[t], rtol=1e-12)


def test_dropout_is_for_training() -> None:
    model = Sequential(LSTM(3, 8, 2, dropout=0.5, rng=1), Linear(8, 5, rng=2))
    x = np.ones((4, 2, 3))
    assert not np.array_equal(model.forward(x)[0], model.forward(x)[0])
    model.eval()
    assert np.array_equal(model.forward(x)[0], model.forward(x)[0])
    model.train()
    assert not np.array_equal(model.forward(x)[0], model.forward(x)[0])
