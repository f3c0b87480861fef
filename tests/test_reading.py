"""Files that are not what they should be: special files, bombs, control characters, other runs."""

from __future__ import annotations

import json
import os
import socket
import sys
import tracemalloc
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from numpy_rnn import SGD, Linear, MSELoss, interchange
from numpy_rnn.apps.language_model import Settings, run
from numpy_rnn.cli.main import main
from numpy_rnn.cli.terminal import SafeOutput, write_generated
from numpy_rnn.cli.train import _saved
from numpy_rnn.files import NotRegularFileError, open_regular
from numpy_rnn.reading import SPARSE, DamagedFileError, parse_json
from numpy_rnn.safetensors import METADATA, write
from numpy_rnn.text import strip_control_characters
from numpy_rnn.training import Examples, Trainer, Windows, checkpoint
from numpy_rnn.training.process import check_memory
from tests.fuzzing import FORMATS
from tests.mutations import file_of, settings_in, with_settings

SMALL = Settings(hidden_size=4, embedding=2, batch_size=2, window=4, epochs=0.1)
COMMANDS = (
    ("inspect", "FILE"),
    ("sample", "FILE"),
    ("explain", "FILE"),
    ("evaluate", "FILE", "text.txt"),
    ("evaluate", "run", "FILE"),
    ("train", "FILE", "--checkpoint", "new"),
    ("train", "text.txt", "--checkpoint", "new", "--config", "FILE"),
    ("memory", "--record", "FILE"),
)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a text and a checkpoint, which is the working directory."""
    monkeypatch.chdir(tmp_path)
    Path("text.txt").write_text("the cat sat on the mat. " * 20, encoding="utf-8")
    Path("run").mkdir()
    run.start(Path("text.txt"), SMALL, Path("run")).trainer.fit(2)
    return tmp_path


def error_of(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Return the one line with which a command ends."""
    assert main(arguments) in (1, 2)
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1
    assert captured.err.startswith("numpy-rnn ")
    assert strip_control_characters(captured.err) == captured.err
    return captured.err


LINUX_HAS = [name for name in ("/dev/zero", "/proc/self/pagemap") if Path(name).exists()]


@pytest.mark.posix  # pipes, sockets and devices
@pytest.mark.parametrize("kind", [*LINUX_HAS, "pipe", "socket", "run"])
def test_a_special_file_ends_every_command_at_once(
    place: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    os.mkfifo("pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")
        for command in COMMANDS:
            if kind == "run" and command[1] == "FILE" and command[0] != "train":
                continue  # the folder of a checkpoint
            line = error_of(capsys, *(kind if part == "FILE" else part for part in command))
            assert repr(kind) in line
        if kind != "run":
            with pytest.raises(NotRegularFileError):
                open_regular(kind)
    assert not (place / "new" / run.FILE).exists()


def test_a_name_that_no_file_can_have_is_a_missing_file() -> None:
    with pytest.raises(FileNotFoundError, match="Not a possible name of a file"):
        open_regular("a\0b")


@pytest.mark.usefixtures("place")
def test_control_characters_of_a_file_do_not_reach_the_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    bad = "\x1b]0;owned\x07\u202e\u2028\x85\ud800"
    path = Path("run", run.FILE)
    data = path.read_bytes()
    good = settings_in(data, "training")
    for where in ("settings", "text"):  # as a key
        tree = json.loads(json.dumps(good))
        tree["about"][where][bad] = 1
        path.write_bytes(with_settings(data, "training", tree))
        for command in ("inspect", "sample", "explain"):
            assert "is unexpected" in error_of(capsys, command, "run")
    tree = json.loads(json.dumps(good))
    tree["about"]["text"]["name"] = tree["state"]["stopped"] = bad  # as a value
    path.write_bytes(with_settings(data, "training", tree))
    assert main(["inspect", "run"]) == 0
    assert main(["evaluate", "run", "text.txt"]) == 0
    shown = capsys.readouterr().out
    assert strip_control_characters(shown) == shown
    write(Path("bad"), {"memory": {"config": {bad: 1}, "runs": []}}, {})
    assert "unexpected" in error_of(capsys, "memory", "--record", "bad")
    Path("bad.toml").write_text('"\\u001b\\u202e" = 1', encoding="utf-8")
    error_of(capsys, "train", "text.txt", "--config", "bad.toml")
    error_of(capsys, "inspect", f"{bad[:-1]}.safetensors")


def test_generated_text_is_changed_for_a_terminal_only(monkeypatch: pytest.MonkeyPatch) -> None:
    for terminal, shown in ((True, "a\N{REPLACEMENT CHARACTER}b"), (False, "a\u202eb")):
        stream = StringIO()
        monkeypatch.setattr(stream, "isatty", lambda terminal=terminal: terminal)
        monkeypatch.setattr(sys, "stdout", SafeOutput(stream))
        write_generated("a\u202eb")
        assert stream.getvalue() == shown


def record(text: str) -> bytes:
    """Return a record of a memory search that contains this text."""
    return file_of({METADATA: {"crc32": "0" * 8, "memory": text}}, b"")


BOMBS = {
    "json": ("record", record('{"config": {}, "runs": [' + "[]," * 5_000_000 + "[]]}")),
    "dots": ("config", b"a." * 6000 + b"a = 1"),
    "long": ("config", b"# " * 40_000),
    "hexadecimal": ("config", b"seed = 0x" + b"f" * 9000),
    "deep": ("config", b"seed = " + b"[" * 3000 + b"]" * 3000),
    "record": ("record", record("[" * 100_000)),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_cheaply(tmp_path: Path, name: str) -> None:
    kind, data = BOMBS[name]
    path = tmp_path / "bomb"
    path.write_bytes(data)
    tracemalloc.start()
    try:
        with pytest.raises(FORMATS[kind].error):
            FORMATS[kind].read(path)
        assert tracemalloc.get_traced_memory()[1] < 4 * len(data) + 3e6
    finally:
        tracemalloc.stop()


@pytest.mark.posix  # Windows does not tell the holes of a file
def test_a_sparse_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "sparse.safetensors"
    with path.open("wb") as file:
        file.truncate(1 << 30)
    with pytest.raises(DamagedFileError, match="it is sparse"):
        run.read(path)


@pytest.mark.parametrize("suffix", ["safetensors", "npz"])
def test_a_file_that_is_large_enough_to_be_sparse_is_read(tmp_path: Path, suffix: str) -> None:
    path, model = tmp_path / f"large.{suffix}", Linear(SPARSE // 16, 3, rng=0)
    interchange.save(model, path)
    assert path.stat().st_size > SPARSE
    again = interchange.load(path)
    np.testing.assert_array_equal(again.parameters.data, model.parameters.data)


def test_json_is_read_unless_it_has_too_many_values() -> None:
    assert parse_json("[1]", 3) == [1]
    with pytest.raises(ValueError, match="500000 values of JSON in 9 bytes, expected fewer"):
        parse_json("[" * 500_000, 9)


def test_a_checkpoint_costs_less_than_four_times_its_size(tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("the cat sat on the mat. " * 2, encoding="utf-8")
    for optimizer in ("adam", "sgd"):
        settings = replace(SMALL, hidden_size=400, optimizer=optimizer, validation_fraction=0.0)
        run.start(text, settings, tmp_path).trainer.fit(1)
        tracemalloc.start()
        try:
            run.best(run.read(tmp_path))
            cost = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert cost < 4 * (tmp_path / run.FILE).stat().st_size


def test_sizes_that_no_machine_has_end_at_once(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train = "train", "text.txt", "--checkpoint", "new"
    for name in ("hidden-size", "embedding", "batch-size", "window"):
        line = error_of(capsys, *train, f"--{name}", "1000000000", "--threads", "1")
        assert f"{name.replace('-', '_')} 1000000000" in line
    assert "expected at most 1000" in error_of(capsys, *train, "--layers", "100000000")
    assert "units needs at least" in error_of(
        capsys, "memory", "copy", "--batch-size", "100000000", "--seeds", "1"
    )
    with pytest.raises(MemoryError, match="that needs at least 1,000,000,000 GB"):
        check_memory(10**18, "that")
    assert not (place / "new" / run.FILE).exists()


def trainer(dtype: str, window: int, batch_size: int, *, examples: bool = False) -> Trainer:
    model, x = Linear(1, 1, rng=0, dtype=dtype), np.ones((12, 1), dtype)
    data: Any = Windows(x, x, batch_size, window)
    if examples:
        x = np.ones((2, 12, 1), dtype)
        data = Examples(x, x, batch_size, per_step=True, rng=0)
    return Trainer(model, MSELoss(), SGD(model.parameters), data)


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        (trainer("float64", 4, 2), "'bias' is float32 of shape (1,), expected float64"),
        (trainer("float32", 3, 2), "source: window is 4, expected 3"),
        (trainer("float32", 4, 3), "source: batch_size is 2, expected 3"),
    ],
)
def test_a_checkpoint_of_another_trainer_is_called_that(
    tmp_path: Path, other: Trainer, reason: str
) -> None:
    path = tmp_path / "a.safetensors"
    checkpoint.save(path, trainer("float32", 4, 2))
    with pytest.raises(DamagedFileError) as caught:
        checkpoint.load(path, other)
    assert f"{str(path)!r} is not a checkpoint of this trainer: " in str(caught.value)
    assert reason in str(caught.value)
    checkpoint.save(path, trainer("float32", 4, 2, examples=True))
    with pytest.raises(DamagedFileError, match="source: batch_size is 2, expected 4"):
        checkpoint.load(path, trainer("float32", 4, 4, examples=True))


def test_a_checkpoint_that_vanished_is_not_said_to_hold_a_step(place: Path) -> None:
    job = run.resume(Path("text.txt"), Path("run"))
    job.files.saved = 2
    assert _saved(job).endswith("holds step 2")
    (place / "run" / run.FILE).unlink()
    assert _saved(job).endswith("has vanished since step 2")
