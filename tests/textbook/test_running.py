"""Each page runs by itself, and imports NumPy alone."""

from __future__ import annotations

import ast
import doctest
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import numpy_rnn
from numpy_rnn import textbook
from tests.textbook.pages import PAGES

PACKAGE = Path(numpy_rnn.__file__).parent
NAMES = sorted({page.name for page in PAGES})
each_name = pytest.mark.parametrize("name", NAMES)


@each_name
def test_a_page_prints_an_example_with_all_its_numbers(name: str) -> None:
    run = subprocess.run(
        [sys.executable, "-W", "error", "-m", f"numpy_rnn.textbook.{name}"],
        check=True,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(PACKAGE.parent)},
    )
    assert run.stderr == ""
    for title in ("GIVEN", "FORWARD", "BACKWARD", "RETURNED"):
        assert f"\n{title}" in run.stdout
    assert ("\nLEDGER" in run.stdout) == (name not in {"dropout", "mse", "cross_entropy"})
    assert max(map(len, run.stdout.splitlines())) <= 80


def test_a_closed_pipe_ends_a_page_without_an_error() -> None:
    reading, writing = os.pipe()
    os.close(reading)  # as head does when it has seen enough
    run = subprocess.run(
        [sys.executable, "-m", "numpy_rnn.textbook.elman"],
        check=True,
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(PACKAGE.parent)},
    )
    os.close(writing)
    assert run.stderr == ""


@each_name
def test_the_examples_of_a_page_hold(name: str) -> None:
    result = doctest.testmod(import_module(f"numpy_rnn.textbook.{name}"))
    assert result.attempted > 1
    assert result.failed == 0


@each_name
def test_a_page_imports_numpy_the_types_and_the_runner(name: str) -> None:
    tree = ast.parse((PACKAGE / "textbook" / f"{name}.py").read_text(encoding="utf-8"))
    imported = {n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
    imported |= {a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
    assert imported <= {
        "__future__",
        "numpy",
        "numpy_rnn.functional.types",
        "numpy_rnn.textbook.example",
        "numpy_rnn.textbook.lstm",  # for sigmoid
    }


def test_the_folder_exports_every_pair() -> None:
    files = {path.stem for path in (PACKAGE / "textbook").glob("*.py")}
    assert files == {*NAMES, "__init__", "example"}
    assert sorted(textbook.__all__) == [
        f"{name}_{way}" for name in NAMES for way in ("backward", "forward")
    ]
    for name in textbook.__all__:
        assert getattr(textbook, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'lstm_sideways'"):
        _ = textbook.lstm_sideways
