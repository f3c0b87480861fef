"""Two texts one below the other, with a mark under each character that differs."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

WIDTH = 64  # characters a line
NOTHING = "\0"  # stands where a text has no character


def compare(text: str, made: str) -> Iterator[str]:
    """Yield the lines that show where a generated text goes wrong.

    Parameters
    ----------
    text, made : str
        What was wanted and what came; `made` may be shorter.

    Yields
    ------
    line : str
        ``text``, ``made`` and, if they differ, a line of marks, WIDTH characters at a time.
    """
    for start in range(0, len(text), WIDTH):
        wanted = text[start : start + WIDTH]
        came = made[start : start + WIDTH].ljust(len(wanted), NOTHING)
        cells = [_cells(a, b) for a, b in zip(wanted, came, strict=True)]
        yield "  text  " + "".join(cell[0] for cell in cells).rstrip()
        yield "  made  " + "".join(cell[1] for cell in cells).rstrip()
        marks = "".join(cell[2] for cell in cells).rstrip()
        if marks:
            yield "        " + marks


def _cells(wanted: str, came: str) -> tuple[str, str, str]:
    """Return both characters and the mark, padded to the same width on the screen."""
    shown = _visible(wanted), _visible(came)
    width = max(map(_columns, shown))
    mark = "^" if wanted != came else " "
    a, b = (character + " " * (width - _columns(character)) for character in shown)
    return a, b, mark.ljust(width)


def _visible(character: str) -> str:
    """Return a stand-in for a character that would break the line."""
    if character == NOTHING:
        return " "
    if unicodedata.combining(character):
        return f"\u25cc{character}"  # a dotted circle carries a combining mark
    if not character.isprintable():
        return f"<{ord(character):x}>"
    return character


def _columns(shown: str) -> int:
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in shown
    )
