"""The search finds the border, and asks only as often as it has to."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from numpy_rnn.apps.memory import longest


@given(border=st.integers(0, 3000), start=st.integers(1, 100), limit=st.integers(100, 2000))
def test_it_finds_the_border_exactly(border: int, start: int, limit: int) -> None:
    asked: list[int] = []

    def solves(length: int) -> bool:
        assert length <= limit
        assert length not in asked  # a trial takes minutes
        asked.append(length)
        return length <= border

    expected = min(border, limit) if border >= start else 0
    assert longest(solves, start, limit, resolution=0) == expected
    assert len(asked) <= 2 * limit.bit_length() + 2


@given(border=st.integers(25, 10_000))
def test_the_resolution_is_kept(border: int) -> None:
    tried: dict[int, bool] = {}

    def solves(length: int) -> bool:
        tried[length] = length <= border
        return tried[length]

    found = longest(solves, 25, 100_000, resolution=0.1)
    assert tried[found]
    nearest = min(length for length, solved in tried.items() if not solved)
    assert nearest - found <= max(1, 0.1 * found)
    assert len(tried) <= 15


@pytest.mark.parametrize(
    ("border", "asked"),
    [
        (0, [25]),
        (30, [25, 50, 37, 31, 28, 29, 30]),
        (100, [25, 50, 100]),
        (60, [25, 50, 100, 75, 62, 56, 59, 60, 61]),
    ],
)
def test_it_doubles_then_bisects(border: int, asked: list[int]) -> None:
    tried: list[int] = []

    def solves(length: int) -> bool:
        tried.append(length)
        return length <= border

    longest(solves, 25, 100, resolution=0)
    assert tried == asked
