"""`step` has the weights as they are, a stepper a copy of them, and a copy of a layer its own."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest

from numpy_rnn import (
    RNN,
    LayerNorm,
    Linear,
    Sequential,
    init,
)
from numpy_rnn.optim import SGD
from tests.layers.models import MODELS, an_input, same_trees
from tests.layers.stepping import (
    X,
    by_forward,
    each_cell,
    each_stream,
)
from tests.layers.test_sequences import D, H


def write(layer: Any) -> None:
    layer.parameters.data[...] *= 2


def step_of_sgd(layer: Any) -> None:
    layer.parameters.grad[...] = 1
    SGD(layer.parameters, lr=0.1).step()


CHANGES: dict[str, Any] = {
    "write": write,
    "view": lambda layer: layer.parameters.values["weight_ih_l0"].__imul__(-2),
    "assign": lambda layer: setattr(layer.parameters, "data", 0.3 - layer.parameters.data),
    "sgd": step_of_sgd,
    "init": lambda layer: init.glorot(layer, rng=1),
    "load": lambda layer: layer.load_state_dict(
        {name: value - 0.5 for name, value in layer.state_dict().items()}
    ),
}


@each_cell
@pytest.mark.parametrize("change", CHANGES)
def test_step_sees_a_change_and_a_stepper_does_not(kind: Any, change: str) -> None:
    layer = kind(D, H, rng=0)
    step = layer.stepper()
    before, _ = layer.step(X)
    CHANGES[change](layer)
    after, _ = layer.step(X)
    assert np.abs(after - before).max() > 1e-3
    np.testing.assert_allclose(after, by_forward(layer, X), rtol=1e-12)
    np.testing.assert_allclose(step(X)[0], before, rtol=1e-12)
    np.testing.assert_allclose(layer.stepper()(X)[0], after, rtol=1e-12)


@each_stream
def test_every_stepper_is_over_a_copy_of_the_weights(name: str) -> None:
    layer = MODELS[name]()
    x_t = an_input(layer, 0)[0]
    step = layer.stepper()
    before = step(x_t)
    layer.parameters.data *= -1.5
    same_trees(step(x_t), before)
    assert not np.array_equal(layer.stepper()(x_t)[0], before[0])
    same_trees(step(x_t), before)


@each_cell
def test_step_sees_a_change_made_through_a_model_that_the_layer_joined(kind: Any) -> None:
    layer = kind(D, H, rng=0)
    layer.step(X)
    model = Sequential(layer)
    for seed in range(1, 4):
        model.load_state_dict(Sequential(kind(D, H, rng=seed)).state_dict())
        np.testing.assert_allclose(layer.step(X)[0], by_forward(layer, X), rtol=1e-12)


def test_a_model_steps_with_new_weights_in_every_layer() -> None:
    model = Sequential(RNN(D, H, rng=0), LayerNorm(H), Linear(H, 2, rng=1))
    model.step(X)
    model.parameters.data *= 2
    np.testing.assert_allclose(model.step(X)[0], by_forward(model, X), rtol=1e-12)


def pickled(layer: Any) -> Any:
    return pickle.loads(pickle.dumps(layer))  # noqa: S301 (its own)


@each_cell
@pytest.mark.parametrize("how", [copy.deepcopy, pickled])
def test_a_copy_steps_with_its_own_weights(kind: Any, how: Any) -> None:
    layer = kind(D, H, rng=0)
    y, _ = layer.step(X)
    twin = how(layer)
    write(layer)
    np.testing.assert_array_equal(twin.step(X)[0], y)
    write(twin)
    np.testing.assert_array_equal(twin.step(X)[0], layer.step(X)[0])
