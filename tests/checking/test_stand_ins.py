"""Operations that have no complex derivative and an equal for real numbers that has one."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.special import expit, log_expit

from numpy_rnn.checking import check_gradients
from numpy_rnn.functional.types import Array

ALL = (0, 1, 2)
# A function of an array (T, B, D) and its slope: summed functions have one for each element.
FUNCTIONS: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "expit": (expit, lambda x: expit(x) * (1 - expit(x))),
    "log_expit": (log_expit, lambda x: expit(-x)),
    "abs": (lambda x: np.abs(x) ** 3, lambda x: 3 * x * np.abs(x)),
    "conj": (lambda x: x.conj() ** 2, lambda x: 2 * x),
    "real": (lambda x: x.real**2 + np.real(x), lambda x: 2 * x + 1),
    "hypot": (lambda x: np.hypot(x, 3.0), lambda x: x / np.hypot(x, 3.0)),
    "cbrt": (lambda x: np.cbrt(1 + x * x), lambda x: 2 * x / 3 / np.cbrt(1 + x * x) ** 2),
    "arctan2": (lambda x: np.arctan2(x, 2.0), lambda x: 2 / (4 + x * x)),
    "logaddexp": (lambda x: np.logaddexp(x, 0.5), lambda x: expit(x - 0.5)),
    "copysign": (lambda x: np.copysign(x, -1.0), lambda x: -np.sign(x)),
    "clip": (lambda x: np.clip(x, -1.1, 0.9), lambda x: (x > -1.1) & (x < 0.9)),
    "norm": (np.linalg.norm, lambda x: x / np.linalg.norm(x)),
    "std": (lambda x: x.std(), lambda x: (x - x.mean()) / x.std() / x.size),
    "np.std": (
        lambda x: np.std(x, axis=ALL, ddof=1),
        lambda x: (x - x.mean()) / x.std(ddof=1) / (x.size - 1),
    ),
    "var": (lambda x: x.var(), lambda x: 2 * (x - x.mean()) / x.size),
    "float": (
        lambda x: float(np.sum(x**2)) * x.mean(),
        lambda x: 2 * x * x.mean() + np.sum(x**2) / x.size,
    ),
    "math.exp": (lambda x: math.exp(x.mean()), lambda x: math.exp(x.mean()) / x.size + 0 * x),
    "vdot": (lambda x: np.vdot(x, x), lambda x: 2 * x),
    "out=": (lambda x: np.abs(x, out=np.empty_like(x)) * x, lambda x: 2 * np.abs(x)),
    "full_like": (lambda x: np.full_like(x, 2.0) * x, lambda x: 2 + 0 * x),
    "array of floats": (
        lambda x: np.array([float(v) for v in x.ravel()]).reshape(x.shape) ** 2,
        lambda x: 2 * x,
    ),
}


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("factor", [1.0, 1.001])
def test_a_stand_in_keeps_fifteen_digits(name: str, factor: float) -> None:
    function, slope = FUNCTIONS[name]
    pair = (lambda x: (function(x), x)), (lambda dy, x: factor * dy * slope(x))
    report = check_gradients(pair, "T B D", regimes=["usual"], locate=False)
    assert report.gradients_ok == (factor == 1), str(report)
    assert report.method == "complex step"
    assert factor > 1 or report.worst < 1e-13


def test_what_has_no_stand_in_is_named_with_its_line() -> None:
    pair = (
        (lambda x: (np.linalg.norm(x, 1, axis=2), x)),
        (lambda dy, x: dy[:, :, None] * np.sign(x)),
    )
    report = check_gradients(pair, "T B D", regimes=["usual"])
    assert report.gradients_ok
    assert report.method == "central differences"
    assert "np.norm at test_stand_ins.py" in report.notes[0]


def test_two_threads_check_at_once_and_a_third_gets_its_own_arrays() -> None:
    done, kinds, reports = threading.Event(), set(), []

    def forward(x: Array, W: Array) -> Any:
        y = np.zeros((*x.shape[:2], len(W)))
        y[...] = np.abs(x) @ W.T
        return y, (x, W)

    def backward(dy: Array, cache: Any) -> Any:
        x, W = cache
        return (dy @ W) * np.sign(x), np.einsum("tbh,tbd->hd", dy, np.abs(x))

    def looks() -> None:
        while not done.is_set():
            kinds.add(np.zeros(2).dtype.kind)

    def checks() -> None:
        for _ in range(3):
            report = check_gradients((forward, backward), "T B D", "H D", regimes=["usual"])
            reports.append((report.ok, report.method))

    zeros = np.zeros
    bystander = threading.Thread(target=looks)
    checkers = [threading.Thread(target=checks) for _ in range(2)]
    for thread in (bystander, *checkers):
        thread.start()
    for thread in checkers:
        thread.join()
    done.set()
    bystander.join()
    assert reports == [(True, "complex step")] * 6
    assert kinds == {"f"}
    assert np.zeros is zeros


def test_what_another_thread_prints_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    def forward(x: Array) -> Any:
        print("mine")  # noqa: T201 (that is the point)
        other = threading.Thread(target=print, args=("another's",))
        other.start()
        other.join()
        return x * 1, None

    report = check_gradients((forward, lambda dy, _: dy), "B D", regimes=["usual"])
    assert "what the code prints is captured and not shown" in report.notes
    assert set(capsys.readouterr().out.split("\n")) == {"another's", ""}
