"""Comparisons in the code: each side is reached where its gradient shows, or the report says so."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from numpy_rnn import functional as F  # noqa: N812 (as PyTorch's users write it)
from numpy_rnn.checking import assert_gradients, check_gradients
from numpy_rnn.checking.regimes import Branches, InputRegime, choose_regimes
from numpy_rnn.functional.types import Array

SHAPES = {"x": "T B D", "h0": "B H", "W": "H D", "U": "H H", "b": "H", "V": "P H", "c": "P"}
Slope = Callable[[Array], Array]


def softplus(z: Array) -> Array:
    return np.where(z > 20, z, np.log1p(np.exp(np.minimum(z, 20))))


def slope_with(above: float) -> Slope:
    """Return softplus's slope, which is right if `above` is 1."""
    return lambda z: np.where(z > 20, above, 1 / (1 + np.exp(-np.minimum(z, 20))))


def pair(slope: Slope, activation: Slope = softplus) -> Any:
    """A pair: a recurrent layer, a linear layer, softplus."""

    def forward(x: Array, h0: Array, W: Array, U: Array, b: Array, V: Array, c: Array) -> Any:
        h, recurrent = F.elman_forward(x, h0, W, U, b, 0 * b)
        z, linear = F.linear_forward(h, V, c)
        return activation(z), (recurrent, linear, z)

    def backward(dy: Array, cache: Any) -> Any:
        recurrent, linear, z = cache
        dh, dV, dc = F.linear_backward(dy * slope(z), linear)
        return *F.elman_backward(dh, recurrent)[:5], dV, dc

    return (forward, backward), (SHAPES,)


def compares_in_backward_only(slope: Slope) -> Any:
    return pair(slope, lambda z: np.log(1 + np.exp(z)))


def number_by_number(slope: Slope) -> Any:
    """A pair that takes its activation of one number at a time."""

    def activation(z: Array) -> Array:
        y = [v if v > 20 else math.log1p(math.exp(v)) for v in z.ravel()]
        return np.array(y).reshape(z.shape)

    return pair(slope, activation)


def batch_first(slope: Slope) -> Any:
    """A pair whose batch axis is first, and which assigns to the places above the threshold."""

    def activation(z: Array) -> Array:
        y, large = np.log1p(np.exp(np.minimum(z, 20))), z > 20
        y[large] = z[large]
        return y

    (forward, backward), _ = pair(slope, activation)

    def run(x: Array, *rest: Array) -> Any:
        y, cache = forward(x.swapaxes(0, 1), *rest)
        return y.swapaxes(0, 1), cache

    def back(dy: Array, cache: Any) -> Any:
        dx, *rest = backward(dy.swapaxes(0, 1), cache)
        return dx.swapaxes(0, 1), *rest

    return (run, back), (SHAPES | {"x": "B T D"},)


class Network:
    """A class with dictionaries of parameters and gradients."""

    def __init__(self, slope: Slope) -> None:
        rng, sizes = np.random.default_rng(0), {"W": (4, 3), "U": (4, 4), "V": (2, 4)}
        self.params = {name: rng.standard_normal(shape) for name, shape in sizes.items()}
        self.params |= {"b": np.zeros(4), "c": np.zeros(2)}
        self.run, self.back = pair(slope)[0]

    def forward(self, x: Array) -> Array:
        weights = [self.params[name] for name in "WUbVc"]
        y, self.cache = self.run(x, np.zeros((x.shape[1], 4), x.dtype), *weights)
        return np.asarray(y)

    def backward(self, dy: Array) -> Array:
        dx, _, *gradients = self.back(dy, self.cache)
        self.grads = dict(zip("WUbVc", gradients, strict=True))
        return np.asarray(dx)


class Recurrent:
    def __init__(self, D: int, H: int) -> None:
        rng = np.random.default_rng(0)
        self.params = [rng.standard_normal((H, D)), rng.standard_normal((H, H)), np.zeros(H)]
        self.grads = [np.zeros_like(p) for p in self.params]

    def forward(self, x: Array) -> Array:
        h0 = np.zeros((x.shape[1], len(self.params[2])), x.dtype)
        W, U, b = self.params
        h, self.cache = F.elman_forward(x, h0, W, U, b, 0 * b)
        return h

    def backward(self, dh: Array) -> Any:
        dx, _, *found, _ = F.elman_backward(dh, self.cache)
        for grad, new in zip(self.grads, found, strict=True):
            grad[...] = new
        return dx


class Affine:
    def __init__(self, D: int, H: int) -> None:
        self.params = [np.random.default_rng(0).standard_normal((H, D)), np.zeros(H)]
        self.grads = [np.zeros_like(p) for p in self.params]

    def forward(self, x: Array) -> Array:
        y, self.cache = F.linear_forward(x, *self.params)
        return y

    def backward(self, dy: Array) -> Any:
        dx, self.grads[0][...], self.grads[1][...] = F.linear_backward(dy, self.cache)
        return dx


class Softplus:
    def __init__(self, slope: Slope) -> None:
        self.params, self.grads = list[Array](), list[Array]()
        self.slope = slope

    def forward(self, z: Array) -> Array:
        self.z = z
        return softplus(z)

    def backward(self, dy: Array) -> Array:
        return dy * self.slope(self.z)


class Layers:
    """Layers with lists of parameters and gradients, as in deep-learning-from-scratch."""

    def __init__(self, *layers: Any) -> None:
        self.layers = layers
        self.params = [p for layer in layers for p in layer.params]
        self.grads = [g for layer in layers for g in layer.grads]

    def forward(self, x: Array) -> Array:
        for layer in self.layers:
            x = layer.forward(x)
        return x

    def backward(self, dy: Array) -> Array:
        for layer in reversed(self.layers):
            dy = layer.backward(dy)
        return dy


def between_layers_that_saturate(slope: Slope) -> Any:
    """A large output of softplus saturates what follows, so that no gradient comes back."""
    inner = Recurrent(3, 4), Affine(4, 4), Softplus(slope)
    return Layers(*inner, Recurrent(4, 4), Affine(4, 2)), ("T B 3",)


def before_layers_that_saturate(slope: Slope) -> Any:
    return Layers(Softplus(slope), Recurrent(3, 4), Affine(4, 2)), ("T B 3",)


def theta(slope: Slope) -> Any:
    """A function of one vector of all weights."""
    forward, backward = pair(slope)[0]
    shapes = {"W": (4, 3), "U": (4, 4), "b": (4,), "V": (2, 4), "c": (2,)}
    ends = np.cumsum([np.prod(shape) for shape in shapes.values()])[:-1]
    x, target = np.random.default_rng(0).standard_normal((2, 6, 1, 3))

    def loss(theta: Array) -> Any:
        parts = zip(np.split(theta, ends), shapes.values(), strict=True)
        weights = [part.reshape(shape) for part, shape in parts]
        y, cache = forward(x, np.zeros((1, 4), theta.dtype), *weights)
        off = y - target[..., :2]
        gradients = backward(off, cache)[2:]
        return (off**2).sum() / 2, np.concatenate([g.ravel() for g in gradients])

    return loss, ({name: " ".join(map(str, shape)) for name, shape in shapes.items()},)


@pytest.mark.parametrize(
    "style",
    [
        pair,
        compares_in_backward_only,
        number_by_number,
        batch_first,
        lambda slope: (Network(slope), ("T B 3",)),
        before_layers_that_saturate,
        between_layers_that_saturate,
        theta,
    ],
)
def test_a_threshold_deep_in_a_network_is_crossed(style: Any) -> None:
    subject, arguments = style(slope_with(1.0))
    report = check_gradients(subject, *arguments, locate=False)
    assert report.ok, str(report)
    assert not any("only one side" in note for note in report.notes)
    subject, arguments = style(slope_with(2.0))
    report = check_gradients(subject, *arguments, locate=False)
    assert not report.gradients_ok, str(report)


@pytest.mark.parametrize(
    ("above", "at_zero", "ok"), [(1.0, 0.5, True), (2.0, 0.5, False), (1.0, 0.4, False)]
)
def test_both_sides_of_a_threshold_are_reached(above: float, at_zero: float, ok: bool) -> None:
    def backward(dy: Array, x: Array) -> Array:
        return np.asarray(dy * np.where(x == 0, at_zero, slope_with(above)(x)))

    assert check_gradients((lambda x: (softplus(x), x), backward), "T B D").ok == ok


def never(x: Array) -> Any:
    return np.where(x > 1e30, 2 * x, x), None


def not_finite_between(x: Array) -> Any:
    y = np.exp(np.minimum(x, 3000.0))  # an infinity below its threshold: nothing is compared
    return np.where(x > 3000.0, 1.0, y), y * (x <= 3000.0)


@pytest.mark.parametrize("given", ["T B D", np.ones((2, 3, 5))], ids=["drawn", "given"])
@pytest.mark.parametrize(
    ("forward", "backward"),
    [(never, lambda dy, _: dy), (not_finite_between, lambda dy, slope: dy * slope)],
)
def test_a_side_that_is_never_reached_is_said(forward: Any, backward: Any, given: Any) -> None:
    report = check_gradients((forward, backward), given)
    assert report.ok, str(report)
    text = "only one side was reached of a comparison that was always false: greater at test_branch"
    assert any(note.startswith(text) for note in report.notes)


def relu(x: Array) -> Any:
    return np.maximum(x, 0), x


def test_a_kink_takes_the_slope_of_either_side() -> None:
    for slope in ((lambda x: x > 0), (lambda x: x >= 0)):
        assert_gradients((relu, lambda dy, x, s=slope: dy * s(x)), "T B D")


def test_a_limit_at_infinity_has_no_other_side() -> None:
    report = check_gradients((lambda x: (np.clip(x, -np.inf, 1), x < 1), np.multiply), "T B D")
    assert report.ok, str(report)
    assert not report.notes or "analytic" in report.notes[0]
    assert not any("lower" in note for note in report.notes)


def test_a_move_is_as_small_as_possible_and_shrinks_what_comes_after() -> None:
    usual, saturated, *_ = choose_regimes(["usual", "saturated"])

    def sides_at(regime: InputRegime) -> Any:
        factors = dict(regime.factors)
        reached = factors.get("W", 1) > 50 or factors.get("b", 1) > 5000
        return {"greater|": {reached, False}, "equal|": {reached}}

    branches = Branches()
    branches.record(sides_at(usual), usual)
    move = next(branches.moves(["x", "W"], sides_at))
    assert [name for name, _ in move.factors] == ["W"]
    assert 50 < move.factors[0][1] < 100
    (_, larger), (_, smaller) = next(branches.moves(["x", "W", "V"], sides_at)).factors
    assert smaller == pytest.approx(1 / larger)
    branches.record({"greater|": {True}}, saturated)
    assert list(branches.moves(["W"], sides_at))  # where nothing shows, it does not count
    branches.record({"greater|": {True}, "equal|": {True}}, usual)
    assert not list(branches.moves(["W"], sides_at))


def test_rounding_that_is_not_a_number_excuses_no_error() -> None:
    def forward(x: Array) -> Any:
        return x + 1 / (1 + np.exp(x * 0 + 1e3)), None  # exp is infinite, its last bit NaN

    with np.errstate(over="ignore"):
        report = check_gradients((forward, lambda dy, _: 2 * dy), "T B", locate=False)
    assert not report.gradients_ok
