"""Training that is killed at random moments: the script under benchmarks/, with fifty kills.

It runs in a process of its own, which forks: a process with the tests' threads should not.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("arguments", [["--kills", "50"], ["--kills", "10", "--time-budget", "1"]])
def test_every_run_ends_at_the_same_bits(arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.kill", *arguments],
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    report = {name: int(n) for name, n in re.findall(r"(\w+)=(\d+)", done.stdout)}
    assert report["kills"] == int(arguments[1])
    assert report["completed"] >= 1
    assert report["in_a_save"] >= 1
