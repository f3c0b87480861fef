"""Gradients of few digits that are right: updates of parameters, float32, clipping."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from numpy_rnn.checking import check_gradients
from numpy_rnn.functional.types import Array
from tests.checking.verdicts import ONE

STEPS: Any = ["5 1"] * 4


class Updates:
    """A layer that updates its weights in backward, one of them by the last step alone."""

    def __init__(self) -> None:
        self.W, self.U = np.zeros((4, 5)), np.zeros((4, 4))

    def forward(self, xs: list[Array]) -> Array:
        self.xs, self.hs = xs, [np.zeros((4, 1))]
        for x in xs:
            self.hs.append(np.tanh(self.W @ x + self.U @ self.hs[-1]))
        return self.hs[-1]

    def backward(self, d: Array, learning_rate: float) -> None:
        dW, dU = np.zeros_like(self.W), np.zeros_like(self.U)
        for t in reversed(range(len(self.xs))):
            dz = d * (1 - self.hs[t + 1] ** 2)
            dW += dz @ self.xs[t].T
            dU = dz @ self.hs[t].T  # += is meant, and the first state is zero
            d = self.U.T @ dz
        self.W -= learning_rate * dW
        self.U -= learning_rate * dU


def test_a_parameter_whose_update_is_zero_is_wrong() -> None:
    report = check_gradients(Updates(), STEPS, allow={"updates parameters"}, cause_seconds=0)
    assert [row.name for row in report.rows if not row.right] == ["U"]
    assert not report.violations[:1] or "not checked" not in report.violations[0].kind


def test_differences_of_parameters_are_not_called_float32() -> None:
    class Flat(Updates):
        def backward(self, d: Array, learning_rate: float) -> None:
            super().backward(1e-14 * d, learning_rate)

    report = check_gradients(Flat(), STEPS, cause_seconds=0, regimes=ONE)
    assert not any(violation.kind == "float32" for violation in report.violations)


class Singles:
    """A layer with weights and buffers of float32, over time."""

    def __init__(self) -> None:
        self.params = [np.zeros((5, 4), "f"), np.zeros((4, 4), "f")]
        self.grads = [np.zeros((5, 4), "f"), np.zeros((4, 4), "f")]

    def forward(self, xs: Array) -> Array:
        W, U = self.params
        self.xs, self.hs = xs, np.empty((len(xs), xs.shape[1] + 1, 4), dtype="f")
        self.hs[:, -1] = 0
        for t in range(xs.shape[1]):
            self.hs[:, t] = np.tanh(xs[:, t] @ W + self.hs[:, t - 1] @ U)
        return self.hs[:, :-1]

    def backward(self, dhs: Array) -> Array:
        (W, U), (dW, dU) = self.params, self.grads
        dxs, carry = np.empty(self.xs.shape, dtype="f"), 0
        for t in reversed(range(dhs.shape[1])):
            dz = (dhs[:, t] + carry) * (1 - self.hs[:, t] ** 2)
            dW += self.xs[:, t].T @ dz
            dU += self.hs[:, t - 1].T @ dz
            dxs[:, t], carry = dz @ W.T, dz @ U.T
        return dxs


@pytest.mark.parametrize("method", ["auto", "central differences"])
def test_float32_buffers_and_weights_are_no_false_alarm(method: Any) -> None:
    report = check_gradients(Singles(), "B T 5", method=method, cause_seconds=0)
    assert report.gradients_ok, str(report)
    assert report.method == ("complex step" if method == "auto" else method)


def test_clipped_gradients_are_recognised_by_their_values() -> None:
    def forward(x: Array, W: Array) -> Any:
        return x @ W, (x, W)

    def backward(dy: Array, cache: Any) -> Any:
        x, W = cache
        return dy @ W.T, np.clip(x.T @ dy, -1, 1)

    report = check_gradients((forward, backward), "B D", "D H", regimes=ONE, cause_seconds=0)
    assert "is at most 1 where the right one is larger: is it clipped?" in report.suggestions[0]
