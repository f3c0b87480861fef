"""Check an optimiser, step by step, against its closed form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from numpy_rnn.functional.types import Array
from numpy_rnn.museum.exhibit import Function
from numpy_rnn.optim import Optimizer
from numpy_rnn.parameters import Parameters

SHAPES = {"W": (3, 2), "b": (3,)}


class WrongStep(NamedTuple):
    """The first wrong place of an optimiser's path."""

    step: int
    where: str
    got: float
    expected: float

    def __str__(self) -> str:
        return f"step {self.step}, {self.where}: {self.got!r}, expected {self.expected!r}"


def check_optimizer(
    step: Function,
    closed_form: Function,
    options: Mapping[str, float],
    *,
    steps: int = 5,
    tolerance: float = 1e-12,
    seed: int = 0,
) -> WrongStep | None:
    """Compare the path of an optimiser with its closed form.

    The gradients are random: of one weight tiny, of another large, of a third zero at one step,
    and the third gradient is short, so that what divides by them or clips them is seen.

    Parameters
    ----------
    step : callable
        ``step(theta, grad, state, **options)`` changes the arrays of the dicts `theta` and
        `state` in place.
    closed_form : callable
        Of closed_forms.py.
    options : mapping
        What both are called with: lr, momentum, ...
    steps : int
        Length of the path.
    tolerance : float
        How far a weight may be off, relative to the largest of 1 and itself.
    seed : int
        Of the random start and gradients.

    Returns
    -------
    wrong : WrongStep or None
        The first wrong place: a weight, or a gradient that the step changed.
    """
    rng = np.random.default_rng(seed)
    theta = {name: rng.standard_normal(shape) for name, shape in SHAPES.items()}
    names = [f"{name}{list(i)}" for name, shape in SHAPES.items() for i in np.ndindex(shape)]
    scales = np.array([1.0, 1e-9, 1e3, *[1.0] * (len(names) - 3)])
    gradients = rng.standard_normal((steps, len(names))) * scales
    gradients[1, 3] = 0.0
    gradients[2] *= 1e-4
    state: dict[str, Any] = {}
    path = np.zeros((steps, len(names)))
    for t, gradient in enumerate(gradients):
        path[t] = _flat(theta)
        grad = _split(gradient)
        step(theta, grad, state, **options)
        expected = closed_form(path[: t + 1], gradients[: t + 1], **options)
        for what, got, want in (("", _flat(theta), expected), ("d", _flat(grad), gradient)):
            wrong = ~(np.abs(got - want) <= tolerance * np.maximum(1, np.abs(want)))
            if wrong.any():
                place = int(wrong.argmax())
                where = what + names[place]
                return WrongStep(t + 1, where, float(got[place]), float(want[place]))
    return None


def stepper(kind: type[Optimizer], **fixed: Any) -> Function:
    """Return a step function, as :func:`check_optimizer` takes it, of one of this library's.

    Parameters
    ----------
    kind : type
        A subclass of :class:`numpy_rnn.Optimizer`.
    **fixed
        Arguments of the class that the closed form does not have.
    """

    def step(
        theta: dict[str, Array], grad: dict[str, Array], state: dict[str, Any], **options: Any
    ) -> None:
        if not state:
            if "beta1" in options:
                options["betas"] = options.pop("beta1"), options.pop("beta2")
            state["parameters"] = Parameters({k: v.shape for k, v in theta.items()}, "float64")
            state["parameters"].load_state_dict(theta)
            state["optimizer"] = kind(state["parameters"], **options, **fixed)
        parameters = state["parameters"]
        for name, g in grad.items():
            parameters.grads[name][...] = g
        state["optimizer"].step()
        for name, p in theta.items():
            p[...] = parameters.values[name]

    return step


def _flat(arrays: dict[str, Array]) -> Array:
    return np.concatenate([array.ravel() for array in arrays.values()])


def _split(flat: Array) -> dict[str, Array]:
    found, start = {}, 0
    for name, shape in SHAPES.items():
        stop = start + int(np.prod(shape))
        found[name] = flat[start:stop].reshape(shape).copy()
        start = stop
    return found
