"""LastStep: the last valid step of each row, and of a bidirectional layer both final states."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from numpy_rnn import (
    RNN,
    Dropout,
    LastStep,
    LayerNorm,
    Linear,
    Recurrent,
    Sequential,
)


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
