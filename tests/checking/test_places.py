"""The first wrong place, in code whose steps are not in the usual order or have no time."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest

from numpy_rnn.checking import check_gradients
from numpy_rnn.checking.report import Report
from numpy_rnn.functional.types import Array


def reversed_pair(steps: Iterable[int], cut: int) -> Any:
    """Return an RNN that runs from the last step; backward drops its carry at one step."""

    def forward(x: Array, W: Array, U: Array) -> Any:
        h = np.zeros((len(x) + 1, x.shape[1], len(U)), x.dtype)
        for t in reversed(range(len(x))):
            h[t] = np.tanh(x[t] @ W + h[t + 1] @ U)
        return h[:-1], (x, h, W, U)

    def backward(d: Array, cache: Any) -> Any:
        x, h, W, U = cache
        dx, dW, dU, carry = np.zeros_like(x), np.zeros_like(W), np.zeros_like(U), 0 * d[0]
        for t in filter(len(x).__gt__, steps):
            dz = (d[t] + carry * (t != cut)) * (1 - h[t] ** 2)
            dx[t], carry = dz @ W.T, dz @ U.T
            dW, dU = dW + x[t].T @ dz, dU + h[t + 1].T @ dz
        return dx, dW, dU

    return forward, backward


def shifted(x: Array, before: Array, now: Array) -> Any:
    previous = np.concatenate([0 * x[:1], x[:-1]])
    y = np.tanh(x @ now + previous @ before)
    return y, (x, previous, before, now, y)


def its_backward(d: Array, cache: Any) -> Any:
    x, previous, before, now, y = cache
    dz = d * (1 - y**2)
    dz[7] *= 2
    dx = dz @ now.T
    dx[:-1] += (dz @ before.T)[1:]
    return dx, np.einsum("tbd,tbh->dh", previous, dz), np.einsum("tbd,tbh->dh", x, dz)


def diagnosed(*arguments: Any, **options: Any) -> tuple[Report, str]:
    """Return a report and the words of its first wrong place."""
    report = check_gradients(*arguments, cause_seconds=0, regimes=["usual"], **options)
    assert report.location is not None
    return report, report.location.words


@pytest.mark.parametrize(("steps", "cut", "place"), [(range(99), 4, 4), (range(1, 99), 99, 0)])
def test_a_layer_that_runs_from_the_last_step(steps: range, cut: int, place: int) -> None:
    report, words = diagnosed(reversed_pair(steps, cut), "T B D", "D H", "H H")
    assert words.startswith(f"t = {place}, ")
    assert not any("the last step" in text for text in report.suggestions)


def test_a_weight_of_the_input_one_step_before() -> None:
    _, words = diagnosed((shifted, its_backward), "T B D", "D H", "D H")
    assert words.startswith("t = 7, ")


def test_an_output_without_time_says_nothing_about_the_order() -> None:
    def forward(x: Array) -> Any:
        return x[-1].copy(), x.shape

    def backward(d: Array, shape: Any) -> Array:
        dx = np.zeros(shape)
        dx[-1], dx[2] = d, 1.0
        dx[5] = 1.0
        return dx

    assert diagnosed((forward, backward), "T B D")[1].startswith("t = 5, ")


def test_code_that_takes_no_other_inputs() -> None:
    def forward(p: Array, W: Array) -> Any:
        if not np.allclose(p.real.sum(axis=-1), 1):
            raise ValueError
        return p @ W, (p, W)

    def backward(d: Array, cache: Any) -> Any:
        dp = d @ cache[1].T
        dp[3] *= 2
        return dp, np.einsum("tbd,tbh->dh", cache[0], d)

    p = np.full((7, 3, 5), 0.2)
    options: dict[str, Any] = {"axes": {"p": "T B D"}, "method": "complex step"}
    report = check_gradients((forward, backward), p, "5 H", cause_seconds=0, **options)
    assert report.location is not None
    assert report.location.words.startswith("t = 3, ")


def test_axes_without_a_letter_are_numbered() -> None:
    def backward(d: Array, cache: Any) -> Array:
        return np.where(np.arange(d.size).reshape(d.shape) == 33, 0, d * cache)

    pair = (lambda x: (np.exp(x), np.exp(x)), backward)
    assert diagnosed(pair, "3 4 5")[1] == "index 1 of axis 0, index 2 of axis 1, index 3 of axis 2"
    assert diagnosed(pair, "B 4 5")[1] == "batch row 1, index 2 of axis 1, index 3 of axis 2"


def test_the_size_of_a_batch_that_was_not_described_is_not_claimed() -> None:
    def loss(W: Array, x: Array) -> Any:
        return 0.5 * np.sum((x @ W) ** 2), x.T @ (x @ W) / 3

    report, _ = diagnosed(loss, "4 2", np.arange(8.0).reshape(2, 4))
    assert "of W is off by a constant factor 0.333333" in report.suggestions[0]


def test_axes_that_are_a_guess_are_called_so() -> None:
    def backward(d: Array, cache: Any) -> Array:
        return np.where(np.arange(d.size).reshape(d.shape) == 33, 0, d * cache)

    pair, x = (lambda x: (np.exp(x), np.exp(x)), backward), np.ones((3, 4, 5))
    assert "x is taken as (T, B, ...)" in str(check_gradients(pair, x))
    report = check_gradients(pair, x, axes={"x": "B T D"})
    assert report.location is not None
    assert report.location.words == "batch row 1, t = 2, unit 3"
    assert "is taken as" not in str(report)
