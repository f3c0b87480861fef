"""The checker in other people's test suites, and on the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from numpy_rnn.checking.__main__ import main

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
