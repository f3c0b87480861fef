"""Signals that wait until a step is complete."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

NAMES = ("SIGINT", "SIGTERM", "SIGHUP")


@contextmanager
def deferred() -> Iterator[list[int]]:
    """Note a signal that asks the program to end, and deliver it when the block is left.

    Whoever asks twice does not want to wait: the second one is delivered at once. In a thread
    other than the main one, which gets no signals, nothing is deferred.

    Yields
    ------
    received : list of int
        The signal's number, once it has come.
    """
    received: list[int] = []
    before: dict[int, Any] = {}

    def restore() -> None:
        while before:
            signal.signal(*before.popitem())

    def note(number: int, _frame: object) -> None:
        received.append(number)
        restore()

    if threading.current_thread() is threading.main_thread():
        for name in NAMES:
            number = getattr(signal, name, None)  # Windows has no SIGHUP
            # Whoever ignores a signal, as nohup does, has a reason to.
            if number is not None and signal.getsignal(number) not in (signal.SIG_IGN, None):
                before[number] = signal.signal(number, note)
    try:
        yield received
    finally:
        restore()
    if received:
        signal.raise_signal(received[0])
