"""Training runs: start on a text file, save a checkpoint, read it, resume."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from numpy_rnn.apps.language_model import Settings, cross_entropy, run
from numpy_rnn.reading import DamagedFileError
from numpy_rnn.training import Callback, Ranks, StepInfo, Trainer
from tests.apps.language_model.texts import write_text

SMALL = Settings(
    hidden_size=8,
    embedding=4,
    batch_size=4,
    window=10,
    validate_every=10,
    warmup=3,
    lr=1e-2,
    epochs=1.5,
    shards=2,
)


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_a_run_learns_and_its_checkpoint_is_read(tmp_path: Path, cell: str) -> None:
    text = write_text(tmp_path)
    job = run.start(text, replace(SMALL, cell=cell, epochs=6), tmp_path)
    job.trainer.fit()
    assert job.validation is not None
    assert job.validation.best < 0.8 * np.log(len(job.vocabulary))
    training, validation = ([step for step, _ in losses] for losses in job.losses)
    assert training == validation  # so that a plot of a short run shows both lines
    saved = run.read(tmp_path)
    assert saved.settings == job.settings
    assert saved.vocabulary.characters == job.vocabulary.characters
    ours = saved.model.parameters.data
    assert ours.tobytes() == job.trainer.model.parameters.data.tobytes()
    assert run.best(saved).parameters.data.tobytes() == job.validation.best_parameters.tobytes()


def test_the_end_of_the_text_is_held_out(tmp_path: Path) -> None:
    text = write_text(tmp_path)
    whole = text.read_text(encoding="utf-8")
    job = run.start(text, SMALL, tmp_path)
    assert (
        job.vocabulary.decode(job.held_out) == whole[1349:]
    )  # one token more, before the held-out part
    job.trainer.fit()
    seen = {int(n) for n in job.trainer.source.x}  # type: ignore[attr-defined]  # Windows has it
    assert seen <= set(range(len(job.vocabulary)))
    assert len(job.trainer.source.x) == 1349  # type: ignore[attr-defined]
    nats = cross_entropy(job.trainer.model, job.held_out)
    assert job.validation is not None
    assert job.validation.history[-1][1] == pytest.approx(
        nats, rel=0.1
    )  # the history comes from a batch of four parts


@pytest.mark.parametrize("fraction", [0, 1e-4])
def test_nothing_is_held_out(tmp_path: Path, fraction: float) -> None:
    job = run.start(write_text(tmp_path), replace(SMALL, validation_fraction=fraction), tmp_path)
    job.trainer.fit()
    saved = run.read(tmp_path / run.FILE)
    assert run.best(saved).parameters.data.tobytes() == job.trainer.model.parameters.data.tobytes()


class Stop(Callback):
    def __init__(self, at: int) -> None:
        self.at = at

    def after_step(self, trainer: Trainer, step: StepInfo) -> None:  # noqa: ARG002
        if step.number == self.at:
            raise KeyboardInterrupt


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_a_resumed_run_ends_with_the_same_bits(tmp_path: Path, optimizer: str) -> None:
    text = write_text(tmp_path)
    settings = replace(SMALL, optimizer=optimizer, layers=2, dropout=0.3, patience=9)
    folders = tmp_path / "whole", tmp_path / "stopped"
    for folder in folders:
        folder.mkdir()
    whole = run.start(text, settings, folders[0])
    whole.trainer.fit()
    stopped = run.start(text, settings, folders[1], save_every=0)
    stopped.add(Stop(21))
    with pytest.raises(KeyboardInterrupt):
        stopped.trainer.fit()
    other = run.resume(text, folders[1])
    assert other.trainer.num_steps == 20
    other.trainer.fit()
    a, b = other.trainer, whole.trainer
    assert a.model.parameters.data.tobytes() == b.model.parameters.data.tobytes()
    assert other.validation is not None
    assert whole.validation is not None
    assert other.validation.history == whole.validation.history
    assert other.history.losses == whole.history.losses


def test_another_text_is_refused(tmp_path: Path) -> None:
    text = write_text(tmp_path)
    run.start(text, SMALL, tmp_path).trainer.fit(1)
    data = text.read_bytes()
    text.write_bytes(data[1:] + data[:1])
    with pytest.raises(ValueError, match=r"is not the text that .* was trained on"):
        run.resume(text, tmp_path)
    text.write_bytes(data + b"\xe2\x82\xac")
    with pytest.raises(ValueError, match="has '€' at position 1500, expected one of"):
        run.resume(text, tmp_path)


def test_a_text_shorter_than_one_window_is_refused(tmp_path: Path) -> None:
    text = write_text(tmp_path, 11)
    message = "'text.txt' has 10 characters to train on, expected at least 11, or --window and "
    with pytest.raises(ValueError, match=message):
        run.start(text, SMALL, tmp_path)


def test_sizes_that_are_only_claimed_are_not_allocated(tmp_path: Path) -> None:
    text = write_text(tmp_path)
    job = run.start(text, SMALL, tmp_path)
    job.trainer.fit(1)
    about = dict(job.files.about)  # type: ignore[arg-type]  # it is a dict here
    for name, size, message in (
        ("hidden_size", 10**6, r"its settings need 24000\d+ or more"),
        ("layers", 10**9, "layers is 1000000000, expected at most 1000"),
        ("batch_size", 10**12, r"its settings need 3200000000\d+ or more"),
    ):
        job.files.about = about | {"settings": about["settings"] | {name: size}}
        job.files.save(job.trainer)
        tracemalloc.start()
        try:
            with pytest.raises(DamagedFileError, match=message):
                run.read(tmp_path)
            assert tracemalloc.get_traced_memory()[1] < 1e6
        finally:
            tracemalloc.stop()


def test_a_checkpoint_is_read_without_the_other_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run.start(write_text(tmp_path), SMALL, tmp_path).trainer.fit(1)

    def others() -> Ranks:
        raise AssertionError("another process would have to read it at the same time")

    monkeypatch.setattr("numpy_rnn.training.trainer.world", others)
    assert run.read(tmp_path).trainer.num_steps == 1


def test_settings_that_do_not_fit_the_text_are_damage(tmp_path: Path) -> None:
    text = write_text(tmp_path)
    job = run.start(text, SMALL, tmp_path)
    job.trainer.fit(1)
    job.files.about["settings"]["window"] = 10**30  # type: ignore[index]  # it is a dict here
    job.files.save(job.trainer)
    with pytest.raises(
        DamagedFileError, match=f"characters to train on, expected at least {10**30 + 1}"
    ):
        run.resume(text, tmp_path)


def test_an_unknown_version_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = run.start(write_text(tmp_path), SMALL, tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr("numpy_rnn.training.checkpoint.VERSION", 6)
        job.trainer.fit(1)
    with pytest.raises(DamagedFileError, match="its version is 6, expected 5"):
        run.read(tmp_path)
