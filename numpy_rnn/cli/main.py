"""``numpy-rnn``: one module for each command, one line for every error.

Exit status: 0 success; 1 the run failed; 2 wrong usage; 130 interrupted, or 128 plus the number
of another signal that ended the command.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from importlib import import_module
from typing import Any, NoReturn

import numpy as np

from numpy_rnn.cli.errors import RunError, UsageError, errors_as
from numpy_rnn.cli.signals import Stopped, handle, raise_stopped
from numpy_rnn.cli.terminal import SafeOutput
from numpy_rnn.layers.validate import NotFiniteError
from numpy_rnn.locks import released_at_end
from numpy_rnn.text import strip_control_characters
from numpy_rnn.training.ranks import launched_as, leave, world
from numpy_rnn.version import __version__

# The module of each command. To import all of them takes as long as NumPy.
COMMANDS = {name: name for name in ("recall", "train")}
COMMANDS |= dict.fromkeys(("sample", "evaluate", "inspect"), "checkpoint")
COMMANDS |= dict.fromkeys(("convert", "run"), "model")
COMMANDS |= {name: name for name in ("memory", "explain", "check", "learn")}
ERRORS = (UsageError, RunError, NotFiniteError, MemoryError, OSError, KeyboardInterrupt)


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors take one line."""

    def error(self, message: str) -> NoReturn:
        """Print the message and exit with status 2."""
        if message.startswith("unrecognized arguments: -"):
            message += "; see numpy-rnn COMMAND --help"
        elif message.startswith("unrecognized arguments"):
            message += "; put a text with spaces in quotes"
        _print_error(self.prog, message)
        sys.exit(2)

    def _print_message(self, message: str, file: Any = None) -> None:
        """Write ``--help`` or ``--version``. Argparse's own method hides a failure to write."""
        print(message, end="", file=file)

    def _get_values(self, action: argparse.Action, arg_strings: list[str]) -> Any:
        """Refuse ``--option=--``, for which argparse before Python 3.13 raises a traceback."""
        if arg_strings == ["--"] and action.option_strings:
            raise argparse.ArgumentError(action, "expected one argument")
        return super()._get_values(action, arg_strings)


def make_parser(command: str = "") -> tuple[Parser, dict[str, Parser]]:
    """Return the parser of the command line, and by name those of all commands or of this one."""
    parser = Parser(prog="numpy-rnn", description="Recurrent neural networks in pure NumPy.")
    parser.add_argument("--version", action="version", version=f"numpy-rnn {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", parser_class=Parser)
    modules = [COMMANDS[command]] if command in COMMANDS else dict.fromkeys(COMMANDS.values())
    for module in modules:
        import_module(f"numpy_rnn.cli.{module}").add_to(commands)
    return parser, commands.choices


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line, ``sys.argv[1:]`` by default, and return its exit status."""
    _open_missing_streams()
    for stream in (sys.stdout, sys.stderr):  # a character that the terminal lacks is no failure
        with contextlib.suppress(AttributeError):
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # tests replace the streams
    status = _run(sys.argv[1:] if arguments is None else arguments)
    if status:
        leave(status)
    return status


def _run(arguments: Sequence[str]) -> int:
    parser, commands = make_parser(*arguments[:1])
    prog, status = parser.prog, 0
    try:
        with errors_as(UsageError, "mpiexec"):  # of which only the first process prints
            if world().rank:
                _silence(sys.stdout)
        safe = contextlib.redirect_stdout(SafeOutput(sys.stdout))
        # Every command looks at its results, so a warning about an overflow says nothing new.
        with _signals_raise(), released_at_end(), np.errstate(all="ignore"), safe:
            try:
                options = parser.parse_args(arguments)
                if "run" not in options:
                    parser.error(f"expected a command, as --help describes: {', '.join(commands)}")
                prog = options.prog
                options.run(options)
            except SystemExit as done:  # after --help, --version or a message on wrong usage
                status = int(done.code or 0)
            sys.stdout.flush()
    except ERRORS as error:
        return status or _fail(prog, error)
    return status


@contextlib.contextmanager
def _signals_raise() -> Iterator[None]:
    """Let the signals that end a program raise an exception in this block."""
    before = handle(raise_stopped)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _open_missing_streams() -> None:
    """Replace a closed standard stream (``>&-``) by the null device.

    Python sets such a stream to None. Its descriptor would go to the next file that is opened,
    and output meant for the stream could end up in that file.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            null = os.open(os.devnull, os.O_RDWR)  # never closed, so Python must not warn about it
            setattr(sys, name, open(null, mode, encoding="utf-8", closefd=False))  # noqa: SIM115 (as above)


def _fail(prog: str, error: BaseException) -> int:
    """Print one line about the error that ended the command, and return the exit status."""
    message = str(error)
    if isinstance(error, OSError):  # standard output may have failed: write no more to it
        _silence(sys.stdout)
    if isinstance(error, BrokenPipeError):  # the reader, such as `head`, has left
        return 1
    if isinstance(error, OSError) and error.filename is None:
        message = f"standard output: {error.strerror or error}"
    if isinstance(error, MemoryError):
        message = f"not enough memory: {error}".rstrip(": ")
    if isinstance(error, KeyboardInterrupt):
        message = message or "interrupted"
    _print_error(prog, message)
    if isinstance(error, Stopped):
        return 128 + error.number
    return {UsageError: 2, KeyboardInterrupt: 130}.get(type(error), 1)


def _print_error(prog: str, message: str) -> None:
    """Write one line to standard error. If that fails, only the exit status remains."""
    line = strip_control_characters(" ".join(message.split()))  # a message may quote a file
    if launched_as():
        return leave(1, f"{prog}: error: {line}\n")
    try:
        print(f"{prog}: error: {line}", file=sys.stderr, flush=True)
    except OSError:
        _silence(sys.stderr)


def _silence(stream: Any) -> None:
    """Redirect a stream to the null device, so that flushing it at exit cannot fail."""
    with contextlib.suppress(OSError):  # a stream in memory has no descriptor
        null = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(null, stream.fileno())
        finally:
            os.close(null)
