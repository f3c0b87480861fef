"""What the tests run in their own process is what a separate process does."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.command import run_command, run_process


@pytest.mark.parametrize(
    "words",
    [
        ("--version",),
        ("recall", "--epochs", "2", "--seed", "3"),
        ("recall", b"a\xe9"),
        ("memory", "first-token", "--updates", "0"),
        ("train", "no\x1b[2J.txt"),
        ("sample", "no.npz"),
        ("inspect", "\u6f22.npz"),
        ("explain", "no.npz"),
        ("run", "no.onnx"),
        ("what",),
    ],
)
def test_a_command_here_and_in_a_process_answer_alike(
    words: tuple[str | bytes, ...], tmp_path: Path
) -> None:
    here, there = (run(*words, cwd=tmp_path) for run in (run_command, run_process))
    assert here.returncode == there.returncode
    assert here.stdout == there.stdout
    assert here.stderr == there.stderr
    assert here.stdout or here.stderr
