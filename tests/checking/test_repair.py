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
from numpy_rnn.checking.repair import MAX_TEXT
from numpy_rnn.museum import REFERENCES
from numpy_rnn.museum.registry import RegisteredPair

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
    (RNN, "        dWx += x[:, t].T.dot(da)\n", "", "dWx += x[:, t].T @ da"),
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


DROPS = """
class Drops:
    def __init__(self):
        self.cache, self.params, self.grads = {}, {"g": np.ones(4)}, {}

    def forward(self, x):
        self.mask = (np.arange(x.size).reshape(x.shape) % 3 > 0) / 0.6
        self.cache["x"] = x
        return x * self.mask * self.params["g"]

    def backward(self, d):
        d = d * self.mask
        self.grads["g"] = (d * self.cache["x"]).sum(axis=0)
        return d * self.params["g"]

subject, arguments = Drops(), ["B 4"]
"""

GATHERS = """
tokens = [2, 0, 2, 3]
seen = []

def loss(E, w, b):
    H = np.array([E[i] for i in tokens])
    y = np.tanh(H @ w + b)
    dy = y * (1 - y**2)
    dE, db = np.zeros_like(E), 0.0
    for t, i in enumerate(tokens):
        dE[i] -= -(dy[t] * w)
        db += dy[t]
    dw = dy @ H
    return 0.5 * (y @ y), dict(dE=dE / 1, dw=dw / 1, db=db)

subject, arguments = loss, [{"E": "5 3", "w": "3", "b": ""}]
"""

SCORES = """
def forward(H, q, v):
    s = H @ q
    a = np.exp(s) / np.exp(s).sum()
    return np.tanh(a @ H) * v, (H, q, v, a)

def backward(d, cache):
    H, q, v, a = cache
    u = np.tanh(a @ H)
    dv = d * u
    dc = d * v * (1 - u**2)
    dH = np.outer(a, dc)
    da = H @ dc
    ds = a * (da - a @ da)
    dH += np.outer(ds, q)
    dq = ds @ H
    return dH, dq, dv

subject, arguments = (forward, backward), ["7 H", "H", "H"]
"""

NORM = """
def forward(x, g):
    n = x - x.mean(-1, keepdims=True)
    s = np.sqrt((n * n).mean(-1, keepdims=True) + 1e-5)
    return g * n / s, (n / s, s, g)

def backward(d, cache):
    n, s, g = cache
    dn = d * g
    dx = (dn - dn.mean(-1, keepdims=True) - n * (dn * n).mean(-1, keepdims=True)) / s
    return dx, (d * n).sum(0)

subject, arguments = (forward, backward), ["B H", "H"]
"""

SHIFTS = """
def forward(x, W):
    y = x.copy()
    y[1:] += x[:-1] @ W
    return y, (x, W)

def backward(d, cache):
    x, W = cache
    dx = d.copy()
    dx[:-1] += (d @ W.T)[1:]
    return dx, np.tensordot(x[:-1], d[1:], ([0, 1], [0, 1]))

subject, arguments = (forward, backward), ["T B H", "H H"]
"""

TWICE = """
class Half:
    def __init__(self):
        self.W = np.ones((4, 2))

    def forward(self, x):
        self.x, self.h = x, [np.zeros((x.shape[1], 2))]
        for t in range(len(x)):
            self.h.append(np.tanh(x[t] @ self.W + self.h[-1]))
        return np.stack(self.h[1:])

    def backward(self, d):
        dx, self.dW, carry = np.zeros_like(self.x), 0, 0
        for t in reversed(range(len(d))):
            dz = (d[t] + carry) * (1 - self.h[t + 1] ** 2)
            self.dW, carry, dx[t] = self.dW + self.x[t].T @ dz, dz, dz @ self.W.T
        return dx

class Both:
    def __init__(self):
        self.a, self.b = Half(), Half()

    def forward(self, x):
        return np.concatenate([self.a.forward(x), self.b.forward(x[::-1])[::-1]], -1)

    def backward(self, d):
        dx = self.a.backward(d[..., :2])
        return dx + self.b.backward(d[..., 2:][::-1])[::-1]

subject, arguments = Both(), ["T B 4"]
"""

TOKENS = """
def loss(x, y):
    rows = np.arange(len(y))
    p = np.exp(x - x.max(1, keepdims=True))
    p = p / p.sum(1, keepdims=True)
    dx = p.copy()
    dx[rows, y] -= 1
    return -np.log(p[rows, y]).sum(), dx

def forward(x):
    p = np.exp(x) / np.exp(x).sum(1, keepdims=True)
    return p, p

def backward(d, p):
    dx = p * d
    s = dx.sum(1, keepdims=True)
    dx -= p * s
    return dx

subject, arguments = loss, ["4 5", np.array([1, 0, 4, 1])]
"""
SOFTMAX = TOKENS.replace('loss, ["4 5", np.array([1, 0, 4, 1])]', '(forward, backward), ["4 5"]')

TAPE = """
class Tensor:
    def __init__(self, data, *parents):
        self.data, self.grad, self.parents = data, np.zeros_like(data), parents

    def __matmul__(self, other):
        out = Tensor(self.data @ other.data, self, other)
        def back():
            self.grad += out.grad @ other.data.T
            other.grad += self.data.T @ out.grad
        out.back = back
        return out

    def tanh(self):
        t = np.tanh(self.data)
        out = Tensor(t, self)
        def back():
            self.grad += (1 - t**2) * out.grad
        out.back = back
        return out

def forward(x, W):
    a = Tensor(x), Tensor(W)
    b = a[0] @ a[1]
    tape = [*a, b, b.tanh(), (b @ a[1])]
    def back(dy, dz):
        tape[3].grad, tape[4].grad = dy, dz
        for node in tape[:1:-1]:
            node.back()
        return a[0].grad, a[1].grad * 1.0
    return tape[3].data, tape[4].data, back

subject, arguments = (forward, lambda *given: given[-1](*given[:-1])), ["B H", "H H"]
"""

GATE = """
class Gate:
    def __init__(self):
        self.W = np.ones((4, 7))

    def squash(self, z, derivative=False):
        return z * (1 - z) if derivative else 1 / (1 + np.exp(-z))

    def forward(self, x, h):
        self.z, H = np.concatenate((h, x)), len(h)
        self.a = self.squash(self.W @ self.z)
        self.keep = (np.arange(self.a.size).reshape(self.a.shape) % 3 > 0).astype(float)
        return self.squash(self.a) * self.keep

    def backward(self, d):
        H = len(self.W)
        db = d * self.keep
        da = db * self.squash(self.squash(self.a), derivative=True)
        dz = da * self.squash(self.a, derivative=True)
        self.dW = dz @ self.z.T
        dzs = self.W.T @ dz
        dx, dh = dzs[H:], dzs[:H]
        return dx, dh

subject, arguments = Gate(), [{"x": "3 B", "h": "4 B"}]
"""

# As SLIPS, of other people's code.
MORE = [
    (DROPS, "        d = d * self.mask\n", "        d = d * 1.0\n", "self.mask"),
    (DROPS, "return d * self.params", "return d  # ", "self.params['g']"),
    (GATHERS, "dE[i] -= -(dy[t] * w)", "dE[i] = dy[t] * w", "= for +=?"),
    (GATHERS, "dw=dw / 1", "dw=dw / len(w)", "a part too many?"),
    (GATHERS, "dy = y * (1 - y**2)", "dy = y * (1 - y)", "the slope?"),
    (SCORES, "    dH += np.outer(ds, q)\n", "", "np.outer(ds, q)"),
    (SCORES, "d * v * (1 - u**2)", "d * v * (1 - v**2)", "(1 - u ** 2)"),
    (NORM, "dn - dn.mean(-1, keepdims=True) - n", "dn - n", "a missing term?"),
    (NORM, "dn = d * g", "dn = d", "a missing factor?"),
    (SHIFTS, "dx[:-1] += (d @ W.T)[1:]", "dx[1:] += (d @ W.T)[:-1]", "the wrong step?"),
    (SHIFTS, "dx[:-1] += (d @ W.T)[1:]", "dx += d @ W.T", "the wrong step?"),
    (TOKENS, "    dx[rows, y] -= 1\n", "", "dx[rows, y] -= 1"),
    (TOKENS, "dx[rows, y] -= 1", "dx[:, y] -= 1", "dx[rows, y] -= 1"),
    (SOFTMAX, "dx -= p * s", "dx -= s", "a missing factor?"),
    (GATE, "dz = da * self.squash(self.a, derivative=True)", "dz = da * self.squash(self.a)", "?"),
    (GATE, "dzs[H:]", "dzs[:3]", "a slice?"),
    (GATE, "dzs[:H]", "dzs[-H:]", "a slice?"),
    (GATE, "db = d * self.keep", "db = d * 1", "self.keep"),
    (TAPE, "other.grad += self.data", "other.grad = self.data", "= for +=?"),
    (TAPE, "(1 - t**2)", "(1 - t)", "the slope?"),
    (TAPE, "a[1].grad * 1.0", "a[1].grad * dy.sum()", "a part too many?"),
    (TWICE, "(d[..., 2:][::-1])", "(d[..., 2:])", "not reversed?"),
]


def suggested(code: str, folder: Path, **options: Any) -> tuple[list[str], dict[str, Any]]:
    """Return the suggestions for code that names its subject and its arguments, and its module."""
    file = folder / "of_user.py"
    file.write_text("import numpy as np\n" + code, "utf-8")
    module = ModuleType("of_user")
    exec(compile(file.read_text("utf-8"), str(file), "exec"), module.__dict__)  # noqa: S102
    space = vars(module)
    report = check_gradients(space["subject"], *space["arguments"], **options)
    return report.suggestions, space


@pytest.mark.parametrize(("code", "right", "wrong", "said"), MORE)
def test_a_slip_of_other_people_is_named(
    code: str, right: str, wrong: str, said: str, tmp_path: Path
) -> None:
    assert code.count(right) == 1
    assert suggested(code, tmp_path)[0] == []
    found, _ = suggested(code.replace(right, wrong), tmp_path, cause_seconds=SECONDS)
    assert found[-1:]
    assert found[-1].endswith("every gradient is right")
    assert said in found[-1]


def test_an_index_that_is_repeated_and_a_sign(tmp_path: Path) -> None:
    code = GATHERS.replace("dE[i] -= -(dy[t] * w)", "pass").replace(
        "    dw = dy @ H", "    dE[tokens] -= -(dy[:, None] * w)\n    dw = dy @ H"
    )
    found, _ = suggested(code, tmp_path, cause_seconds=SECONDS)
    assert "np.add.at(dE, tokens, --(dy[:, None] * w))" in found[-1]


def test_the_trials_leave_the_values_of_a_module_as_they_were(tmp_path: Path) -> None:
    code = GATHERS.replace("dw = dy @ H", "seen.append(1)\n    dw = dy @ H * y.sum() * 7")
    _, space = suggested(code, tmp_path, cause_seconds=0.5)
    assert space["tokens"] == [2, 0, 2, 3]
    assert set(space["seen"]) == {1}
