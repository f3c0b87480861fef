"""The cause of a wrong gradient, in code as people write it: each row is one slip in one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from numpy_rnn.checking import check_gradients
from tests.checking.users_slips import GRU, PARTS, RNN, SECONDS, SINCE, checked, run
from tests.checking.users_slips_of_others import (
    DROPS,
    GATE,
    GATED,
    GATHERS,
    NORM,
    PICKS,
    SCORES,
    SHIFTS,
    SOFTMAX,
    TAPE,
    TOKENS,
    TWICE,
)

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


@pytest.mark.parametrize(("code", "right", "wrong", "said"), SLIPS)
def test_a_slip_is_named_with_its_line(
    code: str, right: str, wrong: str, said: str, tmp_path: Path
) -> None:
    assert code.count(right) == 1
    found = checked(code.replace(right, wrong), tmp_path, cause_seconds=SECONDS)
    assert found[-1].endswith("every gradient is right")
    assert said in found[-1]


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
    (SCORES, "a * (da - a @ da)", "da * a * (1 - a)", "the slope of a softmax?"),
    (GATED, "dz.insert(0, carry / e)", "dz.insert(0, carry)", "dz.insert(0, carry / e)"),
    (GATED, "        carry = carry * f[t]\n", "", "carry = carry * f[t]"),
    (GATED, "ds -= carry * z[t] / e", "ds -= carry * z[t]", "carry * z[t] / e"),
    (
        GATED,
        "    return dz, df",
        "    np.clip(ds, -1, 1, out=ds)\n    return dz, df",
        'without "np',
    ),
    (GATED, "ds -= carry * z[t] / e", "ds, e = -carry * z[t] / e, e", "ds, e = (-carry"),
    (PICKS, "dz[np.arange(len(y)), y] -= 1", "dz[y] -= 1", "dz[np.arange(len(y)), y] -= 1"),
    (PICKS, '"bd,bv->dv"', '"bd,bv->vd"', "a transpose?"),
    (TWICE, "(d[..., 2:][::-1])", "(d[..., 2:])", "not reversed?"),
]


def suggested(code: str, folder: Path, **options: Any) -> tuple[list[str], dict[str, Any]]:
    """Return the suggestions for code that names its subject and its arguments, and its module."""
    space = run("import numpy as np\n" + code, folder)
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
