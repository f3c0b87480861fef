"""Bugs that a caller's own arrays, a new object or the usual sizes do not show."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from numpy_rnn.checking import check_gradients
from numpy_rnn.functional.types import Array

TOKENS = np.array([3, 0, 1, 5])
GRID = np.array([[1, 2, 0, 5], [3, 4, 2, 2]])


def wrong(subject: Any, *arguments: Any) -> list[str]:
    """Return the names of the wrong gradients; without any, everything has to be right."""
    report = check_gradients(subject, *arguments, cause_seconds=0)
    names = [row.name for row in report.rows if not row.right]
    assert report.ok == (not names), str(report)
    return names


def embedding(tokens: Array, W: Array) -> Any:
    return W[tokens], (tokens, W)


def adds(dy: Array, cache: Any) -> Any:
    tokens, W = cache
    dW = np.zeros(W.shape)
    np.add.at(dW, tokens, dy)
    return None, dW


def sets(dy: Array, cache: Any) -> Any:
    tokens, W = cache
    dW = np.zeros(W.shape)
    dW[tokens] = dy
    return None, dW


def adds_by_step(dy: Array, cache: Any) -> Any:
    tokens, W = cache
    dW = np.zeros(W.shape)
    for t in range(tokens.shape[1]):
        dW[tokens[:, t]] += dy[:, t]  # once for a token that two rows have
    return None, dW


@pytest.mark.parametrize("tokens", [TOKENS, GRID], ids=["vector", "matrix"])
@pytest.mark.parametrize("backward", [adds, sets, adds_by_step])
def test_indices_that_repeat(tokens: Array, backward: Any) -> None:
    if backward is adds_by_step and tokens.ndim == 1:
        tokens = tokens[:, None]
    expected = [] if backward is adds else ["W"]
    assert wrong((embedding, backward), tokens, "V H") == expected


def test_permutations_limits_and_rows_of_zeros_and_ones_stay() -> None:
    def unsort(x: Array, order: Array) -> Any:
        y = np.empty_like(x)
        y[order] = x
        return y, order

    assert wrong((unsort, lambda dy, order: (dy[order], None)), "B D", np.array([2, 0, 1])) == []

    def sums(x: Array, starts: Array) -> Any:
        return np.add.reduceat(x, starts), (starts, len(x))

    def its_backward(dy: Array, cache: Any) -> Any:
        starts, count = cache
        return np.repeat(dy, np.diff([*starts, count]), axis=0), None

    assert wrong((sums, its_backward), "T D", np.array([0, 3, 7])) == []

    def loss(z: Array, one_hot: Array) -> Any:
        p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
        return -np.sum(one_hot * np.log(p)), (p - one_hot, None)  # right where a row adds up to 1

    assert wrong(loss, "B V", np.eye(6, dtype=int)[[3, 0, 1]]) == []


def cross_entropy(z: Array, targets: Array, count: Any = len) -> Any:
    p = np.exp(z - z.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    rows = range(len(z))
    dz = p.copy()
    dz[rows, targets] -= 1
    return -np.log(p[rows, targets]).mean(), (dz / count(z), None)


def test_one_row_takes_one_target() -> None:
    report = check_gradients(cross_entropy, "B V", np.array([1, 4, 2]))
    assert report.ok, str(report)
    assert "one step" in report.regimes


def test_targets_that_fit_no_single_row_are_a_note() -> None:
    def hinge(z: Array, targets: Array) -> Any:
        rows = np.arange(len(z))
        margins = np.maximum(z - z[rows, targets][:, None] + 1, 0)
        margins[rows, targets] = 0
        dz = (margins > 0).astype(float)
        dz[rows, targets] = -dz.sum(axis=1)
        return margins.sum(), dz

    report = check_gradients(hinge, "B V", lambda *_: np.array([1, 4, 2]))
    assert report.ok, str(report)
    assert any("inputs one step are not checked" in note for note in report.notes)


def test_sizes_that_are_equal_by_chance() -> None:
    def loss(tokens: Array, E: Array, by: int = 0) -> Any:
        dE = np.zeros_like(E)
        np.add.at(dE, tokens, np.full((len(tokens), E.shape[1]), 1 / E.shape[by]))
        return E[tokens].sum() / len(tokens), {"E": dE}

    assert wrong(lambda tokens, E: loss(tokens, E, by=1), TOKENS, "V H") == ["E"]


def test_one_row_of_several_steps() -> None:
    def attend(q: Array, k: Array) -> Any:
        a = np.exp(q @ k.swapaxes(1, 2))
        a /= a.sum(axis=2, keepdims=True)
        return a, (q, k, a)

    def backward(da: Array, cache: Any, factor: float = 1.0) -> Any:
        q, k, a = cache
        ds = a * (da - (a * da).sum(axis=2, keepdims=True))
        return ds @ k, ds.swapaxes(1, 2) @ q * (factor if len(q) == 1 else 1)

    assert wrong((attend, backward), "B 4 D", "B T D") == []
    twice = lambda da, cache: backward(da, cache, 2.0)  # noqa: E731
    assert wrong((attend, twice), "B 4 D", "B T D") == ["k"]


def test_a_shape_without_axes_is_a_number_with_a_gradient() -> None:
    def backward(dy: Array, cache: Any) -> Any:
        x, w = cache
        return dy * w, 2 * np.sum(dy * x)

    report = check_gradients((lambda x, w: (w * x, (x, w)), backward), "T", "", cause_seconds=0)
    assert [row.name for row in report.rows if not row.right] == ["w"]

    def other(dy: Array, cache: Any) -> Any:
        x, w = cache
        return dy * w, np.sum(dy * x**2)

    report = check_gradients((lambda x, w: (w * x, (x, w)), other), "T", "", cause_seconds=0)
    assert not any("factor" in text for text in report.suggestions)


class Stateful:
    """A layer that goes on from the state that its last forward has left."""

    first = 0  # step with a gradient of U

    def __init__(self) -> None:
        self.W, self.U = np.zeros((5, 4)), np.zeros((4, 4))
        self.h: Any = None

    def forward(self, xs: Array) -> Array:
        self.xs = xs
        self.hs = [np.zeros((xs.shape[1], 4)) if self.h is None else self.h]
        for x in xs:
            self.hs.append(np.tanh(x @ self.W + self.hs[-1] @ self.U))
        self.h = self.hs[-1]
        return np.stack(self.hs[1:])

    def backward(self, dhs: Array) -> Array:
        self.dW, self.dU = np.zeros_like(self.W), np.zeros_like(self.U)
        dxs, carry = np.zeros(self.xs.shape), np.zeros(self.h.shape)
        for t in reversed(range(len(dhs))):
            dz = (dhs[t] + carry) * (1 - self.hs[t + 1] ** 2)
            self.dW += self.xs[t].T @ dz
            if t >= self.first:
                self.dU += self.hs[t].T @ dz
            dxs[t], carry = dz @ self.W.T, dz @ self.U.T
        return dxs


class Forgets(Stateful):
    """Wrong only if the state at the first step is not zero."""

    first = 1


def test_the_state_that_an_earlier_pass_has_left() -> None:
    assert wrong(Stateful(), "T B 5") == []
    assert wrong(Forgets(), "T B 5") == ["U"]


def test_a_function_that_returns_its_backward_is_told_the_pair() -> None:
    def scale(x: Array, w: Array) -> Any:
        return x * w, lambda dy: (dy * w, (dy * x).sum(axis=0))

    with pytest.raises(TypeError, match=r"check the pair \(scale, lambda \*a"):
        check_gradients(scale, "B D", "D")
    assert wrong((scale, lambda *a: a[-1](*a[:-1])), "B D", "D") == []


class Numbers:
    """A layer whose parameters are a number and an array without axes."""

    def __init__(self, w: Any) -> None:
        self.w, self.b = w, np.array(0.1)

    def forward(self, x: Array) -> Array:
        self.x = x
        return np.asarray(self.w * x + self.b)

    def backward(self, dy: Array) -> Array:
        self.dw, self.db = (dy * self.x).sum(), dy.mean()  # a sum is meant
        return np.asarray(dy * self.w)


def test_parameters_that_are_numbers() -> None:
    report = check_gradients(Numbers(np.array(0.5)), "T B", cause_seconds=0)
    assert [row.name for row in report.rows] == ["x", "w", "b"]
    assert [row.name for row in report.rows if not row.right] == ["b"]
    for number in (0.5, np.float64(0.5)):
        report = check_gradients(Numbers(number), "T B", cause_seconds=0)
        assert "self.w is a number with a gradient" in report.violations[0].text
        assert not report.ok


def test_an_error_of_one_sign_is_not_called_float32() -> None:
    def forward(x: Array) -> Any:
        return x / np.sqrt(1 + 1e-5), None

    report = check_gradients((forward, lambda dy, _: dy), "T B", cause_seconds=0)
    assert not report.gradients_ok
    assert not any("float32" in text for text in report.suggestions)
