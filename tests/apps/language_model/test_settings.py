"""Settings: their checks, and the model, optimiser and schedule that they make."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numpy_rnn.apps.language_model import Settings
from numpy_rnn.apps.language_model.model import (
    CELLS,
    OPTIMIZERS,
    SCHEDULES,
    build,
    optimizer_for,
    parameter_count,
    schedule_for,
)

GOOD = Settings(epochs=1)


@settings(deadline=None)
@given(
    st.sampled_from(CELLS),
    st.integers(1, 9),
    st.integers(1, 3),
    st.integers(1, 5),
    st.integers(1, 8),
)
def test_parameter_count_is_that_of_the_model(cell: str, H: int, L: int, E: int, V: int) -> None:
    chosen = replace(GOOD, cell=cell, hidden_size=H, layers=L, embedding=E)
    assert parameter_count(chosen, V) == build(chosen, V).parameters.data.size


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_every_optimizer_and_schedule_can_be_chosen(optimizer: str, schedule: str) -> None:
    chosen = replace(
        GOOD,
        optimizer=optimizer,
        schedule=schedule,
        hidden_size=3,
        weight_decay=0.1,
        dropout=0.5,  # of one layer: no warning
    )
    model = build(chosen, 5)
    made = optimizer_for(chosen, model)
    assert type(made).__name__.lower() == optimizer
    assert (made.lr, made.weight_decay) == (chosen.lr, 0.1)
    assert schedule_for(chosen)(0, 1000) == 1 / chosen.warmup


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"cell": "elman"}, "cell is 'elman', expected one of 'rnn', 'lstm', 'gru'"),
        ({"cell": ["lstm"]}, "cell is"),
        ({"hidden_size": 0}, "hidden_size is 0, expected at least 1"),
        ({"hidden_size": 2.5}, "hidden_size is 2.5, expected a whole number"),
        ({"layers": True}, "layers is True, expected a whole number"),
        ({"dropout": 1}, "dropout is 1, expected a finite number at least 0 and below 1"),
        ({"dropout": -0.1}, "dropout is -0.1, expected a finite number at least 0"),
        ({"lr": 0}, "lr is 0, expected a finite number above 0"),
        ({"lr": float("nan")}, "lr is nan"),
        ({"lr": "fast"}, "lr is 'fast', expected a number"),
        (
            {"validation_fraction": 1.5},
            "validation_fraction is 1.5, expected a finite number at least 0 and below 1",
        ),
        ({"epochs": None}, "epochs is None and time_budget is None, expected exactly one"),
        ({"time_budget": 3}, "epochs is 1.0 and time_budget is 3.0, expected exactly one"),
        ({"shards": 33}, "shards is 33, expected at most 32"),
        ({"dtype": "float16"}, "dtype is 'float16'"),
        ({"warmup": -1}, "warmup is -1, expected at least 0"),
    ],
)
def test_a_wrong_setting_is_named(changed: dict[str, Any], message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        replace(GOOD, **changed)


def test_numpy_scalars_become_python_numbers() -> None:
    chosen = Settings(hidden_size=np.int64(3), lr=np.float32(0.5), epochs=np.int8(2))  # type: ignore[arg-type]  # as a user might
    assert [type(v) for v in (chosen.hidden_size, chosen.lr, chosen.epochs)] == [int, float, float]
