"""What the code under test prints, and the random numbers that it draws."""

from __future__ import annotations

import contextlib
import io
import random
import sys
import threading
from collections.abc import Iterator
from typing import Any, cast

import numpy as np


class _Printed(io.StringIO):
    """What the checking thread prints. Other threads print as before."""

    def __init__(self) -> None:
        super().__init__()
        self.thread, self.before = threading.get_ident(), sys.stdout

    def write(self, text: str) -> int:
        mine = threading.get_ident() == self.thread
        return super().write(text) if mine else self.before.write(text)


# Lent to the old functions of np.random: to copy the state of their own takes ten times longer.
_LENT = np.random.MT19937(0)
_FIRST = random.Random(0).random(), np.random.RandomState(0).bytes(4)  # noqa: S311


@contextlib.contextmanager
def quiet(remarks: dict[str, None], *, reseed: bool) -> Iterator[None]:
    """Capture what the code prints, and give it the same random numbers each time.

    Both are added to the remarks.
    """
    printed, old = _Printed(), cast("Any", np.random)  # the functions with a common state
    if reseed:
        before = random.getstate(), old.get_bit_generator()
        random.seed(0)
        old.set_bit_generator(_LENT)
        old.seed(0)
    try:
        with contextlib.redirect_stdout(printed):
            yield
        if reseed and (random.random(), old.bytes(4)) != _FIRST:  # noqa: S311
            remarks["random and np.random are reseeded before each forward pass"] = None
    finally:
        if reseed:
            random.setstate(before[0])
            old.set_bit_generator(before[1])
    if printed.getvalue():
        remarks["what the code prints is captured and not shown"] = None
