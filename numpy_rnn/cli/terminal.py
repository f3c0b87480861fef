"""Output on a terminal: durations, safe text, a character diff, progress bars."""

from __future__ import annotations

import shutil
import sys
import time
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from numpy_rnn.text import strip_control_characters

WIDTH = 64  # characters in a line of a diff
MISSING = "\0"  # placeholder for a character that a text does not have


def format_duration(seconds: float) -> str:
    """Return a duration as ``5s``, ``3m05s`` or ``2h03m``.

    >>> format_duration(185.2)
    '3m05s'
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    return f"{whole // 3600}h{whole % 3600 // 60:02d}m"


class SafeOutput:
    """Standard output without control characters. Each command prints to it.

    Settings, names and vocabularies come from files, which anybody may have written. Generated
    text that goes to a file or a pipe is the exception: there it stays as it is.
    """

    def __init__(self, stream: Any) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        """Write a text, and U+FFFD instead of each control character."""
        self.stream.write(strip_control_characters(text))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


def write_generated(text: str) -> None:
    """Write generated text to standard output, unchanged unless that is a terminal."""
    stream: Any = sys.stdout
    if isinstance(stream, SafeOutput) and not stream.isatty():
        stream = stream.stream
    stream.write(text)
    stream.flush()


def diff(text: str, output: str) -> Iterator[str]:
    r"""Yield the lines of two texts in turn, with ``^`` under each character that differs.

    `text` is the expected one; `output` is the generated one and may be shorter.

    >>> print("\n".join(diff("abc", "abd")))
      text    abc
      output  abd
                ^
    """
    for start in range(0, len(text), WIDTH):
        expected = text[start : start + WIDTH]
        actual = output[start : start + WIDTH].ljust(len(expected), MISSING)
        cells = [_cells(a, b) for a, b in zip(expected, actual, strict=True)]
        for label, row in zip(("text", "output", ""), zip(*cells, strict=True), strict=True):
            line = "".join(row).rstrip()
            if label or line:
                yield f"  {label:8}{line}"


def _cells(expected: str, actual: str) -> tuple[str, str, str]:
    """Return both characters and the mark, padded to the same width on the screen."""
    shown = _visible(expected), _visible(actual)
    width = max(map(_columns, shown))
    mark = "^" if expected != actual else " "
    a, b = (character + " " * (width - _columns(character)) for character in shown)
    return a, b, mark.ljust(width)


def _visible(character: str) -> str:
    """Return a stand-in for a character that would break the line."""
    if character == MISSING:
        return " "
    if unicodedata.combining(character):
        return f"\N{DOTTED CIRCLE}{character}"
    if not character.isprintable():
        return f"<{ord(character):x}>"
    return character


def _columns(shown: str) -> int:
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in shown
    )


class Progress:
    """One line that is overwritten, for a terminal without tqdm. Elsewhere it does nothing."""

    def __init__(self, total: int, unit: str) -> None:
        self.total, self.unit, self.done = total, unit, 0
        self._on_terminal = sys.stderr.isatty()
        self._text, self._width, self._last = "", 0, 0.0

    def advance(self, note: str) -> None:
        """Count one more item as done, and show `note` beside the bar."""
        self.reach(self.done + 1, self.total, note)

    def reach(self, done: int, total: int, note: str) -> None:
        """Set how many items are done, and of how many. At most ten times a second it is shown."""
        self.done, self.total = done, total
        self._text = f"{self.unit} {done}/{total}  {note}"
        if time.monotonic() - self._last >= 0.1 or done == total:
            self._show(self._text)
            self._last = time.monotonic()

    def write(self, line: str) -> None:
        """Print a line to standard output, above the bar."""
        self.close()
        print(line, flush=self._on_terminal)
        self._show(self._text)

    def close(self) -> None:
        """Remove the bar."""
        self._show("")

    def _show(self, text: str) -> None:
        if not self._on_terminal:
            return
        text = text[: shutil.get_terminal_size().columns - 1]  # a second line could not be cleared
        sys.stderr.write(f"\r{' ' * self._width}\r{text}")
        sys.stderr.flush()
        self._width = len(text)


class TqdmBar(Progress):
    """A bar by tqdm, which is removed at the end."""

    def __init__(self, tqdm: Any, total: int, unit: str) -> None:
        super().__init__(total, unit)
        form = "{percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} " + unit + "{postfix}"
        self.bar = tqdm(
            total=total, bar_format=form, leave=False, file=sys.stderr, dynamic_ncols=True
        )

    def reach(self, done: int, total: int, note: str) -> None:
        """Update the bar."""
        self.done = done
        self.bar.total = total
        self.bar.set_postfix_str(note, refresh=False)
        self.bar.update(done - self.bar.n)

    def write(self, line: str) -> None:
        """Print a line above the bar."""
        self.bar.write(line, file=sys.stdout)

    def close(self) -> None:
        """Remove the bar."""
        self.bar.close()


@contextmanager
def progress(total: int, unit: str) -> Iterator[Progress]:
    """Show the progress of a loop over `total` items on a terminal, by tqdm if it is installed.

    Call ``advance`` or ``reach`` of the bar after each item.
    """
    bar = Progress(total, unit)
    if sys.stderr.isatty():
        with suppress(ImportError):
            from tqdm import tqdm  # noqa: PLC0415 (an extra, imported only for a terminal)

            bar = TqdmBar(tqdm, total, unit)
    try:
        yield bar
    finally:
        bar.close()
