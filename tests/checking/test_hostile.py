"""Wrong code that is hard to catch, and right code that looks wrong: regressions of the checker."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np
import pytest

from numpy_rnn import GRU, LSTM, Linear, Sequential
from numpy_rnn.checking import attribution, check_gradients, ledger, ledger_norms, rtrl
from numpy_rnn.functional import gru_backward, gru_forward
from numpy_rnn.functional.types import Array

RNG = np.random.default_rng(0)


def forward(x: Array, W: Array) -> Any:
    return x @ W.T, (x, W)


def backward(dy: Array, cache: Any) -> Any:
    x, W = cache
    return dy @ W, np.einsum("tbh,tbd->hd", dy, x)


def destroys(which: int) -> Any:
    def wrong(dy: Array, cache: Any) -> Any:
        dx, dW = backward(dy, cache)
        made = dx, 7 * dW
        cache[which][...] = 0
        return made

    return wrong


@pytest.mark.parametrize(("which", "name"), [(0, "x"), (1, "W")])
def test_a_backward_that_destroys_the_evidence_is_caught(which: int, name: str) -> None:
    x, W = RNG.standard_normal((11, 3, 5)), RNG.standard_normal((4, 5))
    before = x.copy(), W.copy()
    for arguments in (("T B D", "H D"), (x, W)):
        report = check_gradients((forward, destroys(which)), *arguments)
        assert [row.name for row in report.rows if not row.right] == ["W"]
        assert any(f"backward changes {name}" in violation.text for violation in report.violations)
    np.testing.assert_array_equal(x, before[0])
    np.testing.assert_array_equal(W, before[1])


def test_nothing_to_check_is_an_error() -> None:
    with pytest.raises(TypeError, match="nothing to check"):
        check_gradients((forward, backward), np.ones((2, 2, 0)), np.ones((4, 0)))
    with pytest.raises(ValueError, match="sizes: B is 0, expected at least 1"):
        check_gradients((forward, backward), "T B D", "H D", sizes={"B": 0})
    x: Any = [[1.0]]
    with pytest.raises(TypeError, match=r"x\[0\] is a list of numbers, expected a shape"):
        check_gradients((lambda *_: (np.zeros(2), 1), lambda *_: (None,)), {"x": x})
    with pytest.raises(ValueError, match="regimes: none"):
        check_gradients((forward, backward), "T B D", "H D", regimes=[])
    with pytest.raises(TypeError, match="x is complex, expected real numbers"):
        check_gradients((forward, backward), np.ones((2, 2, 2)) * 1j, np.ones((2, 2)))


def test_a_theta_of_whole_numbers_is_checked() -> None:
    assert not check_gradients(lambda th: (np.sum(th**2), np.zeros(len(th))), np.arange(4)).ok
    assert check_gradients(lambda th: (np.sum(th**2), 2 * th), np.arange(4)).ok
    with pytest.raises(TypeError, match=r"returned shapes \(\) and \(3, 2\)"):
        check_gradients(lambda th: (np.sum(th**2), 2 * th.T), np.ones((2, 3)))


@pytest.mark.parametrize("swap", [(0, 1), (0, 2), (1, 2), (2, 3)])
def test_a_projection_does_not_let_errors_cancel(swap: tuple[int, int]) -> None:
    def with_bias(x: Array, W: Array, b: Array) -> Any:
        return x @ W.T + b, (x, W)

    def swaps(dy: Array, cache: Any) -> Any:
        db = dy.sum((0, 1))
        db[list(swap)] = db[list(swap[::-1])]
        return (*backward(dy, cache), db)

    sizes = {"D": 800}
    assert not check_gradients((with_bias, swaps), "T B D", "H D", "H", sizes=sizes).ok


def penalised(x: Array, W: Array) -> Any:
    y = x @ W.T
    return np.sum(y**2) + 1e-2 * np.abs(W).sum(), (x, W, y)


@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_a_small_part_that_is_not_analytic_is_noticed(weight: float) -> None:
    def gradient(dloss: Any, cache: Any) -> Any:
        x, W, y = cache
        dx, dW = backward(2 * y * dloss, (x, W))
        return dx, dW + weight * 1e-2 * np.sign(W) * dloss

    report = check_gradients((penalised, gradient), "T B D", "H D")
    assert report.ok == bool(weight)
    assert "np.absolute" in report.notes[0]


class Affine:
    """Gradients of its parameters appear in backward; b's is wrong."""

    def __init__(self) -> None:
        self.W, self.b = RNG.standard_normal((4, 5)), np.zeros(4)

    def forward(self, x: Array) -> Array:
        self.x = x
        return np.asarray(x @ self.W.T + self.b)

    def backward(self, dy: Array) -> Array:
        self.dW = np.einsum("tbh,tbd->hd", dy, self.x)
        self.db = 2 * dy.sum(axis=(0, 1))
        return np.asarray(dy @ self.W)


def test_gradients_that_appear_in_backward_are_found() -> None:
    report = check_gradients(Affine(), "T B D")
    assert [row.name for row in report.rows if not row.right] == ["b"]
    trained = Affine()
    trained.forward(np.ones((2, 2, 5)))
    trained.backward(np.ones((2, 2, 4)))
    rows = [row.name for row in check_gradients(trained, "T B D").rows]
    assert rows == ["x", "W", "b"]


def test_an_array_that_is_overlooked_is_a_fault() -> None:
    class Hidden(Affine):
        def backward(self, dy: Array) -> Array:
            dx = super().backward(dy)
            del self.db
            return dx

    report = check_gradients(Hidden(), "T B D")
    assert [violation.kind for violation in report.violations] == ["not checked"]
    assert report.violations[0].text.startswith("self.b changes the output")
    assert str(report).endswith("NOT all gradients are checked")


def test_a_parameter_that_starts_at_zero_hides_nothing() -> None:
    class ReZero:
        def __init__(self) -> None:
            self.params = {"W": RNG.standard_normal((5, 5)), "a": np.zeros(1)}
            self.grads: dict[str, Array] = {}

        def forward(self, x: Array) -> Array:
            self.x = x
            return np.asarray(x + self.params["a"] * (x @ self.params["W"].T))

        def backward(self, dy: Array) -> Array:
            branch = self.x @ self.params["W"].T
            self.grads = {"da": np.array([np.sum(dy * branch)]), "dW": 0 * self.params["W"]}
            return dy

    wrong = [row.name for row in check_gradients(ReZero(), "T B D").rows if not row.right]
    assert wrong == ["x", "W"]


def test_what_no_method_can_see_is_not_right() -> None:
    def hidden(theta: Array) -> Any:
        return 1e8 + np.array([math.fabs(v) for v in theta]).sum(), -np.sign(theta)

    report = check_gradients(hidden, "12", method="central differences", rtol=1e-3)
    assert not report.ok


def last_only(x: Array, h0: Array, W: Array, U: Array) -> Any:
    h = [h0]
    for x_t in x:
        h.append(np.tanh(x_t @ W.T + h[-1] @ U.T))
    return h[-1], (x, h, W, U)


def last_only_backward(dh: Array, cache: Any) -> Any:
    x, h, W, U = cache
    dx, dW, dU = np.zeros_like(x), np.zeros_like(W), np.zeros_like(U)
    for t in reversed(range(len(x))):
        dz = dh * (1 - h[t + 1] ** 2)
        dx[t], dh = dz @ W, dz @ U
        dW += dz.T @ x[t]
        dU += dz.T @ h[t + 1]  # wrong: of the state before
    return dx, dh, dW, dU


def test_a_diagnosis_never_raises() -> None:
    report = check_gradients((last_only, last_only_backward), "T B D", "B H", "H D", "H H")
    assert [row.name for row in report.rows if not row.right] == ["U"]
    mask = np.array([1.0, 0, 1, 1, 0])

    def masked(x: Array, W: Array) -> Any:
        return (x * mask) @ W.T, (x, W)

    def unmasked(dy: Array, cache: Any) -> Any:
        x, W = cache
        return dy @ W, np.einsum("tbh,tbd->hd", dy, x * mask)

    report = check_gradients((masked, unmasked), "T B D", "H D")
    assert report.location is not None
    assert report.location.parameter == "x"


def test_a_function_of_a_sequence_gets_a_suggestion() -> None:
    def doubled(theta: Array) -> Any:
        x, W = theta[:165].reshape(11, 3, 5), theta[165:].reshape(4, 5)
        y = x @ W.T
        dx, dW = backward(y, (x, W))
        return np.sum(y**2) / 2, np.concatenate([2 * dx.ravel(), dW.ravel()])

    report = check_gradients(doubled, {"x": "T B D", "W": "H D"})
    assert [row.name for row in report.rows if not row.right] == ["x"]
    assert report.suggestions == [
        "the gradient of x is off by a constant factor 2: is a factor missing, or one too many?"
    ]


def test_code_that_refuses_other_dtypes_is_checked_by_differences() -> None:
    def strict(x: Array, W: Array) -> Any:
        assert x.dtype == W.dtype == np.float64
        return forward(x, W)

    report = check_gradients((strict, backward), "T B D", "H D")
    assert report.ok
    assert report.method == "central differences"


def test_a_cache_that_holds_itself_and_unknown_options() -> None:
    def loops(x: Array, W: Array) -> Any:
        cache: dict[str, Any] = {"x": x, "W": W}
        cache["self"] = cache
        return x @ W.T, cache

    def of_dict(dy: Array, cache: Any) -> Any:
        return backward(dy, (cache["x"], cache["W"]))

    assert check_gradients((loops, of_dict), "T B D", "H D").ok
    with pytest.raises(ValueError, match=r"method is 'complex', expected one of \('auto'"):
        check_gradients((forward, backward), "T B D", "H D", method="complex")  # type: ignore[arg-type]  # that is the point
    with pytest.raises(ValueError, match="axes: 'q', expected some of x, W"):
        check_gradients((forward, backward), "T B D", "H D", axes={"q": "T"})
    with pytest.raises(TypeError, match="there is no 'Q'"):
        check_gradients(Affine(), "T B D", parameters=("Q",))


def test_a_loss_that_ignores_its_gradient_is_said() -> None:
    def loss(y: Array) -> Any:
        return np.sum(y**2) / 2, y

    report = check_gradients((loss, lambda _dloss, y: (y,)), "T B D")
    assert any("does not depend on the one that comes in" in f.text for f in report.violations)


def test_looking_does_not_disturb_a_backward_to_come() -> None:
    x, dy = RNG.standard_normal((1, 8, 3)), RNG.standard_normal((1, 8, 4))
    layer, twin = GRU(3, 4, rng=0), GRU(3, 4, rng=0)
    layer.forward(x)
    attribution(layer, x, dy)
    ledger(layer, 2 * x, dy)
    ledger_norms(layer, 2 * x, dy, budget=1)
    layer.backward(dy)
    twin.forward(x)
    twin.backward(dy)
    np.testing.assert_array_equal(layer.parameters.grad, twin.parameters.grad)


@pytest.mark.parametrize(
    "layer",
    [
        LSTM(3, 4, bidirectional=True, rng=0),
        LSTM(3, 4, 2, dropout=0.5, rng=0),
        LSTM(3, 4, batch_first=True, rng=0),
        Sequential(LSTM(3, 4, bidirectional=True, rng=0), Linear(8, 4, rng=0)),
    ],
)
def test_pieces_refuse_what_they_cannot_do(layer: Any) -> None:
    x, dy = np.ones((7, 2, 3)), np.ones((7, 2, 4))
    with pytest.raises(ValueError, match="expected a time-major layer in one direction"):
        ledger_norms(layer, x, dy)


def test_lengths_of_gradients_are_checked() -> None:
    layer, x = GRU(3, 4, rng=0), np.ones((7, 2, 3))
    for look in (attribution, ledger_norms):
        with pytest.raises(ValueError, match="dy has 9 steps, expected 7"):
            look(layer, x, np.ones((9, 2, 4)))
    with pytest.raises(ValueError, match="expected one direction, time-major"):
        attribution(LSTM(3, 4, bidirectional=True), x, np.ones((7, 2, 8)))


def test_rtrl_of_whole_numbers_is_not_cut_off() -> None:
    values = [RNG.standard_normal(s) for s in [(5, 2, 3), (2, 4), (12, 3), (12, 4), (12,), (12,)]]
    values[1] = np.ones((2, 4), int)
    h, cache = gru_forward(*values)
    dh = RNG.standard_normal(h.shape)
    found = rtrl(gru_forward, gru_backward, values, [dh])
    for a, b in zip(found, gru_backward(dh, cache), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)  # type: ignore[arg-type]  # none of them is None
    with pytest.raises(ValueError, match="rtrl: expected a list of gradients of 5 steps"):
        rtrl(gru_forward, gru_backward, values, [dh[:3]])


def leaky_forward(x: Any, h0: Any, W: Any, U: Any, b: Any, a: Any) -> Any:
    """Move each unit by a fraction of the way to its new value."""
    h, n = [h0], []
    for t in range(len(x)):
        n.append(np.tanh(x[t] @ W.T + h[t] @ U.T + b))
        h.append(h[t] + a * (n[t] - h[t]))
    return np.stack(h)[1:], (x, h, n, W, U, a)


def leaky_backward(dh: Any, cache: Any, *, keeps: bool = True) -> Any:
    """Return the gradients; without `keeps`, the state's own path to the next step is lost."""
    x, h, n, W, U, a = cache
    dx, carry, dW, dU = (np.zeros_like(v) for v in (x, h[0], W, U))
    db, da = np.zeros_like(a), np.zeros_like(a)
    for t in reversed(range(len(x))):
        d = dh[t] + carry
        dz = a * d * (1 - n[t] ** 2)
        da += (d * (n[t] - h[t])).sum(axis=0)
        db += dz.sum(axis=0)
        dW += dz.T @ x[t]
        dU += dz.T @ h[t]
        dx[t] = dz @ W
        carry = keeps * (1 - a) * d + dz @ U
    return dx, carry, dW, dU, db, da


@pytest.mark.parametrize("seed", range(12))
def test_a_slope_that_rounding_makes_zero_is_no_alarm(seed: int) -> None:
    """Where tanh is 1 to the last bit, 1 - n^2 is 0; the exact slope may be 1e-96."""
    shapes = {"x": "T B D", "h0": "B H", "W": "H D", "U": "H H", "b": "H", "a": "H"}
    assert check_gradients((leaky_forward, leaky_backward), shapes, seed=seed).gradients_ok
    wrong = (leaky_forward, partial(leaky_backward, keeps=False))
    assert not check_gradients(wrong, shapes, seed=seed).gradients_ok
