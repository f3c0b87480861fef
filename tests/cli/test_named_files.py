"""A file that cannot be read or written is named, and no other: every command and argument."""

from __future__ import annotations

import errno
import io
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from numpy_rnn.apps import recall
from numpy_rnn.cli.main import main

SMALL = ("--hidden-size", "4", "--batch-size", "4", "--window", "8", "--threads", "1")
READ = {  # the command, and the file in it
    "train FILE": (["train", "a.txt", *SMALL], "a.txt"),
    "train FILE --resume": (["train", "a.txt", "--checkpoint", "run", "--resume"], "a.txt"),
    "train --resume": (
        ["train", "b.txt", "--checkpoint", "run", "--resume"],
        "run/checkpoint.safetensors",
    ),
    "train --config": (["train", "b.txt", "--config", "a.toml"], "a.toml"),
    "sample": (["sample", "run"], "run/checkpoint.safetensors"),
    "inspect": (["inspect", "run/checkpoint.safetensors"], "run/checkpoint.safetensors"),
    "evaluate CHECKPOINT": (["evaluate", "run", "b.txt"], "run/checkpoint.safetensors"),
    "evaluate FILE": (["evaluate", "run", "a.txt"], "a.txt"),
    "explain": (["explain", "a.safetensors"], "a.safetensors"),
    "memory --record": (["memory", "--record", "record.safetensors"], "record.safetensors"),
}
WRITTEN = {
    "recall --save": (["recall", "--epochs", "1", "--save", "o.safetensors"], "o.safetensors"),
    "train --checkpoint": (
        ["train", "b.txt", *SMALL, "--checkpoint", "o"],
        "o/checkpoint.safetensors",
    ),
    "train --log": (["train", "b.txt", *SMALL, "--log", "o.jsonl"], "o.jsonl"),
    "train --plot": (["train", "b.txt", *SMALL, "--epochs", "1", "--plot", "o.png"], "o.png"),
    "memory --record": (["memory", "--updates", "1", "--seeds", "1", "--record", "o"], "o"),
    "explain --out": (["explain", "a.safetensors", "--out", "o"], "o"),
}


NUMBERS = {"no permission": errno.EACCES, "a bad disk": errno.EIO}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one file of each kind."""
    folder = tmp_path_factory.mktemp("made")
    before = Path.cwd()
    os.chdir(folder)
    try:
        for name in ("a.txt", "b.txt"):
            Path(name).write_bytes(b"a cat and a dog and a pig\n" * 20)
        Path("a.toml").write_bytes(b"seed = 1\n")
        recall.save("a.safetensors", recall.run(recall.Experiment(epochs=1)))
        assert main(["train", "b.txt", *SMALL, "--epochs", "1", "--checkpoint", "run"]) == 0
        shape = ("--updates", "1", "--seeds", "1", "--record", "record.safetensors")
        assert main(["memory", *shape]) == 0
    finally:
        os.chdir(before)
    return folder


@pytest.fixture
def here(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the folder, which is the working directory."""
    shutil.copytree(made, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


def one_line(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Return the message of a command that fails."""
    capsys.readouterr()
    assert main(arguments) in (1, 2)
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    return line


def fail_to(action: str, path: str, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let opening a file, or reading from it, fail."""
    real, system_open, wanted = io.open, os.open, os.path.realpath(path)

    class Failing(io.BufferedReader):
        def read(self, *_: Any) -> bytes:
            raise OSError(number, os.strerror(number))

        read1 = readline = readinto = read  # type: ignore[assignment]  # all of them fail

    def fail(file: Any, *arguments: Any, **options: Any) -> Any:
        name = f"/proc/self/fd/{file}" if isinstance(file, int) else file
        if os.path.realpath(name) == wanted:
            if action == "open":
                raise OSError(number, os.strerror(number), str(file))
            return Failing(io.FileIO(file))
        return real(file, *arguments, **options)

    def refuse(name: Any, *arguments: Any, **options: Any) -> int:
        if action == "open" and os.path.realpath(name) == wanted:
            raise OSError(number, os.strerror(number), str(name))
        return system_open(name, *arguments, **options)

    monkeypatch.setattr(os, "open", refuse)
    monkeypatch.setattr(io, "open", fail)
    monkeypatch.setattr("builtins.open", fail)


@pytest.mark.posix  # /proc
@pytest.mark.parametrize("kind", ["missing", "a folder", "no permission", "a bad disk"])
@pytest.mark.parametrize("case", READ)
def test_a_file_that_cannot_be_read_is_named(
    case: str,
    kind: str,
    here: Path,  # noqa: ARG001 (the working directory)
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    arguments, path = READ[case]
    if kind in ("missing", "a folder"):
        Path(path).unlink()
    if kind == "missing" and case == "memory --record":
        assert (
            main(["memory", "--updates", "1", "--seeds", "1", "--record", path]) == 0
        )  # a new one
        return
    if kind == "a folder":
        Path(path).mkdir()
    if kind in NUMBERS:
        fail_to("open" if kind == "no permission" else "read", path, NUMBERS[kind], monkeypatch)
    line = one_line(arguments, capsys)
    assert Path(path).name in line, line
    others = {"a.txt", "b.txt", "a.toml", "a.safetensors", "record.safetensors", "tmp"} - {
        Path(path).name
    }
    assert not [name for name in others if name in line], line
    if kind in NUMBERS:
        assert os.strerror(NUMBERS[kind]) in line, line


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EROFS, errno.EDQUOT])
@pytest.mark.parametrize("case", WRITTEN)
def test_a_file_that_cannot_be_written_is_named(
    case: str,
    number: int,
    here: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    arguments, path = WRITTEN[case]
    before = sorted(path.name for path in here.iterdir())
    system_open = os.open

    def refuse(name: Any, flags: int, *rest: Any, **options: Any) -> int:
        folder = Path(name).parent
        is_there = folder.resolve() in (here / path, (here / path).parent)
        if Path(name).suffix == ".tmp" and is_there:
            raise OSError(number, os.strerror(number), str(name))
        return system_open(name, flags, *rest, **options)

    monkeypatch.setattr(os, "open", refuse)
    line = one_line(arguments, capsys)
    assert f"'{path}'" in line, line
    assert os.strerror(number) in line, line
    assert ".tmp" not in line
    left = sorted(path.name for path in here.iterdir() if path.name != "o")
    assert left == before
