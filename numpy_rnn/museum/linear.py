"""Room: the linear layer, the same at every step: y_t = W x_t + b."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import numpy as np

from numpy_rnn.functional.types import Array
from numpy_rnn.museum.exhibit import Exhibit, Room


class LinearCache(NamedTuple):
    """What backward needs."""

    x: Array
    W: Array
    b: Array


def linear_forward(x: Array, W: Array, b: Array) -> tuple[Array, LinearCache]:
    """Return y at every step."""
    return np.stack([x_t @ W.T + b for x_t in x]), LinearCache(x, W, b)


def linear_backward(dy: Array, cache: LinearCache) -> tuple[Array, Array, Array]:
    """Gradients, summed over the steps in a loop."""
    x, W, b = cache
    dx, dW, db = np.zeros_like(x), np.zeros_like(W), np.zeros_like(b)
    for t in range(len(x)):
        dx[t] = dy[t] @ W
        dW += dy[t].T @ x[t]
        db += dy[t].sum(axis=0)
    return dx, dW, db


LINEAR = Room("linear", linear_forward, linear_backward, {"x": "T B D", "W": "H D", "b": "H"})
_bug = partial(Exhibit, LINEAR)

LINEAR_EXHIBITS = [
    _bug(
        "= for +=",
        "dW += dy[t].T @ x[t]",
        "dW = dy[t].T @ x[t]",
        "A feed-forward layer, called once per step.",
        ("dW",),
    ),
    _bug(
        "first row of the batch only",
        "db += dy[t].sum(axis=0)",
        "db += dy[t, 0]",
        "Written for one example; broadcasting hid the missing sum.",
        ("db",),
    ),
    _bug(
        "t = 0 skipped",
        "range(len(x))",
        "range(1, len(x))",
        "The first symbol is the start of the text, and nobody predicts it.",
        ("t = 0",),
    ),
    _bug(
        "mean over the batch for sum",
        "dy[t].T @ x[t]",
        "dy[t].T @ x[t] / len(x[t])",
        "The loss has the mean already, and it is taken again here.",
        ("dW",),
    ),
    _bug(
        "gradient of the input added up",
        "dx[t] = dy[t] @ W",
        "dx[t] = dx[t - 1] + dy[t] @ W",
        "The += of the lines below, once too often.",
        ("dx",),
    ),
]
