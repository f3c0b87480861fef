"""History and Validation: losses in training and on held-out data, early stopping."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from numpy_rnn.training import (
    Callback,
    Checkpoints,
    History,
    StepInfo,
    Trainer,
    TrainingFailedError,
    Validation,
    load,
    save,
)
from numpy_rnn.training.callbacks import losses as of_callbacks
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


def test_a_history_keeps_its_latest_entries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(of_callbacks, "MAX_ENTRIES", 3)
    losses = iter([1.0, 5.0, 4.0, 3.0, 2.0])
    history = History(every=1)
    validation = Validation(lambda: next(losses), every=1)
    small.trainer(callbacks=[history, validation]).fit(5)
    assert [step for step, _ in history.losses] == [3, 4, 5]
    assert validation.history == [(1, 1.0), (4, 3.0), (5, 2.0)]  # and the best one
    assert validation.best == 1.0
