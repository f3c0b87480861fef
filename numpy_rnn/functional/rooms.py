"""Arrays that single steps write to and nobody sees, lent to one step at a time.

A step that begins with its arrays, and with the views of their blocks, in place takes three
quarters of the time of one that makes them. A list's ``pop`` and ``append`` are atomic, so that
threads that step at once never write to the same room.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Rooms:
    """Rooms for steps with any number of rows.

    Parameters
    ----------
    make : callable
        ``make(B)`` returns a new room for B rows: a tuple of arrays, the first of which has
        B rows, and of tuples of views into them.
    """

    def __init__(self, make: Callable[[int], tuple[Any, ...]]) -> None:
        self._make = make
        self._idle: list[tuple[Any, ...]] = []

    def take(self, B: int) -> tuple[Any, ...]:
        """Return a room that is nobody else's until it is given back."""
        try:
            room = self._idle.pop()
        except IndexError:
            return self._make(B)
        return room if len(room[0]) == B else self._make(B)

    def give(self, room: tuple[Any, ...]) -> None:
        """Lend the room to a later step."""
        self._idle.append(room)
