"""``numpy-rnn check --museum``: each bug with its patch, its cause and who catches it."""

from __future__ import annotations

import json

import pytest

from numpy_rnn.cli import check
from numpy_rnn.cli.main import main
from numpy_rnn.museum import BUGS


def test_the_command_shows_patch_cause_and_checkers(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(check, "BUGS", [BUGS[0], BUGS[-1]])
    assert main(["check", "--museum"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == str(BUGS[0])
    assert lines[1].startswith("    - ")
    assert lines[2].startswith("    + ")
    assert lines[3] == f"  {BUGS[0].cause}"
    assert lines[4].startswith("  found: W_hh")
    assert lines[5].startswith("  typical: caught by numpy_rnn.checking, central differences")
    assert "2 bugs" in lines
    assert "  numpy_rnn.checking suggests a cause for 1" in lines
    assert any(line.split()[:2] == ["typical", "numpy_rnn.checking"] for line in lines)


def test_a_bug_that_is_missed_is_status_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    elsewhere = BUGS[0]._replace(located=("b_hh",))
    monkeypatch.setattr(check, "BUGS", [elsewhere])
    assert main(["check", "--museum", "--json"]) == 1
    out, err = capsys.readouterr()
    assert json.loads(out)["bugs"][0]["located"] is False
    assert err.startswith("numpy-rnn check: error: 1 of 1 missed or not located: elman")
