"""LastStep: the last valid step of each row, and of a bidirectional layer both final states."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.utils.rnn import pack_padded_sequence

from numpy_rnn import (
    GRU,
    LSTM,
    RNN,
    Dropout,
    LastStep,
    LayerNorm,
    Linear,
    Recurrent,
    Sequential,
)
from tests.layers.test_against_torch import equal, gradients_equal, load, tensor


def test_a_row_without_a_step_has_no_last_one() -> None:
    last = LastStep(batch_first=True)
    x = np.arange(12.0).reshape(2, 3, 2)
    assert last.forward(x, lengths=np.array([0, 2])).tolist() == [[0, 0], [8, 9]]
    dx = last.backward(np.array([[1.0, 1.0], [2.0, 3.0]]))
    assert dx[0].tolist() == [[0, 0]] * 3
    assert dx[1].tolist() == [[0, 0], [2, 3], [0, 0]]


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("shape", [(0, 2, 4), (3, 0, 4), (0, 0, 4), (3, 2, 4)])
def test_without_any_step_there_is_nothing(shape: tuple[int, ...], bidirectional: bool) -> None:
    last = LastStep(bidirectional=bidirectional)
    y = last.forward(np.ones(shape), lengths=np.zeros(shape[1], int))
    assert y.shape == shape[1:]
    assert not y.any()
    dx = last.backward(np.ones(y.shape))
    assert dx.shape == shape
    assert not dx.any()


def test_without_lengths_it_is_the_last_step() -> None:
    x = np.random.default_rng(0).standard_normal((5, 2, 3))
    np.testing.assert_array_equal(LastStep()(x), x[-1])
    assert not LastStep()(x[:0]).any()


@pytest.mark.parametrize("kind", [RNN, LSTM, GRU])
@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("num_layers", [1, 2])
def test_after_a_bidirectional_layer_it_is_the_two_final_states(
    kind: Any, batch_first: bool, padded: bool, num_layers: int
) -> None:
    rng, T, B = np.random.default_rng(0), 6, 3
    options: Any = {"bidirectional": True, "batch_first": batch_first}
    ours = Sequential(
        rnn=kind(3, 4, num_layers, **options),
        drop=Dropout(0.0),
        last=LastStep(batch_first=batch_first, bidirectional=True),
        head=Linear(8, 2),
    )

    class Theirs(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn = getattr(torch.nn, kind.__name__)(
                3, 4, num_layers, dtype=torch.float64, **options
            )
            self.head = torch.nn.Linear(8, 2, dtype=torch.float64)

    theirs = Theirs()
    load(theirs, ours)
    lengths = np.array([2, T, 1]) if padded else None
    x = rng.standard_normal((B, T, 3) if batch_first else (T, B, 3))
    dy, tx = rng.standard_normal((B, 2)), tensor(x)
    packed: Any = tx
    if padded:
        packed = pack_padded_sequence(tx, torch.from_numpy(lengths), batch_first, False)
    h_n = theirs.rnn(packed)[1]
    h_n = h_n[0] if kind is LSTM else h_n
    # The last layer's two final states side by side: Keras' Bidirectional(return_sequences=False).
    ty = theirs.head(torch.cat([h_n[-2], h_n[-1]], dim=1))
    ty.backward(torch.from_numpy(dy))
    y, state = ours(x, lengths=lengths)
    h = state[0][0] if kind is LSTM else state[0]
    equal(y, ty)
    equal(h, h_n)
    dx, _ = ours.backward(dy)
    equal(dx, tx.grad)
    gradients_equal(ours, theirs)


def test_what_would_pick_a_wrong_step_is_refused_and_says_what_to_use() -> None:
    def both() -> Recurrent:
        return RNN(3, 4, bidirectional=True)

    two = LastStep(bidirectional=True)
    wrong: list[Any] = [
        (both(), LastStep()),
        (both(), Dropout(0.5), LastStep()),
        (both(), Linear(8, 8), LastStep()),
        (both(), LayerNorm(8), LastStep()),
        (both(), Linear(8, 8), two),  # each feature is of both directions by then
        (both(), LayerNorm(8), two),
        (Sequential(both()), LastStep()),
        (Sequential(both(), Dropout(0.5)), Sequential(Sequential(LastStep()))),
        (RNN(3, 3), both(), LastStep()),
    ]
    for layers in wrong:
        with pytest.raises(
            ValueError, match=r"after a bidirectional .*LastStep\(bidirectional=True"
        ):
            Sequential(*layers)
    for layers in ((RNN(3, 4), two), (both(), RNN(8, 4), two), (Sequential(RNN(3, 4)), two)):
        with pytest.raises(
            ValueError, match=r"after a layer of one direction, expected LastStep\(\)"
        ):
            Sequential(*layers)
    Sequential(both(), RNN(8, 4), LastStep())
    Sequential(both(), Dropout(0.5), LastStep(bidirectional=True))
    with pytest.raises(ValueError, match="x has 3 features, expected an even number"):
        two(np.ones((2, 2, 3)))
