"""What the usual checkers say: of right code nothing, of wrong code what each can see."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

from numpy_rnn.museum import EXHIBITS, OPTIMIZER_ROOMS, ROOMS, Exhibit, Room, patched
from numpy_rnn.museum.problem import REGIMES, Regime, problem
from numpy_rnn.museum.usual import installed, usual_checkers

CHECKERS = usual_checkers()
INSTALLED = {name: checker for name, checker in CHECKERS.items() if installed(name)}


def exhibit(room: str, name: str) -> Exhibit:
    return next(e for e in EXHIBITS if (e.room.name, e.name) == (room, name))


def said(found: Exhibit, regime: Regime) -> set[bool | None]:
    functions = patched(found)
    return {checker(functions, found.room, regime) for checker in INSTALLED.values()}


@pytest.mark.parametrize("name", INSTALLED)
@pytest.mark.parametrize("regime", REGIMES)
def test_right_code_raises_no_alarm(name: str, regime: Regime) -> None:
    for room in ROOMS:
        recurs = "W_hh" in room.shapes
        expected = None if regime == "vanishing" and not recurs else False
        assert CHECKERS[name](room.functions, room, regime) is expected, room.name


def test_a_gross_bug_is_caught_by_all() -> None:
    assert said(exhibit("elman", "one bias forgotten"), "typical") == {True}
    assert said(exhibit("cross-entropy", "target forgotten"), "typical") == {True}


@pytest.mark.parametrize("regime", REGIMES)
def test_truncation_clipping_and_float32_are_caught_by_none(regime: Regime) -> None:
    for name in ("stops 25 steps back", "clipped inside", "float32 inside"):
        assert said(exhibit("elman", name), regime) == {False}


def test_the_first_step_is_caught_only_where_it_reaches() -> None:
    assert True in said(exhibit("lstm", "t = 0 skipped"), "typical")
    assert said(exhibit("lstm", "t = 0 skipped"), "vanishing") == {False}


def test_where_there_is_nothing_to_check_nothing_is_said() -> None:
    for checker in CHECKERS.values():
        assert checker(OPTIMIZER_ROOMS[0].functions, OPTIMIZER_ROOMS[0], "typical") is None
    assert said(exhibit("mse", "factor 2 forgotten"), "vanishing") == {None}


def test_a_checker_that_is_not_installed_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name == "numpy" or None)
    for name, checker in CHECKERS.items():
        assert installed(name) == (name == "central differences")
        caught = checker(ROOMS[0].functions, ROOMS[0], "typical")
        assert caught is (False if installed(name) else None)


def test_an_error_is_caught() -> None:
    found = exhibit("elman", "carry dropped")._replace(new="dh_t = dh[t + 1] + dh_next")
    assert said(found, "typical") == {True}


def test_what_vanishes_is_1e_29_of_the_whole() -> None:
    for room in ROOMS:
        posed = problem(room.forward, room.backward, room, "vanishing")
        if posed is None:
            continue
        assert isinstance(room, Room)
        out, pull = posed.run(posed.theta)
        gradient = pull(np.ones_like(out))
        h0 = posed.tensors[[k for k in room.shapes if k != "lengths"].index("h0")]
        assert 0 < np.abs(gradient[h0]).max() < 1e-28, room.name
