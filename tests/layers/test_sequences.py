"""Lengths, resets and splits are the same as running the rows, segments or parts alone."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from numpy_rnn.functional.types import Array
from numpy_rnn.layers import GRU, LRU, LSTM, RNN, IndRNN, MinGRU, PeepholeLSTM, Recurrent
from tests.layers.mgu import MGU

D, H = 3, 4
KINDS: dict[str, Any] = {
    "rnn": lambda **o: RNN(D, H, **o),
    "relu": lambda **o: RNN(D, H, nonlinearity="relu", **o),
    "lstm": lambda **o: LSTM(D, H, **o),
    "projected lstm": lambda **o: LSTM(D, H, proj_size=2, **o),
    "peephole lstm": lambda **o: PeepholeLSTM(D, H, **o),
    "gru": lambda **o: GRU(D, H, **o),
    "gru, reset before": lambda **o: GRU(D, H, reset_after=False, **o),
    "indrnn": lambda **o: IndRNN(D, H, **o),
    "mingru": lambda **o: MinGRU(D, H, **o),
    "lru": lambda **o: LRU(D, H, **o),
    "custom cell": lambda **o: MGU(D, H, **o),
}
each_kind = pytest.mark.parametrize("kind", KINDS)
seeds = st.integers(0, 2**31)


def parts(state: Any) -> tuple[Array, ...]:
    return state if isinstance(state, tuple) else (state,)


def whole(components: list[Array]) -> Any:
    return tuple(components) if len(components) > 1 else components[0]


def random_state(layer: Recurrent, rng: np.random.Generator, B: int) -> Any:
    L = layer.num_layers * (2 if layer.bidirectional else 1)
    return whole([rng.standard_normal((L, B, size)) for size in layer.state_sizes])


def close(got: Array | None, want: Array | None) -> None:
    assert got is not None
    assert want is not None
    np.testing.assert_allclose(got, want, rtol=1e-11, atol=1e-13)


def row(state: Any, b: int) -> Any:
    return whole([component[:, b : b + 1] for component in parts(state)])


@each_kind
@given(
    T=st.integers(0, 5),
    B=st.integers(1, 4),
    num_layers=st.integers(1, 2),
    bidirectional=st.booleans(),
    batch_first=st.booleans(),
    seed=seeds,
)
def test_lengths_are_each_row_alone(
    kind: str, T: int, B: int, num_layers: int, bidirectional: bool, batch_first: bool, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    options = {"num_layers": num_layers, "bidirectional": bidirectional}
    layer = KINDS[kind](rng=1, batch_first=batch_first, **options)
    alone = KINDS[kind](rng=1, **options)
    lengths = rng.integers(0, T + 1, B)
    x, state = rng.standard_normal((T, B, D)), random_state(layer, rng, B)
    padding = np.arange(T)[:, None] >= lengths
    x[padding] = np.nan  # what is beyond a row's end is not read

    def user(array: Array) -> Array:
        return array.swapaxes(0, 1) if batch_first else array

    y, final = layer.forward(user(x), state, lengths=lengths)
    y = user(y)
    dy = rng.standard_normal(y.shape)
    dfinal = random_state(layer, rng, B)
    dx, dstate = layer.backward(user(dy), dfinal)
    dx = user(dx)
    assert not y[padding].any()
    assert not dx[padding].any()
    for b, n in enumerate(lengths):
        y_b, final_b = alone.forward(x[:n, b : b + 1], row(state, b))
        dx_b, dstate_b = alone.backward(dy[:n, b : b + 1], row(dfinal, b))
        close(y[:n, b : b + 1], y_b)
        close(dx[:n, b : b + 1], dx_b)
        for got, want in zip(parts(row(final, b)), parts(final_b), strict=True):
            close(got, want)
        for got, want in zip(parts(row(dstate, b)), parts(dstate_b), strict=True):
            close(got, want)
    close(layer.parameters.grad, alone.parameters.grad)


@each_kind
@given(
    T=st.integers(1, 6),
    B=st.integers(1, 3),
    bidirectional=st.booleans(),
    padded=st.booleans(),
    seed=seeds,
)
def test_resets_are_the_segments_alone(
    kind: str, T: int, B: int, bidirectional: bool, padded: bool, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    layer = KINDS[kind](rng=1, bidirectional=bidirectional)
    alone = KINDS[kind](rng=1, bidirectional=bidirectional)
    reset = rng.random((T, B)) < 0.4
    lengths = rng.integers(0, T + 1, B) if padded else np.full(B, T)
    x, state = rng.standard_normal((T, B, D)), random_state(layer, rng, B)
    y, final = layer.forward(x, state, lengths=lengths if padded else None, reset=reset)
    dy, dfinal = rng.standard_normal(y.shape), random_state(layer, rng, B)
    dx, dstate = layer.backward(dy, dfinal)
    size, zero = layer.state_sizes[0], [0 * component for component in parts(dfinal)]
    for b in range(B):
        n = int(lengths[b])
        cuts = [0, *(t for t in range(1, n) if reset[t, b]), n]
        dstate_b = [component[:, b : b + 1].copy() for component in zero]
        for start, stop in pairwise(cuts):
            y_b, final_b = alone.forward(x[start:stop, b : b + 1], row(state, b))
            close(y[start:stop, b : b + 1], y_b)
            # The final state of a direction is that of the segment in which it ends.
            ends_here = np.zeros((len(parts(final_b)[0]), 1, 1), bool)
            ends_here[0] = stop == n
            ends_here[1:] = start == 0
            d = [np.where(ends_here, c, 0) for c in parts(row(dfinal, b))]
            for got, want in zip(parts(row(final, b)), parts(final_b), strict=True):
                close(np.where(ends_here, got, 0), np.where(ends_here, want, 0))
            dx_b, dsegment = alone.backward(dy[start:stop, b : b + 1], whole(d))
            close(dx[start:stop, b : b + 1], dx_b)
            dstate_b = [a + c for a, c in zip(dstate_b, parts(dsegment), strict=True)]
        if n == 0:
            dstate_b = list(parts(row(dfinal, b)))
        for got, want in zip(parts(row(dstate, b)), dstate_b, strict=True):
            close(got, want)
    close(layer.parameters.grad, alone.parameters.grad)
    assert size == y.shape[-1] // (1 + bidirectional)


@each_kind
@given(T=st.integers(1, 6), cut=st.integers(0, 6), num_layers=st.integers(1, 3), seed=seeds)
def test_a_split_sequence_with_carried_state_is_the_whole(
    kind: str, T: int, cut: int, num_layers: int, seed: int
) -> None:
    cut = min(cut, T)
    rng = np.random.default_rng(seed)
    layers = [KINDS[kind](rng=1, num_layers=num_layers) for _ in range(3)]
    one, first, second = layers
    x, state = rng.standard_normal((T, 2, D)), random_state(one, rng, 2)
    y, final = one.forward(x, state)
    y1, between = first.forward(x[:cut], state)
    y2, last = second.forward(x[cut:], between)
    close(np.concatenate([y1, y2]), y)
    dy, dfinal = rng.standard_normal(y.shape), random_state(one, rng, 2)
    dx, dstate = one.backward(dy, dfinal)
    dx2, dbetween = second.backward(dy[cut:], dfinal)
    dx1, dfirst = first.backward(dy[:cut], dbetween)
    close(np.concatenate([dx1, dx2]), dx)
    close(first.parameters.grad + second.parameters.grad, one.parameters.grad)
    for got, want in zip(
        (*parts(last), *parts(dfirst)), (*parts(final), *parts(dstate)), strict=True
    ):
        close(got, want)


@each_kind
@pytest.mark.parametrize("scale", [0.0, 5e-324, 1e-310, 1e4, 1e10])
def test_extreme_inputs_are_finite_and_quiet(kind: str, scale: float) -> None:
    rng = np.random.default_rng(0)
    layer = KINDS[kind](rng=1, bidirectional=True)
    x = rng.standard_normal((6, 2, D)) * scale
    y, final = layer.forward(x)
    dx, dstate = layer.backward(np.ones_like(y))
    for array in (y, dx, layer.parameters.grad, *parts(final), *parts(dstate)):
        assert np.isfinite(array).all()
