"""Five hundred damaged checkpoints: the script under benchmarks/, in a separate process."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_damaged_checkpoints_are_refused_or_harmless() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.damage", "--files", "500"],
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    counts = [int(n) for n in re.findall(r"refused +(\d+)", done.stdout)]
    assert len(counts) == 13
    assert all(count > 25 for count in counts)
