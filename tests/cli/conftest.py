"""A trained model for the tests of the commands that read one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.apps.language_model.texts import write_text
from tests.cli.command import run_process

SMALL = (
    *("--hidden-size", "6", "--embedding", "4", "--batch-size", "4", "--window", "10"),
    *("--validate-every", "10", "--threads", "1"),
)


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a text, a checkpoint trained on it, and what training printed."""
    folder = tmp_path_factory.mktemp("trained")
    write_text(folder)
    arguments = ["--epochs", "1", "--log", "log.jsonl", "--plot", "loss.png", "--seed", "3"]
    done = run_process("train", "text.txt", *SMALL, *arguments, cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    (folder / "shown.txt").write_text(done.stdout, encoding="utf-8")
    return folder
