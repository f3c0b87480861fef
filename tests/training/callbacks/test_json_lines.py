"""JsonLines: the log of a run, also of one that was resumed."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from numpy_rnn.training import (
    Callback,
    Checkpoints,
    History,
    JsonLines,
    StepInfo,
    Trainer,
    Validation,
    load,
)
from numpy_rnn.training.callbacks.json_lines import COLUMNS
from tests.training import small


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


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    log = tmp_path / "no" / "log.jsonl"
    with pytest.raises(FileNotFoundError) as caught:
        small.trainer(callbacks=[JsonLines(log)]).fit(1)
    assert str(log.parent) in str(caught.value)


@pytest.mark.parametrize("first", ["validation", "log"])
def test_measurements_are_written_when_the_history_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: str
) -> None:
    monkeypatch.setattr("numpy_rnn.training.callbacks.losses.MAX_ENTRIES", 2)
    losses = iter([5.0, 4.0, 3.0, 2.0, 1.0])
    validation = Validation(lambda: next(losses), every=1)
    log = JsonLines(tmp_path / "log.jsonl", every=1, validation=validation)
    small.trainer(callbacks=[validation, log] if first == "validation" else [log, validation]).fit(
        5
    )
    lines = (tmp_path / "log.jsonl").read_text(encoding="utf-8").splitlines()
    written = [json.loads(line).get("validation") for line in lines]
    assert written == ([5, 4, 3, 2, 1] if first == "validation" else [None, 5, 4, 3, 2])
