"""A single step, `step` with the weights as they are and `stepper` over a copy of them."""

from __future__ import annotations

import copy
import pickle
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from numpy_rnn import (
    GRU,
    LRU,
    LSTM,
    RNN,
    Cell,
    Dropout,
    Embedding,
    IndRNN,
    LastStep,
    LayerNorm,
    Linear,
    MinGRU,
    PeepholeLSTM,
    Sequential,
    init,
)
from numpy_rnn.functional.types import Array
from numpy_rnn.layers.wrappers import InitialState
from numpy_rnn.optim import SGD
from tests.layers.mgu import MGU
from tests.layers.models import MODELS, an_input, flat, nested, normal_like, same_trees
from tests.layers.test_sequences import KINDS as OPTIONS_TO_LAYER
from tests.layers.test_sequences import D, H, each_kind, parts

X = np.random.default_rng(0).standard_normal((2, D))
CELLS: list[Any] = [
    RNN,
    LSTM,
    partial(LSTM, proj_size=2),
    PeepholeLSTM,
    GRU,
    partial(GRU, reset_after=False),
    IndRNN,
    MinGRU,
    LRU,
    MGU,
]
each_cell = pytest.mark.parametrize("kind", CELLS)
each_method = pytest.mark.parametrize("method", ["step", "stepper"])
# Of the models, those of one direction; `nested` has a LastStep inside.
STREAMS = [name for name in MODELS if "bidirectional" not in name]
each_stream = pytest.mark.parametrize("name", STREAMS)


def stepping(layer: Any, method: str) -> Any:
    """Return ``step(x_t, state=None)``, which returns a pair for every layer."""
    if method == "stepper":
        return layer.stepper()
    return layer.step if layer.stateful else lambda x_t, state=None: (layer.step(x_t), ())  # noqa: ARG005


def by_forward(layer: Any, x_t: Array) -> Array:
    y: Array = layer.apply(x_t[None], training=False)[0][0]
    return y


# Both are the sequence, step by step.


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


# Weights: step sees every change, a stepper none.


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


# Pure functions of (x_t, state).


@each_stream
@each_method
def test_a_step_disturbs_no_pending_backward_and_no_other_step(name: str, method: str) -> None:
    layer, untouched = MODELS[name](), MODELS[name]()
    x = an_input(layer, 0)
    for each in (layer, untouched):
        y = each.forward(x)
    dy = np.ones_like(y[0] if layer.stateful else y)
    step = stepping(layer, method)
    state = normal_like(layer.zero_state(x.shape[1]), np.random.default_rng(1))
    first, other = step(x[0], state), step(x[1])
    kept = copy.deepcopy((first, other))
    same_trees(step(x[0], state), first)
    same_trees((first, other), kept)
    same_trees(layer.backward(dy), untouched.backward(dy))


@each_cell
@each_method
@pytest.mark.parametrize("num_layers", [1, 2])
def test_nothing_returned_shares_memory(kind: Any, num_layers: int, method: str) -> None:
    step = stepping(kind(D, H, num_layers, rng=0), method)
    for x in (X, X[0]):
        _, state = step(x)
        y, after = step(x, state)
        again, third = step(x, state)
        arrays = [y, x, again, *flat((state, after, third))]
        for i, a in enumerate(arrays):
            assert a.flags.writeable
            assert not any(np.shares_memory(a, b) for b in arrays[i + 1 :])


@each_cell
@given(batches=st.lists(st.integers(0, 4), min_size=1, max_size=6), seed=st.integers(0, 99))
def test_a_stepper_takes_batches_of_any_size_in_turn(
    kind: Any, batches: list[int], seed: int
) -> None:
    layer = kind(D, H, 2, rng=0)
    step, rng = layer.stepper(), np.random.default_rng(seed)
    for B in batches:
        x, state = rng.standard_normal((B, D)), normal_like(layer.zero_state(B), rng)
        same_trees(step(x, state), layer.step(x, state), rtol=1e-12, atol=1e-14)


def test_a_stream_in_a_stepper_is_not_another_streams() -> None:
    layer = Sequential(LSTM(D, H, 2, rng=0), Linear(H, 2, rng=1))
    step, rng = layer.stepper(), np.random.default_rng(0)
    inputs = rng.standard_normal((2, 5, 1, D))
    alone = []
    for stream in inputs:
        state = None
        for x_t in stream:
            y, state = step(x_t, state)
        alone.append((y, state))
    states: list[Any] = [None, None]
    outputs: list[Any] = [None, None]
    for t in range(5):
        for user in (0, 1):
            outputs[user], states[user] = step(inputs[user, t], states[user])
    same_trees(list(zip(outputs, states, strict=True)), alone)


@each_cell
@each_method
def test_threads_may_step_at_once(kind: Any, method: str) -> None:
    layer = kind(D, 32, rng=0)
    inputs = np.random.default_rng(1).standard_normal((6, 60, 1 + 1, D))

    def serve(user: int) -> Array:
        step, state = stepping(layer, method), None  # a stepper for each thread
        for x_t in inputs[user]:
            y, state = step(x_t, state)
        last: Array = y
        return last

    alone = [serve(user) for user in range(len(inputs))]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # seconds, so that they meet inside steps
    try:
        with ThreadPoolExecutor(6) as pool:
            together = list(pool.map(serve, range(len(inputs))))
    finally:
        sys.setswitchinterval(interval)
    np.testing.assert_array_equal(together, alone)


# What goes in: dtypes, lists, tokens, shapes.

STREAMED: dict[str, Any] = {
    "lstm": lambda dtype: LSTM(D, H, 2, rng=0, dtype=dtype),
    "lru": lambda dtype: LRU(D, H, rng=0, dtype=dtype),
    "custom cell": lambda dtype: MGU(D, H, rng=0, dtype=dtype),
    "linear": lambda dtype: Linear(D, H, rng=0, dtype=dtype),
    "layer norm": lambda dtype: LayerNorm(D, dtype=dtype),
    "linear first": lambda dtype: Sequential(
        Linear(D, D, rng=0, dtype=dtype), Sequential(GRU(D, H, rng=0, dtype=dtype))
    ),
    "layer norm first": lambda dtype: Sequential(
        LayerNorm(D, dtype=dtype), RNN(D, H, rng=0, dtype=dtype), LastStep()
    ),
    "dropout first": lambda dtype: Sequential(Dropout(0.5, rng=0), RNN(D, H, rng=0, dtype=dtype)),
}


@pytest.mark.parametrize("name", STREAMED)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("given_dtype", [list, np.float16, np.float32, np.float64])
@pytest.mark.parametrize("batched", [False, True])
def test_a_stepper_has_one_dtype_whatever_goes_in(
    name: str, dtype: Any, given_dtype: Any, batched: bool
) -> None:
    layer = STREAMED[name](dtype)
    x = np.array([[0.5, -0.25, 2.0], [1.0, 0.0, -3.0]])[slice(None) if batched else 0]
    state = normal_like(layer.zero_state(2), np.random.default_rng(0)) if batched else None
    if given_dtype is list:
        given_x: Any = x.tolist()
    else:
        given_x = x.astype(given_dtype)
        state = _cast(state, given_dtype)
    y, after = layer.stepper()(given_x, state)
    for array in flat((y, after)):
        assert array.dtype == dtype
    want_y, want_after = stepping(layer, "step")(x.astype(dtype), _cast(state, dtype))
    same_trees((y, after), (want_y, want_after), rtol=1e-5 if dtype is np.float32 else 1e-12)


def _cast(tree: Any, dtype: Any) -> Any:
    if isinstance(tree, tuple):
        return tuple(_cast(part, dtype) for part in tree)
    return tree if tree is None else tree.astype(dtype)


@pytest.mark.parametrize("name", STREAMED)
def test_a_stepper_takes_no_complex_numbers_and_no_text(name: str) -> None:
    step = STREAMED[name](np.float64).stepper()
    for x in (X + 1j, X.astype(str), X.astype(bool)):
        with pytest.raises(TypeError, match=r"has dtype .*, expected float"):
            step(x)


TOKEN_MODELS: dict[str, Any] = {
    "lstm": lambda: LSTM(D, H, rng=0),
    "stacked gru": lambda: GRU(D, H, 2, rng=0),
    "linear": lambda: Linear(D, H, rng=0),
    "embedding": lambda: Embedding(D, H, rng=0),
    "nested": lambda: Sequential(Sequential(Embedding(D, H, rng=0)), LSTM(H, H, rng=0)),
}


@pytest.mark.parametrize("name", TOKEN_MODELS)
@each_method
@pytest.mark.parametrize("token", [-1, -D, D, D + H, 99])
def test_a_token_that_is_none_is_an_error(name: str, method: str, token: int) -> None:
    step = stepping(TOKEN_MODELS[name](), method)
    for tokens, index in (([0, token, 1], r"\(1,\)"), ([token], r"\(0,\)"), (token, r"\(0?,?\)")):
        with pytest.raises(
            ValueError, match=rf"x(_t)? is {token} at index {index}.*, expected 0 to 2"
        ):
            step(np.array(tokens))


@each_cell
def test_nan_passes_through_a_stepper_in_its_own_row(kind: Any) -> None:
    step = kind(D, H, rng=0).stepper()
    clean, _ = step(X)
    x = X.copy()
    x[1, 0] = np.nan
    y, _ = step(x)
    np.testing.assert_array_equal(y[0], clean[0])
    assert np.isnan(y[1]).any()


def states(layer: Any, *leading: int, size: int | None = None) -> Any:
    components = tuple(np.zeros((*leading, size or n)) for n in layer.state_sizes)
    return components if len(components) > 1 else components[0]


@pytest.mark.parametrize("kind", CELLS)
@each_method
@pytest.mark.parametrize(
    ("x", "leading", "size", "message"),
    [
        # NumPy would repeat each of these over the batch or the units, or leave a layer out.
        (X, (1, 1), None, "has shape (1, 1, N), expected (1, 2, N)"),
        (X, (2,), None, "has shape (2, N), expected (1, 2, N)"),
        (X, (1, 2), 1, "has shape (1, 2, 1), expected (1, 2, N)"),
        (X, (2, 2), None, "has shape (2, 2, N), expected (1, 2, N)"),
        (X[0], (1, 1), None, "has shape (1, 1, N), expected (1, N)"),
        (X[:, :1], (1, 2), None, "x_t has shape (2, 1), expected (B, 3) or (3,)"),
        (X[None, None], (1, 2), None, "x_t has shape (1, 1, 2, 3), expected (B, 3) or (3,)"),
        (np.array([[[0, 1]]]), (1, 2), None, "x_t has shape (1, 1, 2), expected (B,) or ()"),
    ],
)
def test_a_step_takes_no_shape_but_its_own(
    kind: Any, method: str, x: Array, leading: tuple[int, ...], size: int | None, message: str
) -> None:
    layer = kind(D, H, rng=0)
    with pytest.raises(ValueError, match=r"expected \(") as caught:
        stepping(layer, method)(x, states(layer, *leading, size=size))
    N = layer.state_sizes[0]
    if method == "stepper":  # which takes a block too
        message = message.replace("(3,)", "(3,) or (k, B, 3)").replace("()", "() or (k, B)")
    assert str(caught.value).startswith(f"{layer!r}.step: ".split(".step")[0])
    assert str(caught.value).endswith(message.replace("N", str(N)))


@each_cell
@each_method
def test_a_step_takes_the_components_of_its_state_and_no_others(kind: Any, method: str) -> None:
    layer = kind(D, H, rng=0)
    if len(layer.state_sizes) > 1:
        message = r"state is a tuple of 3, expected a tuple of 2 arrays$"
    else:
        n = layer.state_sizes[0]
        message = rf"state has shape \(3, 1, 2, {H}\), expected \(1, 2, {n}\)$"
    with pytest.raises(ValueError, match=message):
        stepping(layer, method)(X, (np.zeros((1, 2, H)),) * 3)


@each_method
@pytest.mark.parametrize("state", [5, "state", object()])
def test_what_is_no_state_is_one_clear_line(method: str, state: Any) -> None:
    for layer in (LSTM(D, H), GRU(D, H), Sequential(LSTM(D, H)), Linear(D, H)):
        with pytest.raises((ValueError, TypeError), match=r"state(\[0\])? (is|has)"):
            (layer.stepper() if method == "stepper" else layer.step)(X, state)


@each_method
def test_a_state_may_come_as_a_list(method: str) -> None:
    step = stepping(LSTM(3, 4, rng=0), method)
    _, state = step(X)
    same_trees(step(X, [*state]), step(X, state))
    model = stepping(Sequential(LSTM(3, 4, rng=0)), method)
    _, (state,) = model(X)
    same_trees(model(X, [[*state]]), model(X, (state,)))


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
