"""Other people's code: right code of every style passes, and each bug is caught and named."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from numpy_rnn.checking import assert_gradients, check_gradients
from numpy_rnn.functional.types import Array
from tests.checking.users_styles import STYLES, WRONG, style


@pytest.mark.parametrize("name", STYLES)
def test_right_code_of_every_style_has_fifteen_digits(name: str) -> None:
    subject, arguments = style(name)
    report = check_gradients(subject, *arguments, regimes=["usual", "vanishing", "zeros and ties"])
    assert report.gradients_ok, str(report)
    assert report.method == "complex step"
    assert report.worst < 1e-10


@pytest.mark.parametrize(("name", "right", "wrong", "place"), WRONG)
def test_a_bug_is_caught_and_named(name: str, right: str, wrong: str, place: str) -> None:
    subject, arguments = style(name, right, wrong)
    regimes = None if "clip" in wrong else ["usual"]  # clipping shows where gradients are large
    report = check_gradients(subject, *arguments, regimes=regimes, locate=False)
    assert any(place in row.name for row in report.rows if not row.right), str(report)


@pytest.mark.parametrize(
    ("right", "wrong", "place"),
    [
        ("dy[targets[t]] -= 1", "dy[targets[t]] -= 2", "by"),  # every gradient is wrong
        ("dy) + dhnext", "dy)", "bh"),  # those of the output's weights are right
        ("(1 - hs[t] * hs[t]) * dh", "(1 - hs[t]) * dh", "bh"),
        ("np.dot(dhraw, hs[t - 1].T)", "np.dot(dhraw, hs[t].T)", "Whh"),
    ],
)
def test_the_first_wrong_place_of_a_function_is_nearest_the_loss(
    right: str, wrong: str, place: str
) -> None:
    subject, arguments = style("min_char", right, wrong)
    report = check_gradients(subject, *arguments, regimes=["usual"])
    assert report.location is not None
    assert report.location.parameter == place


@pytest.mark.parametrize(
    ("right", "wrong", "t"),
    [
        ("(1 - next_h**2)", "(1 - np.tanh(next_h)**2)", 10),
        ("dh[:, t] + dprev, cache[t]", "dh[:, t], cache[t]", 9),
        ("in reversed(range(T))", "in reversed(range(1, T))", 0),
    ],
)
def test_the_first_wrong_place_is_found_in_code_with_real_buffers(
    right: str, wrong: str, t: int
) -> None:
    subject, arguments = style("cs231n", right, wrong)
    report = check_gradients(subject, *arguments, regimes=["usual"])
    assert str(report.location).startswith(f"pre-activation, t = {t}, batch row")
    assert report.location is not None
    assert report.location.expected != 0


class Hides:
    """A matrix at a value that hides a bug: d @ W for d @ W.T passes at the identity."""

    def __init__(self) -> None:
        self.W = np.eye(3)

    def forward(self, x: Array) -> Array:
        self.x = x
        return np.asarray(x @ self.W)

    def backward(self, dy: Array) -> Array:
        self.dW = self.x.T @ dy
        return np.asarray(dy @ self.W)


def test_parameters_are_drawn_anew_unless_they_are_kept() -> None:
    report = check_gradients(Hides(), "B 3")
    assert [row.name for row in report.rows if not row.right] == ["x"]
    assert "drawn anew in every regime: W" in report.notes
    assert check_gradients(Hides(), "B 3", keep=("W",)).ok
    with pytest.raises(ValueError, match="keep: 'V', expected some of x, W"):
        check_gradients(Hides(), "B 3", keep="V")


def test_a_bug_at_one_step_only_is_caught() -> None:
    def backward(dy: Array, shape: Any) -> Array:
        return dy * (2 if shape[0] == 1 else 1)

    assert not check_gradients((lambda x: (x * 1, x.shape), backward), "T B D").ok


class KeepsItself:
    """A cache that is the layer, in which gradients add up."""

    def __init__(self) -> None:
        self.dW = np.zeros((4, 5))


def test_side_effects_are_a_verdict_of_their_own() -> None:
    def forward(x: Array, W: Array) -> Any:
        layer = KeepsItself()
        layer.__dict__.update(x=x, W=W)
        return x @ W.T, layer

    def backward(dy: Array, layer: Any) -> Any:
        layer.dW += np.einsum("tbh,tbd->hd", dy, layer.x)
        return dy @ layer.W, layer.dW

    report = check_gradients((forward, backward), "T B D", "H D")
    assert report.gradients_ok
    assert {v.kind for v in report.side_effects} == {"cache changed", "second backward differs"}
    with pytest.raises(AssertionError, match="a pass has side effects"):
        assert_gradients((forward, backward), "T B D", "H D")
    assert_gradients((forward, backward), "T B D", "H D", allow={"accumulates", "changes cache"})
    with pytest.raises(ValueError, match="allow is 'magic', expected some of accumulates"):
        check_gradients((forward, backward), "T B D", "H D", allow="magic")


def test_a_layer_that_a_wrapper_keeps_is_checked_by_its_memory() -> None:
    class Wrapper:
        def __init__(self) -> None:
            self.inner = Hides()
            self.params, self.grads = [self.inner.W], [np.zeros((3, 3))]

        def forward(self, x: Array) -> Array:
            return self.inner.forward(x)

        def backward(self, dy: Array) -> Array:
            self.inner.backward(dy)
            self.grads[0][...] = self.inner.dW
            return np.asarray(dy @ self.inner.W.T)

    report = check_gradients(Wrapper(), "B 3")
    assert report.ok, str(report)
    assert len(report.rows) == 2


def test_gradients_made_in_forward_are_seen() -> None:
    class Square:
        def __init__(self) -> None:
            self.W, self.dW = np.ones(3), np.zeros(3)

        def forward(self, x: Array) -> Any:
            self.dW[...] = 2 * self.W * (x**2).sum(axis=0)
            self.dx = 2 * x * self.W**2
            return np.sum((x * self.W) ** 2)

        def backward(self) -> Array:
            return self.dx

    class Buffered(Square):
        def forward(self, x: Array) -> Any:
            loss = np.sum((x * self.W) ** 2)
            if x.dtype == self.W.dtype == float:
                super().forward(x)
            return loss

    assert_gradients(Buffered(), "B 3")


def test_float32_inside_is_one_remark_and_not_wrong_rows() -> None:
    def forward(x: Array, W: Array) -> Any:
        return np.tanh(x @ W.T.astype(np.float32)), (x, W)

    def backward(dy: Array, cache: Any) -> Any:
        x, W = (a.astype(np.float32) for a in cache)
        dz = dy * (1 - np.tanh(x @ W.T) ** 2)
        return dz @ W, np.einsum("tbh,tbd->hd", dz, x)

    report = check_gradients((forward, backward), "T B D", "H D")
    assert report.gradients_ok, str(report)
    assert [v.kind for v in report.side_effects] == ["float32"]
    assert "test_styles.py" in report.side_effects[0].text


def test_random_code_is_reseeded_and_unseeded_code_shows_no_values() -> None:
    def drops(rng: Any) -> Any:
        def forward(x: Array) -> Any:
            mask = rng().random(x.shape) < 0.5
            return x * mask, mask

        return forward, lambda dy, mask: dy * mask

    report = check_gradients(drops(lambda: np.random), "T B D")
    assert report.ok
    assert "random and np.random are reseeded before each forward pass" in report.notes
    report = check_gradients(drops(np.random.default_rng), "T B D")
    assert not report.gradients_ok
    assert report.rows == []
    assert [v.kind for v in report.violations] == ["random"]


def test_columns_of_gates_and_a_guess_that_is_no_fact() -> None:
    def forward(x: Array, W: Array) -> Any:
        return np.tanh(x @ W), (x, W)

    def backward(dy: Array, cache: Any) -> Any:
        x, W = cache
        dz = dy * (1 - np.tanh(x @ W) ** 2)
        dW = np.einsum("tbd,tbh->dh", x, dz)
        dW[:, 8:12] *= 2
        return dz @ W.T, dW

    report = check_gradients((forward, backward), "T B D", "D 4H")
    assert report.location is not None
    assert "block 3 of 4 (g if the order is PyTorch's)" in report.location.words
    report = check_gradients((forward, backward), "T B D", "D 4H", gates="ifog")
    assert report.location is not None
    assert "gate o" in report.location.words


def test_errors_of_the_code_become_one_line() -> None:
    def forward(x: Array, W: Array) -> Any:
        return x @ W, (x, W)

    with pytest.raises(TypeError, match=r"with x T B D, W H D: ValueError: matmul.*test_styles.py"):
        check_gradients((forward, lambda *_: None), "T B D", "H D")

    def pops(dy: Array, cache: list[Any]) -> Any:
        x, W = cache.pop()
        return dy @ W.T, np.einsum("tbd,tbh->dh", x, dy)

    pair = (lambda x, W: (x @ W, [(x, W)])), pops
    report = check_gradients(pair, "T B D", "D H")
    assert report.gradients_ok
    assert "a second backward fails (IndexError: pop from empty list)" in str(report)
