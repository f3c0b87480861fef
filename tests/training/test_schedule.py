"""The factors are those of the equations and depend on n and N alone."""

from __future__ import annotations

import math
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from numpy_rnn.training import Schedule, constant, cosine, step_decay


@pytest.mark.parametrize("schedule", [constant(10), cosine(10), step_decay(10)])
@given(step=st.integers(0, 9))
def test_the_warm_up_is_a_straight_line(schedule: Schedule, step: int) -> None:
    assert schedule(step, None) == (step + 1) / 10


@given(total=st.integers(1, 10**9), part=st.floats(0, 1))
def test_the_cosine_falls_from_one_to_its_end(total: int, part: float) -> None:
    step = int(part * total)
    factor = cosine(end=0.1)
    expected = 0.1 + 0.9 * (1 + math.cos(math.pi * step / total)) / 2
    assert factor(step, total) == pytest.approx(expected, rel=1e-12)
    assert factor(0, total) == 1
    assert factor(total, total) == factor(2 * total, total) == pytest.approx(0.1)


def test_steps_drop_where_they_should() -> None:
    factor = step_decay(drops=(0.5, 0.75), factor=0.1)
    assert [round(factor(n, 8), 9) for n in range(8)] == [1, 1, 1, 1, 0.1, 0.1, 0.01, 0.01]
    assert factor(7, None) == 1
    assert constant()(7, 8) == 1


@pytest.mark.parametrize(
    ("schedule", "shown"),
    [
        (constant(), "constant(warmup=0)"),
        (cosine(5), "cosine(warmup=5, end=0.05)"),
        (step_decay(1, (0.3,)), "step_decay(warmup=1, drops=(0.3,), factor=0.1)"),
    ],
)
def test_a_schedule_is_pickled_and_shows_its_options(schedule: Schedule, shown: str) -> None:
    assert repr(schedule) == shown
    again = pickle.loads(pickle.dumps(schedule))  # noqa: S301 (our own)
    assert repr(again) == shown
    assert [again(n, 9) for n in range(9)] == [schedule(n, 9) for n in range(9)]
