"""Windows: each reader goes on where it was, and everything is read equally often."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from numpy_rnn.training import Windows

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
    assert source.state_dict() == {"position": 0}


@given(SIZES, st.integers(0, 20))
def test_it_goes_on_from_its_state(sizes: tuple[int, int, int], before: int) -> None:
    N, B, T = sizes
    a, b = (Windows.next_of(np.arange(N + 1), B, T) for _ in range(2))
    for _ in range(before):
        a.next()
    b.load_state_dict(a.state_dict())
    assert np.array_equal(a.next().x, b.next().x)


def test_rows_of_numbers_work_too() -> None:
    sequence = np.arange(20.0).reshape(10, 2)
    batch = Windows.next_of(sequence, 2, 3).next()
    assert batch.x.shape == (3, 2, 2)
    assert np.array_equal(batch.target, batch.x + 2)


@pytest.mark.parametrize(
    ("count", "rows", "window", "message"),
    [
        (4, 1, 5, "4 elements to predict, expected at least one window of 5"),
        (4, 5, 2, "4 elements for 5 rows, expected more"),
        (4, 0, 2, "batch_size is 0, expected at least 1"),
        (4, 1, 0, "window is 0, expected at least 1"),
    ],
)
def test_what_does_not_fit(count: int, rows: int, window: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Windows.next_of(np.arange(count + 1), rows, window)


def test_targets_of_another_length_and_places_that_are_none() -> None:
    with pytest.raises(ValueError, match="target has 3 elements, expected 4"):
        Windows(np.arange(4), np.arange(3), 1, 1)
    with pytest.raises(ValueError, match="position is 4, expected 0 to 3"):
        Windows(np.arange(4), np.arange(4), 1, 1).load_state_dict({"position": 4})
