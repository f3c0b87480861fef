"""Pairs and losses of teaching code: gradients in other orders, arguments that come again."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from numpy_rnn.checking import check_gradients
from numpy_rnn.functional.types import Array
from tests.checking.verdicts import wrong


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

    with pytest.raises(TypeError, match=r"takes \(a\), expected a shape for each, got 2"):
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


def product(W: Array, b: Array, scale: Any = 1.0) -> tuple[Array, dict[str, Array]]:
    y = scale * W * b
    return np.sum(y**2) / 2, {"dW": scale * y * b, "db": 2 * scale * y * W}  # b is wrong


def test_arguments_by_name_may_come_in_any_order() -> None:
    assert wrong(product, {"b": "H", "W": "H"}) == ["b"]


def test_names_that_leave_out_an_argument_are_an_error() -> None:
    with pytest.raises(TypeError, match="b is not described, expected all before it too"):
        check_gradients(product, {"scale": "H", "W": "H"})


def closures(factor: float) -> Any:
    saved: dict[str, Array] = {}

    def forward(x: Array, W: Array) -> Array:
        saved.update(x=x, W=W, y=np.tanh(x @ W))
        return saved["y"]

    def backward(dy: Array) -> tuple[Array, Array]:
        dz = dy * (1 - saved["y"] ** 2)
        return dz @ saved["W"].T, factor * np.einsum("tbd,tbh->dh", saved["x"], dz)

    return forward, backward


@pytest.mark.parametrize(("factor", "names"), [(1, []), (2, ["W"])])
def test_a_pair_may_keep_its_cache_in_a_closure(factor: float, names: list[str]) -> None:
    assert wrong(closures(factor), "T B D", "D H") == names


def test_a_loss_may_keep_its_cache_in_a_closure() -> None:
    saved = {}

    def forward(y: Array, target: Array) -> float:
        saved["off"] = y - target
        return 0.5 * float(np.sum(saved["off"] ** 2))

    assert wrong((forward, lambda: (saved["off"], -saved["off"])), "B V", "B V") == []
    assert wrong((forward, lambda: (saved["off"], saved["off"])), "B V", "B V") == ["target"]
