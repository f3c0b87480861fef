"""Rooms: optimisers, as a loop over named arrays. A wrong step trains, too; only worse."""

# ruff: noqa: PLW2901 (p -= ... changes the array; it does not make p a name for another)

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from numpy_rnn.functional.types import Array
from numpy_rnn.museum.closed_forms import (
    adagrad_closed_form,
    adam_closed_form,
    adamw_closed_form,
    clipped_closed_form,
    momentum_closed_form,
    nesterov_closed_form,
    rmsprop_closed_form,
)
from numpy_rnn.museum.exhibit import Exhibit, OptimizerRoom

Arrays = dict[str, Array]
State = dict[str, Any]


def momentum_step(
    theta: Arrays, grad: Arrays, state: State, *, lr: float, momentum: float, weight_decay: float
) -> None:
    """SGD with momentum and L2 regularisation."""
    for name, p in theta.items():
        u = state.setdefault(name, np.zeros_like(p))
        g = grad[name] + weight_decay * p
        u[...] = momentum * u + g
        p -= lr * u


def nesterov_step(theta: Arrays, grad: Arrays, state: State, *, lr: float, momentum: float) -> None:
    """SGD with Nesterov momentum."""
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
) -> None:
    """Adam."""
    state["t"] = state.get("t", 0) + 1
    for name, p in theta.items():
        g = grad[name]
        m = state.setdefault("m " + name, np.zeros_like(p))
        v = state.setdefault("v " + name, np.zeros_like(p))
        m[...] = beta1 * m + (1 - beta1) * g
        v[...] = beta2 * v + (1 - beta2) * g**2
        m_hat = m / (1 - beta1 ** state["t"])
        v_hat = v / (1 - beta2 ** state["t"])
        p -= lr * m_hat / (np.sqrt(v_hat) + eps)


def adamw_step(
    theta: Arrays,
    grad: Arrays,
    state: State,
    *,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
) -> None:
    """Adam, with weight decay beside it."""
    state["t"] = state.get("t", 0) + 1
    for name, p in theta.items():
        g = grad[name]
        m = state.setdefault("m " + name, np.zeros_like(p))
        v = state.setdefault("v " + name, np.zeros_like(p))
        p -= lr * weight_decay * p
        m[...] = beta1 * m + (1 - beta1) * g
        v[...] = beta2 * v + (1 - beta2) * g**2
        m_hat, v_hat = m / (1 - beta1 ** state["t"]), v / (1 - beta2 ** state["t"])
        p -= lr * m_hat / (np.sqrt(v_hat) + eps)


def rmsprop_step(
    theta: Arrays, grad: Arrays, state: State, *, lr: float, alpha: float, eps: float
) -> None:
    """RMSprop."""
    for name, p in theta.items():
        s = state.setdefault(name, np.zeros_like(p))
        s[...] = alpha * s + (1 - alpha) * grad[name] ** 2
        p -= lr * grad[name] / (np.sqrt(s) + eps)


def adagrad_step(theta: Arrays, grad: Arrays, state: State, *, lr: float, eps: float) -> None:
    """Adagrad."""
    for name, p in theta.items():
        s = state.setdefault(name, np.zeros_like(p))
        s += grad[name] ** 2
        p -= lr * grad[name] / (np.sqrt(s) + eps)


def clipped_step(theta: Arrays, grad: Arrays, state: State, *, lr: float, max_norm: float) -> None:
    """Gradient descent, with the gradient clipped by its norm."""
    norm = np.sqrt(sum(np.sum(g**2) for g in grad.values()))
    factor = min(1.0, max_norm / (norm + 1e-6))
    state["norm"] = norm
    for name, p in theta.items():
        p -= lr * factor * grad[name]


_ADAM = {"lr": 0.01, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8}
MOMENTUM = OptimizerRoom(
    "sgd with momentum",
    momentum_step,
    momentum_closed_form,
    {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.05},
)
NESTEROV = OptimizerRoom(
    "sgd with nesterov", nesterov_step, nesterov_closed_form, {"lr": 0.1, "momentum": 0.9}
)
ADAM = OptimizerRoom("adam", adam_step, adam_closed_form, _ADAM)
ADAMW = OptimizerRoom("adamw", adamw_step, adamw_closed_form, _ADAM | {"weight_decay": 0.1})
RMSPROP = OptimizerRoom(
    "rmsprop", rmsprop_step, rmsprop_closed_form, {"lr": 0.01, "alpha": 0.9, "eps": 1e-8}
)
ADAGRAD = OptimizerRoom("adagrad", adagrad_step, adagrad_closed_form, {"lr": 0.01, "eps": 1e-10})
CLIPPED = OptimizerRoom(
    "clipping by norm", clipped_step, clipped_closed_form, {"lr": 0.1, "max_norm": 2.0}
)

OPTIMIZER_ROOMS = [MOMENTUM, NESTEROV, ADAM, ADAMW, RMSPROP, ADAGRAD, CLIPPED]
_momentum, _nesterov = partial(Exhibit, MOMENTUM), partial(Exhibit, NESTEROV)
_adam, _adamw = partial(Exhibit, ADAM), partial(Exhibit, ADAMW)
_rmsprop, _adagrad = partial(Exhibit, RMSPROP), partial(Exhibit, ADAGRAD)
_clipped = partial(Exhibit, CLIPPED)

OPTIMIZER_EXHIBITS = [
    _momentum(
        "velocity not kept",
        "u[...] = momentum * u + g",
        "u = momentum * u + g",
        "u is a name for a new array now; what is in the state stays zero.",
        ("step 2",),
    ),
    _momentum(
        "velocity not used",
        "p -= lr * u",
        "p -= lr * g",
        "The velocity is kept with care, and plain gradient descent is done.",
        ("step 2",),
    ),
    _momentum(
        "learning rate twice",
        "momentum * u + g",
        "momentum * u + lr * g",
        "One paper has the learning rate inside the velocity, another outside.",
        ("step 1",),
    ),
    _momentum(
        "dampened from the first step",
        "momentum * u + g",
        "momentum * u + (1 - momentum) * g",
        "The running mean of Adam: as good with a larger learning rate, and not what was said.",
        ("step 1",),
    ),
    _momentum(
        "gradient changed",
        "g = grad[name] + weight_decay * p",
        "g = grad[name]\n        g += weight_decay * p",
        "In place; a gradient that is read or added to afterwards has the decay in it.",
        ("step 1", "dW"),
        "mutates",
    ),
    _nesterov(
        "plain momentum",
        "(grad[name] + momentum * u)",
        "u",
        "The option is read and does nothing.",
        ("step 1",),
    ),
    _nesterov(
        "velocity of the step before",
        "u[...] = momentum * u + grad[name]\n        p -= lr * (grad[name] + momentum * u)",
        "p -= lr * (grad[name] + momentum * u)\n        u[...] = momentum * u + grad[name]",
        "Two lines in the other order.",
        ("step 1",),
    ),
    _adam(
        "mean not corrected",
        'm / (1 - beta1 ** state["t"])',
        "m",
        "Without the correction the first steps are too short by a factor of ten.",
        ("step 1",),
    ),
    _adam(
        "mean square not corrected",
        'v / (1 - beta2 ** state["t"])',
        "v",
        "Without the correction the first steps are too long by a factor of thirty.",
        ("step 1",),
    ),
    _adam(
        "step counted for each array",
        'state["t"] = state.get("t", 0) + 1\n    for name, p in theta.items():',
        'for name, p in theta.items():\n        state["t"] = state.get("t", 0) + 1',
        "The counter slipped into the loop; only the first array is right, and only once.",
        ("step 1", "b"),
    ),
    _adam(
        "step not counted",
        'state.get("t", 0) + 1',
        "1",
        "A counter that is made anew at each call; the first step is right.",
        ("step 2",),
    ),
    _adam(
        "* for **",
        'beta1 ** state["t"]',
        'beta1 * state["t"]',
        "Right at the first step.",
        ("step 2",),
    ),
    _adam(
        "eps inside the root",
        "np.sqrt(v_hat) + eps",
        "np.sqrt(v_hat + eps)",
        "As in other papers; where gradients are small, the step is a hundred times shorter.",
        ("step 1",),
    ),
    _adam(
        "root forgotten",
        "np.sqrt(v_hat)",
        "v_hat",
        "Invisible where gradients are near one.",
        ("step 1",),
    ),
    _adam(
        "beta1 for beta2",
        "(1 - beta2) * g**2",
        "(1 - beta1) * g**2",
        "A line copied, and changed in two of three places.",
        ("step 1",),
    ),
    _adam(
        "mean not kept",
        "m[...] = beta1",
        "m = beta1",
        "m is a name for a new array now; what is in the state stays zero.",
        ("step 2",),
    ),
    _adamw(
        "decay through the moments",
        "p -= lr * weight_decay * p",
        "g = g + weight_decay * p",
        "Adam with L2 regularisation, the very thing that AdamW was made to replace.",
        ("step 1",),
    ),
    _adamw(
        "decay without the learning rate",
        "p -= lr * weight_decay * p",
        "p -= weight_decay * p",
        "The paper's lambda is lr * weight_decay; a schedule of lr then misses the decay.",
        ("step 1",),
    ),
    _adamw(
        "biases not decayed",
        "p -= lr * weight_decay * p",
        "p -= lr * weight_decay * p * (p.ndim > 1)",
        "Common wisdom, built in where nobody can see it.",
        ("step 1", "b"),
    ),
    _rmsprop(
        "alpha exchanged",
        "alpha * s + (1 - alpha) * grad[name] ** 2",
        "(1 - alpha) * s + alpha * grad[name] ** 2",
        "The decay is called 0.9 in one library and 0.1 in another.",
        ("step 1",),
    ),
    _rmsprop(
        "eps inside the root",
        "np.sqrt(s) + eps",
        "np.sqrt(s + eps)",
        "TensorFlow's way; results cannot be compared.",
        ("step 1",),
    ),
    _rmsprop(
        "mean square of the step before",
        "grad[name] / (np.sqrt(s) + eps)",
        "grad[name] / (np.sqrt((s - (1 - alpha) * grad[name] ** 2) / alpha) + eps)",
        "The state is updated after its use; the first steps are enormous.",
        ("step 1",),
    ),
    _adagrad(
        "squares not kept",
        "s += grad[name] ** 2",
        "s = s + grad[name] ** 2",
        "s is a name for a new array now: the step is the gradient's sign, for ever.",
        ("step 2",),
    ),
    _adagrad(
        "squares forgotten",
        "s += grad[name] ** 2",
        "s += np.abs(grad[name])",
        "A sum of gradients where the sum of squares belongs; their roots look alike near one.",
        ("step 1",),
    ),
    _clipped(
        "each array by itself",
        "p -= lr * factor * grad[name]",
        "p -= lr * grad[name] * min(1.0, max_norm / (np.linalg.norm(grad[name]) + 1e-6))",
        "The direction changes: arrays with a large gradient are shortened, others are not.",
        ("step 1",),
    ),
    _clipped(
        "short gradients made long",
        "min(1.0, max_norm / (norm + 1e-6))",
        "max_norm / (norm + 1e-6)",
        "Normalisation, not clipping: a minimum is left as fast as a cliff.",
        ("step 3",),
    ),
    _clipped(
        "by value",
        "factor * grad[name]",
        "np.clip(grad[name], -max_norm, max_norm)",
        "The other clipping; the direction changes.",
        ("step 1",),
    ),
    _clipped(
        "root forgotten",
        "np.sqrt(sum(np.sum(g**2) for g in grad.values()))",
        "sum(np.sum(g**2) for g in grad.values())",
        "The square of the norm is above the limit sooner, and shortens more.",
        ("step 1",),
    ),
]
