"""Validation and early stopping, a time budget, checkpoints and logs between the steps."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from numpy_rnn.training import (
    Callback,
    Checkpoints,
    History,
    JsonLines,
    StepInfo,
    TimeBudget,
    Trainer,
    TrainingFailedError,
    Validation,
    load,
    save,
)
from tests.training import small


def test_validation_keeps_the_best_parameters_and_stops_when_nothing_gets_better() -> None:
    seen: list[bytes] = []
    losses = iter([3.0, 2.0, 2.5, 2.5, 1.0])
    trainer = small.trainer()

    def measure() -> float:
        assert not trainer.model.training
        seen.append(trainer.model.parameters.data.tobytes())
        return next(losses)

    validation = Validation(measure, every=2, patience=2)
    validation.attach(trainer)
    trainer.callbacks.append(validation)
    trainer.fit(100)
    assert validation.history == [(2, 3.0), (4, 2.0), (6, 2.5), (8, 2.5)]
    assert validation.best == 2.0
    assert validation.best_parameters.tobytes() == seen[1]
    assert trainer.stopped == "no better validation loss in 2 measurements"
    with pytest.warns(UserWarning, match=r"no step is taken \(no better validation loss in 2"):
        trainer.fit(200)
    assert trainer.num_steps == 8


def run_with_validation(restore_best: bool, fits: list[int], file: Path) -> Trainer:
    """A run whose best measurement is at step 4 of 9."""
    trainer = small.trainer()
    losses = {4: 1.0}
    validation = Validation(
        lambda: losses.get(trainer.num_steps, 2.0), every=2, restore_best=restore_best
    )
    for callback in (validation, Checkpoints(file, seconds=1000)):
        callback.attach(trainer)
        trainer.callbacks.append(callback)
    for steps in fits:
        trainer.fit(steps)
    return trainer


def test_the_best_parameters_are_left_in_the_model_and_the_last_ones_in_the_file(
    tmp_path: Path,
) -> None:
    path = tmp_path / "run.npz"
    at_4 = small.trainer()
    at_4.fit(9)  # the schedule depends on the total
    last = at_4.model.parameters.data.tobytes()
    kept = run_with_validation(False, [9], path).model.parameters.data
    assert kept.tobytes() == last
    trainer = run_with_validation(True, [9], path)
    validation = trainer.callbacks[0]
    assert isinstance(validation, Validation)
    assert trainer.model.parameters.data.tobytes() == validation.best_parameters.tobytes()
    assert validation.best_parameters.tobytes() != last
    save(tmp_path / "again.npz", trainer)  # also by hand
    for name in ("run.npz", "again.npz"):
        other = small.trainer(callbacks=[Validation(lambda: 1.0, every=2)])
        load(tmp_path / name, other)
        assert other.model.parameters.data.tobytes() == last


def test_a_second_fit_continues_from_the_last_parameters(tmp_path: Path) -> None:
    """Restoring the best ones in between changes no bit of the run."""
    path = tmp_path / "run.npz"
    twice, once = (run_with_validation(restore, [9, 20], path) for restore in (True, False))
    assert twice.optimizer.state_dict()["step"] == 20
    for ours, theirs in zip(
        twice.optimizer.moments.values(), once.optimizer.moments.values(), strict=True
    ):
        assert ours.tobytes() == theirs.tobytes()
    load(path, twice)
    assert twice.model.parameters.data.tobytes() == once.model.parameters.data.tobytes()


def test_parameters_that_the_user_sets_after_a_fit_are_kept(tmp_path: Path) -> None:
    trainer = run_with_validation(True, [9], tmp_path / "run.npz")
    trainer.model.parameters.data[...] = 0.25
    assert (trainer.state_dict()["model"]["output.bias"] == 0.25).all()
    trainer.optimizer.lr = 0.0
    trainer.step()
    assert (trainer.model.parameters.data == 0.25).all()


def test_the_end_is_measured_once() -> None:
    for steps, expected in ((5, [2, 4, 5]), (4, [2, 4])):
        validation = Validation(lambda: 1.0, every=2)
        small.trainer(callbacks=[validation]).fit(steps)
        assert [step for step, _ in validation.history] == expected


def test_a_validation_loss_that_is_no_number() -> None:
    trainer = small.trainer(callbacks=[Validation(lambda: math.nan, every=2)])
    with pytest.raises(TrainingFailedError, match="the validation loss is nan"):
        trainer.fit(5)


def test_history_keeps_means() -> None:
    losses: list[float] = []

    class Note(Callback):
        def after_step(self, trainer: Trainer, step: StepInfo) -> None:  # noqa: ARG002
            losses.append(step.loss)

    history = History(every=3)
    small.trainer(callbacks=[history, Note()]).fit(7)
    assert [step for step, _ in history.losses] == [3, 6, 7]
    assert history.losses[1][1] == pytest.approx(np.mean(losses[3:6]))


class Clock(Callback):
    """Pretend that a step takes a second."""

    def after_step(self, trainer: Trainer, step: StepInfo) -> None:
        trainer.seconds = float(step.number)


def test_a_time_budget_plans_so_that_the_schedule_ends_with_it(tmp_path: Path) -> None:
    files = Checkpoints(tmp_path / "run.npz", seconds=1000)
    budget = TimeBudget(100, files)
    trainer = small.trainer(callbacks=[Clock(), budget, files])
    trainer.fit()
    assert trainer.total == 100
    assert trainer.num_steps in (100, 101)  # seconds are the clock's again between the steps
    assert budget.plans[0] == (5, 100)  # a twentieth of the time
    assert {total for _, total in budget.plans} == {100}
    assert len(budget.plans) == 19


class Saved(Callback):
    """Look whether every plan is on the disk when the next step is taken."""

    def __init__(self, budget: TimeBudget, path: Path) -> None:
        self.budget, self.path, self.seen = budget, path, 0

    def after_step(self, trainer: Trainer, step: StepInfo) -> None:  # noqa: ARG002
        if len(self.budget.plans) > self.seen and not trainer.done:
            self.seen = len(self.budget.plans)
            text = str(np.load(self.path)["checkpoint"])
            plans = json.loads(text)["state"]["callbacks"]["time budget"]["plans"]
            assert [tuple(plan) for plan in plans] == self.budget.plans


def test_a_plan_is_on_the_disk_before_a_step_is_taken_by_it(tmp_path: Path) -> None:
    files = Checkpoints(tmp_path / "run.npz", seconds=1000)
    budget = TimeBudget(100, files)
    look = Saved(budget, files.path)
    small.trainer(callbacks=[Clock(), budget, files, look]).fit()
    assert look.seen > 5


def test_a_budget_keeps_time_for_what_comes_before_and_after(tmp_path: Path) -> None:
    files = Checkpoints(tmp_path / "run.npz", seconds=1000)
    budget = TimeBudget(100, files, first=3, reserve=lambda N: N / 10)
    budget.setup = 40.0
    trainer = small.trainer(callbacks=[Clock(), budget, files])
    trainer.fit()
    assert budget.plans[0] == (3, 54)  # of 60 steps
    assert trainer.num_steps in (54, 55)


def test_a_budget_that_is_over_ends_the_run() -> None:
    budget = TimeBudget(1e-6)
    trainer = small.trainer(callbacks=[budget])
    trainer.fit()
    assert trainer.num_steps == trainer.total == 1


def test_checkpoints_are_written_by_the_clock_and_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "run.npz"
    written: list[int] = []

    class Note(Checkpoints):
        def save(self, trainer: Trainer) -> None:
            super().save(trainer)
            written.append(trainer.num_steps)

    small.trainer(callbacks=[Note(path, seconds=0)]).fit(3)
    small.trainer(callbacks=[Note(path, seconds=1000)]).fit(3)
    assert written == [1, 2, 3, 3]
    assert [name.name for name in tmp_path.iterdir()] == ["run.npz"]


def test_a_log_goes_on_where_the_run_does(tmp_path: Path) -> None:
    log, path = tmp_path / "log.jsonl", tmp_path / "run.npz"

    def make() -> Trainer:
        validation = Validation(lambda: 0.5, every=4)
        lines = JsonLines(log, every=2, validation=validation)
        return small.trainer(callbacks=[validation, lines, Checkpoints(path, seconds=1000)])

    make().fit(6)
    with log.open("a", encoding="utf-8") as file:  # steps that a kill has lost, and half a line
        file.write('{"step": 8, "loss": 1}\n{"step": 1')
    other = make()
    load(path, other)
    other.fit(8)
    lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    assert [line["step"] for line in lines] == [2, 4, 6, 8]
    assert [line.get("validation") for line in lines] == [None, 0.5, 0.5, 0.5]
    assert all(math.isfinite(line["loss"]) and line["lr"] > 0 for line in lines)
    make().fit(2)  # a new run writes a new log
    assert len(log.read_text(encoding="utf-8").splitlines()) == 1


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    log = tmp_path / "no" / "log.jsonl"
    with pytest.raises(FileNotFoundError) as caught:
        small.trainer(callbacks=[JsonLines(log)]).fit(1)
    assert str(log.parent) in str(caught.value)
