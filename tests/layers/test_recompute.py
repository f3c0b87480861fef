"""With `recompute` the gradients are those of storing every step.

They are not equal in every bit: the sum over time of a weight's gradient is computed segment by
segment, and a product of k rows may round differently from one of T. Where nothing is rounded, as
with small whole numbers, nothing differs. The bits are always those of the same segments run by
hand.
"""

from __future__ import annotations

import tracemalloc
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from numpy_rnn.functional.types import Array
from numpy_rnn.layers import LSTM, RNN, IndRNN
from tests.layers.test_sequences import KINDS, D, H, close, each_kind, parts, random_state, seeds


def same(got: Array | None, want: Array | None) -> None:
    """Exactly; not compared as bytes, because a zero may be -0."""
    assert got is not None
    assert want is not None
    np.testing.assert_array_equal(got, want)


@each_kind
@given(
    T=st.integers(0, 12),
    recompute=st.one_of(st.just(True), st.integers(1, 13)),
    num_layers=st.integers(1, 2),
    bidirectional=st.booleans(),
    padded=st.booleans(),
    with_resets=st.booleans(),
    seed=seeds,
)
def test_recomputing_is_storing_for_every_cell_and_option(
    kind: str,
    T: int,
    recompute: bool | int,
    num_layers: int,
    bidirectional: bool,
    padded: bool,
    with_resets: bool,
    seed: int,
) -> None:
    rng = np.random.default_rng(seed)
    options = {"num_layers": num_layers, "bidirectional": bidirectional, "rng": 1}
    full, saving = KINDS[kind](**options), KINDS[kind](recompute=recompute, **options)
    x, state = rng.standard_normal((T, 3, D)), random_state(full, rng, 3)
    lengths = rng.integers(0, T + 1, 3) if padded else None
    reset = rng.random((T, 3)) < 0.2 if with_resets else None
    y, final = full.forward(x, state, lengths=lengths, reset=reset)
    y_saving, final_saving = saving.forward(x, state, lengths=lengths, reset=reset)
    dy, dfinal = rng.standard_normal(y.shape), random_state(full, rng, 3)
    dx, dstate = full.backward(dy, dfinal)
    dx_saving, dstate_saving = saving.backward(dy, dfinal)
    close(y_saving, y)
    close(dx_saving, dx)
    close(saving.parameters.grad, full.parameters.grad)
    for got, want in zip(
        (*parts(final_saving), *parts(dstate_saving)), (*parts(final), *parts(dstate)), strict=True
    ):
        close(got, want)


@pytest.mark.parametrize("recompute", [True, 1, 3, 7, 100])
@pytest.mark.parametrize("kind", [RNN, IndRNN])
def test_nothing_differs_where_nothing_is_rounded(recompute: Any, kind: Any) -> None:
    rng = np.random.default_rng(0)
    layers = [kind(D, H, nonlinearity="relu", recompute=c) for c in (False, recompute)]
    for name, value in layers[0].parameters.values.items():
        value[...] = rng.integers(-1, 2, value.shape)
        layers[1].parameters.values[name][...] = value
    x = rng.integers(-2, 3, (30, 2, D)).astype(float)
    dy = rng.integers(-2, 3, (30, 2, H)).astype(float)
    results: list[Any] = []
    for layer in layers:
        y, final = layer.forward(x)
        dx, dstate = layer.backward(dy)
        results.append((y, final, dx, dstate, layer.parameters.grad))
        assert np.abs(layer.parameters.grad).max() < 2**53  # whole numbers, all of them exact
    for got, want in zip(*results, strict=True):
        same(got, want)


@each_kind
def test_every_bit_is_that_of_the_segments_by_hand(kind: str) -> None:
    rng = np.random.default_rng(0)
    saving, whole = KINDS[kind](recompute=4, rng=1), KINDS[kind](rng=1)
    x, state = rng.standard_normal((10, 2, D)), random_state(saving, rng, 2)
    y, final = saving.forward(x, state)
    dy, dfinal = rng.standard_normal(y.shape), random_state(saving, rng, 2)
    dx, dstate = saving.backward(dy, dfinal)
    states, cuts = [state], [0, 4, 8, 10]
    for start, stop in pairwise(cuts):
        y_part, after, _ = whole.apply(x[start:stop], states[-1])
        same(y[start:stop], y_part)
        states.append(after)
    for got, want in zip(parts(final), parts(states[-1]), strict=True):
        same(got, want)
    d = dfinal
    for start, stop, before in [(8, 10, states[2]), (4, 8, states[1]), (0, 4, states[0])]:
        whole.forward(x[start:stop], before)
        dx_part, d = whole.backward(dy[start:stop], d)
        same(dx[start:stop], dx_part)
    for got, want in zip(parts(dstate), parts(d), strict=True):
        same(got, want)
    same(saving.parameters.grad, whole.parameters.grad)


def test_vjp_twice_gives_the_same() -> None:
    layer = LSTM(D, H, recompute=3, rng=0)
    y, _, cache = layer.apply(np.random.default_rng(0).standard_normal((10, 2, D)))
    first, second = (layer.vjp(cache, np.ones_like(y)) for _ in range(2))
    same(first[0], second[0])
    for name, gradient in first[2].items():
        same(gradient, second[2][name])


@pytest.mark.parametrize("kind", [RNN, LSTM])
def test_memory_is_the_formula(kind: Any) -> None:
    T, B, units, inputs = 900, 8, 32, 8
    layer = kind(inputs, units, recompute=True, rng=0)
    components, peak = (1, 3) if kind is RNN else (2, 11)
    x, dy = np.zeros((T, B, inputs)), np.ones((T, B, units))
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        y, _ = layer.forward(x)
        after = tracemalloc.get_traced_memory()[0] - before
        layer.backward(dy)
        most = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    k, row = 31, 8 * B  # k of T = 900
    kept = (T + (T // k + 1) * components) * units * row + x.nbytes  # forward copies x
    weights = 5 * layer.parameters.data.nbytes + 100_000
    assert y.nbytes <= after <= kept + weights
    assert most <= kept + (T * inputs + k * ((peak + 4) * units + inputs)) * row + weights
    assert most < 0.6 * peak * T * units * row


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (0, ValueError, "LSTM: recompute is 0, expected at least 1"),
        (-3, ValueError, "LSTM: recompute is -3, expected at least 1"),
        (2.5, TypeError, r"LSTM: recompute is 2\.5, expected a whole number"),
        ("yes", TypeError, "LSTM: recompute is 'yes', expected a whole number"),
    ],
)
def test_a_wrong_distance_is_one_line(value: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        LSTM(D, H, recompute=value)
