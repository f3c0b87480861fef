"""Lengths, masks, resets and directions become spans, and spans few segments of equal length."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from numpy_rnn import GRU, LSTM, RNN
from numpy_rnn.functional.types import Array
from numpy_rnn.layers.segmentation import cut_segments, segment_sizes
from numpy_rnn.layers.spans import make_spans
from tests.layers.test_sequences import seeds


def visits(valid: Array, resets: Array, *, backwards: bool) -> list[list[list[int]]]:
    """Return the steps of each span of each row, by a loop over time."""
    T, B = valid.shape
    rows = []
    for b in range(B):
        spans: list[list[int]] = [[]]
        for t in reversed(range(T)) if backwards else range(T):
            if resets[t, b] and t and not backwards:
                spans.append([])
            spans[-1] += [t * B + b] * int(valid[t, b])
            if resets[t, b] and t and backwards:
                spans.append([])
        rows.append(spans)
    return rows


@given(
    T=st.integers(0, 40),
    B=st.integers(0, 4),
    density=st.sampled_from([0.0, 0.05, 0.3, 1.0]),
    backwards=st.booleans(),
    every=st.integers(1, 41),
    seed=seeds,
)
def test_each_step_is_taken_once_and_in_order(
    T: int, B: int, density: float, backwards: bool, every: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    valid = rng.random((T, B)) < rng.choice([0.5, 1.0])
    resets = rng.random((T, B)) < density
    spans = make_spans(valid, resets, backwards=backwards)
    taken: list[list[int]] = [[] for _ in spans.row]
    for which, at in cut_segments(T, B, spans, every, 8):
        assert 1 <= len(at) <= every
        for span, steps in zip(which, at.T, strict=True):
            taken[span] += steps.tolist()
    want = visits(valid, resets, backwards=backwards)
    assert taken == [span for row in want for span in row]
    assert spans.row.tolist() == [b for b, row in enumerate(want) for _ in row]
    assert spans.last.tolist() == (np.cumsum([len(row) for row in want]) - 1).tolist()


@pytest.mark.parametrize("density", [0.001, 0.01, 0.1, 0.5, 1.0])
def test_segments_are_few_at_any_density(density: float) -> None:
    T, B, H = 128, 64, 64
    resets = np.random.default_rng(0).random((T, B)) < density
    spans = make_spans(np.ones((T, B), bool), resets, backwards=False)
    segments = list(cut_segments(T, B, spans, T, H))
    assert len(segments) <= 8  # 128, 64, ..., 1; or 8,192 rows, 1,024 at a time
    assert sum(len(at) for _, at in segments) < 2 * T
    assert max(at.shape[1] for _, at in segments) <= 1024


def test_one_length_costs_no_cut() -> None:
    assert segment_sizes(np.array([7, 7, 7]), every=7) == [7]
    assert segment_sizes(np.array([100, 90]), every=100) == [90, 10]
    assert segment_sizes(np.zeros(3, int), every=5) == []
    assert segment_sizes(np.arange(1, 101), every=40) == [40, 40, 20, 10, 5, 3, 2, 1]


@pytest.mark.parametrize("kind", [RNN, GRU, LSTM])
@pytest.mark.parametrize("keep", ["", "t", "b", "tb"])
def test_many_resets_are_many_rows(kind: Any, keep: Any) -> None:
    """With a reset at every second step a sequence of T is a batch of T / 2 rows for each."""
    T, B, D, H = 20, 2, 3, 4
    rng = np.random.default_rng(0)
    layer = kind(D, H, rng=0)
    x, dy = rng.standard_normal((T, B, D)), rng.standard_normal((T, B, H))

    def rows(sequence: Array) -> Array:
        return sequence.reshape(T // 2, 2, B, -1).swapaxes(0, 1).reshape(2, T // 2 * B, -1)

    def undo(array: Array) -> Array:
        return array.reshape(2, T // 2, B, *array.shape[2:]).swapaxes(0, 1).reshape(T, B, -1)

    reset = np.zeros((T, B), bool)
    reset[::2] = True
    y, _, cache = layer.apply(x, reset=reset)
    y_rows, _, row_cache = layer.apply(rows(x))
    np.testing.assert_allclose(y, undo(y_rows), rtol=1e-12)
    dx, _, gradients = layer.vjp(cache, dy, keep=keep)
    dx_rows, _, kept = layer.vjp(row_cache, rows(dy), keep="tb")
    np.testing.assert_allclose(dx, undo(dx_rows), rtol=1e-11, atol=1e-14)
    axes = tuple(axis for axis, name in enumerate("tb") if name not in keep)
    for name, gradient in gradients.items():
        want = undo(kept[name]).sum(axis=axes).reshape(gradient.shape)
        np.testing.assert_allclose(gradient, want, rtol=1e-11, atol=1e-13)
