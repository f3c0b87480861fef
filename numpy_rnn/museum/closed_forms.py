"""Where an optimiser's path should lead, without its recursion: the sums written out.

``closed_form(path, gradients, **options)`` takes theta_0 .. theta_{t-1}, (t, N), and the t
gradients at them, (t, N), and returns theta_t, (N,). Moments are sums over all gradients so
far, with powers of the decay as weights, instead of running means that are updated.
"""

from __future__ import annotations

import numpy as np

from numpy_rnn.functional.types import Array


def geometric(values: Array, decay: float) -> Array:
    """Return ``sum_i decay^(t-i) values_i`` for t = 1 .. len(values): what a recursion adds up."""
    t = np.arange(len(values))
    weights = np.where(t[:, None] >= t, decay ** np.maximum(t[:, None] - t, 0), 0.0)
    sums: Array = weights @ values
    return sums


def momentum_closed_form(
    path: Array, gradients: Array, *, lr: float, momentum: float, weight_decay: float = 0.0
) -> Array:
    """SGD with momentum: theta_t = theta_0 - lr sum_s sum_{i<=s} momentum^(s-i) g_i."""
    velocity = geometric(gradients + weight_decay * path, momentum)
    theta: Array = path[0] - lr * velocity.sum(axis=0)
    return theta


def nesterov_closed_form(path: Array, gradients: Array, *, lr: float, momentum: float) -> Array:
    """SGD with Nesterov momentum: each step is g_s + momentum * velocity_s."""
    ahead = gradients + momentum * geometric(gradients, momentum)
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
    """Adam: moments as weighted means of all gradients so far, whose weights sum to one."""
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
    """AdamW: with k = 1 - lr weight_decay, k^t theta_0 - lr sum_s k^(t-s) step_s."""
    t, keep = len(gradients), 1 - lr * weight_decay
    steps = _adam_steps(gradients, beta1, beta2, eps)
    theta: Array = keep**t * path[0] - lr * geometric(steps, keep)[-1]
    return theta


def _adam_steps(gradients: Array, beta1: float, beta2: float, eps: float) -> Array:
    ones = np.ones((len(gradients), 1))
    mean = geometric(gradients, beta1) / geometric(ones, beta1)
    square = geometric(gradients**2, beta2) / geometric(ones, beta2)
    steps: Array = mean / (np.sqrt(square) + eps)
    return steps


def rmsprop_closed_form(
    path: Array, gradients: Array, *, lr: float, alpha: float, eps: float
) -> Array:
    """RMSprop: the mean square starts at zero and is not corrected."""
    square = (1 - alpha) * geometric(gradients**2, alpha)
    theta: Array = path[0] - lr * (gradients / (np.sqrt(square) + eps)).sum(axis=0)
    return theta


def adagrad_closed_form(path: Array, gradients: Array, *, lr: float, eps: float) -> Array:
    """Adagrad: the root of the plain sum of squares."""
    square = np.cumsum(gradients**2, axis=0)
    theta: Array = path[0] - lr * (gradients / (np.sqrt(square) + eps)).sum(axis=0)
    return theta


def clipped_closed_form(path: Array, gradients: Array, *, lr: float, max_norm: float) -> Array:
    """Gradient descent with each whole gradient shortened to a norm of at most `max_norm`."""
    norms = np.linalg.norm(gradients, axis=1, keepdims=True)
    theta: Array = path[0] - lr * (gradients * np.minimum(1, max_norm / (norms + 1e-6))).sum(axis=0)
    return theta
