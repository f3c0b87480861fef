"""Checkpoints: when they are written, and that no other process's file is replaced."""

from __future__ import annotations

from pathlib import Path

import pytest

from numpy_rnn.training import Callback, Checkpoints, StepInfo, Trainer, load, save
from tests.training import small


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
