"""Forms that teaching code has: gradients in other orders, layers that grow, losses with states."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from numpy_rnn.checking import check_gradients
from numpy_rnn.checking.nested import parts_of
from numpy_rnn.functional.types import Array

ONE = ["usual"]
STEPS: Any = ["5 1"] * 4


def wrong(subject: Any, *arguments: Any, **options: Any) -> list[str]:
    """Return the names of the wrong gradients; without any, everything has to be right."""
    report = check_gradients(subject, *arguments, cause_seconds=0, **options)
    names = [row.name for row in report.rows if not row.right]
    assert report.gradients_ok == (not names), str(report)
    return names


def recurrent(x: Array, h0: Array, params: dict[str, Array]) -> Any:
    h = [h0]
    for x_t in x:
        h.append(np.tanh(x_t @ params["W"] + h[-1] @ params["U"]))
    return np.stack(h[1:]), (x, h, params)


def recurrent_backward(dh: Array, cache: Any) -> Any:
    x, h, params = cache
    grads = {k: np.zeros_like(v) for k, v in params.items()}
    dx, carry = np.zeros_like(x), np.zeros_like(h[0])
    for t in reversed(range(len(x))):
        dz = (dh[t] + carry) * (1 - h[t + 1] ** 2)
        grads["W"] += x[t].T @ dz
        grads["U"] += h[t].T @ dz
        dx[t], carry = dz @ params["W"].T, dz @ params["U"].T
    return grads, carry, dx


SHAPES: dict[str, Any] = {"x": "T B D", "h0": "B H", "params": {"W": "D H", "U": "H H"}}


def test_the_gradients_of_a_dict_may_come_before_the_others() -> None:
    assert wrong((recurrent, recurrent_backward), SHAPES) == []

    def doubled(dh: Array, cache: Any) -> Any:
        grads, dh0, dx = recurrent_backward(dh, cache)
        return {**grads, "U": 2 * grads["U"]}, dh0, dx

    assert wrong((recurrent, doubled), SHAPES) == ["U"]


def test_gradients_that_belong_to_no_argument_are_an_error() -> None:
    def lacks_dx(dh: Array, cache: Any) -> Any:
        grads, dh0, _ = recurrent_backward(dh, cache)
        return grads, dh0, dh0

    def other_names(dh: Array, cache: Any) -> Any:
        grads, dh0, dx = recurrent_backward(dh, cache)
        return dx, dh0, {"weight": grads["W"], "other": grads["U"]}

    with pytest.raises(TypeError, match=r"returned \(dict, \(3, 4\), \(3, 4\)\), expected"):
        check_gradients((recurrent, lacks_dx), SHAPES)
    with pytest.raises(TypeError, match="keys 'weight', 'other', expected names"):
        check_gradients((recurrent, other_names), SHAPES)


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


def test_arguments_of_forward_that_backward_takes_again() -> None:
    def forward(x_t: Array, W: Array) -> Any:
        return np.tanh(x_t @ W), (x_t, np.tanh(x_t @ W))

    def backward(dy: Array, cache: Any, W: Array) -> Any:
        x, y = cache
        dz = dy * (1 - y**2)
        return {"dx": dz @ W.T, "dW": x.T @ dz}

    report = check_gradients((forward, backward), "B D", "D H")
    assert report.gradients_ok
    assert [row.name for row in report.rows] == ["x_t", "W"]

    class Layer:
        def __init__(self) -> None:
            self.W = np.zeros((4, 5))

        def forward(self, xs: Array) -> Array:
            return np.asarray(self.W @ xs)

        def backward(self, xs: Array, error: Array) -> Array:
            self.dW = error @ xs.T
            return np.asarray(self.W.T @ error)

    assert wrong(Layer(), "5 B") == []


def test_what_backward_takes_besides_is_said() -> None:
    def backward(dy: Array, targets: Array, cache: Any) -> Any:
        return dy, targets, cache

    with pytest.raises(TypeError, match=r"arguments of forward by name \(x\); if the loss is in"):
        check_gradients((lambda x: (x, x), backward), "B D")

    class Network:
        def feedforward(self, a: Array) -> Array:
            return a

        def backprop(self, x: Array, y: Array) -> Any:
            return x, y

    with pytest.raises(TypeError, match=r"takes \(a\), but 2 arguments were described"):
        check_gradients(Network(), "5 1", "3 1")


def test_one_gradient_for_two_arguments_belongs_to_the_one_of_its_shape() -> None:
    class Cell:
        def __init__(self) -> None:
            self.W, self.U = np.zeros((5, 4)), np.zeros((4, 4))
            self.dW, self.dU = np.zeros((5, 4)), np.zeros((4, 4))

        def forward(self, x: Array, h: Array) -> Any:
            new = np.tanh(x @ self.W + h @ self.U)
            return new, (x, h, new)

        def backward(self, dh: Array, cache: Any) -> Array:
            x, h, new = cache
            dz = dh * (1 - new**2)
            self.dW += x.T @ dz
            self.dU += h.T @ dz
            return np.asarray(dz @ self.U.T)

    report = check_gradients(Cell(), "B D", "B H")
    assert report.gradients_ok, str(report)
    assert [row.name for row in report.rows] == ["h", "W", "U"]


class Characters:
    """A loss that returns its gradients and a state, in one tuple."""

    def __init__(self) -> None:
        self.W, self.U, self.V = np.zeros((4, 6)), np.zeros((4, 4)), np.zeros((6, 4))

    def loss(self, inputs: Array, targets: Array, h: Array) -> Any:
        xs, hs, ps, total = [], [h], [], 0.0
        for i, target in zip(inputs, targets, strict=True):
            xs.append(np.eye(6)[:, [i]])
            hs.append(np.tanh(self.W @ xs[-1] + self.U @ hs[-1]))
            z = np.exp(self.V @ hs[-1])
            ps.append(z / z.sum())
            total = total - np.log(ps[-1][target, 0])
        dW, dU, dV = np.zeros_like(self.W), np.zeros_like(self.U), np.zeros_like(self.V)
        carry = np.zeros_like(h)
        for t in reversed(range(len(xs))):
            dy = np.copy(ps[t])
            dy[targets[t]] -= 1
            dV += dy @ hs[t + 1].T
            dz = (self.V.T @ dy + carry) * (1 - hs[t + 1] ** 2)
            dW += dz @ xs[t].T
            dU += dz @ hs[t].T
            carry = self.U.T @ dz
        return total, dW, dU, dV, hs[-1]


def test_a_loss_with_gradients_and_a_state() -> None:
    inputs, targets = np.array([1, 2, 0, 5]), np.array([2, 0, 5, 3])
    report = check_gradients(Characters(), inputs, targets, "4 1")
    assert report.gradients_ok, str(report)
    assert [row.name for row in report.rows] == ["W", "U", "V"]


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


class Tanh:
    """A function in the style of torch.autograd.Function, of arrays."""

    @staticmethod
    def forward(ctx: Any, x: Array, W: Array) -> Array:
        y = np.tanh(x @ W)
        ctx.save_for_backward(x, W, y)
        return np.asarray(y)

    @staticmethod
    def backward(ctx: Any, dy: Array) -> Any:
        x, W, y = ctx.saved_values
        dz = dy * (1 - y**2)
        return dz @ W.T, x.T @ dz


def test_a_function_with_a_context_needs_no_framework() -> None:
    report = check_gradients(Tanh, "B D", "D H")
    assert report.gradients_ok, str(report)
    assert [row.name for row in report.rows] == ["x", "W"]


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
