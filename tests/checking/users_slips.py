"""Right code of recurrent layers, for tests that put a slip in one line of it."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

from numpy_rnn.checking import check_gradients

SECONDS = 60.0  # of processor time, which no slip comes near

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


def run(code: str, folder: Path) -> dict[str, Any]:
    """Write code to a file and run it. Return its names."""
    file = folder / "of_user.py"
    file.write_text(code, "utf-8")
    module = ModuleType("of_user")
    module.__file__ = str(file)
    exec(compile(code, str(file), "exec"), module.__dict__)  # noqa: S102 (the code of a test)
    return vars(module)


def checked(code: str, folder: Path, **options: Any) -> list[str]:
    """Return the suggestions for a recurrent layer in a file."""
    space = run(code, folder)
    if "GRU" in space:
        return check_gradients(space["GRU"](), "B T 3", **options).suggestions
    pair = space["forward"], space["backward"]
    return check_gradients(pair, "B T D", "B H", "D H", "H H", "H", **options).suggestions
