"""The search for a cause: what is no cause, and that it leaves everything as it was."""

from __future__ import annotations

import runpy
import sys
import textwrap
from pathlib import Path

import pytest

from numpy_rnn.checking import check_gradients
from numpy_rnn.checking.repair import _attempt
from tests.checking.users_slips import RNN, SECONDS, checked


def test_right_code_gets_no_suggestion(tmp_path: Path) -> None:
    assert checked(RNN, tmp_path, cause_seconds=SECONDS) == []


def test_what_no_small_change_mends_gets_no_cause(tmp_path: Path) -> None:
    code = RNN.replace("return dx, dprev", "return dx * np.cos(x.sum()), dprev + 0.1 * h0.sum()")
    found = checked(code, tmp_path, cause_seconds=0.5)
    assert not any("every gradient is right" in text for text in found)


def test_the_code_is_as_before(tmp_path: Path) -> None:
    profile = sys.getprofile()
    code = RNN.replace("dWh += hp", "dWh = hp")
    first = checked(code, tmp_path, cause_seconds=SECONDS)
    assert checked(code, tmp_path, cause_seconds=SECONDS) == first
    assert sys.getprofile() is profile


def test_a_loop_that_would_not_end_is_not_tried(tmp_path: Path) -> None:
    code = RNN.replace("    for t in range(T - 1, -1, -1):\n", "    t = T\n    while t > 0:\n")
    code = code.replace("        d = dh[:, t] + dprev", "        t -= 1\n        d = dh[:, t]")
    found = checked(code, tmp_path, cause_seconds=SECONDS)
    assert "a missing term?" in found[-1]


def test_a_change_that_does_not_end_is_interrupted() -> None:
    with _attempt(0.05):
        while True:
            pass


def test_loops_that_a_statement_or_a_helper_ends(tmp_path: Path) -> None:
    code = """
    import numpy as np

    def forward(x, w):
        return np.tanh(x * w), (x, w)

    def leading(d, w):
        while d.ndim > w.ndim:
            d = d.sum(0)
        return d

    def backward(dy, cache):
        x, w = cache
        y = np.tanh(x * w)
        d = dy * (1 - y)
        dw, todo = 0, [d]
        while todo:
            part = todo.pop()
            dw = dw + leading(part * x, w)
        return d * w, dw
    """
    (tmp_path / "of_user.py").write_text(textwrap.dedent(code), "utf-8")
    space = runpy.run_path(str(tmp_path / "of_user.py"))
    pair = space["forward"], space["backward"]
    found = check_gradients(pair, "T B D", "D", cause_seconds=SECONDS).suggestions
    assert 'with "d = dy * (1 - y ** 2)" instead' in found[-1]


def test_a_slip_in_a_loop_that_counts_down(tmp_path: Path) -> None:
    code = RNN.replace("    for t in range(T - 1, -1, -1):\n", "    t = T\n    while t > 0:\n")
    code = code.replace("        d = dh[:, t] +", "        t -= 1\n        d = dh[:, t] +")
    code = code.replace("dWx += x[:, t].T.dot(da)", "dWx += x[:, t].T.dot(d)")
    found = checked(code, tmp_path, cause_seconds=SECONDS)
    assert 'with "dWx += x[:, t].T.dot(da)" instead' in found[-1]


def test_a_change_with_a_side_effect_is_no_cause(tmp_path: Path) -> None:
    code = """
    def forward(x, c0):
        return (x * c0, c0 + 0), (x, c0)

    def backward(dy, dc, cache):
        x, c0 = cache
        dc = (dy * x).sum(axis=0)
        return dy * c0, dc
    """
    (tmp_path / "of_user.py").write_text(textwrap.dedent(code), "utf-8")
    space = runpy.run_path(str(tmp_path / "of_user.py"))
    pair = (space["forward"], space["backward"])
    found = check_gradients(pair, "T B D", "B D", cause_seconds=SECONDS).suggestions
    assert 'with "dc = (dy * x).sum(axis=0) + dc" instead' in found[-1]  # dc += would change dc


def test_a_change_that_is_right_at_one_size_alone_is_no_cause(tmp_path: Path) -> None:
    """With H = 4, / 2 is / sqrt(H)."""
    code = """
    import numpy as np

    def forward(q, k):
        H = q.shape[-1]
        return (q * k).sum(-1) / np.sqrt(H), (q, k)

    def backward(ds, cache):
        q, k = cache
        ds = ds[..., None]
        return ds * k, ds * q
    """
    (tmp_path / "of_user.py").write_text(textwrap.dedent(code), "utf-8")
    space = runpy.run_path(str(tmp_path / "of_user.py"))
    pair = space["forward"], space["backward"]
    report = check_gradients(pair, "T B H", "T B H", cause_seconds=SECONDS)
    assert not report.ok
    assert "/ 2" not in " ".join(report.suggestions)


def test_a_sum_of_products_that_became_one_product(tmp_path: Path) -> None:
    code = """
    def forward(c, f, o):
        return (f * c, o * c), (c, f, o)

    def backward(da, db, cache):
        c, f, o = cache
        dc = da * f * o * db
        return dc, da * c, db * c
    """
    (tmp_path / "of_user.py").write_text(textwrap.dedent(code), "utf-8")
    space = runpy.run_path(str(tmp_path / "of_user.py"))
    pair = space["forward"], space["backward"]
    report = check_gradients(pair, "B H", "B H", "B H", cause_seconds=SECONDS)
    assert not any("clipped" in violation.text for violation in report.violations)
    assert 'instead of "dc = da * f * o * db"' in report.suggestions[-1]


LOSS = """
import numpy as np

class Network:
    def __init__(self):
        self.W = np.ones((4, 5), {dtype})

    def loss(self, x):
        y = np.tanh(x @ self.W.T)
        dz = y * (1 - np.tanh(y) ** 2)
        return 0.5 * np.sum(y**2), {{"dW": dz.T @ x}}
"""


@pytest.mark.parametrize("dtype", ["float", "np.float32"])
def test_a_loss_of_an_object_and_float32_weights(dtype: str, tmp_path: Path) -> None:
    (tmp_path / "of_loss.py").write_text(LOSS.format(dtype=dtype), "utf-8")
    space = runpy.run_path(str(tmp_path / "of_loss.py"))
    found = check_gradients(space["Network"](), "B 5", cause_seconds=SECONDS).suggestions
    assert 'with "dz = y * (1 - y ** 2)" instead' in found[-1]
