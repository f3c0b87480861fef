"""Activation layers equal torch.nn's: values and gradients, on every axis, also in single steps."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest
import torch

import numpy_rnn
from numpy_rnn import Activation, HardSigmoid, Linear, Sequential, Softmax
from tests.layers.test_against_torch import equal, tensor

PAIRS: list[tuple[str, tuple[Any, ...]]] = [
    *((name, ()) for name in ("Identity", "ReLU", "Tanh", "Sigmoid", "SiLU", "Softsign")),
    *((name, ()) for name in ("HardSigmoid", "LeakyReLU", "ELU", "Softplus")),
    ("LeakyReLU", (0.3,)),
    ("ELU", (0.5,)),
    ("Softplus", (2.0, 3.0)),
    *((name, (dim,)) for name in ("Softmax", "LogSoftmax") for dim in (-1, 0, 1, 2)),
]
X = np.concatenate([np.random.default_rng(0).standard_normal((4, 2, 6)) * 3, np.zeros((1, 2, 6))])


@pytest.mark.parametrize(("name", "arguments"), PAIRS)
def test_values_and_gradients_are_those_of_torch(name: str, arguments: tuple[Any, ...]) -> None:
    ours = getattr(numpy_rnn, name)(*arguments)
    theirs = getattr(torch.nn, {"HardSigmoid": "Hardsigmoid"}.get(name, name))(*arguments)
    tx = tensor(X)
    y, want = ours(X), theirs(tx)
    equal(y, want)
    dy = np.random.default_rng(1).standard_normal(X.shape)
    want.backward(torch.from_numpy(dy))
    y[...] = 0  # the output is the caller's
    assert tx.grad is not None
    # PyTorch 2.13 multiplies this one gradient by 1/6 in single precision.
    factor = (1 / 6) / float(np.float32(1 / 6)) if name == "HardSigmoid" else 1.0
    equal(ours.backward(dy), tx.grad * factor)
    assert ours.predict(X.astype(np.float32)).dtype == np.float32


@pytest.mark.parametrize(("name", "arguments"), PAIRS)
def test_copies_and_repr_rebuild_the_layer(name: str, arguments: tuple[Any, ...]) -> None:
    layer = getattr(numpy_rnn, name)(*arguments)
    again = eval(repr(layer), vars(numpy_rnn))  # noqa: S307 (a repr above)
    for twin in (again, copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):  # noqa: S301 (its own)
        assert repr(twin) == repr(layer)
        np.testing.assert_array_equal(twin.predict(X), layer.predict(X))


def test_a_model_with_activations_steps_as_it_runs() -> None:
    layers = [Linear(6, 6, rng=0), HardSigmoid(0.2), Activation("scaled_tanh", 1.7, 0.5), Softmax()]
    model = Sequential(*layers)
    y, step = model.predict(X), model.stepper()
    for x_t, y_t in zip(X, y, strict=True):
        np.testing.assert_allclose(step(x_t)[0], y_t, rtol=1e-15)
    assert not Sequential(Linear(6, 6), Softmax(0)).causal
    assert "HardSigmoid(alpha=0.2), Activation('scaled_tanh', 1.7, 0.5), Softmax()" in repr(model)


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (
            lambda: Activation("selo"),
            ValueError,
            "Activation: name is ('selo',), expected a name of tanh",
        ),
        (
            lambda: Activation("relu", 1),
            ValueError,
            "Activation: name is ('relu', 1), expected 'relu'",
        ),
        (lambda: HardSigmoid("0.2"), TypeError, "HardSigmoid: alpha is '0.2', expected a number"),
        (lambda: HardSigmoid(0, 1, 2), TypeError, "HardSigmoid: expected no arguments but alpha, "),
        (lambda: HardSigmoid(0.1, alpha=1), TypeError, "HardSigmoid: expected no arguments but"),
        (lambda: numpy_rnn.ReLU(inplace=True), TypeError, "ReLU: expected no arguments but none"),
        (lambda: Softmax(None), TypeError, "Softmax: dim is None, expected a whole number"),  # type: ignore[arg-type]  # wrong on purpose
        (
            lambda: Softmax(3)(X),
            ValueError,
            "Softmax(dim=3).forward: x has shape (5, 2, 6), expected axis 3",
        ),
        (
            lambda: Softmax()(X.astype(int)),
            TypeError,
            "Softmax.forward: x has dtype int64, expected float32 or float64",
        ),
        (
            lambda: numpy_rnn.ReLU()(X * np.inf),
            ValueError,
            "ReLU.forward: x is",
        ),
    ],
)
def test_bad_input_is_one_clear_line(call: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind) as caught, np.errstate(invalid="ignore"):
        call()
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
