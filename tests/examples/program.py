"""The examples as a person runs them, and the recordings that they read."""

from __future__ import annotations

import re
import subprocess
import sys
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from numpy_rnn.functional.types import Array
from tests.cli.command import ENVIRONMENT, ROOT


def run_example(name: str, *arguments: Path | str) -> str:
    """Run an example in a process of its own and return what it prints."""
    program = Path(ROOT, "examples", f"{name}.py")
    done = subprocess.run(
        [sys.executable, program, *arguments],
        check=False,
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def assert_refused(
    module: Any, arguments: list[Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Assert that an example ends with this message in one line, which Python prints."""
    name = module.__name__.rpartition(".")[2]
    monkeypatch.setattr(sys, "argv", [f"{name}.py", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        module.main()
    line = ended.value.code
    assert isinstance(line, str)
    assert re.fullmatch(rf"{name}: error: .*{re.escape(message)}.*", line), line


def write_wav(path: Path, x: Array, rate: int, channels: int = 1, width: int = 2) -> Path:
    """Write samples between -1 and 1."""
    whole = np.rint(np.asarray(x, np.float64) * (2 ** (8 * width - 1) - 1)).astype("<i4")
    data = whole.view(np.uint8).reshape(-1, 4)[:, :width]
    with wave.open(str(path), "wb") as file:
        file.setparams((channels, width, rate, len(x) // channels, "NONE", ""))
        file.writeframes(data.tobytes())
    return path
