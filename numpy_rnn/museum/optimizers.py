"""Optimisers as loops over named arrays, and bugs in them.

A step with a bug still trains, only worse, so the loss does not reveal it. The closed forms that a
step is compared with are in ``museum/optimizer_check.py``.
"""

# ruff: noqa: PLW2901 (p -= ... changes the array in place; it does not rebind the loop variable)

from __future__ import annotations

from typing import Any

import numpy as np

from numpy_rnn.functional.types import Array
from numpy_rnn.museum.bug import OptimizerReference
from numpy_rnn.museum.optimizer_check import (
    adagrad_closed_form,
    adam_closed_form,
    adamw_closed_form,
    clipped_closed_form,
    momentum_closed_form,
    nesterov_closed_form,
    rmsprop_closed_form,
)

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


def nesterov_step(theta: Arrays, grad: Arrays, state: State, *, lr: float, momentum: float) -> None:
    """Take a step of SGD with Nesterov momentum."""
    for name, p in theta.items():
        u = state.setdefault(name, np.zeros_like(p))
        u[...] = momentum * u + grad[name]
        p -= lr * (grad[name] + momentum * u)


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


def rmsprop_step(
    theta: Arrays, grad: Arrays, state: State, *, lr: float, alpha: float, eps: float
) -> None:
    """Take a step of RMSprop."""
    for name, p in theta.items():
        s = state.setdefault(name, np.zeros_like(p))
        s[...] = alpha * s + (1 - alpha) * grad[name] ** 2
        p -= lr * grad[name] / (np.sqrt(s) + eps)


def adagrad_step(theta: Arrays, grad: Arrays, state: State, *, lr: float, eps: float) -> None:
    """Take a step of Adagrad."""
    for name, p in theta.items():
        s = state.setdefault(name, np.zeros_like(p))
        s += grad[name] ** 2
        p -= lr * grad[name] / (np.sqrt(s) + eps)


def clipped_step(theta: Arrays, grad: Arrays, state: State, *, lr: float, max_norm: float) -> None:
    """Take a step of gradient descent, with the gradient clipped by its norm."""
    norm = np.sqrt(sum(np.sum(g**2) for g in grad.values()))
    factor = min(1.0, max_norm / (norm + 1e-6))
    state["norm"] = norm
    for name, p in theta.items():
        p -= lr * factor * grad[name]


_ADAM = {"lr": 0.01, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8}
MOMENTUM = OptimizerReference(
    "sgd_momentum",
    momentum_step,
    momentum_closed_form,
    {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.05},
)
NESTEROV = OptimizerReference(
    "sgd_nesterov", nesterov_step, nesterov_closed_form, {"lr": 0.1, "momentum": 0.9}
)
ADAM = OptimizerReference("adam", adam_step, adam_closed_form, _ADAM)
ADAMW = OptimizerReference("adamw", adam_step, adamw_closed_form, _ADAM | {"weight_decay": 0.1})
RMSPROP = OptimizerReference(
    "rmsprop", rmsprop_step, rmsprop_closed_form, {"lr": 0.01, "alpha": 0.9, "eps": 1e-8}
)
ADAGRAD = OptimizerReference(
    "adagrad", adagrad_step, adagrad_closed_form, {"lr": 0.01, "eps": 1e-10}
)
CLIPPED = OptimizerReference(
    "clip_by_norm", clipped_step, clipped_closed_form, {"lr": 0.1, "max_norm": 2.0}
)

REFERENCES = [MOMENTUM, NESTEROV, ADAM, ADAMW, RMSPROP, ADAGRAD, CLIPPED]

BUGS = [
    *MOMENTUM.bugs("""
velocity not stored | step 2
    - u[...] = momentum * u + g
    + u = momentum * u + g
    The assignment makes u the name of a new array. The array in the state stays zero.
velocity not used | step 2
    - p -= lr * u
    + p -= lr * g
    The velocity is updated correctly, and the step is plain gradient descent.
learning rate applied twice | step 1
    - momentum * u + g
    + momentum * u + lr * g
    One paper has the learning rate inside the velocity, another outside. The code has both.
velocity dampened | step 1
    - momentum * u + g
    + momentum * u + (1 - momentum) * g
    This is the running mean of Adam, which makes the steps ten times shorter than documented.
gradient modified in place | step 1, dW | mutates
    - g = grad[name] + weight_decay * p
    + g = grad[name]
    + g += weight_decay * p
    The caller's gradient now includes the decay, and may be read or added to afterwards.
"""),
    *NESTEROV.bugs("""
plain momentum instead | step 1
    - (grad[name] + momentum * u)
    + u
    The option is accepted and has no effect.
velocity of the previous step | step 1
    - u[...] = momentum * u + grad[name]
    - p -= lr * (grad[name] + momentum * u)
    + p -= lr * (grad[name] + momentum * u)
    + u[...] = momentum * u + grad[name]
    Two lines are in the wrong order.
"""),
    *ADAM.bugs("""
no bias correction of the mean | step 1
    - m / (1 - beta1 ** state["t"])
    + m
    Without the correction the first step is too short by a factor of ten.
no bias correction of the mean square | step 1
    - v / (1 - beta2 ** state["t"])
    + v
    Without the correction the first step is too long by a factor of thirty.
step counted once per array | step 1, b
    - state["t"] = state.get("t", 0) + 1
    - for name, p in theta.items():
    + for name, p in theta.items():
    +     state["t"] = state.get("t", 0) + 1
    The counter is inside the loop. Only the first array is correct, and only at the first step.
step counter not stored | step 2
    - state.get("t", 0) + 1
    + 1
    The counter begins at 1 in each call. The first step is correct.
* instead of ** | step 2
    - beta1 ** state["t"]
    + beta1 * state["t"]
    The first step is correct, because both expressions are equal at t = 1.
eps inside the square root | step 1
    - np.sqrt(v_hat) + eps
    + np.sqrt(v_hat + eps)
    Other papers define it so. Where gradients are small, the step is a hundred times shorter.
square root missing | step 1
    - np.sqrt(v_hat)
    + v_hat
    The error is small where gradients are close to one.
beta1 instead of beta2 | step 1
    - (1 - beta2) * g**2
    + (1 - beta1) * g**2
    A copied line is adapted in two of three places.
mean not stored | step 2
    - m[...] = beta1
    + m = beta1
    The assignment makes m the name of a new array. The array in the state stays zero.
"""),
    *ADAMW.bugs("""
decay added to the gradient | step 1
    - p -= lr * weight_decay * p
    + g = g + weight_decay * p
    This is Adam with L2 regularisation, which AdamW was designed to replace.
decay without the learning rate | step 1
    - p -= lr * weight_decay * p
    + p -= weight_decay * p
    The paper's lambda is lr * weight_decay. A learning-rate schedule then leaves the decay as is.
biases not decayed | step 1, b
    - p -= lr * weight_decay * p
    + p -= lr * weight_decay * p * (p.ndim > 1)
    It is common not to decay biases. Here it is neither documented nor optional.
"""),
    *RMSPROP.bugs("""
alpha and 1 - alpha swapped | step 1
    - alpha * s + (1 - alpha) * grad[name] ** 2
    + (1 - alpha) * s + alpha * grad[name] ** 2
    The same decay is called 0.9 in one library and 0.1 in another.
eps inside the square root | step 1
    - np.sqrt(s) + eps
    + np.sqrt(s + eps)
    TensorFlow defines it so, and results then differ from PyTorch's.
mean square of the previous step | step 1
    - grad[name] / (np.sqrt(s) + eps)
    + grad[name] / (np.sqrt((s - (1 - alpha) * grad[name] ** 2) / alpha) + eps)
    The state is updated after it is used, so the first steps are far too long.
"""),
    *ADAGRAD.bugs("""
squares not accumulated | step 2
    - s += grad[name] ** 2
    + s = s + grad[name] ** 2
    The assignment makes s the name of a new array. Each step is the sign of the gradient.
square missing | step 1
    - s += grad[name] ** 2
    + s += np.abs(grad[name])
    Absolute values are summed instead of squares. Near one, the two are similar.
"""),
    *CLIPPED.bugs("""
each array clipped on its own | step 1
    - p -= lr * factor * grad[name]
    + p -= lr * grad[name] * min(1.0, max_norm / (np.linalg.norm(grad[name]) + 1e-6))
    The direction changes: arrays with a large gradient are scaled down, and others are not.
short gradients scaled up | step 3
    - min(1.0, max_norm / (norm + 1e-6))
    + max_norm / (norm + 1e-6)
    This is normalisation, not clipping. The steps do not become shorter near a minimum.
clipped by value | step 1
    - factor * grad[name]
    + np.clip(grad[name], -max_norm, max_norm)
    Clipping by value is used instead of clipping by norm, and it changes the direction.
square root missing | step 1
    - np.sqrt(sum(np.sum(g**2) for g in grad.values()))
    + sum(np.sum(g**2) for g in grad.values())
    The squared norm exceeds the limit sooner and scales the gradient down further.
"""),
]
