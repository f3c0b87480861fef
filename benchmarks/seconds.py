"""Measure the processor time of each file of the tests, and of each row of tests/README.md.

    python -m benchmarks.seconds [--top 30] [ARGUMENTS OF PYTEST]

Processor time counts the processes that a test starts too. It is about the same on a busy machine.
"""

from __future__ import annotations

import argparse
import os
import re
from collections import defaultdict
from collections.abc import Generator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


class Seconds:
    """A plugin of pytest that adds up the processor time of tests and imports by file."""

    def __init__(self) -> None:
        self.files: defaultdict[str, float] = defaultdict(float)
        self.tests: defaultdict[str, float] = defaultdict(float)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """Measure a test with its fixtures."""
        start = _used()
        result = yield
        self.tests[item.nodeid] += _used() - start
        self.files[item.nodeid.partition("::")[0]] += _used() - start
        return result

    @pytest.hookimpl(wrapper=True)
    def pytest_make_collect_report(
        self, collector: pytest.Collector
    ) -> Generator[None, object, object]:
        """Measure the import of a module."""
        start = _used()
        result = yield
        if isinstance(collector, pytest.Module):
            self.files[collector.nodeid] += _used() - start
        return result


def _used() -> float:
    return sum(os.times()[:4])


def rows(files: dict[str, float]) -> list[tuple[float, str]]:
    """Return the seconds of each row of tests/README.md that has a time, and what it shows."""
    page = (ROOT / "tests" / "README.md").read_text(encoding="utf-8")
    found = []
    for what, paths in re.findall(r"^\| ([^|]+) \| ([^|]*`tests/[^|]*) \| [^|]+ \|$", page, re.M):
        under = tuple(re.findall(r"`(tests/[\w./]+)`", paths))
        found.append((sum(s for name, s in files.items() if name.startswith(under)), what))
    return found


def main() -> int:
    """Run the tests, print the tables and return pytest's exit status."""
    parser = argparse.ArgumentParser(description="Measure the processor time of the tests.")
    parser.add_argument("--top", type=int, default=30, help="files and tests in a table")
    options, rest = parser.parse_known_args()
    seconds = Seconds()
    status = pytest.main(["-q", "-p", "no:xdist", *rest], plugins=[seconds])
    for table in (seconds.files, seconds.tests):
        print(f"\n{sum(table.values()):7.1f} s in all")
        for name, used in sorted(table.items(), key=lambda entry: -entry[1])[: options.top]:
            print(f"{used:7.1f} s {name}")
    print("\nrows of tests/README.md")
    for used, what in rows(seconds.files):
        print(f"{used:7.1f} s {what}")
    return int(status)


if __name__ == "__main__":
    raise SystemExit(main())
