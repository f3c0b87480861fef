"""Check an optimiser, step by step, against a closed form of its path.

A closed form has no recursion. ``closed_form(path, gradients, **options)`` takes theta_0 to
theta_{t-1}, (t, N), and the gradients at them, (t, N), and returns theta_t, (N,). Each moment is a
sum over all gradients so far, weighted by powers of the decay, instead of a running mean.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from numpy_rnn.functional.types import Array
from numpy_rnn.museum.bug import Function

SHAPES = {"W": (3, 2), "b": (3,)}


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
        A closed form of this module.
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
        for prefix, got, want in (("", _flat(theta), expected), ("d", _flat(grad), gradient)):
            wrong = ~(np.abs(got - want) <= tolerance * np.maximum(1, np.abs(want)))
            if wrong.any():
                k = int(wrong.argmax())
                return WrongStep(t + 1, prefix + names[k], float(got[k]), float(want[k]))
    return None


def momentum_closed_form(
    path: Array, gradients: Array, *, lr: float, momentum: float, weight_decay: float = 0.0
) -> Array:
    """SGD with momentum: theta_t = theta_0 - lr sum_s sum_{i<=s} momentum^(s-i) g_i."""
    velocity = _geometric(gradients + weight_decay * path, momentum)
    theta: Array = path[0] - lr * velocity.sum(axis=0)
    return theta


def nesterov_closed_form(path: Array, gradients: Array, *, lr: float, momentum: float) -> Array:
    """SGD with Nesterov momentum: step s is g_s + momentum * velocity_s."""
    ahead = gradients + momentum * _geometric(gradients, momentum)
    theta: Array = path[0] - lr * ahead.sum(axis=0)
    return theta


def adam_closed_form(
    path: Array,
    gradients: Array,
    *,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float = 0.0,
) -> Array:
    """Adam: each moment is a mean of all gradients so far, with weights that sum to one."""
    steps = _adam_steps(gradients + weight_decay * path, beta1, beta2, eps)
    theta: Array = path[0] - lr * steps.sum(axis=0)
    return theta


def adamw_closed_form(
    path: Array,
    gradients: Array,
    *,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
) -> Array:
    """AdamW: with k = 1 - lr weight_decay, theta_t = k^t theta_0 - lr sum_s k^(t-s) step_s."""
    t, keep = len(gradients), 1 - lr * weight_decay
    steps = _adam_steps(gradients, beta1, beta2, eps)
    theta: Array = keep**t * path[0] - lr * _geometric(steps, keep)[-1]
    return theta


def rmsprop_closed_form(
    path: Array, gradients: Array, *, lr: float, alpha: float, eps: float
) -> Array:
    """RMSprop: the mean square is initialised with zero and has no bias correction."""
    square = (1 - alpha) * _geometric(gradients**2, alpha)
    theta: Array = path[0] - lr * (gradients / (np.sqrt(square) + eps)).sum(axis=0)
    return theta


def adagrad_closed_form(path: Array, gradients: Array, *, lr: float, eps: float) -> Array:
    """Adagrad: the gradient is divided by the root of the sum of all squares so far."""
    square = np.cumsum(gradients**2, axis=0)
    theta: Array = path[0] - lr * (gradients / (np.sqrt(square) + eps)).sum(axis=0)
    return theta


def clipped_closed_form(path: Array, gradients: Array, *, lr: float, max_norm: float) -> Array:
    """Gradient descent in which the norm of the whole gradient is at most `max_norm`."""
    norms = np.linalg.norm(gradients, axis=1, keepdims=True)
    theta: Array = path[0] - lr * (gradients * np.minimum(1, max_norm / (norms + 1e-6))).sum(axis=0)
    return theta


def _adam_steps(gradients: Array, beta1: float, beta2: float, eps: float) -> Array:
    ones = np.ones((len(gradients), 1))
    mean = _geometric(gradients, beta1) / _geometric(ones, beta1)
    square = _geometric(gradients**2, beta2) / _geometric(ones, beta2)
    steps: Array = mean / (np.sqrt(square) + eps)
    return steps


def _geometric(values: Array, decay: float) -> Array:
    """Return ``sum_i decay^(t-i) values_i`` for t = 1 to len(values), without a recursion."""
    t = np.arange(len(values))
    weights = np.where(t[:, None] >= t, decay ** np.maximum(t[:, None] - t, 0), 0.0)
    sums: Array = weights @ values
    return sums


def _flat(arrays: dict[str, Array]) -> Array:
    return np.concatenate([array.ravel() for array in arrays.values()])


def _split(flat: Array) -> dict[str, Array]:
    stops = np.cumsum([np.prod(shape) for shape in SHAPES.values()])[:-1]
    parts = np.split(flat.copy(), stops)
    return {
        name: part.reshape(shape) for (name, shape), part in zip(SHAPES.items(), parts, strict=True)
    }
