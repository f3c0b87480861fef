"""The checker in other people's test suites, and on the command line."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

import pytest

from numpy_rnn.checking.__main__ import main
from tests.cli.command import run_shell

pytest_plugins = ["pytester"]

CELL = """
import numpy as np

def forward(x, W):
    return np.tanh(x @ W.T), (x, W)

def backward(dy, cache):
    x, W = cache
    dz = dy * (1 - np.tanh(x @ W.T) ** 2)
    return dz @ W, np.einsum("tbh,tbd->hd", dz, x)

def wrong(dy, cache):
    dx, dW = backward(dy, cache)
    return dx, 2 * dW

class Cell:
    def __init__(self, size):
        self.W = np.ones((size, size))

    def forward(self, x):
        return x @ self.W

    def backward(self, dy):
        return dy @ self.W.T

def made():
    return Cell(5)

pair, wrong_pair = (forward, backward), (forward, wrong)
"""


def test_the_fixture_and_the_mark(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(cell=CELL)
    pytester.makepyfile(
        """
        import unittest
        import pytest
        from cell import pair, wrong_pair

        def test_right(gradcheck):
            gradcheck(pair, "T B D", "H D", regimes=["usual"])

        def test_wrong(gradcheck):
            gradcheck(wrong_pair, "T B D", "H D", regimes=["usual"])

        def test_used_wrongly(gradcheck):
            gradcheck(pair, "T B D")

        @pytest.fixture
        def chosen():
            return wrong_pair

        @pytest.mark.gradcheck("T B D", "H D", regimes=["usual"])
        def test_marked(chosen):
            return chosen

        @pytest.mark.gradcheck("T B D", "H D")
        def test_that_returns_nothing(chosen):
            chosen

        class TestOfUnittest(unittest.TestCase):
            @pytest.mark.gradcheck("T B D", "H D")
            def test_whose_result_nobody_reads(self):
                return wrong_pair
        """
    )
    result = pytester.runpytest_inprocess(
        "-p", "numpy_rnn.checking.plugin", "-p", "no:cacheprovider"
    )
    result.assert_outcomes(passed=1, failed=5)
    result.stdout.fnmatch_lines(["*returned None, not what is to be checked*"])
    result.stdout.fnmatch_lines(["*unittest reads no result of a test*assert_gradients*"])
    result.stdout.fnmatch_lines(["*suggestion: the gradient of W is off by a constant factor 2*"])
    result.stdout.fnmatch_lines(["*forward takes (x, W), expected a shape for each, got 1*"])
    assert "check_gradients(" not in result.stdout.str()
    assert "exception" not in result.stdout.str()


def test_a_file_in_a_package_may_import_its_neighbours(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "of_user_package" / "cells"
    folder.mkdir(parents=True)
    for name, text in (
        ("../__init__.py", ""),
        ("../cell.py", CELL),
        ("__init__.py", ""),
        ("affine.py", "from ..cell import pair"),
    ):
        (folder / name).write_text(text, encoding="utf-8")
    monkeypatch.setattr(sys, "path", sys.path[:])
    assert main([f"{folder / 'affine.py'}:pair", "T B D", "H D"]) == 0
    assert "all gradients are right" in capsys.readouterr().out


def test_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "cell.py"
    path.write_text(CELL, encoding="utf-8")
    assert main([f"{path}:pair", "T B D", "H D"]) == 0
    assert "all gradients are right" in capsys.readouterr().out
    assert main([f"{path}:forward,wrong", "x=T B D", "W=H D"]) == 1
    assert "NOT all gradients are right" in capsys.readouterr().out
    assert main(["--help"]) == 0
    assert "MODULE:OBJECT" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "no arguments, expected MODULE:OBJECT or FILE.py:OBJECT (see --help)"),
        (["cell"], "'cell', expected MODULE:OBJECT or FILE.py:OBJECT"),
        (["no_such_module:pair"], "No module named 'no_such_module'"),
        (["cell.py:pair", "0 0", "4 0"], "nothing to check"),
        (["cell.py:forward,back", "T B D"], "cell.py has no 'back', expected a name in it"),
        (["cell.py:Cell", "T B D"], "Cell is a class, expected an object of it"),
        (["cell.py:pair", "T B D"], "forward takes (x, W), expected a shape for each, got 1"),
        (["no.py:pair", "T B D"], "numpy_rnn.checking: No such file or directory: 'no.py'"),
        (["cell.py:made", "T B D"], "made takes no arguments, expected made() if it makes what"),
        (["./cell:pair", "T B D"], "'./cell', expected a module's name or a file that ends in .py"),
        (["cell.py:pair", "T B D", "W=H D"], "shapes ['T B D', 'W=H D'], expected name=shape for"),
    ],
)
def test_wrong_use_is_one_line_with_status_2(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "cell.py"
    path.write_text(CELL, encoding="utf-8")
    with contextlib.chdir(tmp_path):
        assert main(arguments) == 2
    line = capsys.readouterr().err
    assert message in line
    assert len(line.splitlines()) == 1


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("import torchx", "cell.py:1: ModuleNotFoundError: No module named 'torchx'"),
        ("1 / 0", "cell.py:1: ZeroDivisionError: division by zero"),
        ("def (", "invalid syntax (cell.py, line 1)"),
        ("raise SystemExit(0)", "cell.py:1: SystemExit: 0"),
        ("raise ValueError('\\x1b[2J\\u202e\\nb')", "numpy_rnn.checking: \ufffd[2J\ufffd b"),
        ("pair = 3", "numpy_rnn.checking: "),
    ],
)
def test_whatever_the_code_raises_is_one_line(
    code: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "cell.py"
    path.write_text(code, encoding="utf-8")
    with contextlib.chdir(tmp_path):
        assert main(["cell.py:pair", "T B D"]) == 2
    answer = capsys.readouterr().err
    assert message in answer
    assert len(answer.splitlines()) == 1
    assert answer.strip().isprintable()


@pytest.mark.posix
def test_a_pipe_is_not_waited_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.mkfifo(tmp_path / "pipe.py")
    assert main([f"{tmp_path / 'pipe.py'}:pair"]) == 2
    assert "Not a regular file but a pipe" in capsys.readouterr().err


@pytest.mark.posix
@pytest.mark.parametrize(
    ("stream", "status", "line"),
    [(">&-", 0, ""), (">/dev/full", 1, "numpy_rnn.checking: No space left on device\n")],
)
def test_a_report_that_cannot_be_written_is_one_line(
    stream: str, status: int, line: str, tmp_path: Path
) -> None:
    (tmp_path / "cell.py").write_text(CELL, encoding="utf-8")
    line_of_bash = f"{sys.executable} -m numpy_rnn.checking cell.py:pair 'T B D' 'H D' {stream}"
    done = run_shell(line_of_bash, tmp_path)
    assert (done.returncode, done.stderr) == (status, line)
