"""Optimisers as loops over named arrays, each followed by the closed form of its path.

``check_optimizer`` compares the two, and explains their arguments. The bugs are in ``bugs/``.
"""

# ruff: noqa: PLW2901 (p -= ... changes the array in place; it does not rebind the loop variable)

from __future__ import annotations

from typing import Any

import numpy as np

from numpy_rnn.functional.types import Array
from numpy_rnn.museum.bug import OptimizerReference

Arrays = dict[str, Array]
State = dict[str, Any]


def momentum_step(
    theta: Arrays, grad: Arrays, state: State, *, lr: float, momentum: float, weight_decay: float
) -> None:
    """Take a step of SGD with momentum and L2 regularisation."""
    for name, p in theta.items():
        u = state.setdefault(name, np.zeros_like(p))
        g = grad[name] + weight_decay * p
        u[...] = momentum * u + g
        p -= lr * u


def momentum_closed_form(
    path: Array, gradients: Array, *, lr: float, momentum: float, weight_decay: float = 0.0
) -> Array:
    """SGD with momentum: theta_t = theta_0 - lr sum_s sum_{i<=s} momentum^(s-i) g_i."""
    return _move(path, lr, _geometric(gradients + weight_decay * path, momentum))


def nesterov_step(theta: Arrays, grad: Arrays, state: State, *, lr: float, momentum: float) -> None:
    """Take a step of SGD with Nesterov momentum."""
    for name, p in theta.items():
        u = state.setdefault(name, np.zeros_like(p))
        u[...] = momentum * u + grad[name]
        p -= lr * (grad[name] + momentum * u)


def nesterov_closed_form(path: Array, gradients: Array, *, lr: float, momentum: float) -> Array:
    """SGD with Nesterov momentum: step s is g_s + momentum * velocity_s."""
    return _move(path, lr, gradients + momentum * _geometric(gradients, momentum))


def adam_step(
    theta: Arrays,
    grad: Arrays,
    state: State,
    *,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float = 0.0,
) -> None:
    """Take a step of AdamW, which is Adam with decoupled weight decay."""
    state["t"] = state.get("t", 0) + 1
    for name, p in theta.items():
        g = grad[name]
        m = state.setdefault("m " + name, np.zeros_like(p))
        v = state.setdefault("v " + name, np.zeros_like(p))
        p -= lr * weight_decay * p
        m[...] = beta1 * m + (1 - beta1) * g
        v[...] = beta2 * v + (1 - beta2) * g**2
        m_hat = m / (1 - beta1 ** state["t"])
        v_hat = v / (1 - beta2 ** state["t"])
        p -= lr * m_hat / (np.sqrt(v_hat) + eps)


def adam_closed_form(
    path: Array, gradients: Array, *, lr: float, weight_decay: float = 0.0, **moments: float
) -> Array:
    """Adam with L2 regularisation: the decay is a part of the gradient."""
    return _move(path, lr, _adam_steps(gradients + weight_decay * path, **moments))


def adamw_closed_form(
    path: Array, gradients: Array, *, lr: float, weight_decay: float, **moments: float
) -> Array:
    """AdamW: with k = 1 - lr weight_decay, theta_t = k^t theta_0 - lr sum_s k^(t-s) step_s."""
    t, keep = len(gradients), 1 - lr * weight_decay
    steps = _adam_steps(gradients, **moments)
    return np.asarray(keep**t * path[0] - lr * _geometric(steps, keep)[-1])


def _adam_steps(gradients: Array, beta1: float, beta2: float, eps: float) -> Array:
    """Return the steps: each moment is a mean of all gradients so far, weights summing to one."""
    ones = np.ones((len(gradients), 1))
    mean = _geometric(gradients, beta1) / _geometric(ones, beta1)
    square = _geometric(gradients**2, beta2) / _geometric(ones, beta2)
    return np.asarray(mean / (np.sqrt(square) + eps))


def rmsprop_step(
    theta: Arrays, grad: Arrays, state: State, *, lr: float, alpha: float, eps: float
) -> None:
    """Take a step of RMSprop."""
    for name, p in theta.items():
        s = state.setdefault(name, np.zeros_like(p))
        s[...] = alpha * s + (1 - alpha) * grad[name] ** 2
        p -= lr * grad[name] / (np.sqrt(s) + eps)


def rmsprop_closed_form(
    path: Array, gradients: Array, *, lr: float, alpha: float, eps: float
) -> Array:
    """RMSprop: the mean square is initialised with zero and has no bias correction."""
    square = (1 - alpha) * _geometric(gradients**2, alpha)
    return _move(path, lr, gradients / (np.sqrt(square) + eps))


def adagrad_step(theta: Arrays, grad: Arrays, state: State, *, lr: float, eps: float) -> None:
    """Take a step of Adagrad."""
    for name, p in theta.items():
        s = state.setdefault(name, np.zeros_like(p))
        s += grad[name] ** 2
        p -= lr * grad[name] / (np.sqrt(s) + eps)


def adagrad_closed_form(path: Array, gradients: Array, *, lr: float, eps: float) -> Array:
    """Adagrad: the gradient is divided by the root of the sum of all squares so far."""
    square = np.cumsum(gradients**2, axis=0)
    return _move(path, lr, gradients / (np.sqrt(square) + eps))


def clipped_step(theta: Arrays, grad: Arrays, state: State, *, lr: float, max_norm: float) -> None:
    """Take a step of gradient descent, with the gradient clipped by its norm."""
    norm = np.sqrt(sum(np.sum(g**2) for g in grad.values()))
    factor = min(1.0, max_norm / (norm + 1e-6))
    state["norm"] = norm
    for name, p in theta.items():
        p -= lr * factor * grad[name]


def clipped_closed_form(path: Array, gradients: Array, *, lr: float, max_norm: float) -> Array:
    """Gradient descent in which the norm of the whole gradient is at most `max_norm`."""
    norms = np.linalg.norm(gradients, axis=1, keepdims=True)
    return _move(path, lr, gradients * np.minimum(1, max_norm / (norms + 1e-6)))


def _move(path: Array, lr: float, steps: Array) -> Array:
    """Return theta_0 after steps of length `lr`."""
    return np.asarray(path[0] - lr * steps.sum(axis=0))


def _geometric(values: Array, decay: float) -> Array:
    """Return ``sum_i decay^(t-i) values_i`` for t = 1 to len(values), without a recursion."""
    t = np.arange(len(values))
    weights = np.where(t[:, None] >= t, decay ** np.maximum(t[:, None] - t, 0), 0.0)
    return np.asarray(weights @ values)


_MOMENTUM = {"lr": 0.1, "momentum": 0.9}
_MOMENTS = {"lr": 0.01, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8}
_MEAN_SQUARE = {"lr": 0.01, "alpha": 0.9, "eps": 1e-8}
REFERENCES = [
    OptimizerReference(name, step, closed_form, options)
    for name, step, closed_form, options in (
        ("sgd_momentum", momentum_step, momentum_closed_form, _MOMENTUM | {"weight_decay": 0.05}),
        ("sgd_nesterov", nesterov_step, nesterov_closed_form, _MOMENTUM),
        ("adam", adam_step, adam_closed_form, _MOMENTS),
        ("adamw", adam_step, adamw_closed_form, _MOMENTS | {"weight_decay": 0.1}),
        ("rmsprop", rmsprop_step, rmsprop_closed_form, _MEAN_SQUARE),
        ("adagrad", adagrad_step, adagrad_closed_form, {"lr": 0.01, "eps": 1e-10}),
        ("clip_by_norm", clipped_step, clipped_closed_form, {"lr": 0.1, "max_norm": 2.0}),
    )
]
