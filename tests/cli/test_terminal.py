"""Text on a terminal: durations, safe text, the diff and the progress bar."""

from __future__ import annotations

import pytest

from numpy_rnn.cli.terminal import diff, format_duration, progress
from numpy_rnn.text import strip_control_characters


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "0s"), (59.4, "59s"), (59.6, "1m00s"), (185, "3m05s"), (7380, "2h03m"), (1e6, "277h46m")],
)
def test_a_duration_has_two_units_at_most(seconds: float, shown: str) -> None:
    assert format_duration(seconds) == shown


def test_a_mark_is_under_each_difference() -> None:
    assert list(diff("abc", "abd")) == ["  text    abc", "  output  abd", "            ^"]
    assert list(diff("abc", "abc")) == ["  text    abc", "  output  abc"]
    assert list(diff("abc", "a")) == ["  text    abc", "  output  a", "           ^^"]
    assert list(diff("한a", "ab")) == ["  text    한a", "  output  a b", "          ^ ^"]
    assert list(diff("a\nb", "a b")) == ["  text    a<a>b", "  output  a   b", "           ^"]
    assert next(diff("e\u0301", "ee")) == "  text    e\u25cc\u0301"
    long = list(diff("a" * 100, "a" * 99 + "b"))
    assert [len(line) for line in long] == [74, 74, 46, 46, 46]


def test_no_control_character_reaches_a_terminal() -> None:
    for character in "\x1b\x07\x9b\r\x85\u200f\u202e\u2066\u2028\u2029\ud800":
        assert strip_control_characters(f"a{character}b") == "a\N{REPLACEMENT CHARACTER}b"
    kept = "a\n\té\u0301\u200c\u200d한"  # joiners are part of words
    assert strip_control_characters(kept) == kept


def test_without_a_terminal_there_are_only_lines(capsys: pytest.CaptureFixture[str]) -> None:
    with progress(3, "step") as bar:
        bar.advance("loss 1")
        bar.write("a line")
        bar.reach(3, 3, "loss 2")
    assert (bar.done, bar.total) == (3, 3)
    assert capsys.readouterr() == ("a line\n", "")
