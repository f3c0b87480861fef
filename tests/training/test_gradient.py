"""The gradient of a batch, in shards: the same bits for any number of threads."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from numpy_rnn import LSTM, CrossEntropyLoss, LastStep, Linear, MSELoss, Sequential
from numpy_rnn.functional.types import Array
from numpy_rnn.layers.cut import PairwiseSum, cut, shard_rngs
from numpy_rnn.layers.validate import NotFiniteError
from numpy_rnn.training import Batch, Shards
from numpy_rnn.training import gradient as batch_gradient
from tests.training import small


def gradient(
    count: int, target: Array, dropout: float = 0.0, threads: int = 1
) -> tuple[float, Array, list[Array]]:
    model = small.model(dropout)
    x = np.random.default_rng(0).integers(small.V, size=(5, 7))
    loss, state = batch_gradient(
        model,
        CrossEntropyLoss(),
        Batch(x, target),
        model.zero_state(7),
        shards=Shards(7, count, threads),
    )
    return loss, model.parameters.grad, [*state[0]]


@pytest.mark.parametrize("count", [2, 3, 7])
def test_the_gradient_is_that_of_the_whole_batch(count: int) -> None:
    target = np.random.default_rng(1).integers(small.V, size=(5, 7))
    target[2:, 0] = target[0, 3:] = -100  # so the shards have different numbers that count
    whole, shards = gradient(1, target), gradient(count, target)
    assert shards[0] == pytest.approx(whole[0], rel=1e-14)
    np.testing.assert_allclose(shards[1], whole[1], rtol=1e-12, atol=1e-16)
    for ours, theirs in zip(shards[2], whole[2], strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-14)


@pytest.mark.parametrize("dropout", [0.0, 0.5])
@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_the_bits_are_the_same_for_any_number_of_threads(count: int, dropout: float) -> None:
    runs = [gradient(count, np.zeros((5, 7), int), dropout, threads) for threads in range(1, 9)]
    assert len({run[1].tobytes() for run in runs}) == 1
    assert len({run[0] for run in runs}) == 1
    assert len({run[2][0].tobytes() for run in runs}) == 1


def test_shards_have_dropout_masks_of_their_own() -> None:
    rng = np.random.default_rng(0)
    first = [each.random() for each in shard_rngs([rng], 3) if each is not None]
    second = [each.random() for each in shard_rngs([rng], 3) if each is not None]
    assert len({*first, *second}) == 6
    own = shard_rngs([np.random.default_rng(0)], 3, range(1, 2))[0]
    assert own is not None
    assert own.random() == first[1]


@pytest.mark.parametrize("count", range(1, 18))
@pytest.mark.parametrize("ranks", range(1, 6))
def test_a_pairwise_sum_has_the_same_bits_whoever_adds(count: int, ranks: int) -> None:
    """Each rank adds the parts of its block, and what it has left is added by another."""
    parts = np.random.default_rng(0).standard_normal((count, 5)) * 1e8
    whole, joined = PairwiseSum(), PairwiseSum()
    for number, part in enumerate(parts):
        whole.add(0, number, {"w": part})
    for rows in cut(count, min(ranks, count)):
        own = PairwiseSum()
        for number in range(rows.start, rows.stop):
            own.add(0, number, {"w": parts[number]})
        for level, number, part in own.parts:
            joined.add(level, number, part)
    assert joined.result()["w"].tobytes() == whole.result()["w"].tobytes()


def test_one_target_a_row_with_lengths() -> None:
    rng = np.random.default_rng(0)
    x, target = rng.standard_normal((6, 5, 2)), rng.standard_normal((5, 1))
    batch = Batch(x, target, lengths=np.array([6, 0, 2, 5, 1]), per_step=False)
    results = []
    for count in (1, 2):
        model = Sequential(LSTM(2, 3, rng=0), LastStep(), Linear(3, 1, rng=1))
        loss, _ = batch_gradient(model, MSELoss(), batch, shards=Shards(5, count))
        results.append((loss, model.parameters.grad))
    assert results[0][0] == pytest.approx(results[1][0], rel=1e-14)
    np.testing.assert_allclose(results[0][1], results[1][1], rtol=1e-12)


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("loss", ["mse", "cross-entropy"])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_a_padded_step_counts_in_no_loss(count: int, loss: str, reduction: Any) -> None:
    """Loss and gradient are those of the sequences one by one, without padding."""
    rng = np.random.default_rng(0)
    x, lengths = rng.standard_normal((6, 5, 2)), np.array([6, 0, 2, 5, 1])
    model = Sequential(LSTM(2, 3, rng=0), Linear(3, 4, rng=1))
    target = rng.standard_normal((6, 5, 4)) if loss == "mse" else rng.integers(4, size=(6, 5))
    kind: Any = MSELoss if loss == "mse" else CrossEntropyLoss
    total, expected, counted = 0.0, np.zeros_like(model.parameters.grad), 0
    for row, length in enumerate(lengths):
        if length:
            alone = Batch(x[:length, [row]], target[:length, [row]])
            total += batch_gradient(model, kind(reduction="sum"), alone)[0]
            expected += model.parameters.grad
            counted += alone.target.size
    divisor = counted if reduction == "mean" else 1
    got, _ = batch_gradient(
        model,
        kind(reduction=reduction),
        Batch(x, target, lengths),
        shards=Shards(5, count),
    )
    assert got == pytest.approx(total / divisor, rel=1e-13)
    np.testing.assert_allclose(model.parameters.grad, expected / divisor, rtol=1e-11, atol=1e-15)


def test_an_error_in_a_thread_is_raised_and_no_thread_is_left_at_work() -> None:
    model = small.model()
    shards = Shards(4, 2, threads=2)
    x = np.zeros((5, 4), int)
    x[0, 3] = small.V  # in the second shard
    with pytest.raises(ValueError, match=f"x is {small.V} at index"):
        batch_gradient(model, CrossEntropyLoss(), Batch(x, np.zeros((5, 4), int)), shards=shards)
    x[0, 3] = 0
    batch_gradient(model, CrossEntropyLoss(), Batch(x, np.zeros((5, 4), int)), shards=shards)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda w: pickle.loads(pickle.dumps(w))])  # noqa: S301 (our own)
def test_shards_are_copied_without_their_threads(copied: Any) -> None:
    model = small.model(dropout=0.5)
    shards = Shards(7, 3, threads=3)
    batch = Batch(np.zeros((5, 7), int), np.zeros((5, 7), int))
    batch_gradient(model, CrossEntropyLoss(), batch, shards=shards)
    model_copy, shards_copy = copied((model, shards))
    ours = batch_gradient(model, CrossEntropyLoss(), batch, shards=shards)[0]
    assert batch_gradient(model_copy, CrossEntropyLoss(), batch, shards=shards_copy)[0] == ours


FORK = """
import os
import numpy as np
from numpy_rnn import CrossEntropyLoss
from numpy_rnn.training import Batch, Shards, gradient
from tests.training import small

model = small.model()
shards = Shards(4, 2, threads=2)
batch = Batch(np.zeros((5, 4), int), np.zeros((5, 4), int))
loss, _ = gradient(model, CrossEntropyLoss(), batch, shards=shards)
child = os.fork()
if child == 0:
    os._exit(gradient(model, CrossEntropyLoss(), batch, shards=shards)[0] != loss)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_threads_work_after_a_fork() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORK],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
        cwd=Path(__file__).parents[2],
    )
    assert done.stdout == "0\n"


@pytest.mark.parametrize(
    ("name", "place", "per_step", "message"),
    [
        ("x", (4, 3, 1), True, "x of batch row 3 is nan at t = 4, expected finite numbers"),
        ("target", (2, 0, 0), True, "target of batch row 0 is nan at t = 2, expected finite"),
        ("target", (3, 0), False, "target of batch row 3 is nan, expected finite numbers"),
    ],
)
@pytest.mark.parametrize("count", [1, 2])
def test_a_nan_in_the_data_is_named(
    name: str, place: tuple[int, ...], per_step: bool, message: str, count: int
) -> None:
    layers: list[Any] = [LSTM(2, 3, rng=0)] + [LastStep()] * (not per_step)
    model = Sequential(*layers)
    target = np.zeros((5, 4, 3)) if per_step else np.zeros((4, 3))
    batch = Batch(np.zeros((5, 4, 2)), target, per_step=per_step)
    getattr(batch, name)[place] = np.nan
    with pytest.raises(ValueError, match=f"^{message}") as caught:
        batch_gradient(model, MSELoss(), batch, shards=Shards(4, count))
    assert not isinstance(caught.value, NotFiniteError)  # no divergence


def test_a_computation_that_diverged_is_named() -> None:
    model = Sequential(Linear(1, 1, rng=0))
    batch = Batch(np.ones((1, 1, 1)), np.full((1, 1, 1), -1e200))
    with pytest.raises(NotFiniteError, match=r"^the loss is inf$"):
        batch_gradient(model, MSELoss(), batch)
    model.parameters.data[0] = np.nan
    with pytest.raises(NotFiniteError, match=r"^parameter '0.weight' is not finite$"):
        batch_gradient(model, MSELoss(), batch)


@pytest.mark.parametrize(("count", "reduction"), [(1, "none"), (2, "none"), (2, "sum_over_time")])
def test_a_reduction_without_shares_is_refused(count: int, reduction: Any) -> None:
    model = small.model()
    batch = Batch(np.zeros((5, 4), int), np.zeros((5, 4), int))
    with pytest.raises(ValueError, match=f"gradient: reduction is '{reduction}', expected one of"):
        batch_gradient(model, CrossEntropyLoss(reduction=reduction), batch, shards=Shards(4, count))
