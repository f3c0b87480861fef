"""Validation and early stopping, a time budget, checkpoints and logs between the steps."""

from __future__ import annotations

import json
import math
import signal
from pathlib import Path
from typing import Any

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
from numpy_rnn.training import callbacks as module
from numpy_rnn.training.callbacks import COLUMNS
from tests.fuzzing import settings_in
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
    path = tmp_path / "run.safetensors"
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
    save(tmp_path / "again.safetensors", trainer)  # also by hand
    for name in ("run.safetensors", "again.safetensors"):
        other = small.trainer(callbacks=[Validation(lambda: 1.0, every=2)])
        load(tmp_path / name, other)
        assert other.model.parameters.data.tobytes() == last


def test_a_second_fit_continues_from_the_last_parameters(tmp_path: Path) -> None:
    """Restoring the best ones in between changes no bit of the run."""
    path = tmp_path / "run.safetensors"
    twice, once = (run_with_validation(restore, [9, 20], path) for restore in (True, False))
    assert twice.optimizer.state_dict()["step"] == 20
    for ours, theirs in zip(
        twice.optimizer.moments.values(), once.optimizer.moments.values(), strict=True
    ):
        assert ours.tobytes() == theirs.tobytes()
    load(path, twice)
    assert twice.model.parameters.data.tobytes() == once.model.parameters.data.tobytes()


def test_parameters_that_the_user_sets_after_a_fit_are_kept(tmp_path: Path) -> None:
    trainer = run_with_validation(True, [9], tmp_path / "run.safetensors")
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
    files = Checkpoints(tmp_path / "run.safetensors", seconds=1000)
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
            state = settings_in(self.path.read_bytes(), "training")["state"]
            plans = state["callbacks"]["time budget"]["plans"]
            assert [tuple(plan) for plan in plans] == self.budget.plans


def test_a_plan_is_on_the_disk_before_a_step_is_taken_by_it(tmp_path: Path) -> None:
    files = Checkpoints(tmp_path / "run.safetensors", seconds=1000)
    budget = TimeBudget(100, files)
    look = Saved(budget, files.path)
    small.trainer(callbacks=[Clock(), budget, files, look]).fit()
    assert look.seen > 5


def test_a_budget_keeps_time_for_what_comes_before_and_after(tmp_path: Path) -> None:
    files = Checkpoints(tmp_path / "run.safetensors", seconds=1000)
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
    path = tmp_path / "run.safetensors"
    written: list[int] = []

    class Note(Checkpoints):
        def save(self, trainer: Trainer) -> None:
            super().save(trainer)
            written.append(trainer.num_steps)

    small.trainer(callbacks=[Note(path, seconds=0)]).fit(3)
    small.trainer(callbacks=[Note(path, seconds=1000)]).fit(3)
    assert written == [1, 2, 3, 3]
    assert [name.name for name in tmp_path.iterdir()] == ["run.safetensors"]


def logged(path: Path) -> list[dict[str, Any]]:
    """The lines of a log without the times."""
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [{k: v for k, v in line.items() if k != "seconds"} for line in lines]


def logging(log: Path, path: Path) -> Trainer:
    validation = Validation(lambda: 0.5, every=4)
    lines = JsonLines(log, every=3, validation=validation)
    files = Checkpoints(path, seconds=1000)
    return small.trainer(callbacks=[History(every=3), validation, lines, files])


class Interrupt(Callback):
    """Ctrl-C in a step."""

    def __init__(self, number: int) -> None:
        self.number = number

    def after_step(self, trainer: Trainer, step: StepInfo) -> None:  # noqa: ARG002
        if step.number == self.number:
            signal.raise_signal(signal.SIGINT)


A_LINE = json.dumps(dict.fromkeys(COLUMNS, 1))


@pytest.mark.parametrize("stop", [1, 5, 6, 8])
def test_a_resumed_log_is_that_of_a_run_without_the_interruption(tmp_path: Path, stop: int) -> None:
    log, path = tmp_path / "log.jsonl", tmp_path / "run.safetensors"
    whole = logging(tmp_path / "whole.jsonl", tmp_path / "whole.safetensors")
    whole.fit(11)
    first = logging(log, path)
    first.callbacks.append(Interrupt(stop))
    with pytest.raises(KeyboardInterrupt):
        first.fit(11)
    with log.open("a", encoding="utf-8") as file:  # a step that a kill has lost, and half a line
        file.write(f'{A_LINE.replace("1", "9")}\n{{"step": 1')
    other = logging(log, path)
    load(path, other)
    other.fit(11)
    assert logged(log) == logged(tmp_path / "whole.jsonl")
    history, expected = other.callbacks[0].state_dict(), whole.callbacks[0].state_dict()
    assert history == expected
    logging(log, path).fit(3)  # a new run writes a new log
    assert [line["step"] for line in logged(log)] == [3]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("Dear diary", "'.*' is not a log: line 2: .*; expected another file"),
        ("[1]", "'.*' is not a log: line 2: .*; expected another file"),
        ("{}", "'.*' is not a log: line 2: .*; expected another file"),
        (A_LINE.replace("lr", "rate"), "line 2: the columns are .*, rate, .*: another version's"),
        (A_LINE.replace("}", ', "bits": 2}'), "line 2: the columns are .*: another version's"),
    ],
)
@pytest.mark.parametrize("resumed", [True, False])
def test_a_log_of_another_version_is_refused_and_kept(
    tmp_path: Path, line: str, message: str, resumed: bool
) -> None:
    log, path = tmp_path / "log.jsonl", tmp_path / "run.safetensors"
    trainer = logging(tmp_path / "other.jsonl", path)
    trainer.fit(2)
    content = f"{A_LINE}\n{line}\n"
    log.write_text(content, encoding="utf-8")
    other = logging(log, tmp_path / "other.safetensors")
    if resumed:
        load(path, other)
    with pytest.raises(ValueError, match=message):
        other.fit(4)
    assert log.read_text(encoding="utf-8") == content


def test_a_history_keeps_its_latest_entries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_ENTRIES", 3)
    losses = iter([1.0, 5.0, 4.0, 3.0, 2.0])
    history = History(every=1)
    validation = Validation(lambda: next(losses), every=1)
    small.trainer(callbacks=[history, validation]).fit(5)
    assert [step for step, _ in history.losses] == [3, 4, 5]
    assert validation.history == [(1, 1.0), (4, 3.0), (5, 2.0)]  # and the best one
    assert validation.best == 1.0


def test_a_checkpoint_that_another_process_has_written_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "run.safetensors"

    class Other(Callback):
        def after_step(self, trainer: Trainer, step: StepInfo) -> None:  # noqa: ARG002
            if step.number == 3:
                path.unlink()  # nothing of another process is lost
            if step.number == 5:
                save(path, small.trainer(), {"whose": "the other's"})

    trainer = small.trainer(callbacks=[Other(), Checkpoints(path, seconds=0)])
    with pytest.raises(FileExistsError, match="another process has written it since step 4"):
        trainer.fit(9)
    assert load(path, small.trainer()) == {"whose": "the other's"}
    trainer.callbacks.pop(0)
    trainer.fit(9)  # asked again, it does replace the file
    assert load(path, small.trainer()) == {}


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    log = tmp_path / "no" / "log.jsonl"
    with pytest.raises(FileNotFoundError) as caught:
        small.trainer(callbacks=[JsonLines(log)]).fit(1)
    assert str(log.parent) in str(caught.value)
