"""Cells of Keras as its pages define them, and files of one layer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from numpy_rnn.functional.types import Array
from numpy_rnn.interchange import load
from tests.interchange.keras.files import (
    Layers,
)

X = np.random.default_rng(1).standard_normal((2, 6, 2))


def sigmoid(z: Array) -> Array:
    return 1 / (1 + np.exp(-z))


def hard(slope: float) -> Callable[[Array], Array]:
    return lambda z: np.clip(slope * z + 0.5, 0, 1)


def lstm(
    x: Array,
    W: Array,
    U: Array,
    b: Array,
    gate: Callable[[Array], Array] = sigmoid,
    state: list[Array] | None = None,
) -> Array:
    """Return the outputs of Keras's LSTM, from its documentation: gates i, f, c, o.

    The last state is left in `state`.
    """
    h, c = state or [np.zeros((len(x), len(U)))] * 2
    outputs = []
    for t in range(x.shape[1]):
        i, f, g, o = np.split(x[:, t] @ W + h @ U + b, 4, axis=1)
        c = gate(f) * c + gate(i) * np.tanh(g)
        h = gate(o) * np.tanh(c)
        outputs.append(h)
    if state is not None:
        state[:] = h, c
    return np.stack(outputs, axis=1)


def gru_reset_before(
    x: Array, W: Array, U: Array, b: Array, gate: Callable[[Array], Array]
) -> Array:
    """Return the outputs of Keras 1's GRU: z, r, h, the reset gate before the product."""
    H = len(U)
    h = np.zeros((len(x), H))
    outputs = []
    for t in range(x.shape[1]):
        a = x[:, t] @ W + b
        z, r = gate(a[:, :H] + h @ U[:, :H]), gate(a[:, H : 2 * H] + h @ U[:, H : 2 * H])
        h = z * h + (1 - z) * np.tanh(a[:, 2 * H :] + (r * h) @ U[:, 2 * H :])
        outputs.append(h)
    return np.stack(outputs, axis=1)


def run(path: Path, content: bytes, **options: Any) -> Array:
    path.write_bytes(content)
    y = load(path, **options).predict(X)
    return np.asarray(y[0] if isinstance(y, tuple) else y)


def weights(*shapes: tuple[int, ...]) -> list[Array]:
    rng = np.random.default_rng(2)
    return [rng.standard_normal(shape) for shape in shapes]


def one(kind: str, config: dict[str, Any], arrays: dict[str, Array]) -> Layers:
    return [("layer_1", kind, {"return_sequences": True, **config}, arrays)]
