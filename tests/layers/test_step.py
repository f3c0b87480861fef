"""A single step, `step` with the weights as they are and `stepper` over a copy of them."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from numpy_rnn import (
    LSTM,
    RNN,
    Cell,
    LastStep,
    Sequential,
)
from numpy_rnn.functional.types import Array
from numpy_rnn.layers.wrappers import InitialState
from tests.layers.models import MODELS, an_input, flat, nested, normal_like, same_trees
from tests.layers.stepping import (
    each_cell,
    each_method,
    each_stream,
    stepping,
)
from tests.layers.test_sequences import KINDS as OPTIONS_TO_LAYER
from tests.layers.test_sequences import D, H, each_kind, parts


@each_kind
@each_method
@pytest.mark.parametrize("tokens", [False, True])
@pytest.mark.parametrize("batched", [False, True])
@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("num_layers", [1, 2])
def test_steps_are_the_whole_sequence(
    kind: str, method: str, tokens: bool, batched: bool, batch_first: bool, num_layers: int
) -> None:
    rng = np.random.default_rng(0)
    layer = OPTIONS_TO_LAYER[kind](rng=1, num_layers=num_layers, batch_first=batch_first)
    shape = (7, 2) if batched else (7,)
    x = rng.integers(0, D, shape) if tokens else rng.standard_normal((*shape, D))
    y, final = layer.predict(x.swapaxes(0, 1) if batched and batch_first else x)
    y = y.swapaxes(0, 1) if batched and batch_first else y
    step = stepping(layer, method)
    state: Any = None
    for t in range(7):
        before = None if state is None else [part.copy() for part in parts(state)]
        y_t, after = step(x[t] if x[t].ndim else np.asarray(x[t]), state)
        if before is not None:  # a server can hand the same state in twice
            same_trees(parts(state), before)
        np.testing.assert_allclose(y_t, y[t], rtol=1e-12, atol=1e-15)
        state = after
    for got, want in zip(parts(state), parts(final), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-15)
        assert got.shape == want.shape


@each_stream
@each_method
def test_every_model_steps_through_a_sequence(name: str, method: str) -> None:
    layer = MODELS[name]()
    x = an_input(layer, 0)
    if name == "nested":  # its LastStep picks the one step there is
        layers = nested().layers
        want, _, _ = layers["body"].apply(layers["embed"].predict(x), training=False)
        want = layers["head"].predict(want)
    else:
        want, _, _ = layer.apply(x, training=False)
    step = stepping(layer, method)
    state: Any = None
    for x_t, y_t in zip(x, want, strict=True):
        got, state = step(x_t, state)
        np.testing.assert_allclose(got, y_t, rtol=1e-12, atol=1e-14)


@each_method
def test_a_bidirectional_layer_cannot_step(method: str) -> None:
    layer = LSTM(D, H, bidirectional=True)
    message = rf"LSTM\(3, 4, bidirectional=True\)\.{method}: the layer is bidirectional"
    for model in (layer, Sequential(Sequential(copy.deepcopy(layer)))):
        with pytest.raises(ValueError, match=message):
            stepping(model, method)(np.ones((1, D)))


@each_stream
@given(k=st.integers(0, 5), B=st.integers(0, 3), seed=st.integers(0, 99))
@example(k=300, B=30, seed=0)  # more than a chunk of functional/blocking.py
def test_a_block_is_so_many_steps(name: str, k: int, B: int, seed: int) -> None:
    if name == "nested":  # its LastStep takes no block
        return
    layer, rng = MODELS[name](), np.random.default_rng(seed)
    x = an_input(layer, seed)
    x = rng.permutation(np.resize(x, (k, B, *x.shape[2:])))
    step, state = layer.stepper(), normal_like(layer.zero_state(B), rng)
    y, final = step(x, state)
    assert y.shape[:2] == (k, B)
    for x_t, y_t in zip(x, y, strict=True):
        got, state = step(x_t, state)
        np.testing.assert_allclose(got, y_t, rtol=1e-11, atol=1e-13)
    same_trees(final, state, rtol=1e-11, atol=1e-13)


@each_cell
@pytest.mark.parametrize("tokens", [False, True])
def test_a_block_has_the_layers_layout(kind: Any, tokens: bool) -> None:
    rng = np.random.default_rng(0)
    layers = [kind(D, H, 2, batch_first=first, rng=0) for first in (False, True)]
    x = rng.integers(0, D, (5, 2)) if tokens else rng.standard_normal((5, 2, D))
    state = normal_like(layers[0].zero_state(2), rng)
    y, final = layers[0].stepper()(x, state)
    same_trees((y, final), layers[0].predict(x, state), rtol=1e-12, atol=1e-14)
    swapped, last = layers[1].stepper()(x.swapaxes(0, 1), state)
    same_trees((swapped.swapaxes(0, 1), last), (y, final), rtol=1e-12, atol=1e-14)
    assert not any(np.shares_memory(y, part) for part in flat(final))


def test_a_block_starts_from_the_models_initial_state_and_has_no_last_step() -> None:
    x, initial = np.ones((4, 2, D)), [np.ones((1, H)).tolist()]
    model = InitialState(RNN(D, H, rng=0), initial=initial)
    same_trees(model.stepper()(x), model.predict(x), rtol=1e-12, atol=1e-14)
    many_to_one = Sequential(RNN(D, H, rng=0), LastStep())
    with pytest.raises(ValueError, match=r"LastStep.step: x_t has shape \(4, 2, 4\), expected"):
        many_to_one.stepper()(x)


@each_stream
@each_method
def test_steps_have_no_dropout_and_change_no_generator(name: str, method: str) -> None:
    layer = MODELS[name]()
    before = [str(g.bit_generator.state) for g in layer.rngs()]
    x_t = an_input(layer, 0)[0]
    first, _ = stepping(layer, method)(x_t)
    np.testing.assert_array_equal(first, stepping(layer.eval(), method)(x_t)[0])
    assert before == [str(g.bit_generator.state) for g in layer.rngs()]


class PlainSteps(RNN):
    """A cell whose stepper knows of single steps alone: a block would broadcast, and be wrong."""

    def cell(self, input_size: int) -> Cell:
        def stepper(W: Array, U: Array, b: Array, c: Array) -> Any:
            return lambda x_t, h: (np.tanh(x_t @ W.T + h[0] @ U.T + b + c)[None],)

        return super().cell(input_size)._replace(stepper=stepper, blocks=False)


@pytest.mark.parametrize("steps", [0, 1, 4])
def test_a_block_goes_step_by_step_through_a_stepper_of_single_steps(steps: int) -> None:
    layer, usual = PlainSteps(3, 4, num_layers=2, rng=0), RNN(3, 4, num_layers=2, rng=0)
    x = np.random.default_rng(1).standard_normal((steps, 2, 3))
    y, state = layer.stepper()(x)
    expected, last = usual.stepper()(x)
    np.testing.assert_allclose(y, expected, rtol=0, atol=1e-15)
    np.testing.assert_allclose(state, last, rtol=0, atol=1e-15)
