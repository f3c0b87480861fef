"""The tables in docs/memory.md are what the recorded trials say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from numpy_rnn.apps.memory import record

ROOT = Path(__file__).parents[2]


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


def test_no_model_is_larger_than_it_may_be() -> None:
    for path in (ROOT / "docs" / "memory-results").glob("*.json"):
        budget, trials = record.read(path)
        limit = 20_000 if budget.hidden < 128 else 120_000
        assert all(0 < trial.parameters <= limit for trial in trials), path.name
