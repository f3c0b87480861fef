"""A process that kills itself at a chosen point of a save, instead of a kill at some moment.

A kill between two calls to the system leaves the disk as the first of them did. So these points
are all there are: before each call that :mod:`numpy_rnn.files` makes, and in the middle of each
write.
"""

from __future__ import annotations

import io
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from numpy_rnn import files

NAMES = ("listdir", "open", "write", "half-write", "chmod", "fsync", "replace", "close", "unlink")
SURVIVED = 3  # the exit status of a process that saved and did not come to its point
_REAL = files.write_atomically


class Points:
    """Counts the points of each save, and kills the process at one of them.

    Parameters
    ----------
    save : int
        Which save, from 1.
    name, number : str, int
        Which point of it: before the n-th call of this name.
    log : int
        A file descriptor, to which the last words go: all points passed, and the one it died at.
    """

    def __init__(self, save: int, name: str, number: int, log: int) -> None:
        self.save, self.name, self.number, self.log = save, name, number, log
        self.saves, self.passed = 0, list[str]()
        self.real = {name: getattr(os, name) for name in ("open", "close", "fsync", "listdir")}

    def point(self, name: str) -> None:
        """Pass a point, or die there."""
        self.passed.append(name)
        if (self.saves, name) == (self.save, self.name) and self.passed.count(name) == self.number:
            os.write(self.log, f"{' '.join(self.passed)}\n".encode())
            os.kill(os.getpid(), signal.SIGKILL)

    def before(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        """Return the call with a point in front of it."""

        def with_point(*arguments: Any, **options: Any) -> Any:
            self.point(name)
            return call(*arguments, **options)

        return with_point

    def write_atomically(self, path: Path, write: Callable[[Any], None]) -> None:
        """Do what the real one does, and count; end the process after its last save."""
        self.saves, self.passed = self.saves + 1, []
        _REAL(path, write)
        if self.saves == self.save:
            os._exit(SURVIVED)

    def opened(self, handle: int, mode: str) -> Any:
        """Return the file of a descriptor, with points in its writes."""
        if mode == "rb":
            return os.fdopen(handle, mode)
        return io.BufferedWriter(_Halves(handle, self))

    def install(self) -> None:
        """Put the points into this process, for good."""
        system: Any = type("System", (), {"__getattr__": lambda _, name: getattr(os, name)})()
        for name, call in self.real.items():
            setattr(system, name, self.before(name, call))
        system.fdopen = self.opened
        vars(files)["os"] = system
        for name in ("chmod", "replace", "unlink"):
            setattr(Path, name, self.before(name, getattr(Path, name)))


class _Halves(io.FileIO):
    """An open file whose writes have a point before them and one in the middle."""

    def __init__(self, handle: int, points: Points) -> None:
        super().__init__(handle, "wb")
        self.points = points

    def close(self) -> None:
        if not self.closed:
            self.points.point("close")
        super().close()

    def write(self, data: Any) -> int:
        self.points.point("write")
        half = bytes(data[: len(data) // 2])
        done = 0
        while done < len(half):
            done += super().write(half[done:]) or 0
        self.points.point("half-write")
        return done + (super().write(bytes(data[done:])) or 0)


def in_a_fork(work: Callable[[], None]) -> int:
    """Do it in a separate process and return how that ended: as os.waitstatus_to_exitcode."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    status = 1
    try:
        work()
        status = 0
    finally:
        os._exit(status)


def last_words(log: Path) -> list[str]:
    """Return the points that the process passed which died last, and the one it died at."""
    return log.read_text(encoding="utf-8").splitlines()[-1].split()


def leave_litter(folder: Path) -> Path:
    """Leave a temporary file of a process that is dead."""
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    path = folder / f".numpy_rnn-{files._HOST}-{child}-00000000.tmp"
    path.touch()
    return path
