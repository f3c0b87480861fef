"""The option --windows and the mark `posix` of pytest. tests/conftest.py imports both."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.windows import rules


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option."""
    parser.addoption("--windows", action="store_true", help="follow Windows's rules")


def pytest_sessionstart(session: pytest.Session) -> None:
    """Introduce the rules in this process and in those that tests start."""
    if session.config.getoption("--windows"):
        folder = Path(__file__).parent
        before = os.environ.get("PYTHONPATH", str(folder.parents[1]))
        os.environ["PYTHONPATH"] = f"{folder}{os.pathsep}{before}"
        rules.install()


def leave_out_posix(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests of what only POSIX has, and report how many."""
    if config.getoption("--windows") or os.name == "nt":
        left_out = [item for item in items if item.get_closest_marker("posix")]
        items[:] = [item for item in items if not item.get_closest_marker("posix")]
        config.hook.pytest_deselected(items=left_out)
