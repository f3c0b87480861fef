"""The cause of a wrong gradient, in code as people write it: each row is one slip in one line."""

from __future__ import annotations

import runpy
import sys
import textwrap
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from numpy_rnn.checking import check_gradients
from numpy_rnn.checking.changes import edits_of
from numpy_rnn.checking.edits import Source
from numpy_rnn.checking.registry import RegisteredPair
from numpy_rnn.checking.repair import MAX_TEXT
from numpy_rnn.museum import REFERENCES

SECONDS = 60.0  # of processor time, which no row comes near

RNN = """
import numpy as np

def forward(x, h0, Wx, Wh, b):
    h, prev = np.zeros((*x.shape[:2], len(b))), h0
    for t in range(x.shape[1]):
        prev = np.tanh(x[:, t].dot(Wx) + prev.dot(Wh) + b)
        h[:, t] = prev
    return h, (x, h0, Wx, Wh, b, h)

def backward(dh, cache):
    x, h0, Wx, Wh, b, h = cache
    N, T, D = x.shape
    dx, dWx, dWh = np.zeros_like(x), np.zeros_like(Wx), np.zeros_like(Wh)
    db, dprev = np.zeros_like(b), np.zeros_like(h0)
    for t in range(T - 1, -1, -1):
        d = dh[:, t] + dprev
        hp = h[:, t - 1] if t > 0 else h0
        da = d * (1 - h[:, t] ** 2)
        dx[:, t] = da.dot(Wx.T)
        dWx += x[:, t].T.dot(da)
        dWh += hp.T.dot(da)
        db += da.sum(axis=0)
        dprev = da.dot(Wh.T)
    return dx, dprev, dWx, dWh, db
"""

GRU = """
import numpy as np

def sigmoid(z):
    return 1 / (1 + np.exp(-z))

class GRU:
    def __init__(self):
        self.params = {k: np.ones((3, 4)) for k in ("Wr", "Wz", "Wn")}
        self.params.update({k: np.ones((4, 4)) for k in ("Ur", "Uz", "Un")})
        self.grads = {}

    def forward(self, x):
        P, h = self.params, np.zeros((x.shape[0], 4))
        self.x, self.kept, out = x, [], []
        for t in range(x.shape[1]):
            r = sigmoid(x[:, t] @ P["Wr"] + h @ P["Ur"])
            z = sigmoid(x[:, t] @ P["Wz"] + h @ P["Uz"])
            n = np.tanh(x[:, t] @ P["Wn"] + (r * h) @ P["Un"])
            self.kept.append((h, r, z, n))
            h = z * h + (1 - z) * n
            out.append(h)
        return np.stack(out, 1)

    def backward(self, dy):
        P, G = self.params, {k: np.zeros_like(v) for k, v in self.params.items()}
        dx, dh = np.zeros_like(self.x), np.zeros_like(dy[:, 0])
        for t in reversed(range(dy.shape[1])):
            h, r, z, n = self.kept[t]
            dh = dh + dy[:, t]
            dn = dh * (1 - z) * (1 - n * n)
            dz = dh * (h - n) * z * (1 - z)
            drh = dn @ P["Un"].T
            dr = drh * h * r * (1 - r)
            for k, v in (("r", dr), ("z", dz), ("n", dn)):
                G["W" + k] += self.x[:, t].T @ v
            G["Ur"] += h.T @ dr
            G["Uz"] += h.T @ dz
            G["Un"] += (r * h).T @ dn
            dx[:, t] = dr @ P["Wr"].T + dz @ P["Wz"].T + dn @ P["Wn"].T
            dh = dh * z + drh * r + dr @ P["Ur"].T + dz @ P["Uz"].T
        self.grads = G
        return dx
"""

PARTS = """
import numpy as np

def forward(x, h0, Wx, Wh, b):
    layers = [h0]
    for k in range(3):
        layers.append(1 / (1 + np.exp(-layers[k] @ Wh - b)))
    return layers[3], (layers, Wh, b)

def backward(dy, cache):
    layers, Wh, b = cache
    g = {"Wh": np.zeros_like(Wh), "b": np.zeros_like(b)}
    d = dy
    for k in range(1, 4):
        s = layers[-k]
        d = d * s * (1 - s)
        g["Wh"] += np.dot(layers[-k - 1].T, d)
        g["b"] += d.sum(0)
        d = d @ Wh.T
    return {"dh0": d, "dWh": g["Wh"], "db": g["b"]}
"""

SINCE = """
import numpy as np

def forward(x, h0, Wx, U, b):
    h = [0 * h0]
    for t in range(x.shape[1]):
        h.append(np.tanh(x[:, t] @ Wx + h[-1] @ U + b))
    return np.stack(h[1:], 1), (x, h, Wx, U)

def backward(dh, cache):
    x, h, Wx, U = cache
    dx, dWx, dU, db, carry = np.zeros_like(x), 0, 0, 0, 0
    for t in reversed(range(x.shape[1])):
        dz = (dh[:, t] + carry) * (1 - h[t + 1] ** 2)
        dx[:, t] = dz @ Wx.T
        dWx, dU, db = dWx + x[:, t].T @ dz, dU + h[t].T @ dz, db + dz.sum(axis=0)
        carry = dz @ U.T
    return dx, None, dWx, dU, db
"""

# The code, a line of it, the line with a slip, and what the suggestion has to say.
SLIPS = [
    (RNN, "d = dh[:, t] + dprev", "d = dh[:, t]", "a missing term?"),
    (RNN, "hp = h[:, t - 1] if t > 0 else h0", "hp = h[:, t]", "the wrong step?"),
    (RNN, "(1 - h[:, t] ** 2)", "(1 - hp ** 2)", '(1 - h[:, t] ** 2)" instead'),
    (RNN, "(1 - h[:, t] ** 2)", "(1 - np.tanh(h[:, t]) ** 2)", "a call too many?"),
    (RNN, "da = d * (1 - h[:, t] ** 2)", "da = d", "a missing factor?"),
    (RNN, "dWh += hp", "dWh = hp", "= for +=?"),
    (RNN, "db += da.sum(", "db += da.mean(", "a mean or a sum?"),
    (RNN, "da.dot(Wh.T)", "da.dot(Wh)", "a transpose?"),
    (RNN, "dprev = da.dot", "dprev = d.dot", '"dprev = da.dot(Wh.T)" instead'),
    (RNN, "return dx, dprev, dWx, dWh, db", "return dx, dprev, dWx / N, dWh / N, db / N", "/ N"),
    (RNN, "dprev, dWx, dWh", "dprev, dWx, np.clip(dWh, -1, 1)", "a call too many?"),
    (RNN, "return dx", "return -dx", "a sign?"),
    (RNN, "da = d *", "d = d * (t != 2)\n        da = d *", "a statement too many?"),
    (GRU, "dh = dh + dy[:, t]", "dh = dy[:, t]", "line 30"),
    (GRU, "dh * (h - n)", "dh * (n - h)", "a sign?"),
    (GRU, 'G["Uz"] += h.T', 'G["Ur"] += h.T', "\"G['Uz'] += h.T @ dz\" instead"),
    (GRU, 'drh = dn @ P["Un"].T', 'drh = dn @ P["Un"]', "a transpose?"),
    (GRU, "dn = dh * (1 - z)", "dn = dh * z", "one minus it?"),
    (GRU, "dr = drh * h * r * (1 - r)", "dr = drh * h * (1 - r)", "the slope? backward, line 34"),
    (RNN, "hp = h[:, t - 1] if t > 0 else h0", "hp = h[:, t - 1]", "if t > 0 else h0"),
    (RNN, "da.sum(axis=0)", "da.sum()", "the axis of a sum?"),
    (RNN, "        dprev = da.dot(Wh.T)\n", "", "dprev = da @ Wh.T"),
    (GRU, "            dh = dh * z + drh * r", "            dq = dh * z + drh * r", "a name for"),
    (SINCE, "        carry = dz @ U.T\n", "", "carry = dz @ U.T"),
    (RNN, "        db += da.sum(axis=0)\n        dprev", "        dprev", "db += "),
    (RNN, "return dx, dprev", "h0_ = hp\n    return dx, h0_", "return (dx, dprev"),
    (PARTS, 'g["b"] += d.sum(0)\n', "pass\n", "a missing statement?"),
    (PARTS, "d * s * (1 - s)", "d * (1 - s)", "the slope?"),
    (PARTS, "np.dot(layers[-k - 1].T, d)", "np.dot(d.T, layers[-k - 1])", "a transpose?"),
    (PARTS, "layers[-k - 1]", "layers[-k]", "the wrong step?"),
]


def checked(code: str, folder: Path, **options: Any) -> list[str]:
    """Return the suggestions for code in a file."""
    file = folder / "of_user.py"
    file.write_text(code, "utf-8")
    module = ModuleType("of_user")
    module.__file__ = str(file)
    exec(compile(code, str(file), "exec"), module.__dict__)  # noqa: S102 (the code above)
    if hasattr(module, "GRU"):
        return check_gradients(module.GRU(), "B T 3", **options).suggestions
    pair = module.forward, module.backward
    return check_gradients(pair, "B T D", "B H", "D H", "H H", "H", **options).suggestions


@pytest.mark.parametrize(("code", "right", "wrong", "said"), SLIPS)
def test_a_slip_is_named_with_its_line(
    code: str, right: str, wrong: str, said: str, tmp_path: Path
) -> None:
    assert code.count(right) == 1
    found = checked(code.replace(right, wrong), tmp_path, cause_seconds=SECONDS)
    assert found[-1].endswith("every gradient is right")
    assert said in found[-1]


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


TABS = """
import numpy as np

def keeps(function):
    return functools.wraps(function)(lambda *arguments: function(*arguments))

def made(scale):
\tdef forward(x, h0, Wx, Wh, b):
\t\ty = np.tanh(x @ Wx)  # é
\t\treturn scale * y, (x, Wx, y)

\t@keeps
\tdef backward(dy, cache):
\t\t"Größe"; x, Wx, y = cache
\t\tif scale < 0: raise ValueError
\t\telif scale == 7: δ = dy
\t\telse:
\t\t\tδ = scale * dy * (1 -
\t\t\t\ty)  # the square is missing
\t\tif len(x): dx = δ @ Wx.T; dWx = np.einsum("btd,bth->dh", x, δ)
\t\treturn dx, None, dWx, None, None
\treturn forward, backward

forward, backward = made(2.0)
"""


def test_the_text_of_a_function_may_have_any_form(tmp_path: Path) -> None:
    found = checked("import functools" + TABS, tmp_path, cause_seconds=SECONDS)
    line = 'line 18 of of_user.py: with "δ = scale * dy * (1 - y ** 2)" instead'
    assert line in found[-1]


@pytest.mark.parametrize("pair", REFERENCES, ids=lambda pair: pair.name)
def test_nearly_every_change_of_a_page_is_code(pair: RegisteredPair) -> None:
    backward: Any = pair.checked()[1]
    source = Source(backward, (backward.__globals__, {}))
    edits = list(edits_of(source, [source]))[::7]
    compiled = [edit for edit in edits if source.compiled(edit) is not None]
    assert len(compiled) > max(5, 0.9 * len(edits))
    for edit in compiled:
        before, after = source.before_and_after(edit, MAX_TEXT)
        assert before != after


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
