"""The command in a separate process, as a person or a script runs it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

COMMAND = [sys.executable, "-m", "numpy_rnn"]
ROOT, BEFORE = str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")
ENVIRONMENT = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{BEFORE}" if BEFORE else ROOT}


def run_command(
    *arguments: str | bytes, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run numpy-rnn and return its status, output and errors."""
    return subprocess.run(
        [*COMMAND, *arguments],
        check=False,
        capture_output=True,
        text=True,
        cwd=cwd,
        env=ENVIRONMENT,
    )


def run_shell(line: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a line of bash in which $RNN is the command."""
    return subprocess.run(
        ["bash", "-c", line],
        check=False,
        capture_output=True,
        text=True,
        cwd=cwd,
        env=ENVIRONMENT | {"RNN": " ".join(COMMAND)},
    )


def assert_refused(done: subprocess.CompletedProcess[str], status: int, message: str) -> None:
    """Assert that the command ended with this status and one line that contains the message."""
    assert done.returncode == status, done.stderr
    assert done.stderr.count("\n") == 1
    line = rf"numpy-rnn \w+: error: .*{re.escape(message)}.*\n"
    assert re.fullmatch(line, done.stderr), done.stderr
