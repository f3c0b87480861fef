"""A run repeats from its seed, stops when the task is solved, and is evaluated on new data."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from numpy_rnn.apps.memory import TASKS, TrainingConfig, build, run, runs
from numpy_rnn.apps.memory.cells import CELLS
from numpy_rnn.apps.memory.tasks import AddingTask, FirstTokenTask
from numpy_rnn.functional.types import Array
from numpy_rnn.optim import Adam
from numpy_rnn.training import Batch

SMALL = TrainingConfig("first-token", "rnn", hidden_size=8, updates=100, batch_size=8, lr=1e-2)


@pytest.mark.parametrize("task", TASKS)
def test_a_run_repeats_from_its_seed(task: str) -> None:
    config = replace(SMALL, task=task, updates=7)
    length = TASKS[task].min_length + 2
    first, second = run(config, length, 3), run(config, length, 3)
    assert first == second
    assert first.loss == second.loss
    assert run(config, length, 4).loss != first.loss
    assert first.updates == 7
    assert first.baseline == TASKS[task](length).baseline()


def test_it_stops_when_the_task_is_solved() -> None:
    losses: list[tuple[int, float]] = []
    done = run(SMALL, 2, 0, lambda update, loss: losses.append((update, loss)))
    assert done.solved
    assert done.score is not None
    assert done.score >= 0.99
    assert done.updates in (50, 100)
    assert [update for update, _ in losses] == list(range(1, done.updates + 1))
    assert done.loss == pytest.approx(np.mean([loss for _, loss in losses[-50:]]))


def test_it_ends_after_the_maximum_number_of_updates() -> None:
    done = run(replace(SMALL, updates=60), 200, 0)
    assert (done.solved, done.updates) == (False, 60)
    assert done.score is not None
    assert done.score < 0.6


def test_a_run_that_diverges_has_not_solved_the_task() -> None:
    done = run(replace(SMALL, cell="irnn", lr=1e30), 200, 0)
    assert (done.solved, done.score, done.loss) == (False, None, None)
    assert done.updates < 10


@pytest.mark.parametrize("cell", ["rnn", "lstm"])
def test_divergence_that_only_the_evaluation_finds_is_divergence(cell: str) -> None:
    # The outputs are finite, their squares are not. A record could not hold the score.
    done = run(replace(SMALL, task="adding", cell=cell, lr=1e30, updates=1), 20, 0)
    assert (done.solved, done.score, done.loss, done.updates) == (False, None, None, 1)


@pytest.mark.parametrize("kind", [AddingTask, FirstTokenTask])
def test_it_is_never_evaluated_on_its_training_data(
    kind: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, list[Array]] = {"training": [], "evaluation": []}
    evaluating = False

    class Recorded(kind):  # type: ignore[misc]  # whichever it is
        def sample(self, batch_size: int, rng: np.random.Generator) -> Batch:
            batch: Batch = super().sample(batch_size, rng)
            seen["evaluation" if evaluating else "training"].extend(batch.x.swapaxes(0, 1))
            return batch

        def evaluate(self, *arguments: Any) -> Any:
            nonlocal evaluating
            evaluating = True
            result = super().evaluate(*arguments)
            evaluating = False
            return result

    monkeypatch.setitem(TASKS, "first-token", Recorded)
    run(replace(SMALL, updates=120), 60, 0)
    assert len(seen["training"]) == 120 * 8
    assert len(seen["evaluation"]) == 3 * 256
    trained = {row.tobytes() for row in seen["training"]}
    assert len(trained) == 120 * 8
    assert not trained & {row.tobytes() for row in seen["evaluation"]}


def test_evaluation_does_not_change_the_training_data(monkeypatch: pytest.MonkeyPatch) -> None:
    losses: list[list[float]] = []
    for every in (10, 50):
        monkeypatch.setattr(runs, "EVALUATE_EVERY", every)
        losses.append([])
        run(replace(SMALL, updates=60), 60, 0, lambda _, loss: losses[-1].append(loss))
    assert losses[0] == losses[1]


def test_gradients_are_clipped_to_the_maximum_norm(monkeypatch: pytest.MonkeyPatch) -> None:
    norms: list[float] = []

    class Recorded(Adam):
        def step(self) -> None:
            norms.append(float(np.linalg.norm(self.parameters.grad)))
            super().step()

    monkeypatch.setattr(runs, "Adam", Recorded)
    run(replace(SMALL, updates=5, clip_norm=1e-3), 20, 0)
    np.testing.assert_allclose(norms, 1e-3, rtol=1e-4)


def test_frozen_parameters_stay_and_the_others_change() -> None:
    task = TASKS["copy"](5)
    before = build(CELLS["lru"], task, 4, np.random.default_rng([2, 5]).spawn(3)[0])
    models: list[Any] = []

    def recorded(*arguments: Any) -> Any:
        models.append(build(*arguments))
        return models[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs, "build", recorded)
        run(replace(SMALL, task="copy", cell="lru", hidden_size=4, updates=5), 5, 2)
    for name, value in models[0].parameters.values.items():
        same = np.array_equal(value, before.parameters.values[name])
        assert same is any(part in name for part in ("nu_log", "theta_log")), name


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"task": "sorting"}, "task is 'sorting', expected one of 'recall', 'copy', 'adding'"),
        ({"cell": "qrnn"}, "cell is 'qrnn', expected one of 'rnn', 'rnn-orthogonal'"),
        ({"hidden_size": 0}, "hidden_size is 0, expected at least 1"),
        ({"updates": -1}, "updates is -1, expected at least 1"),
        ({"batch_size": 0}, "batch_size is 0, expected at least 1"),
        ({"lr": 0.0}, r"lr is 0\.0, expected a finite number above 0"),
        ({"clip_norm": float("inf")}, "clip_norm is inf, expected a finite number above 0"),
    ],
)
def test_a_setting_that_is_not_valid_is_an_error(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(SMALL, **change)
