"""What a layer or a loss remembers from forward to backward: one forward pass."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Self

from numpy_rnn.functional.types import Array


class Memory(threading.local):
    """The forward pass that waits for its backward: one for each mode, in each thread.

    With a second forward, neither is kept: nothing tells which one the next `dy` belongs to, and a
    guess could be a wrong gradient.
    """

    def __init__(self) -> None:
        self.caches: dict[bool, Any] = {}
        self.forwards = {True: 0, False: 0}
        self.last_gradients: dict[str, Array] = {}

    def remember(self, cache: Any, *, training: bool = True) -> None:
        """Note a forward pass."""
        self.forwards[training] += 1
        self.caches[training] = cache if self.forwards[training] == 1 else None

    def use_up(self, where: object, vjp: Callable[..., Any], *d: Any, training: bool = True) -> Any:
        """Return ``vjp(cache, *d)`` for the one forward pass since the last backward."""
        forwards = self.forwards[training]
        if forwards == 1:
            result = vjp(self.caches[training], *d)
            self.forget(training=training)
            return result
        self.forget(training=training)
        if not forwards:
            raise RuntimeError(
                f"{where!r}.backward: nothing to go back through, expected forward first "
                "(in this thread and mode; each backward uses one forward up)"
            )
        raise RuntimeError(
            f"{where!r}.backward: another forward took the place of the first ({forwards} since "
            "the last backward), expected one (use predict for outputs, apply and vjp for several)"
        )

    def forget(self, *, training: bool = True) -> None:
        """Drop the cache of a mode."""
        self.caches.pop(training, None)
        self.forwards[training] = 0


class Remembers:
    """Base of layers and losses: remembers a forward pass, which copies do not get."""

    _memory: Memory

    def __new__(cls, *_: Any, **__: Any) -> Self:
        """Make an object that remembers no forward pass."""
        made = super().__new__(cls)
        made._memory = Memory()
        return made

    def __getstate__(self) -> dict[str, Any]:
        """Return what a copy or a pickle needs: everything but the remembered forward pass."""
        return {name: value for name, value in self.__dict__.items() if name != "_memory"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore a copy or a pickle; the old pickle protocols do not call ``__new__``."""
        self.__dict__.update(state, _memory=Memory())
