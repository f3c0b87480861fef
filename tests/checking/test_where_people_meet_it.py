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

pair, wrong_pair = (forward, backward), (forward, wrong)
"""


def test_the_fixture_and_the_mark(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(cell=CELL)
    pytester.makepyfile(
        """
        import pytest
        from cell import pair, wrong_pair

        def test_right(gradcheck):
            gradcheck(pair, "T B D", "H D", regimes=["usual"])

        def test_wrong(gradcheck):
            gradcheck(wrong_pair, "T B D", "H D", regimes=["usual"])

        @pytest.fixture
        def chosen():
            return wrong_pair

        @pytest.mark.gradcheck("T B D", "H D", regimes=["usual"])
        def test_marked(chosen):
            return chosen
        """
    )
    result = pytester.runpytest_inprocess(
        "-p", "numpy_rnn.checking.plugin", "-p", "no:cacheprovider"
    )
    result.assert_outcomes(passed=1, failed=2)
    result.stdout.fnmatch_lines(["*suggestion: the gradient of W is off by a constant factor 2*"])
    assert "check_gradients(" not in result.stdout.str()


def test_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "cell.py"
    path.write_text(CELL, encoding="utf-8")
    assert main([f"{path}:pair", "T B D", "H D"]) == 0
    assert "all gradients are right" in capsys.readouterr().out
    assert main([f"{path}:forward,wrong", "x=T B D", "W=H D"]) == 1
    assert "NOT all gradients are right" in capsys.readouterr().out
    assert main([]) == 0
    assert "MODULE:OBJECT" in capsys.readouterr().out
    assert str(main(["cell"])).endswith("'cell', expected MODULE:OBJECT or FILE.py:OBJECT")
    assert "no_such_module" in str(main(["no_such_module:pair"]))
    assert "nothing to check" in str(main([f"{path}:pair", "0 0", "4 0"]))


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("1 / 0", "cell.py:1: ZeroDivisionError: division by zero"),
        ("def (", "invalid syntax (cell.py, line 1)"),
        ("raise SystemExit(0)", "cell.py:1: SystemExit: 0"),
        ("raise ValueError('\\x1b[2J\\u202e\\nb')", "numpy_rnn.checking: \ufffd[2J\ufffd b"),
        ("pair = 3", "numpy_rnn.checking: "),
    ],
)
def test_whatever_the_code_raises_is_one_line(code: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "cell.py"
    path.write_text(code, encoding="utf-8")
    with contextlib.chdir(tmp_path):
        answer = main(["cell.py:pair", "T B D"])
    assert isinstance(answer, str)
    assert message in answer
    assert len(answer.splitlines()) == 1
    assert answer.isprintable()


@pytest.mark.posix
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.py")
    assert "Not a regular file but a pipe" in str(main([f"{tmp_path / 'pipe.py'}:pair"]))


@pytest.mark.posix
@pytest.mark.parametrize(
    ("stream", "status", "line"),
    [(">&-", 0, ""), (">/dev/full", 1, "numpy_rnn.checking: [Errno 28] No space left on device\n")],
)
def test_a_report_that_cannot_be_written_is_one_line(
    stream: str, status: int, line: str, tmp_path: Path
) -> None:
    (tmp_path / "cell.py").write_text(CELL, encoding="utf-8")
    line_of_bash = f"{sys.executable} -m numpy_rnn.checking cell.py:pair 'T B D' 'H D' {stream}"
    done = run_shell(line_of_bash, tmp_path)
    assert (done.returncode, done.stderr) == (status, line)
