"""Gradients that backward returns, in containers of any kind, and None for no gradient."""

from __future__ import annotations

from operator import attrgetter
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from numpy_rnn.checking import check_gradients
from numpy_rnn.checking.nested import arrays_of, map_tree
from numpy_rnn.checking.target import CACHES
from numpy_rnn.functional.types import Array
from tests.checking.users_affine import Affine, Pair, wrong_rows
from tests.checking.verdicts import ONE

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
