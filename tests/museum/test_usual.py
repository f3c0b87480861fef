"""The usual checkers: no alarm for correct code, and for a bug what each of them can see."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

from benchmarks.usual_checkers import USUAL_CHECKERS, pose_problem
from numpy_rnn.museum import (
    BUGS,
    INPUTS,
    OPTIMIZER_REFERENCES,
    REFERENCES,
    Bug,
    usual_counts,
)
from numpy_rnn.museum.evaluate import Inputs
from numpy_rnn.museum.registry import RegisteredPair

INSTALLED = {name: checker for name, checker in USUAL_CHECKERS.items() if checker.installed}


def bug(text: str) -> Bug:
    return next(bug for bug in BUGS if str(bug) == text)


def caught(found: Bug, inputs: Inputs) -> set[bool | None]:
    functions = found.patched()
    return {checker(functions, found.reference, inputs) for checker in INSTALLED.values()}


@pytest.mark.parametrize("name", INSTALLED)
@pytest.mark.parametrize("inputs", INPUTS)
def test_correct_code_raises_no_alarm(name: str, inputs: Inputs) -> None:
    for reference in REFERENCES[::3]:
        expected = None if inputs == "vanishing" and not reference.recurrent else False
        assert USUAL_CHECKERS[name](reference.checked(), reference, inputs) is expected, (
            reference.name
        )


def test_the_recorded_figures_are_those_of_the_checkers() -> None:
    recorded = usual_counts()
    pairs = [bug for bug in BUGS if isinstance(bug.reference, RegisteredPair)]
    recurrent = [reference.name for reference in REFERENCES if reference.recurrent]
    counts = [len(pairs), sum(bug.reference.name in recurrent for bug in pairs)]
    for inputs, count in zip(INPUTS, counts, strict=True):
        assert recorded[inputs].keys() == USUAL_CHECKERS.keys()
        assert {of for _, of in recorded[inputs].values()} == {count}
    checker = USUAL_CHECKERS["central differences"]  # the others need packages
    found = [checker(bug.patched(), bug.reference, "typical") is True for bug in pairs]
    assert recorded["typical"]["central differences"][0] == sum(found)


def test_a_gross_bug_is_caught_by_all() -> None:
    assert caught(bug("elman: gradient of one bias missing"), "typical") == {True}
    assert caught(bug("cross_entropy: target missing"), "typical") == {True}


@pytest.mark.parametrize("inputs", INPUTS)
def test_truncation_clipping_and_float32_are_caught_by_none(inputs: Inputs) -> None:
    for name in (
        "truncated after 25 steps",
        "carry clipped inside the loop",
        "float32 inside the loop",
    ):
        assert caught(bug(f"elman: {name}"), inputs) == {False}


def test_an_error_at_the_first_step_is_caught_only_where_the_gradient_reaches_it() -> None:
    assert True in caught(bug("lstm: t = 0 skipped"), "typical")
    assert caught(bug("lstm: t = 0 skipped"), "vanishing") == {False}


def test_the_answer_is_none_where_there_is_nothing_to_check() -> None:
    optimizer = OPTIMIZER_REFERENCES[0]
    for checker in USUAL_CHECKERS.values():
        assert checker(optimizer.checked(), optimizer, "typical") is None
    assert caught(bug("mse: factor 2 missing"), "vanishing") == {None}


def test_the_answer_is_none_if_a_checker_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name == "numpy" or None)
    elman = REFERENCES[0]
    for name, checker in USUAL_CHECKERS.items():
        assert checker.installed == (name == "central differences")
        answer = checker(elman.checked(), elman, "typical")
        assert answer is (False if checker.installed else None)


def test_an_exception_counts_as_caught() -> None:
    found = bug("elman: carry dropped")
    patch = found.patch.replace("+ dh_t = dh[t]", "+ dh_t = dh[t + 1] + dh_next")
    assert caught(found._replace(patch=patch), "typical") == {True}


def test_the_vanishing_gradient_is_1e_29_of_the_whole() -> None:
    for reference in REFERENCES:
        posed = pose_problem(reference.checked(), reference, "vanishing")
        if posed is None:
            continue
        out, pull = posed.run(posed.theta)
        gradient = pull(np.ones_like(out))
        h0 = posed.tensors[[k for k in reference.shapes if k != "lengths"].index("h0")]
        assert 0 < np.abs(gradient[h0]).max() < 1e-28, reference.name
