"""Keras in float64, imported at its first use: it takes five seconds, and few processes need it."""

from __future__ import annotations

import importlib
import os
import warnings
from functools import cache, reduce
from pathlib import Path
from typing import Any

import numpy as np
import torch

from numpy_rnn.functional.types import Array


@cache
def _imported() -> Any:
    os.environ["KERAS_BACKEND"] = "torch"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = importlib.import_module("keras")
        backend = importlib.import_module("keras.src.backend")
    module.config.set_floatx("float64")
    backend.numpy.matmul = torch.matmul  # Keras's own computes float64 in float32
    return module


class _Lazy:
    """Keras, or its layers. pytest asks each name of a module for what begins with "__"."""

    def __init__(self, *path: str) -> None:
        self._path = path

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(reduce(getattr, self._path, _imported()), name)


keras: Any = _Lazy()
L: Any = _Lazy("layers")


def functional(function: Any, *shapes: tuple[int | None, ...]) -> Any:
    """Return the network of a function of inputs of these shapes."""
    inputs = [keras.Input(shape) for shape in shapes]
    return keras.Model(inputs, function(*inputs))


def predict(model: Any, x: Array) -> Array:
    """Return the output of a model of Keras, or of ours without its state."""
    if isinstance(model, keras.Model):
        return np.asarray(model(torch.tensor(x), training=False).detach().numpy())
    y = model.predict(x)
    return np.asarray(y[0] if isinstance(y, tuple) else y)


def store(model: Any, path: Path) -> None:
    """Save a model with Keras, which warns of its older format."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.save(path)


def close(ours: Array, theirs: Array, model: Any, tolerance: float = 1e-12) -> None:
    """Compare; Keras normalises layers in float32 whatever the dtype."""
    if any(isinstance(layer, L.LayerNormalization) for layer in model.layers):
        tolerance = 1e-5
    np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance)


def random_input(rng: np.random.Generator, kind: str) -> Array:
    """Return an input with holes that a mask passes over, and with a row of nothing else."""
    if kind == "tokens":
        tokens = rng.integers(0, 6, (4, 7)) * (rng.random((4, 7)) > 0.3)
        tokens[1] = 0
        return tokens
    x = rng.standard_normal((4, 7, 3))
    x[rng.random((4, 7)) < 0.2] = 0.0
    x[rng.random((4, 7)) < 0.2] = 1.0
    return x
