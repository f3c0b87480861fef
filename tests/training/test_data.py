"""Windows read everything equally often, in order; examples come once an epoch."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from numpy_rnn.training import Examples, Windows

SIZES = st.tuples(st.integers(1, 40), st.integers(1, 40), st.integers(1, 40)).filter(
    lambda s: s[1] <= s[0] and s[2] <= s[0]
)


@given(SIZES)
def test_a_reader_goes_on_where_it_was_and_predicts_what_follows(
    sizes: tuple[int, int, int],
) -> None:
    N, B, T = sizes
    sequence = np.arange(N + 1)
    source = Windows.next_of(sequence, B, T)
    read = [source.next() for _ in range(5)]
    x = np.concatenate([batch.x for batch in read])
    assert x.shape == (5 * T, B)
    assert np.array_equal(x, (x[0] + np.arange(5 * T)[:, None]) % N)
    assert np.array_equal(np.concatenate([batch.target for batch in read]), x + 1)
    assert np.array_equal(x[0], np.arange(B) * N // B)


@given(SIZES)
def test_an_epoch_of_whole_rounds_reads_every_element_equally_often(
    sizes: tuple[int, int, int],
) -> None:
    N, B, T = sizes
    source = Windows.next_of(np.arange(N + 1), B, T)
    counts = np.zeros(N, int)
    for _ in range(N):  # N windows of T are T rounds for each reader
        np.add.at(counts, source.next().x, 1)
    assert (counts == B * T).all()
    assert source.per_epoch == N / (B * T)
    assert source.state_dict()["position"] == 0


@given(SIZES, st.integers(0, 20))
def test_windows_continue_from_their_state(sizes: tuple[int, int, int], before: int) -> None:
    N, B, T = sizes
    a, b = (Windows.next_of(np.arange(N + 1), B, T) for _ in range(2))
    for _ in range(before):
        a.next()
    b.load_state_dict(a.state_dict())
    assert np.array_equal(a.next().x, b.next().x)


def test_windows_of_vectors() -> None:
    sequence = np.arange(20.0).reshape(10, 2)
    batch = Windows.next_of(sequence, 2, 3).next()
    assert batch.x.shape == (3, 2, 2)
    assert np.array_equal(batch.target, batch.x + 2)


@pytest.mark.parametrize(
    ("count", "rows", "window", "message"),
    [
        (4, 1, 5, "window is 5, expected at most 4"),
        (4, 5, 2, "batch_size is 5, expected at most 4"),
        (4, 0, 2, "batch_size is 0, expected at least 1"),
        (4, 1, 0, "window is 0, expected at least 1"),
    ],
)
def test_windows_that_do_not_fit(count: int, rows: int, window: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Windows.next_of(np.arange(count + 1), rows, window)


def test_targets_of_another_length_and_positions_out_of_range() -> None:
    with pytest.raises(ValueError, match="target has 3 elements, expected 4"):
        Windows(np.arange(4), np.arange(3), 1, 1)
    source = Windows(np.arange(4), np.arange(4), 1, 1)
    with pytest.raises(ValueError, match="source: position is 4, expected at most 3"):
        source.load_state_dict(source.state_dict() | {"position": 4})


def examples_source(N: int, B: int, seed: int = 0) -> Examples:
    x = np.arange(3 * N).reshape(3, N)  # example n is n, N + n, 2 N + n
    return Examples(x, np.arange(N) * 10, B, lengths=np.arange(N) % 4, rng=seed)


@given(st.integers(1, 12), st.integers(1, 12), st.integers(1, 6))
def test_every_example_comes_once_an_epoch_with_what_is_its_own(N: int, B: int, M: int) -> None:
    B = min(N, B)
    examples = examples_source(N, B)
    batches = [examples.next() for _ in range(M * N)]
    order = np.concatenate([batch.x[0] for batch in batches])
    for epoch in range(M * B):
        assert sorted(order[epoch * N : (epoch + 1) * N]) == list(range(N))
    for batch in batches:
        assert batch.x.shape == (3, B)
        assert batch.lengths is not None
        assert np.array_equal(batch.target, batch.x[0] * 10)
        assert np.array_equal(batch.lengths, batch.x[0] % 4)
        assert np.array_equal(batch.x[2], batch.x[0] + 2 * N)


@given(st.integers(0, 30))
def test_examples_continue_from_their_state(before: int) -> None:
    a, b = examples_source(7, 3, seed=0), examples_source(7, 3, seed=1)
    for _ in range(before):
        a.next()
    b.load_state_dict(a.state_dict())
    for _ in range(10):
        assert np.array_equal(a.next().x, b.next().x)


def test_a_nan_is_named_unless_it_is_the_target_of_a_padded_step() -> None:
    x = np.zeros((3, 4, 1))
    target = np.zeros((3, 4, 1))
    target[2, 1] = np.nan
    Examples(x, target, 2, lengths=np.array([3, 2, 3, 3]), per_step=True)
    with pytest.raises(ValueError, match=r"^target of example 1 is nan at t = 2, expected finite"):
        Examples(x, target, 2, lengths=np.array([3, 3, 3, 3]), per_step=True)
    x[1, 3] = np.inf
    with pytest.raises(ValueError, match=r"^x of example 3 is inf at t = 1, expected finite"):
        Examples(x, np.zeros(4), 2)


def test_targets_at_each_step() -> None:
    x = np.arange(12.0).reshape(3, 4, 1)
    batch = Examples(x, x, 2, per_step=True, rng=0).next()
    assert batch.target.shape == (3, 2, 1)
    assert np.array_equal(batch.target, batch.x)


def test_examples_that_do_not_fit() -> None:
    x = np.zeros((3, 4, 1))
    with pytest.raises(ValueError, match="batch_size is 5, expected at most 4"):
        Examples(x, np.zeros(4), 5)
    with pytest.raises(ValueError, match=r"target has shape \(3,\), expected \(4,\) in front"):
        Examples(x, np.zeros(3), 2)
    with pytest.raises(ValueError, match="lengths is 4 at index"):
        Examples(x, np.zeros(4), 2, lengths=np.array([1, 2, 3, 4]))
    good = Examples(x, np.zeros(4), 2)
    with pytest.raises(ValueError, match="order is not a permutation of 4 examples"):
        good.load_state_dict(good.state_dict() | {"order": np.array([0, 1, 2, 2])})
    with pytest.raises(ValueError, match="source: position is 5, expected at most 4"):
        good.load_state_dict(good.state_dict() | {"position": 5})
