"""Side effects and operations that are not analytic are found and named."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from numpy_rnn.checking import check_gradients
from numpy_rnn.checking.shapes import Given
from numpy_rnn.functional.types import Array

SHAPES: dict[str, Given] = {"x": "T B D", "W": "H D"}


def forward(x: Array, W: Array) -> Any:
    y = np.tanh(x @ W.T)
    return y, [x, W, y]


def backward(dy: Array, cache: Any) -> Any:
    x, W, y = cache
    dz = dy * (1 - y * y)
    return dz @ W, np.einsum("tbh,tbd->hd", dz, x)


def changes_input(x: Array, W: Array) -> Any:
    made = forward(x, W)
    x *= 2
    return made


def changes_cache(dy: Array, cache: Any) -> Any:
    made = backward(dy, cache)
    cache[2] *= cache[2]
    return made


def changes_gradient(dy: Array, cache: Any) -> Any:
    made = backward(dy, cache)
    dy *= 2
    return made


def clips(dy: Array, cache: Any) -> Any:
    return backward(np.clip(dy, -5, 5), cache)


def flushes(dy: Array, cache: Any) -> Any:
    return backward(np.where(np.abs(dy) < 1e-12, 0, dy), cache)


def is_random(dy: Array, cache: Any) -> Any:
    return backward(dy * (np.random.default_rng().random(dy.shape) < 0.9), cache)


def is_single(dy: Array, cache: Any) -> Any:
    x, W, y = cache
    slope = (1 - y * y).astype(np.float32)
    return (dy * slope) @ W, np.einsum("tbh,tbd->hd", dy * slope, x)


def counts_calls() -> Any:
    caches = []  # kept alive, so that no other cache can have its id

    def second_differs(dy: Array, cache: Any) -> Any:
        caches.append(cache)
        return backward(dy * sum(other is cache for other in caches), cache)

    return second_differs


@pytest.mark.parametrize(
    ("pair", "kind", "says"),
    [
        ((changes_input, backward), "input changed", "forward changes x"),
        ((forward, changes_cache), "cache changed", r"backward changes cache\[2\]"),
        ((forward, changes_gradient), "incoming gradient changed", "backward changes dy"),
        ((forward, clips), "not linear", r"do not give the gradient of x times 2\^13"),
        ((forward, flushes), "not linear", r"do not give the gradient of x times -2\^-66"),
        ((forward, is_random), "random", "two calls with the same arguments"),
        (
            (forward, is_single),
            "float32",
            r"astype\(float32\) at test_side_effects.py:\d+: slope =",
        ),
        ((forward, counts_calls()), "second backward differs", "another gradient of x"),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_a_fault_is_found(pair: Any, kind: str, says: str) -> None:
    report = check_gradients(pair, SHAPES, regimes=["usual"])
    assert not report.ok
    assert kind in [violation.kind for violation in report.violations]
    with pytest.raises(AssertionError, match=says):
        raise AssertionError(str(report))


def test_code_without_violations_has_none() -> None:
    assert check_gradients((forward, backward), SHAPES).violations == []


def test_nan_is_named_with_its_step() -> None:
    def overflows(x: Array, W: Array) -> Any:
        y, cache = forward(x, W)
        y = y.copy()
        y[7, 1, 2] = np.nan
        return y, cache

    report = check_gradients((overflows, backward), SHAPES)
    assert "the output of forward is nan at index (7, 1, 2), first at t = 7" in str(report)
    assert report.notes == []  # no gradient was compared, and none is missing

    def divides(dy: Array, cache: Any) -> Any:
        dx, dW = backward(dy, cache)
        dx[:4] = np.inf
        return dx, dW

    report = check_gradients((forward, divides), SHAPES)
    assert "the gradient of x is inf at index (3, 2, 4), first at t = 3" in str(report)


def real_buffer(x: Array, W: Array) -> Any:
    y = np.zeros((len(x), x.shape[1], len(W)))
    for t in range(len(x)):
        y[t] = np.tanh(x[t] @ W.T)
    return y, (x, W, y)


def absolute(x: Array, W: Array) -> Any:
    z = x @ W.T
    y = np.sign(z.real) * np.abs(z)
    return y, (x, W, np.zeros(y.shape))


def conjugates(x: Array, W: Array) -> Any:
    y = np.tanh(x @ W.conj().T)
    return y, (x, W, y)


def converts(x: Array, W: Array) -> Any:
    y = np.tanh((x @ W.T).astype(float))
    return y, (x, W, y)


def one_by_one(x: Array, W: Array) -> Any:
    z = x @ W.T
    y = np.array([math.tanh(v) for v in z.ravel()]).reshape(z.shape)
    return y, (x, W, y)


@pytest.mark.parametrize(
    ("forward", "says"),
    [
        (real_buffer, r"y\[t\] = np.tanh\(x\[t\] @ W.T\)"),
        (absolute, r"y = np.sign\(z.real\) \* np.abs\(z\)"),
        (conjugates, r"np.conjugate at test_side_effects.py:\d+: y = np.tanh\(x @ W.conj\(\).T\)"),
        (converts, r"y = np.tanh\(\(x @ W.T\).astype\(float\)\)"),
        (one_by_one, r"math.tanh\(v\) for v in"),
    ],
    ids=lambda v: getattr(v, "__name__", ""),
)
def test_what_is_not_analytic_is_named_and_has_fifteen_digits(forward: Any, says: str) -> None:
    report = check_gradients((forward, backward), SHAPES, regimes=["usual"])
    assert report.method == "complex step"
    assert report.worst < 1e-14
    assert report.ok, str(report)
    with pytest.raises(AssertionError, match=says):
        raise AssertionError(report.notes[0])


def test_a_wrong_gradient_is_caught_where_only_differences_can() -> None:
    def forgets_slope(dy: Array, cache: Any) -> Any:
        x, W, _ = cache
        return dy @ W, np.einsum("tbh,tbd->hd", dy, x)

    report = check_gradients((real_buffer, forgets_slope), SHAPES)
    assert not report.ok
    assert report.location is not None
