"""Two commands on one checkpoint folder, recall file, record, log or report at the same time."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.apps.language_model.texts import write_text
from tests.cli.command import COMMAND, ENVIRONMENT, assert_refused, run_command
from tests.cli.conftest import SMALL

TRAIN = ("train", "text.txt", *SMALL)
LONG = ("--epochs", "99999")
MEMORY = ("memory", "--hidden-size", "4", "--seeds", "1")


@contextmanager
def running(folder: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run a command that has printed its first line, and kill it at the end."""
    with subprocess.Popen(
        [*COMMAND, *arguments], stdout=subprocess.PIPE, text=True, cwd=folder, env=ENVIRONMENT
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        (
            (*TRAIN, *LONG),
            TRAIN,
            "--checkpoint: 'text.rnn/checkpoint.safetensors' is in use by process",
        ),
        (
            (*TRAIN, *LONG, "--log", "a.jsonl"),
            (*TRAIN, "--checkpoint", "other", "--log", "a.jsonl"),
            "--log: 'a.jsonl' is in use by process",
        ),
        (
            ("recall", *LONG, "--save", "a.safetensors"),
            ("recall", "--save", "./a.safetensors"),
            "--save: 'a.safetensors' is in use by process",
        ),
        (
            (*MEMORY, "--updates", "99999", "--start", "900", "--record", "record.safetensors"),
            (*MEMORY, "--updates", "1", "--record", "record.safetensors"),
            "--record: 'record.safetensors' is in use by process",
        ),
    ],
)
def test_the_second_command_is_one_line_and_changes_nothing(
    tmp_path: Path, first: tuple[str, ...], second: tuple[str, ...], message: str
) -> None:
    write_text(tmp_path)
    with running(tmp_path, *first) as process:
        assert_refused(run_command(*second, cwd=tmp_path), 2, f"{message} {process.pid} on ")
        assert process.poll() is None


def test_a_run_is_read_while_it_is_trained_and_resumed_after_a_kill(tmp_path: Path) -> None:
    write_text(tmp_path)
    resume = ("train", "text.txt", "--resume")
    with running(tmp_path, *TRAIN, *LONG, "--save-every", "0s") as process:
        assert process.stdout is not None
        while "step " not in process.stdout.readline():  # there is a checkpoint by then
            pass
        assert run_command("inspect", "text.rnn", cwd=tmp_path).returncode == 0
        message = f"'text.rnn/checkpoint.safetensors' is in use by process {process.pid} on "
        assert_refused(run_command(*resume, cwd=tmp_path), 2, message)
    with running(tmp_path, *resume) as process:
        assert process.stdout is not None
        assert "Resuming from step" in "".join(process.stdout.readline() for _ in range(3))


READS_ONLY = """
import os, sys
from numpy_rnn.cli.main import main
def refuse(event, arguments):
    if event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
        if os.path.abspath(os.fsdecode(arguments[0])).startswith(sys.argv[1]):
            raise OSError(30, "Read-only file system", arguments[0])
sys.addaudithook(refuse)
sys.exit(main(sys.argv[2:]))
"""


@pytest.mark.parametrize(
    "arguments",
    [["inspect", "text.rnn"], ["sample", "text.rnn"], ["evaluate", "text.rnn", "text.txt"]],
)
def test_a_read_only_folder_can_be_read(trained: Path, arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", READS_ONLY, str(trained), *arguments],
        check=False,
        capture_output=True,
        text=True,
        cwd=trained,
        env=ENVIRONMENT,
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--log", "text.txt"], "--log 'text.txt' is an input too, expected another file"),
        (["--log", "a.png", "--plot", "a.png"], "--log: 'a.png' is the file of --plot too"),
        (
            ["--checkpoint", ".", "--log", "checkpoint.safetensors"],
            "--checkpoint: 'checkpoint.safetensors' is the file of --log too",
        ),
    ],
)
def test_one_file_for_two_purposes_is_one_line(
    tmp_path: Path, arguments: list[str], message: str
) -> None:
    text = write_text(tmp_path).read_bytes()
    assert_refused(run_command(*TRAIN, *arguments, cwd=tmp_path), 2, message)
    assert [path.name for path in tmp_path.iterdir()] == ["text.txt"]
    assert (tmp_path / "text.txt").read_bytes() == text
