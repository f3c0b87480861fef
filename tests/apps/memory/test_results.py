"""The tables in docs/memory.md are those of the recorded runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from numpy_rnn.apps.memory import read_record

ROOT = Path(__file__).parents[3]


def test_the_page_has_the_tables_of_the_records() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.memory", "--table"],
        check=True,
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    page = (ROOT / "docs" / "memory.md").read_text(encoding="utf-8")
    tables = done.stdout.split("\n\n")
    assert len(tables) == 3
    for table in tables:
        assert table.count("\n| ") >= 3
        assert table in page


def test_no_model_exceeds_the_maximum_size() -> None:
    paths = list((ROOT / "docs" / "memory-results").glob("*.safetensors"))
    assert len(paths) == 64
    for path in paths:
        config, runs = read_record(path)
        limit = 20_000 if config.hidden_size < 128 else 120_000
        assert all(0 < run.parameters <= limit for run in runs), path.name
