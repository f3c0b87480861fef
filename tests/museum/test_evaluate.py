"""The checker on the museum: every bug is caught and located, and no correct code called wrong."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numpy_rnn.checking import compare, derivatives
from numpy_rnn.checking.strategies import sizes
from numpy_rnn.museum import (
    BUGS,
    REFERENCES,
    Bug,
    Evaluation,
    check_reference,
    evaluate,
)
from numpy_rnn.museum.registry import RegisteredPair

RECURRENT = [b for b in BUGS if isinstance(b.reference, RegisteredPair) and b.reference.recurrent]


@pytest.fixture(scope="module", autouse=True)
def derivatives_are_computed_once() -> Iterator[None]:
    """The bugs of a reference are in its backward, so forward's derivative is that of them all."""
    known: dict[Any, Any] = {}
    compute = derivatives.directional

    def directional(point: Any, directions: Any, method: Any) -> Any:
        arrays = [*point.values.values(), *point.douts, *directions.values()]
        names = (*point.values, *directions)
        key = (point.target.forward, names, method, *map(_content, arrays))
        if key not in known:
            known[key] = compute(point, directions, method)
        return known[key]

    with pytest.MonkeyPatch.context() as patch:
        for module in (compare, derivatives):
            patch.setattr(module, "directional", directional)
        yield


def _content(array: Any) -> Any:
    return None if array is None else (array.shape, array.dtype.str, array.tobytes())


@cache
def evaluated(number: int) -> Evaluation:
    evaluation = evaluate(BUGS[number])
    assert evaluation is not None
    return evaluation


@pytest.mark.parametrize("number", range(len(BUGS)), ids=[str(bug) for bug in BUGS])
def test_a_bug_is_caught_and_located(number: int) -> None:
    evaluation = evaluated(number)
    assert evaluation.caught
    assert evaluation.located, evaluation.finding


def test_92_bugs_have_a_cause_without_a_search_for_it() -> None:
    assert sum(bool(evaluated(number).causes) for number in range(len(BUGS))) >= 92


@pytest.mark.parametrize("bug", RECURRENT[::6], ids=str)
def test_a_bug_is_caught_where_gradients_vanish(bug: Bug) -> None:
    evaluation = evaluate(bug, "vanishing")
    assert evaluation is not None
    assert evaluation.caught


@settings(max_examples=40)
@given(
    reference=st.sampled_from(REFERENCES),
    drawn=sizes(T=(1, 6), B=(1, 3), other=(1, 3)),
    seed=st.integers(0, 10**6),
)
def test_correct_code_raises_no_alarm(
    reference: RegisteredPair, drawn: dict[str, int], seed: int
) -> None:
    report = check_reference(reference, sizes={**drawn, "V": drawn["V"] + 1}, seed=seed)
    assert report.ok, report
