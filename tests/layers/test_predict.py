"""`predict` equals `forward` in evaluation mode, and holds little more than its output."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from numpy_rnn import (
    GRU,
    LSTM,
    RNN,
    Dropout,
    Embedding,
    LastStep,
    Layer,
    LayerNorm,
    Linear,
    Sequential,
)
from numpy_rnn.functional.types import Array
from numpy_rnn.layers.streaming import PREDICT_STEPS
from tests.layers.models import normal_like, same_trees
from tests.layers.test_sequences import KINDS, D, H, each_kind, seeds

LENGTHS = [0, 1, PREDICT_STEPS - 1, PREDICT_STEPS, PREDICT_STEPS + 1, 2 * PREDICT_STEPS, 150]


def user_layout(layer: Any, array: Array) -> Array:
    return array.swapaxes(0, 1) if layer.batch_first else array


@each_kind
@given(
    T=st.sampled_from(LENGTHS),
    num_layers=st.integers(1, 2),
    bidirectional=st.booleans(),
    batch_first=st.booleans(),
    padded=st.booleans(),
    with_resets=st.booleans(),
    with_state=st.booleans(),
    tokens=st.booleans(),
    seed=seeds,
)
def test_it_is_forward_in_evaluation_mode(
    kind: str,
    T: int,
    num_layers: int,
    bidirectional: bool,
    batch_first: bool,
    padded: bool,
    with_resets: bool,
    with_state: bool,
    tokens: bool,
    seed: int,
) -> None:
    rng, B = np.random.default_rng(seed), 3
    options: Any = {"dropout": 0.5} if num_layers > 1 else {}
    layer = KINDS[kind](
        num_layers=num_layers,
        bidirectional=bidirectional,
        batch_first=batch_first,
        rng=1,
        **options,
    )
    x = rng.integers(0, D, (T, B)) if tokens else rng.standard_normal((T, B, D))
    lengths = rng.integers(0, T + 1, B) if padded else None
    if lengths is not None:  # what is beyond a row's end is not read
        x[np.arange(T)[:, None] >= lengths] = -1 if tokens else np.nan
    arguments: Any = {
        "state": normal_like(layer.zero_state(B), rng) if with_state else None,
        "lengths": lengths,
        "reset": user_layout(layer, rng.random((T, B)) < 0.05) if with_resets else None,
    }
    x = user_layout(layer, x)
    got = layer.predict(x, **arguments)
    y, state, _ = layer.apply(x, **arguments, training=False)
    same_trees(got, (y, state), rtol=1e-11, atol=1e-13)
    same_trees(got, layer.eval().forward(x, **arguments), rtol=1e-11, atol=1e-13)
    for array in (got[0], *(got[1] if isinstance(got[1], tuple) else (got[1],))):
        assert array.flags.writeable


@each_kind
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("tokens", [False, True])
def test_one_sequence_needs_no_batch_axis(kind: str, bidirectional: bool, tokens: bool) -> None:
    rng = np.random.default_rng(0)
    layer = KINDS[kind](bidirectional=bidirectional, rng=1)
    x = rng.integers(0, D, 150) if tokens else rng.standard_normal((150, D))
    reset = rng.random(150) < 0.05
    state = normal_like(layer.predict(x)[1], rng)
    want = layer.apply(x, state, reset=reset, training=False)[:2]
    same_trees(layer.predict(x, state, reset=reset), want, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("T", LENGTHS[1:])
def test_a_model_is_each_of_its_layers(T: int) -> None:
    rng = np.random.default_rng(0)
    body = Sequential(LSTM(D, H, 2, dropout=0.5, rng=1), LayerNorm(H), Dropout(0.5, rng=2))
    causal = Sequential(Embedding(7, D, rng=0), body, GRU(H, H, rng=3), Linear(H, 2, rng=4))
    x, reset = rng.integers(0, 7, (T, 3)), rng.random((T, 3)) < 0.05
    state = normal_like(causal.zero_state(3), rng)
    for arguments in ({}, {"lengths": rng.integers(0, T + 1, 3)}, {"reset": reset}):
        for initial in (None, state, (state[0], None)):
            y, final, _ = causal.apply(x, initial, training=False, **arguments)
            got = causal.predict(x, initial, **arguments)
            same_trees(got, (y, final), rtol=1e-11, atol=1e-13)


def test_a_model_that_is_not_causal_runs_layer_by_layer() -> None:
    rng = np.random.default_rng(0)
    model = Sequential(
        RNN(D, H, bidirectional=True, rng=0), LastStep(bidirectional=True), Linear(2 * H, 2, rng=1)
    )
    x, lengths = rng.standard_normal((150, 3, D)), np.array([150, 0, 70])
    y, state, _ = model.apply(x, lengths=lengths)
    same_trees(model.predict(x, lengths=lengths), (y, state), rtol=1e-12, atol=1e-14)


WIDE = 64
LONG: dict[str, Any] = {
    "rnn": lambda: RNN(4, WIDE, rng=0),
    "lstm, 2 layers": lambda: LSTM(4, WIDE, 2, rng=0),
    "gru": lambda: GRU(4, WIDE, rng=0),
    "gru, batch first": lambda: GRU(4, WIDE, batch_first=True, rng=0),
    "model": lambda: Sequential(LSTM(4, WIDE, rng=0), Linear(WIDE, WIDE, rng=1)),
    "small output": lambda: Sequential(LSTM(4, WIDE, rng=0), Linear(WIDE, 8, rng=1)),
    "bidirectional": lambda: LSTM(4, WIDE, bidirectional=True, rng=0),
    "bidirectional, 2 layers": lambda: GRU(4, WIDE, 2, bidirectional=True, rng=0),
}


@pytest.mark.parametrize("name", LONG)
@pytest.mark.parametrize("padded", [False, True])
def test_a_long_sequence_takes_at_most_twice_its_output(name: str, padded: bool) -> None:
    layer, T, B = LONG[name](), 2500, 4
    x = np.zeros((B, T, 4) if getattr(layer, "batch_first", False) else (T, B, 4))
    lengths = np.array([T, T - 1, T // 2, 3]) if padded else None
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        y, _ = layer.predict(x, lengths=lengths)
        held = tracemalloc.get_traced_memory()[0] - before
        peak = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    fixed = 2_000_000  # bytes: a chunk of 64 steps, and copies of the weights
    # A padded batch is sorted by length, and a reversal of its rows is a copy.
    copies = (3 if "bidirectional" in name else 1) * (x.nbytes + 16 * T * B) if padded else 0
    copies += y.nbytes if padded and "bidirectional" in name else 0
    assert held <= 1.01 * y.nbytes + 100_000
    assert peak <= 2 * y.nbytes + fixed + copies


@pytest.mark.parametrize("first", ["rnn", "linear", "embedding", "layer norm", "dropout", "nested"])
@pytest.mark.parametrize("at", [3, PREDICT_STEPS, 149])
def test_an_error_names_the_index_in_the_whole_input(first: str, at: int) -> None:
    rest = RNN(D, D, rng=1)
    models: dict[str, Any] = {
        "rnn": lambda: rest,
        "linear": lambda: Sequential(Linear(D, D, rng=0), rest),
        "embedding": lambda: Sequential(Embedding(7, D, rng=0), rest),
        "layer norm": lambda: Sequential(LayerNorm(D), rest),
        "dropout": lambda: Sequential(Dropout(0.5), rest),
        "nested": lambda: Sequential(Sequential(Dropout(0.5), LayerNorm(D)), rest),
    }
    model = models[first]()
    x: Array = np.zeros((150, 2), int) if first == "embedding" else np.ones((150, 2, D))
    x[at, 1] = -1 if first == "embedding" else np.nan
    with pytest.raises(ValueError, match=rf"x is (nan|-1) at index \({at}, 1"):
        model.predict(x)
    if first == "rnn":
        with pytest.raises(ValueError, match=rf"x is nan at index \({at}, 1"):
            model.predict(x, lengths=np.array([0, 150]))
        batch_first = RNN(D, D, batch_first=True, rng=1)
        with pytest.raises(ValueError, match=rf"x is nan at index \(1, {at}, 0"):
            batch_first.predict(x.swapaxes(0, 1))


def test_an_overflow_between_layers_names_its_chunk() -> None:
    model = Sequential(
        Linear(1, 1, rng=0), LayerNorm(1, elementwise_affine=False), RNN(1, 1, rng=0)
    )
    model.parameters.data[:1] = 1e200
    x = np.zeros((150, 1, 1))
    x[130] = 1e200
    with np.errstate(over="ignore"), pytest.raises(ValueError, match="x is inf at index") as caught:
        model.predict(x)
    assert caught.value.__notes__ == ["in steps 128 to 149 of 150, counted from 0"]


@pytest.mark.parametrize("T", [5, 150])
def test_wrong_arguments_are_those_of_forward(T: int) -> None:
    layer, x = RNN(D, H), np.ones((T, 2, D))
    calls: list[tuple[Any, dict[str, Any]]] = [
        (x[..., :2], {}),
        (x[None], {}),
        (x.astype(np.float32), {}),
        (x, {"state": np.ones((1, 1, H))}),
        (x, {"lengths": np.array([T + 1, 1])}),
        (x, {"lengths": np.array([1])}),
        (x, {"lengths": np.ones(2)}),
        (x, {"reset": np.zeros((T, 1), bool)}),
        (x, {"reset": np.zeros((T, 2))}),
    ]
    for argument, options in calls:
        with pytest.raises((ValueError, TypeError)) as wanted:
            layer.apply(argument, **options)
        with pytest.raises(type(wanted.value)) as caught:
            layer.predict(argument, **options)
        assert str(caught.value) == str(wanted.value)


def test_it_changes_nothing() -> None:
    layer = LSTM(D, H, 2, dropout=0.5, rng=0)
    x = np.random.default_rng(0).standard_normal((150, 2, D))
    before = str(layer.rngs()[0].bit_generator.state), dict(vars(layer))
    layer.predict(x)
    assert before == (str(layer.rngs()[0].bit_generator.state), dict(vars(layer)))
    assert layer.training
    with pytest.raises(RuntimeError, match="nothing to go back through"):
        layer.backward(None)


def test_a_stateless_model_predicts_chunk_by_chunk() -> None:
    model = Sequential(Linear(8, 32, rng=0), LayerNorm(32), Linear(32, 8, rng=1))
    x = np.random.default_rng(2).standard_normal((5000, 4, 8))
    tracemalloc.start()
    try:
        y = model.predict(x)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak <= 2 * y.nbytes
    np.testing.assert_allclose(y, model(x), rtol=1e-12, atol=1e-14)


def test_a_custom_layer_is_not_taken_for_causal() -> None:
    class Wrapped(Layer):
        stateful = True

        def __init__(self) -> None:
            self.inner = GRU(3, 4, bidirectional=True, rng=0)
            self.parameters = self.inner.parameters

        def apply(self, *arguments: Any, **options: Any) -> Any:
            return self.inner.apply(*arguments, **options)

        def vjp(self, *arguments: Any, **options: Any) -> Any:
            return self.inner.vjp(*arguments, **options)

    x = np.random.default_rng(0).standard_normal((200, 2, 3))
    model = Sequential(Wrapped(), Linear(8, 2, rng=1))
    np.testing.assert_allclose(model.predict(x)[0], model(x)[0], rtol=1e-12)
