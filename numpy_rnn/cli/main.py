"""``numpy-rnn``: one command a module, one line for whatever goes wrong.

Exit status: 0 done; 1 the run failed; 2 wrong usage; 130 interrupted, or 128 and the number of
another signal that ended it.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

from numpy_rnn.cli import check, evaluate, explain, inspect, memory, recall, sample, train
from numpy_rnn.cli.errors import RunError, UsageError
from numpy_rnn.version import __version__


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        """Exit with status 2 and the message."""
        if message.startswith("unrecognized arguments"):
            message += "; a text with spaces is expected in quotes"
        _say(self.prog, message)
        sys.exit(2)

    def _print_message(self, message: str, file: Any = None) -> None:
        """Write ``--help`` or ``--version``; argparse's own hides that it cannot be written."""
        print(message, end="", file=file)


class Stopped(KeyboardInterrupt):
    """A signal other than Ctrl-C's has asked the program to end."""

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}")
        self.number = number


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
    _open_missing_streams()
    for stream in (sys.stdout, sys.stderr):  # a character the terminal lacks is no failure
        with contextlib.suppress(AttributeError):
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # tests replace the streams
    parser = Parser(prog="numpy-rnn", description="Recurrent neural networks in pure NumPy.")
    parser.add_argument("--version", action="version", version=f"numpy-rnn {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", parser_class=Parser)
    for command in (recall, train, sample, evaluate, inspect, memory, explain, check):
        command.add_to(commands)
    prog, status = parser.prog, 0
    try:
        with _signals_raise():
            try:
                options = parser.parse_args(arguments)
                if "run" not in options:
                    parser.error(f"expected a command: {', '.join(commands.choices)}")
                prog = options.prog
                options.run(options)
            except SystemExit as done:  # --help, --version or wrong usage, and said so
                status = int(done.code or 0)
            sys.stdout.flush()
    except (UsageError, RunError, MemoryError, OSError, KeyboardInterrupt) as error:
        return status or _fail(prog, error)
    return status


@contextmanager
def _signals_raise() -> Iterator[None]:
    """Let SIGTERM and SIGHUP end the program as Ctrl-C does, tidying up on the way."""
    before: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():  # no other may set handlers
        for name in ("SIGTERM", "SIGHUP"):
            number = getattr(signal, name, None)  # Windows has no SIGHUP
            # Whoever ignores a signal, as nohup does, or handles it, has a reason to.
            if number is not None and signal.getsignal(number) is signal.SIG_DFL:
                before[number] = signal.signal(number, _raise_stopped)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _raise_stopped(number: int, _frame: object) -> NoReturn:
    raise Stopped(number)


def _open_missing_streams() -> None:
    """Give a stream that is closed (``>&-``) the null device.

    Python then has None in its place. Its number would also go to the next file that is
    opened, so that what is meant for the stream could end up in there.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115, PTH123 (for as long as the process runs)


def _fail(prog: str, error: BaseException) -> int:
    """Say in one line what ended the command, and return the exit status."""
    message = str(error)
    if isinstance(error, OSError):  # standard output may be what failed: write no more to it
        _silence(sys.stdout)
    if isinstance(error, BrokenPipeError):  # the reader, `head` say, has seen enough
        return 1
    if isinstance(error, OSError) and error.filename is None:
        message = f"standard output: {error.strerror or error}"
    if isinstance(error, MemoryError):
        message = f"not enough memory: {error}"
    if isinstance(error, KeyboardInterrupt):
        message = message or "interrupted"
    _say(prog, message)
    if isinstance(error, Stopped):
        return 128 + error.number
    return {UsageError: 2, KeyboardInterrupt: 130}.get(type(error), 1)


def _say(prog: str, message: str) -> None:
    """Write one line to standard error; if that fails, the exit status has to do."""
    try:
        print(f"{prog}: error: {' '.join(message.split())}", file=sys.stderr, flush=True)
    except OSError:
        _silence(sys.stderr)


def _silence(stream: Any) -> None:
    """Send what a stream still holds nowhere, so that closing it cannot fail."""
    with contextlib.suppress(OSError):  # what has no number is in memory
        null = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(null, stream.fileno())
        finally:
            os.close(null)
