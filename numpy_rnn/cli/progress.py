"""A progress bar on standard error, when that is a terminal."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol


class Progress(Protocol):
    """What a command tells its progress bar."""

    def advance(self, note: str) -> None:
        """One more is done; `note` stands behind the bar."""

    def reach(self, done: int, total: int, note: str) -> None:
        """So many are done, of what is now so many."""

    def write(self, line: str) -> None:
        """Print a line to standard output, above the bar."""


class NoBar:
    """Standard error is not a terminal: lines only."""

    def advance(self, note: str) -> None:
        """Do nothing."""

    def reach(self, done: int, total: int, note: str) -> None:
        """Do nothing."""

    def write(self, line: str) -> None:
        """Print the line."""
        print(line)


class PlainLine:
    """A line that is written over, for a terminal without tqdm."""

    def __init__(self, total: int, unit: str) -> None:
        self.total, self.unit, self.done, self.shown = total, unit, 0, ""
        self.text, self._last = "", 0.0

    def advance(self, note: str) -> None:
        """Show it ten times a second, and the end."""
        self.reach(self.done + 1, self.total, note)

    def reach(self, done: int, total: int, note: str) -> None:
        """Show it ten times a second, and the end."""
        self.done, self.total = done, total
        self.text = f"{self.unit} {self.done}/{self.total}  {note}"
        if time.monotonic() - self._last >= 0.1 or self.done == self.total:
            self._show(self.text)
            self._last = time.monotonic()

    def write(self, line: str) -> None:
        """Print the line and put the bar back below it."""
        self._show("")
        print(line, flush=True)
        self._show(self.text)

    def _show(self, text: str) -> None:
        text = text[: shutil.get_terminal_size().columns - 1]  # a second line could not be cleared
        sys.stderr.write(f"\r{' ' * len(self.shown)}\r{text}")
        sys.stderr.flush()
        self.shown = text

    def close(self) -> None:
        """Clear the line."""
        self._show("")


class TqdmBar:
    """A bar by tqdm, cleared when it is done."""

    def __init__(self, tqdm: Any, total: int, unit: str) -> None:
        form = "{percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} " + unit + "{postfix}"
        self.bar = tqdm(
            total=total, bar_format=form, leave=False, file=sys.stderr, dynamic_ncols=True
        )

    def advance(self, note: str) -> None:
        """Move on by one."""
        self.bar.set_postfix_str(note, refresh=False)
        self.bar.update()

    def reach(self, done: int, total: int, note: str) -> None:
        """Move on to there."""
        self.bar.total = total
        self.bar.set_postfix_str(note, refresh=False)
        self.bar.update(done - self.bar.n)

    def write(self, line: str) -> None:
        """Print the line above the bar."""
        self.bar.write(line, file=sys.stdout)


@contextmanager
def progress(total: int, unit: str) -> Iterator[Progress]:
    """Show how far a loop is, by tqdm if it is installed.

    Parameters
    ----------
    total : int
        How often ``advance`` will be called.
    unit : str
        What is counted.

    Yields
    ------
    bar : Progress
        A bar, a plain line or, if standard error is no terminal, neither.
    """
    if not sys.stderr.isatty():
        yield NoBar()
        return
    try:
        from tqdm import tqdm  # noqa: PLC0415 (an extra, only for terminals)
    except ImportError:
        line = PlainLine(total, unit)
        try:
            yield line
        finally:
            line.close()
        return
    bar = TqdmBar(tqdm, total, unit)
    try:
        yield bar
    finally:
        bar.bar.close()
