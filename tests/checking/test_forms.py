"""The names that people give to methods, parameters and gradients, and None for no gradient."""

from __future__ import annotations

import importlib.util  # noqa: F401 (for the condition below)
import subprocess
import sys
from collections.abc import Callable
from operator import attrgetter
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest

from numpy_rnn.checking import check_gradients
from numpy_rnn.checking.nested import arrays_of, gradient_keys, map_tree
from numpy_rnn.checking.objects import METHODS
from numpy_rnn.checking.parameters import PARTNERS
from numpy_rnn.checking.target import CACHES, RATES
from numpy_rnn.functional.types import Array

ONE = ["usual"]


class Affine:
    """y = x W + b, which keeps its parameters where each test says."""

    factor = 1.0
    value: Callable[[], tuple[Array, Array]]
    keep: Callable[[Array, Array], None]

    def forward(self, x: Array) -> Array:
        self.x = x
        W, b = self.value()
        return np.asarray(x @ W + b)

    def backward(self, dy: Array) -> Any:
        self.keep(self.factor * self.x.T @ dy, dy.sum(axis=0))
        return dy @ self.value()[0].T


def wrong_rows(model: Any, *shapes: str) -> list[str]:
    """The rows that are wrong where dW is twice as large as it should be."""
    model.factor = 2.0
    report = check_gradients(model, *shapes, regimes=ONE, locate=False)
    assert len(report.rows) == 3, str(report)
    return [row.name for row in report.rows if not row.right]


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


class Pair(NamedTuple):
    W: Any
    b: Any


RETURNED: dict[str, Any] = {
    "dx, dW, db": lambda dx, dW, db: (dx, dW, db),
    "dx, [dW, db]": lambda dx, dW, db: (dx, [dW, db]),
    "dx, (dW, db)": lambda dx, dW, db: (dx, Pair(dW, db)),
    "dx, {W, b}": lambda dx, dW, db: (dx, {"W": dW, "b": db}),
    "dW, db, dx": lambda dx, dW, db: (dW, db, dx),
}


@pytest.mark.parametrize("form", RETURNED)
def test_gradients_of_parameters_may_be_returned(form: str) -> None:
    class Returns(Affine):
        def __init__(self) -> None:
            self.W, self.b = np.ones((5, 4)), np.ones(4)

        def value(self) -> tuple[Array, Array]:
            return self.W, self.b

        def backward(self, dy: Array) -> Any:
            return RETURNED[form](dy @ self.W.T, self.factor * self.x.T @ dy, dy.sum(axis=0))

    assert wrong_rows(Returns(), "B 5") == ["W"]


@pytest.mark.parametrize("kind", ["named tuple", "property", "nested", "tuples"])
def test_containers_of_other_kinds(kind: str) -> None:
    class Held(Affine):
        def __init__(self) -> None:
            W, b = np.ones((5, 4)), np.ones(4)
            forms = {
                "named tuple": Pair(W, b),
                "property": {"W": W, "b": b},
                "nested": {"layer": {"W": W, "b": b}},
                "tuples": [(W, b)],
            }
            self._params: Any = forms[kind]
            self._grads: Any = None
            if kind != "property":
                self.params = self._params

        def value(self) -> tuple[Array, Array]:
            W, b = arrays_of(self._params).values()
            return W, b

        def keep(self, dW: Array, db: Array) -> None:
            gradients = iter((dW, db))
            self._grads = map_tree(self._params, lambda _: next(gradients))
            if kind != "property":
                self.grads = self._grads

    if kind == "property":
        for name in ("params", "grads"):
            setattr(Held, name, property(attrgetter(f"_{name}")))
    (wrong,) = wrong_rows(Held(), "B 5")
    assert "W" in wrong or wrong.endswith("[0]")


@pytest.mark.parametrize("where", ["w_gradient", "delta_w", "deriv.w", "grads[w]", "gradients[0]"])
def test_a_gradient_whose_name_says_so(where: str) -> None:
    class Layer(Affine):
        def __init__(self, rows: int) -> None:
            self.w, self.b = np.ones((rows, 4)), np.ones(4)

        def value(self) -> tuple[Array, Array]:
            return self.w, self.b

        def keep(self, dW: Array, db: Array) -> None:
            self.db = db
            places: dict[str, Any] = {
                "deriv.w": ("deriv", SimpleNamespace(w=dW)),
                "grads[w]": ("grads", {"w": dW}),
                "gradients[0]": ("gradients", [dW]),
            }
            setattr(self, *places.get(where, (where, dW)))

    class Two:
        factor = 1.0

        def __init__(self) -> None:
            self.layers = [Layer(5), Layer(4)]

        def forward(self, x: Array) -> Array:
            return self.layers[1].forward(self.layers[0].forward(x))

        def backward(self, dy: Array) -> Any:
            self.layers[0].factor = 2.0
            return self.layers[0].backward(self.layers[1].backward(dy))

    report = check_gradients(Two(), "B 5", regimes=ONE, locate=False)
    assert len(report.rows) == 5, str(report)
    assert [row.name for row in report.rows if not row.right] == ["layers[0].w"]


def test_a_loss_of_two_functions_and_a_loss_with_more_results() -> None:
    def forward(y: Array, target: Array) -> Any:
        return 0.5 * np.sum((y - target) ** 2), (y, target)

    for factor in (1, 2):
        pair = forward, (lambda cache, f=factor: f * (cache[0] - cache[1]))
        assert check_gradients(pair, "B D", "B D").gradients_ok == (factor == 1)
        report = check_gradients(
            lambda y, t, f=factor: (forward(y, t)[0], f * (y - t)), "B D", "B D"
        )
        assert report.gradients_ok == (factor == 1)
        assert [row.name for row in report.rows] == ["y"]
        report = check_gradients(
            lambda y, h, f=factor: (np.sum(y * h), {"dy": f * h, "dh": y}, h), "B D", "B D"
        )
        assert report.gradients_ok == (factor == 1)
        pair_of_both = forward, (lambda cache, f=factor: (f * (cache[0] - cache[1]), None))
        assert check_gradients(pair_of_both, "B D", "B D").gradients_ok == (factor == 1)


def test_named_tuples_as_arguments() -> None:
    def forward(parameters: Pair, x: Array) -> Any:
        return x @ parameters.W + parameters.b, (x, parameters)

    def backward(dy: Array, cache: Any) -> Any:
        x, parameters = cache
        return Pair(x.T @ dy, 2 * dy.sum(axis=0)), dy @ parameters.W.T

    shapes: dict[str, Any] = {"parameters": Pair("D H", "H"), "x": "B D"}
    report = check_gradients((forward, backward), shapes, regimes=ONE)
    assert [row.right for row in report.rows] == [True, False, True]


@pytest.mark.parametrize("cache", CACHES)
def test_a_cache_by_any_name_comes_first(cache: str) -> None:
    backward = eval(f"lambda {cache}, dy: (dy @ {cache}[1].T, {cache}[0].T @ dy)")  # noqa: S307 (an argument's name)
    pair = (lambda x, W: (x @ W, (x, W))), backward
    assert check_gradients(pair, "B D", "D H", regimes=ONE).ok


def product(x: Array, W: Array) -> Any:
    return x @ W, (x, W)


NOTHING: dict[str, Any] = {
    "tuple": lambda dx, _: (dx, None),
    "dict without it": lambda dx, _: {"dx": dx},
    "dict": lambda dx, _: {"dx": dx, "dW": None},
}


@pytest.mark.parametrize("form", NOTHING)
def test_none_for_no_gradient_of_a_pair(form: str) -> None:
    pair = product, (lambda dy, cache: NOTHING[form](dy @ cache[1].T, cache[0].T @ dy))
    report = check_gradients(pair, "B D", "D H", regimes=ONE)
    assert [row.name for row in report.rows] == ["x"]
    assert report.gradients_ok
    assert "backward returns no gradient of W" in report.notes


def test_none_for_no_gradient_of_an_object_and_a_function() -> None:
    class First:
        def __init__(self) -> None:
            self.W, self.dW = np.ones((5, 4)), np.zeros((5, 4))

        def forward(self, x: Array) -> Any:
            self.x = x
            return x @ self.W

        def backward(self, dy: Array) -> None:
            self.dW = self.x.T @ dy

    def loss(x: Array, W: Array) -> Any:
        y = x @ W
        return np.sum(y**2) / 2, {"dx": None, "dW": x.T @ y}

    for subject, arguments in ((First(), ("B 5",)), (loss, ("B 5", "5 4"))):
        report = check_gradients(subject, *arguments, regimes=ONE)
        assert [row.name for row in report.rows] == ["W"], str(report)
        assert report.gradients_ok
        assert "backward returns no gradient of x" in report.notes


def test_none_for_the_gradient_of_some_steps() -> None:
    def forward(xs: list[Array], W: Array) -> Any:
        return [x @ W for x in xs], (xs, W)

    def backward(dys: list[Array], cache: Any) -> Any:
        xs, W = cache
        dxs = [dy @ W.T if t else None for t, dy in enumerate(dys)]
        return dxs, sum(x.T @ dy for x, dy in zip(xs, dys, strict=True))

    shapes: dict[str, Any] = {"xs": ["B D"] * 3, "W": "D H"}
    report = check_gradients((forward, backward), shapes, regimes=ONE)
    assert [row.name for row in report.rows] == ["xs[1]", "xs[2]", "W"]
    assert report.gradients_ok


JAX = """
import sys
import jax
import jax.numpy as jnp
from numpy_rnn.checking import check_gradients

def pair(factor):
    @jax.custom_vjp
    def layer(x, W):
        return jnp.tanh(x @ W.T)

    def forward(x, W):
        y = jnp.tanh(x @ W.T)
        return y, (x, W, y)

    def backward(kept, dy):
        x, W, y = kept
        dz = dy * (1 - y**2)
        return dz @ W, factor * jnp.einsum("tbh,tbd->hd", dz, x)

    layer.defvjp(forward, backward)
    return layer

inner = pair(2)

def caller(x, W):
    return inner(x, W)

for layer in (pair(1), inner, caller):
    report = check_gradients(layer, "T B D", "H D", regimes=["usual"])
    assert report.method == "complex step", report
    wrong = [row.name for row in report.rows if not row.right]
    print(wrong, len(report.rows), report.worst < 1e-10)
assert not jax.config.jax_enable_x64
"""


@pytest.mark.torch
def test_a_custom_vjp_of_jax_is_checked() -> None:
    found = subprocess.run([sys.executable, "-c", JAX], capture_output=True, text=True, check=False)
    wrong = "['W'] 2 False"
    assert found.stdout.splitlines() == ["[] 2 True", wrong, wrong], found.stderr
