"""The command, in the tests' own process or in a separate one, as a person or a script runs it."""

from __future__ import annotations

import contextlib
import io
import os
import re
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

from numpy_rnn.cli.main import main

Command = Callable[..., subprocess.CompletedProcess[str]]
COMMAND = [sys.executable, "-m", "numpy_rnn"]
ROOT, BEFORE = str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")
ENVIRONMENT = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{BEFORE}" if BEFORE else ROOT}


def run_process(
    *arguments: str | bytes, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run numpy-rnn in a separate process and return its status, output and errors."""
    return subprocess.run(
        [*COMMAND, *arguments],
        check=False,
        capture_output=True,
        text=True,
        cwd=cwd,
        env=ENVIRONMENT,
    )


def run_command(
    *arguments: str | bytes, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Do the same in this process, which saves the half second of the imports.

    A traceback is the exception itself, and a warning is an error. Windows's rules are about the
    streams of a process too, so under them it is a process.
    """
    if os.name == "nt":
        return run_process(*arguments, cwd=cwd)
    streams = [io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2)]
    with (
        contextlib.chdir(cwd or "."),
        contextlib.redirect_stdout(streams[0]),
        contextlib.redirect_stderr(streams[1]),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("error")
        status = main([os.fsdecode(word) for word in arguments])
    shown = []
    for stream in streams:
        stream.seek(0)  # after a flush
        shown.append(stream.read())
    return subprocess.CompletedProcess(arguments, status, *shown)


def run_shell(line: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a line of bash in which $RNN is the command.

    Python writes no bytecode: under ``ulimit -f`` it would leave the first part of a file, which
    no later process could import.
    """
    return subprocess.run(
        ["bash", "-c", line],
        check=False,
        capture_output=True,
        text=True,
        cwd=cwd,
        env=ENVIRONMENT | {"RNN": " ".join(COMMAND), "PYTHONDONTWRITEBYTECODE": "1"},
    )


def assert_refused(done: subprocess.CompletedProcess[str], status: int, message: str) -> None:
    """Assert that the command ended with this status and one line that contains the message."""
    assert done.returncode == status, done.stderr
    assert done.stderr.count("\n") == 1
    line = rf"numpy-rnn \w+: error: .*{re.escape(message)}.*\n"
    assert re.fullmatch(line, done.stderr), done.stderr
