"""Generated command lines end with the right status and at most one line of errors."""

from __future__ import annotations

import random

import pytest

from benchmarks import command_lines
from benchmarks.command_lines import Outcome, all_commands, campaign, fault, lines
from numpy_rnn.cli.main import make_parser


@pytest.mark.posix  # a FIFO, an alarm, bash
def test_generated_command_lines() -> None:
    statuses, faults = campaign(inside=120, processes=3, seed=15)
    assert faults == []
    assert statuses.total() == 123
    assert min(statuses[0], statuses[1], statuses[2]) > 3  # all kinds of endings are among them


def test_every_command_and_every_option_is_generated() -> None:
    commands = dict(all_commands(make_parser()[1]))
    assert "learn check" in commands
    seen = {name: set[str]() for name in commands}
    for words in lines(random.Random(0), 4000):  # noqa: S311 (not a secret)
        for name in {words[0], " ".join(words[:2])} & seen.keys():
            seen[name].update(word.split("=")[0] for word in words)
    for name, parser in commands.items():
        options = {o for action in parser._actions for o in action.option_strings}
        assert options - {"-h", "--help"} <= seen[name]


@pytest.mark.parametrize(
    ("outcome", "found"),
    [
        (Outcome(0, "", []), ""),
        (Outcome(2, "numpy-rnn: error: what\n", []), ""),
        (Outcome(0, "", ["overflow encountered in exp"]), "warned: overflow encountered in exp"),
        (Outcome(3, "", []), "status 3"),
        (Outcome(1, "a: error: b\nc\n", []), "more than one line"),
        (Outcome(1, "Traceback (most recent call last):", []), "more than one line"),
        (Outcome(0, "a: error: b\n", []), "a line, but status 0"),
        (Outcome(1, "", []), "no line"),
    ],
)
def test_a_fault_is_found(outcome: Outcome, found: str) -> None:
    assert fault(outcome) == found


@pytest.mark.posix  # a FIFO, an alarm, bash
def test_a_command_that_warns_or_raises_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(arguments: list[str]) -> int:
        if arguments[:2] == ["learn", "start"] or arguments[0] in ("train", "recall"):  # fixtures
            return 0
        raise ZeroDivisionError

    monkeypatch.setattr(command_lines, "main", broken)
    _, faults = campaign(inside=20, processes=0, seed=0)
    assert faults
    assert all(found.startswith("ZeroDivisionError") for found in faults)
