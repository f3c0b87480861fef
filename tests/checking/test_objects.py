"""Objects: which arrays are parameters, and where their gradients are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from numpy_rnn.checking import check_gradients
from numpy_rnn.checking.nested import parts_of
from numpy_rnn.functional.types import Array
from tests.checking.verdicts import ONE, wrong


class Grows:
    """A layer whose first forward makes its parameters, and whose state has a gradient."""

    factor = 1.0

    def __init__(self) -> None:
        self.params: dict[str, Array] = {}
        self.grads: dict[str, Array] = {}
        self.h: Any = None
        self.dh: Any = None

    def forward(self, x: Array) -> Array:
        if not self.params:
            self.params = {"W": np.random.randn(x.shape[1], 4)}  # noqa: NPY002 (old code)
        self.x, self.h = x, np.tanh(x @ self.params["W"])
        return np.asarray(self.h)

    def backward(self, dy: Array) -> Array:
        self.dh = dy * (1 - self.h**2)
        self.grads = {"W": self.factor * self.x.T @ self.dh}
        return np.asarray(self.dh @ self.params["W"].T)


def test_parameters_that_the_first_forward_makes() -> None:
    assert wrong(Grows(), "B 5") == []
    report = check_gradients(Grows(), "B 5", regimes=ONE)
    assert [row.name for row in report.rows] == ["x", "W"]
    assert any("forward makes the parameters" in note for note in report.notes)
    Grows.factor = 2.0
    try:
        assert wrong(Grows(), "B 5") == ["W"]
    finally:
        Grows.factor = 1.0


class Looks(Grows):
    """A layer that grows and has whole numbers for inputs."""

    def forward(self, x: Array) -> Array:
        return super().forward(np.eye(5)[x])

    def backward(self, dy: Array) -> Any:
        super().backward(dy)


def test_a_state_that_the_first_forward_makes_is_no_parameter() -> None:
    report = check_gradients(Looks(), np.array([3, 0, 1]))
    assert [row.name for row in report.rows] == ["W"]
    assert report.gradients_ok


class Softmax:
    """An output layer: all its probabilities stay the same if every weight grows by one."""

    def __init__(self) -> None:
        self.W, self.b = np.zeros((5, 4)), np.zeros(4)

    def forward(self, x: Array) -> Array:
        z = np.exp(x @ self.W + self.b)
        self.x, self.p = x, z / z.sum(axis=1, keepdims=True)
        return np.asarray(self.p)

    def backward(self, dy: Array) -> Array:
        dz = self.p * (dy - (dy * self.p).sum(axis=1, keepdims=True))
        return np.asarray(dz @ self.W.T)


def test_a_parameter_that_a_constant_does_not_move_is_not_overlooked() -> None:
    with pytest.raises(TypeError, match="no parameters found"):
        check_gradients(Softmax(), "B 5")


class Inside:
    """A loss whose parameters are in a part of it, with sums of gradients beside them."""

    def __init__(self) -> None:
        self.part = type("Part", (), {})()
        self.part.w, self.part.w_diff = np.zeros(5), np.zeros(5)

    def loss(self, x: Array) -> Any:
        self.part.w_diff[...] = 0
        y = np.tanh(x @ self.part.w)
        for x_b, y_b in zip(x, y, strict=True):
            self.part.w_diff += y_b * (1 - y_b**2) * x_b
        return 0.5 * np.sum(y**2), {"w": self.part.w_diff}


def test_parameters_of_a_part_by_their_short_names_to_all_digits() -> None:
    report = check_gradients(Inside(), "B 5")
    assert report.gradients_ok, str(report)
    assert [row.name for row in report.rows] == ["part.w"]
    assert report.method == "complex step"


class Built:
    """A layer that makes its weights in the first call and returns their gradients."""

    factor = 1.0
    kernel: Any = None

    def __call__(self, x: Array) -> Array:
        if self.kernel is None:
            self.kernel, self.bias = np.ones((x.shape[1], 4)), np.zeros(4)
        self.x = x
        return np.asarray(x @ self.kernel + self.bias)

    def backward(self, dy: Array) -> Any:
        return dy @ self.kernel.T, {"kernel": self.x.T @ dy, "bias": self.factor * dy.sum(axis=0)}


def test_parameters_that_the_first_call_makes_and_whose_gradients_are_returned() -> None:
    assert wrong(Built(), "B 5") == []
    doubled = Built()
    doubled.factor = 2.0
    assert wrong(doubled, "B 5") == ["bias"]


class Keeps:
    """A layer that returns nothing: output and gradients are its attributes."""

    def __init__(self, factor: float) -> None:
        self.weights, self.factor = np.zeros((5, 4)), factor

    def forward(self, inputs: Array) -> None:
        self.inputs = inputs
        self.output = inputs @ self.weights

    def backward(self, dvalues: Array) -> None:
        self.dweights = self.inputs.T @ dvalues
        self.dinputs = self.factor * dvalues @ self.weights.T


def test_an_output_and_gradients_that_are_kept_and_not_returned() -> None:
    assert wrong(Keeps(1.0), "B 5") == []
    assert wrong(Keeps(2.0), "B 5") == ["inputs"]


class Slots:
    """An object whose slots are not all values, such as an array of JAX."""

    __slots__ = ("W", "__weakref__")

    def __init__(self) -> None:
        self.W = 1.0


def test_the_slots_of_the_language_are_no_parts() -> None:
    assert parts_of(Slots()) == [(("attr", "W"), 1.0)]


class InLists:
    """A layer of attributes, whose optimiser reads parameters and gradients from two lists."""

    swapped = False

    def __init__(self) -> None:
        self.W, self.V = np.zeros((5, 4)), np.zeros((5, 4))

    def parameters(self) -> list[Array]:
        return [self.W, self.V]

    def gradients(self) -> list[Array]:
        return [self.dV, self.dW] if self.swapped else [self.dW, self.dV]

    def forward(self, x: Array) -> Array:
        self.x = x
        return np.asarray(x @ self.W + 2 * x @ self.V)

    def backward(self, dy: Array) -> Array:
        self.dW, self.dV = self.x.T @ dy, 2 * self.x.T @ dy
        return np.asarray(dy @ self.W.T + 2 * dy @ self.V.T)


def test_two_gradients_of_one_parameter_have_to_be_equal() -> None:
    assert wrong(InLists(), "B 5") == []
    layer = InLists()
    layer.swapped = True
    report = check_gradients(layer, "B 5", regimes=ONE)
    assert not report.gradients_ok
    text = "self.W has two gradients that differ, self.dW and self.gradients()[0]"
    assert text in report.violations[0].text


class Lists:
    """A neuron whose weights are a list of numbers."""

    def __init__(self) -> None:
        self.w = [0.1, 0.2, 0.3]

    def forward(self, x: Array) -> Any:
        self.x = x
        return sum(w * x_i for w, x_i in zip(self.w, x, strict=True))

    def backward(self, dy: Any) -> None:
        self.dw = [dy * x_i for x_i in self.x]


def test_a_list_of_numbers_with_a_gradient_is_named() -> None:
    report = check_gradients(Lists(), "3")
    text = "self.w is a list of numbers with a gradient, expected an array: np.array(self.w)"
    assert text in str(report)
    assert not report.gradients_ok
    neuron: Any = Lists()
    neuron.w = np.array(neuron.w)
    assert wrong(neuron, "3") == []


class Reservoir:
    """A fixed recurrent part, and a readout that is trained."""

    def __init__(self) -> None:
        self.W, self.out = np.ones((5, 4)), np.zeros((4, 2))

    def forward(self, x: Array) -> Array:
        self.h = np.tanh(x @ self.W)
        return np.asarray(self.h @ self.out)

    def backward(self, dy: Array) -> None:
        self.grad_out = self.h.T @ dy


def test_arrays_that_a_call_leaves_out_of_the_parameters_are_fixed() -> None:
    x = np.random.default_rng(0).standard_normal((3, 5))
    report = check_gradients(Reservoir(), x, parameters=["out"])
    assert report.ok, str(report)
    assert "fixed, because parameters= leaves it out: self.W" in report.notes
    assert not check_gradients(Reservoir(), x).ok


class Centred:
    """Weights updated in backward, and outputs whose sum is always zero."""

    def __init__(self) -> None:
        self.w, self.lr = np.ones((5, 4)), 0.1

    def forward(self, x: Any) -> Any:
        self.x = x
        y = x @ self.w
        return y - y.mean(axis=1, keepdims=True)

    def backward(self, dy: Any) -> Any:
        d = dy - dy.mean(axis=1, keepdims=True)
        dx = d @ self.w.T
        self.w -= self.lr * self.x.T @ d
        return dx


def test_updates_are_found_where_the_sum_of_the_outputs_is_fixed() -> None:
    assert check_gradients(Centred(), "B 5", allow={"updates parameters"}).ok


class Images:
    """A parameter with as many axes as a sequence."""

    def __init__(self) -> None:
        self.weight, self.grad_weight = np.ones((4, 3, 2)), np.zeros((4, 3, 2))

    def forward(self, x: Any) -> Any:
        self.x = x
        return np.einsum("bct,ock->bokt", x, self.weight)

    def backward(self, dy: Any) -> Any:
        self.grad_weight = np.einsum("bokt,bct->ock", dy[..., 1:], self.x[..., 1:])
        return np.einsum("bokt,ock->bct", dy, self.weight)


def test_a_parameter_of_three_axes_has_no_time() -> None:
    report = check_gradients(Images(), "B 3 T")
    assert report.location is not None
    assert report.location.words.startswith("index ")
