"""The museum in both directions: every mistake caught and named, no right code called wrong."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numpy_rnn.checking.strategies import sizes
from numpy_rnn.checking.tour import false_alarm, judge, judge_vanishing
from numpy_rnn.cli import museum
from numpy_rnn.cli.main import main
from numpy_rnn.museum import EXHIBITS, ROOMS, Exhibit, Room

RECURRENT = [e for e in EXHIBITS if isinstance(e.room, Room) and "W_hh" in e.room.shapes]


def name(exhibit: Exhibit) -> str:
    return f"{exhibit.room.name}: {exhibit.name}"


def test_there_are_enough() -> None:
    assert len(EXHIBITS) >= 100
    assert len({name(exhibit) for exhibit in EXHIBITS}) == len(EXHIBITS)


@pytest.mark.parametrize("exhibit", EXHIBITS, ids=name)
def test_a_mistake_is_caught_and_named(exhibit: Exhibit) -> None:
    verdict = judge(exhibit)
    assert verdict.caught
    assert verdict.named, verdict.text


@pytest.mark.parametrize("exhibit", RECURRENT[::6], ids=name)
def test_a_mistake_is_caught_where_gradients_vanish(exhibit: Exhibit) -> None:
    verdict = judge_vanishing(exhibit)
    assert verdict is not None
    assert verdict.caught


@settings(max_examples=40)
@given(
    room=st.sampled_from(ROOMS),
    drawn=sizes(T=(1, 6), B=(1, 3), other=(1, 3)),
    seed=st.integers(0, 10**6),
)
def test_right_code_is_not_called_wrong(room: Room, drawn: dict[str, int], seed: int) -> None:
    assert false_alarm(room, {**drawn, "V": drawn["V"] + 1}, seed) is None


def test_the_command_shows_mistake_story_and_finders(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(museum, "EXHIBITS", [EXHIBITS[0], EXHIBITS[-1]])
    assert main(["check", "--museum"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == name(EXHIBITS[0])
    assert lines[1].startswith("    - ")
    assert lines[2].startswith("    + ")
    assert lines[3] == f"  {EXHIBITS[0].story}"
    assert lines[4].startswith("  found: W_hh")
    assert lines[5].startswith("  typical: caught by numpy_rnn.checking, central differences")
    assert "2 mistakes" in lines
    assert any(line.split()[:2] == ["typical", "numpy_rnn.checking"] for line in lines)


def test_a_mistake_that_is_missed_is_status_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    elsewhere = EXHIBITS[0]._replace(named=("b_hh",))
    monkeypatch.setattr(museum, "EXHIBITS", [elsewhere])
    assert main(["check", "--museum", "--json"]) == 1
    out, err = capsys.readouterr()
    assert json.loads(out)["mistakes"][0]["named"] is False
    assert err.startswith("numpy-rnn check: error: 1 of 1 missed or not named: elman")
