"""The names that people give to methods, parameters, gradients and learning rates."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from numpy_rnn.checking.nested import gradient_keys
from numpy_rnn.checking.objects import METHODS
from numpy_rnn.checking.parameters import PARTNERS
from numpy_rnn.checking.target import RATES
from numpy_rnn.functional.types import Array
from tests.checking.users_affine import Affine, wrong_rows


@pytest.mark.parametrize("names", [m for m in METHODS if m[1]], ids=str)
def test_methods_by_any_name(names: tuple[str, str]) -> None:
    class Named:
        def __init__(self) -> None:
            self.W, self.b, self.factor = np.ones((5, 4)), np.ones(4), 1.0

    def forward(self: Any, x: Array) -> Any:
        self.x = x
        return x @ self.W + self.b

    def backward(self: Any, dy: Array) -> Any:
        self.dW, self.db = self.factor * self.x.T @ dy, dy.sum(axis=0)
        return dy @ self.W.T

    setattr(Named, names[0], forward)
    setattr(Named, names[1], backward)
    assert wrong_rows(Named(), "B 5") == ["W"]


def containers() -> list[tuple[str, str, type]]:
    attributes = ("value", "data", "val", "v")  # of one parameter each
    return [
        (a, b, kind)
        for a, partners in PARTNERS.items()
        for b in partners
        for kind in ((SimpleNamespace,) if a in attributes else (dict, list))
    ]


@pytest.mark.parametrize(("values", "gradients", "kind"), containers())
def test_parameters_and_gradients_in_containers_by_any_name(
    values: str, gradients: str, kind: type
) -> None:
    class Held(Affine):
        def __init__(self) -> None:
            W, b = np.ones((5, 4)), np.ones(4)
            if kind is SimpleNamespace:
                self.W, self.b = (
                    SimpleNamespace(**{values: p, gradients: np.zeros_like(p)}) for p in (W, b)
                )
            else:
                both = {"W": W, "b": b}
                setattr(self, values, both if kind is dict else [W, b])
                setattr(self, gradients, {} if kind is dict else [0 * W, 0 * b])

        def value(self) -> tuple[Array, Array]:
            if kind is SimpleNamespace:
                return getattr(self.W, values), getattr(self.b, values)
            held = getattr(self, values)
            return (held["W"], held["b"]) if kind is dict else (held[0], held[1])

        def keep(self, dW: Array, db: Array) -> None:
            if kind is SimpleNamespace:
                setattr(self.W, gradients, dW)
                setattr(self.b, gradients, db)
            else:
                setattr(self, gradients, {"W": dW, "b": db} if kind is dict else [dW, db])

    assert len(wrong_rows(Held(), "B 5")) == 1


@pytest.mark.parametrize("form", [list, dict])
def test_parameters_and_gradients_that_methods_return(form: type) -> None:
    def held(values: tuple[Array, Array]) -> Any:
        return list(values) if form is list else dict(zip("Wb", values, strict=True))

    class Methods(Affine):
        def __init__(self) -> None:
            self.first, self.second = np.ones((5, 4)), np.ones(4)

        def value(self) -> tuple[Array, Array]:
            return self.first, self.second

        def keep(self, dW: Array, db: Array) -> None:
            self.made = dW, db

        def params(self) -> Any:
            return held(self.value())

        def grads(self) -> Any:
            return held(self.made)

    assert wrong_rows(Methods(), "B 5") == ["W" if form is dict else "params()[0]"]


@pytest.mark.parametrize("key", range(len(gradient_keys("W"))))
@pytest.mark.parametrize("returned", [False, True])
def test_a_gradient_by_any_name(key: int, returned: bool) -> None:
    class Named(Affine):
        def __init__(self) -> None:
            self.W, self.b = np.ones((5, 4)), np.ones(4)

        def value(self) -> tuple[Array, Array]:
            return self.W, self.b

        def keep(self, dW: Array, db: Array) -> None:
            for name, gradient in (("W", dW), ("b", db)):
                setattr(self, gradient_keys(name)[key], gradient)

        def backward(self, dy: Array) -> Any:
            if not returned:
                return super().backward(dy)
            found = {"x": dy @ self.W.T, "W": self.factor * self.x.T @ dy, "b": dy.sum(axis=0)}
            return {gradient_keys(name)[key]: g for name, g in found.items()}

    assert wrong_rows(Named(), "B 5") == ["W"]


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("argument", [False, True])
def test_a_learning_rate_by_any_name(rate: str, argument: bool) -> None:
    class Updates(Affine):
        def __init__(self) -> None:
            self.W, self.b = np.ones((5, 4)), np.ones(4)
            if not argument:
                setattr(self, rate, 0.01)

        def value(self) -> tuple[Array, Array]:
            return self.W, self.b

        def step(self, dy: Array, size: float) -> Any:
            dx = dy @ self.W.T
            self.W = self.W - size * self.factor * self.x.T @ dy
            self.b = self.b - size * dy.sum(axis=0)
            return dx

    code = f"lambda self, dy, {rate}: self.step(dy, {rate})"
    if not argument:
        code = f"lambda self, dy: self.step(dy, self.{rate})"
    Updates.backward = eval(code)  # type: ignore[method-assign]  # noqa: S307 (an argument's name)
    assert wrong_rows(Updates(), "B 5") == ["W"]


@pytest.mark.parametrize("used", ["views", "vector"])
@pytest.mark.parametrize("named", [False, True])
def test_parameters_and_gradients_that_are_views_of_a_vector(used: str, named: bool) -> None:
    class Views(Affine):
        def __init__(self) -> None:
            self.theta, self.made = np.arange(1.0, 25.0) / 10, np.zeros(24)
            self.W, self.b = self.theta[:20].reshape(5, 4), self.theta[20:]
            self.dW, self.db = self.made[:20].reshape(5, 4), self.made[20:]
            if named:
                self.params, self.grads = [self.theta], [self.made]

        def value(self) -> tuple[Array, Array]:
            if used == "views":
                return self.W, self.b
            return self.theta[:20].reshape(5, 4), self.theta[20:]

        def keep(self, dW: Array, db: Array) -> None:
            self.made[:20], self.made[20:] = dW.ravel(), db

    assert wrong_rows(Views(), "B 5") == ["W"]
