"""``numpy-rnn``: one command a module, one line for whatever goes wrong.

Exit status: 0 done; 1 the run failed; 2 wrong usage; 130 interrupted.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from numpy_rnn.cli import recall
from numpy_rnn.cli.errors import RunError, UsageError
from numpy_rnn.version import __version__


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        """Exit with status 2 and the message."""
        if message.startswith("unrecognized arguments"):
            message += "; a text with spaces is expected in quotes"
        self.exit(2, f"{self.prog}: error: {message}\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    arguments : sequence of str, optional
        Instead of ``sys.argv[1:]``.

    Returns
    -------
    status : int
        The exit status.
    """
    for stream in (sys.stdout, sys.stderr):  # a character the terminal lacks is no failure
        with contextlib.suppress(AttributeError):
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # tests replace the streams
    parser = Parser(prog="numpy-rnn", description="Recurrent neural networks in pure NumPy.")
    parser.add_argument("--version", action="version", version=f"numpy-rnn {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", parser_class=Parser)
    recall.add_to(commands)
    options = parser.parse_args(arguments)
    if "run" not in options:
        parser.error(f"expected a command: {', '.join(commands.choices)}")
    try:
        options.run(options)
        sys.stdout.flush()
    except (UsageError, RunError, MemoryError, OSError, KeyboardInterrupt) as error:
        return _fail(options.prog, error)
    return 0


def _fail(prog: str, error: BaseException) -> int:
    """Say in one line what ended the command, and return the exit status."""
    message = str(error)
    if isinstance(error, OSError):  # standard output may be what failed: write no more to it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if isinstance(error, BrokenPipeError):  # the reader, `head` say, has seen enough
        return 1
    if isinstance(error, OSError) and error.filename is None:
        message = f"standard output: {error.strerror or error}"
    if isinstance(error, MemoryError):
        message = f"not enough memory: {error}"
    if isinstance(error, KeyboardInterrupt):
        message = "interrupted"
    print(f"{prog}: error: {' '.join(message.split())}", file=sys.stderr)
    return {UsageError: 2, KeyboardInterrupt: 130}.get(type(error), 1)
