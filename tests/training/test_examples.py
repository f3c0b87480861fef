"""Mini-batches: every example once an epoch, with its own target and length."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from numpy_rnn.training import Examples


def source(N: int, B: int, seed: int = 0) -> Examples:
    x = np.arange(3 * N).reshape(3, N)  # example n is n, N + n, 2 N + n
    return Examples(x, np.arange(N) * 10, B, lengths=np.arange(N) % 4, rng=seed)


@given(st.integers(1, 12), st.integers(1, 12), st.integers(1, 6))
def test_every_example_comes_once_an_epoch_with_what_is_its_own(N: int, B: int, M: int) -> None:
    B = min(N, B)
    examples = source(N, B)
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
def test_it_goes_on_from_its_state(before: int) -> None:
    a, b = source(7, 3, seed=0), source(7, 3, seed=1)
    for _ in range(before):
        a.next()
    b.load_state_dict(a.state_dict())
    for _ in range(10):
        assert np.array_equal(a.next().x, b.next().x)


def test_targets_at_each_step() -> None:
    x = np.arange(12.0).reshape(3, 4, 1)
    batch = Examples(x, x, 2, per_step=True, rng=0).next()
    assert batch.target.shape == (3, 2, 1)
    assert np.array_equal(batch.target, batch.x)


def test_what_does_not_fit() -> None:
    x = np.zeros((3, 4, 1))
    with pytest.raises(ValueError, match="batch_size is 5, expected up to 4"):
        Examples(x, np.zeros(4), 5)
    with pytest.raises(ValueError, match=r"target has shape \(3,\), expected \(4,\) in front"):
        Examples(x, np.zeros(3), 2)
    with pytest.raises(ValueError, match="lengths is 4 at index"):
        Examples(x, np.zeros(4), 2, lengths=np.array([1, 2, 3, 4]))
    good = Examples(x, np.zeros(4), 2)
    with pytest.raises(ValueError, match="order is no order of 4 examples"):
        good.load_state_dict(good.state_dict() | {"order": np.array([0, 1, 2, 2])})
    with pytest.raises(ValueError, match="position is 5, expected 0 to 4"):
        good.load_state_dict(good.state_dict() | {"position": 5})
