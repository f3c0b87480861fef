"""``numpy-rnn check --museum``: each bug with its patch, its cause and what the checker finds."""

from __future__ import annotations

import json

import pytest

from numpy_rnn import checking
from numpy_rnn.cli import check
from numpy_rnn.cli.main import main
from numpy_rnn.museum import BUGS, usual_counts


def test_the_command_shows_patch_cause_and_finding(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(check, "BUGS", [BUGS[0], BUGS[-1]])
    monkeypatch.setattr(checking.check, "CAUSE_SECONDS", 60.0)
    assert main(["check", "--museum"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == str(BUGS[0])
    assert lines[1].startswith("    - ")
    assert lines[2].startswith("    + ")
    assert lines[3] == f"  {BUGS[0].cause}"
    assert lines[4].startswith("  found: W_hh")
    assert lines[5] == "  typical: caught; vanishing: caught"
    assert "2 bugs, 1 of them in layers. Of these 1, numpy_rnn.checking" in lines
    assert "  suggests a cause for 1" in lines
    assert "  names the line and a change that mends it for 1" in lines
    assert f"  typical    {'numpy_rnn.checking':28} caught   2 of 2" in lines
    assert f"  vanishing  {'numpy_rnn.checking':28} caught   1 of 1" in lines
    recorded = usual_counts()
    assert f"  typical    {'scipy.optimize.check_grad':28} caught 144 of 170" in lines
    for inputs, by in recorded.items():
        for name, (caught, of) in by.items():
            assert f"  {inputs:10} {name:28} caught {caught:3} of {of}" in lines


def test_a_bug_that_is_missed_is_status_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    elsewhere = BUGS[0]._replace(located=("b_hh",))
    monkeypatch.setattr(check, "BUGS", [elsewhere])
    assert main(["check", "--museum", "--json"]) == 1
    out, err = capsys.readouterr()
    data = json.loads(out)
    assert data["bugs"][0]["located"] is False
    assert data["bugs"][0]["caught"] == {"typical": True, "vanishing": True}
    assert data["caught"] == {"typical": [1, 1], "vanishing": [1, 1]}
    assert data["usual checkers"]["typical"]["scipy.optimize.check_grad"] == [144, 170]
    assert err.startswith("numpy-rnn check: error: 1 of 1 missed or not located: elman")
