"""Locks on file names, so that two processes do not write the same file.

The lock is on a small file beside the one that is protected. The operating system releases it when
the process ends, however it ends. Reading a file takes no lock.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_BYTE = 1 << 20  # the byte that Windows locks; nobody can read it, so it is past the text
_held: dict[Path, tuple[int, str]] = {}  # the handle of each lock file, and what it is for


@contextmanager
def released_at_end() -> Iterator[None]:
    """Release all locks of this process at the end of the block."""
    try:
        yield
    finally:
        while _held:
            _release(next(iter(_held)))


def release(path: Path) -> None:
    """Release the lock on the name of a file, if this process holds it."""
    name = _lock_name(path)
    if name in _held:
        _release(name)


def _release(name: Path) -> None:
    handle, _ = _held.pop(name)
    # POSIX removes the file under the lock. Windows removes no file that is open here, or in a
    # process that has opened it since and so has the lock.
    if os.name == "nt":
        os.close(handle)
    with contextlib.suppress(OSError):
        name.unlink()
    if os.name != "nt":
        os.close(handle)


def hold(path: Path, purpose: str) -> None:
    """Lock the name of a file in a writable folder until the end of :func:`released_at_end`.

    If another process holds it, or this one for another purpose, there is an OSError that says so.
    On a file system without locks nothing is locked.
    """
    name = _lock_name(path)
    if _held.get(name, (0, purpose))[1] != purpose:
        raise OSError(f"{str(path)!r} is the file of {_held[name][1]} too, expected another one")
    while name not in _held:
        handle = _open(name)
        if not _lock(handle):
            holder = os.read(handle, 200).decode(errors="replace") or "another process"
            os.close(handle)
            raise OSError(f"{str(path)!r} is in use by {holder}, expected another file or its end")
        if not _is_current(handle, name):  # its last holder has removed it since it was opened
            os.close(handle)
            continue
        _held[name] = handle, purpose
        with contextlib.suppress(OSError):  # a full disk, or another user's file
            os.ftruncate(handle, 0)
            os.write(handle, f"process {os.getpid()} on {socket.gethostname()}".encode())


def _lock_name(path: Path) -> Path:
    file = Path(os.path.realpath(path))
    # The file systems of macOS and Windows take "A" and "a" for one name.
    name = file.name.casefold() if sys.platform in ("darwin", "win32") else file.name
    # Short, so that it fits wherever the file's own name fits.
    return file.parent / f".numpy_rnn-{zlib.crc32(os.fsencode(name)):08x}.lock"


def _open(name: Path) -> int:
    flags = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    try:
        return os.open(name, os.O_RDWR | os.O_CREAT | flags, 0o666)
    except PermissionError:
        if not name.exists():
            raise
        return os.open(name, os.O_RDONLY | flags)  # another user's


def _is_current(handle: int, name: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), name.stat())
    except FileNotFoundError:
        return False


def _lock(handle: int) -> bool:
    """Return whether this process has the lock now, or there are no locks here."""
    try:
        if os.name == "nt":
            import msvcrt  # noqa: PLC0415 (Windows)

            windows: Any = msvcrt  # a type checker elsewhere knows none of its names
            os.lseek(handle, _BYTE, os.SEEK_SET)
            windows.locking(handle, windows.LK_NBLCK, 1)
        else:
            import fcntl  # noqa: PLC0415 (POSIX)

            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:  # Windows says EACCES for a lock that is taken, Wine anything
        return os.name != "nt" or error.errno == errno.EINVAL
    finally:
        os.lseek(handle, 0, os.SEEK_SET)
    return True
