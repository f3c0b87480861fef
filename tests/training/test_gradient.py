"""Threads that split a batch: the same gradient, in the same bits each time."""

from __future__ import annotations

import numpy as np
import pytest

from numpy_rnn import LSTM, CrossEntropyLoss, LastStep, Linear, MSELoss, Sequential
from numpy_rnn.functional.types import Array
from numpy_rnn.training.batch import Batch
from numpy_rnn.training.workers import Workers
from tests.training import small


def gradient(count: int, target: Array, dropout: float = 0.0) -> tuple[float, Array, list[Array]]:
    model = small.model(dropout)
    x = np.random.default_rng(0).integers(small.V, size=(5, 7))
    workers = Workers(model, CrossEntropyLoss(), count)
    loss, state = workers.gradient(Batch(x, target), model.zero_state(7))
    workers.close()
    return loss, model.parameters.grad, [*state[0]]


@pytest.mark.parametrize("count", [2, 3, 7])
def test_the_gradient_is_that_of_the_whole_batch(count: int) -> None:
    target = np.random.default_rng(1).integers(small.V, size=(5, 7))
    target[2:, 0] = target[0, 3:] = -100  # so the parts have different numbers that count
    whole, parts = gradient(1, target), gradient(count, target)
    assert parts[0] == pytest.approx(whole[0], rel=1e-14)
    np.testing.assert_allclose(parts[1], whole[1], rtol=1e-12, atol=1e-16)
    for ours, theirs in zip(parts[2], whole[2], strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-14)


@pytest.mark.parametrize("count", [2, 3])
def test_a_run_repeats_bit_for_bit_and_parts_have_masks_of_their_own(count: int) -> None:
    target = np.zeros((5, 7), int)
    runs = [gradient(count, target, dropout=0.5) for _ in range(5)]
    assert len({run[1].tobytes() for run in runs}) == 1
    model = small.model(dropout=0.5)
    workers = Workers(model, CrossEntropyLoss(), count)
    draws = {g.random() for net in workers.models for g in net.generators()}
    assert len(draws) == 2 * count


def test_one_target_a_row_with_lengths() -> None:
    rng = np.random.default_rng(0)
    x, target = rng.standard_normal((6, 5, 2)), rng.standard_normal((5, 1))
    batch = Batch(x, target, lengths=np.array([6, 0, 2, 5, 1]), per_step=False)
    results = []
    for count in (1, 2):
        model = Sequential(LSTM(2, 3, rng=0), LastStep(), Linear(3, 1, rng=1))
        loss, _ = Workers(model, MSELoss(), count).gradient(batch, None)
        results.append((loss, model.parameters.grad))
    assert results[0][0] == pytest.approx(results[1][0], rel=1e-14)
    np.testing.assert_allclose(results[0][1], results[1][1], rtol=1e-12)


def test_an_error_in_a_thread_comes_back_and_leaves_nobody_at_work() -> None:
    model = small.model()
    workers = Workers(model, CrossEntropyLoss(), 2)
    x = np.zeros((5, 4), int)
    x[0, 3] = small.V  # in the second part
    with pytest.raises(ValueError, match=f"x is {small.V} at index"):
        workers.gradient(Batch(x, np.zeros((5, 4), int)), None)
    x[0, 3] = 0
    workers.gradient(Batch(x, np.zeros((5, 4), int)), None)


def test_a_loss_that_is_no_mean_is_refused() -> None:
    with pytest.raises(ValueError, match="reduction is 'sum', expected 'mean'"):
        Workers(small.model(), CrossEntropyLoss(reduction="sum"))
