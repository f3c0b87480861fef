"""Signals that end the command: at once while it is imported, by an exception while it runs."""

from __future__ import annotations

import os
import signal

TYPE_CHECKING = False  # instead of that of typing, whose import takes 10 ms
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn


class Stopped(KeyboardInterrupt):
    """A signal other than that of Ctrl-C asks the program to end."""

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}")
        self.number = number


def exit_at_once(number: int, _frame: object) -> NoReturn:
    """Print one line and end the process.

    An exception would be lost, or end in a traceback, where it meets the import of a compiled
    module or the end of the interpreter. There is no unfinished file at these times.
    """
    what = "interrupted" if number == signal.SIGINT else str(Stopped(number))
    try:
        os.write(2, f"numpy-rnn: error: {what}\n".encode())
    finally:
        os._exit(128 + number)


def raise_stopped(number: int, frame: object) -> NoReturn:
    """Raise KeyboardInterrupt, or Stopped for a signal other than that of Ctrl-C."""
    if number == signal.SIGINT:
        signal.default_int_handler(number, frame)  # type: ignore[arg-type]
    raise Stopped(number)


def handle(handler: Callable[[int, Any], NoReturn]) -> dict[int, Any]:
    """Let a handler take the signals that end a program, and return the handlers before.

    A signal that the caller ignores, as nohup does, or handles itself is left alone.
    """
    before: dict[int, Any] = {}
    ours = (signal.SIG_DFL, signal.default_int_handler, exit_at_once)
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)  # Windows has no SIGHUP
        if number is not None and signal.getsignal(number) in ours:
            try:
                before[number] = signal.signal(number, handler)
            except ValueError:  # only the main thread may set handlers
                return before
    return before
