"""Check an optimiser, step by step, against a closed form of its path.

A closed form has no recursion: each moment is a sum over all gradients so far, weighted by powers
of the decay, instead of a running mean. Those of the usual optimisers are in ``optimizers.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from numpy_rnn.functional.types import Array
from numpy_rnn.museum.bug import Function

NAMES = [*(f"W[{i}, {j}]" for i in range(3) for j in range(2)), *(f"b[{i}]" for i in range(3))]


class WrongStep(NamedTuple):
    """The first place where an optimiser leaves its path."""

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

    The gradients are random. One weight has tiny gradients, another has large ones, and a third
    has a zero gradient at one step. The third gradient is short as a whole. So errors show in code
    that divides by a gradient or clips it.

    Parameters
    ----------
    step : callable
        ``step(theta, grad, state, **options)`` changes the arrays of the dicts `theta` and
        `state` in place.
    closed_form : callable
        ``closed_form(path, gradients, **options)`` takes theta_0 to theta_{t-1}, (t, N), and the
        gradients at them, (t, N), and returns theta_t, (N,).
    options : mapping of str to float
        The hyperparameters of both: lr, momentum, ...
    steps : int
        The length of the path.
    tolerance : float
        The largest error of a weight, relative to the larger of 1 and its absolute value.
    seed : int
        The seed of the initial weights and of the gradients.

    Returns
    -------
    wrong : WrongStep or None
        The first weight that is wrong, or the first gradient that the step changed.

    Examples
    --------
    >>> from numpy_rnn.museum import OPTIMIZER_REFERENCES
    >>> adam = next(r for r in OPTIMIZER_REFERENCES if r.name == "adam")
    >>> print(check_optimizer(adam.step, adam.closed_form, adam.options))
    None
    """
    rng = np.random.default_rng(seed)
    theta = _named(rng.standard_normal(len(NAMES)))
    scales = np.array([1.0, 1e-9, 1e3, *[1.0] * (len(NAMES) - 3)])
    gradients = rng.standard_normal((steps, len(NAMES))) * scales
    gradients[1, 3] = 0.0
    gradients[2] *= 1e-4
    state: dict[str, Any] = {}
    path = np.zeros((steps, len(NAMES)))
    for t, gradient in enumerate(gradients):
        path[t] = _flat(theta)
        grad = _named(gradient.copy())
        step(theta, grad, state, **options)
        expected = closed_form(path[: t + 1], gradients[: t + 1], **options)
        for prefix, got, want in (("", _flat(theta), expected), ("d", _flat(grad), gradient)):
            wrong = ~(np.abs(got - want) <= tolerance * np.maximum(1, np.abs(want)))
            if wrong.any():
                k = int(wrong.argmax())
                return WrongStep(t + 1, prefix + NAMES[k], float(got[k]), float(want[k]))
    return None


def _named(flat: Array) -> dict[str, Array]:
    """Return the two arrays of a vector, as views."""
    return {"W": flat[:6].reshape(3, 2), "b": flat[6:]}


def _flat(arrays: dict[str, Array]) -> Array:
    return np.concatenate([array.ravel() for array in arrays.values()])
