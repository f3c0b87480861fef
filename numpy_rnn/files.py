"""Writing a file so that it is complete or absent, never half-written."""

from __future__ import annotations

import contextlib
import os
import platform
import re
import secrets
import stat
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

# A process id means something on its own machine only, so the name says which one that is.
_HOST = f"{zlib.crc32(platform.node().encode('utf-8', 'replace')):08x}"
_TEMPORARY = re.compile(rf"\.numpy_rnn-{_HOST}-(\d{{1,9}})-[0-9a-f]{{8}}\.tmp")


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Let an OSError name this file: the system's may name a temporary one, or none."""
    try:
        yield
    except OSError as error:
        error.filename, error.filename2 = str(path), None
        raise


def check_writable(path: Path) -> None:
    """Say now what would fail after hours of work.

    Parameters
    ----------
    path : Path
        The file to be written.

    Raises
    ------
    OSError
        If its folder does not exist or does not let a file be made, or if there is something
        of its name that is not a file.
    """
    target, _ = _target_and_mode(path)
    with _temporary(target.parent, 0o600):
        pass  # the system's word that it can be made; permission bits alone promise too much


def write_atomically(path: Path, write: Callable[[BinaryIO], None]) -> None:
    """Write a file under its name only once all of it is on the disk.

    The bytes go to a temporary file beside it, which is synced and then renamed over the
    name; the rename is synced with the folder. A crash leaves the old file or the new one,
    and perhaps the temporary one, which the next write to the folder removes.

    Parameters
    ----------
    path : Path
        The file to be written or replaced. One that is replaced keeps its permissions; of a
        symbolic link, what it leads to is replaced.
    write : callable
        Is given the open temporary file.

    Raises
    ------
    OSError
        If the disk is full, the folder is not writable or there is something of that name
        that is not a file; an old file is as it was.
    """
    target, mode = _target_and_mode(path)
    _remove_stale(target.parent)
    with _temporary(target.parent, 0o666 if mode is None else mode) as (handle, name):
        with os.fdopen(handle, "wb", closefd=False) as file:
            write(file)
        if mode is not None:
            name.chmod(mode)  # the umask has taken bits away that the old file had
        os.fsync(handle)
        name.replace(target)
    # The file is complete under its name: a folder that cannot be opened for reading, or a
    # file system that cannot sync one, does not change that.
    with contextlib.suppress(OSError):
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _target_and_mode(path: Path) -> tuple[Path, int | None]:
    """Return the file that a name leads to, and its permissions if it exists.

    Raises
    ------
    OSError
        If it can be no file, or its folder does not exist.
    """
    try:
        target = Path(os.path.realpath(path))
    except FileNotFoundError:  # of a relative name
        raise FileNotFoundError("the working directory does not exist any more") from None
    try:
        status = target.lstat()
    except FileNotFoundError:
        if not target.parent.is_dir():
            folder = target.parent if path.is_symlink() else path.parent
            raise FileNotFoundError(f"folder {str(folder)!r} does not exist") from None
        return target, None
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(f"{str(path)!r} is a folder, expected a file's name")
    if not stat.S_ISREG(status.st_mode):
        raise OSError(f"{str(path)!r} exists and is not a regular file")
    return target, status.st_mode & 0o777


@contextmanager
def _temporary(folder: Path, mode: int) -> Iterator[tuple[int, Path]]:
    """Make a file of our own, opened for writing, and remove it if it has not been renamed.

    Its name is short, so that it fits wherever the file's own name does.
    """
    name = folder / f".numpy_rnn-{_HOST}-{os.getpid()}-{secrets.token_hex(4)}.tmp"
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_BINARY", 0)
    handle = os.open(name, flags, mode)  # the kernel applies the umask
    try:
        try:
            yield handle, name
        finally:
            os.close(handle)
    finally:
        name.unlink(missing_ok=True)


def _remove_stale(folder: Path) -> None:
    """Remove the temporary files of processes that were killed while they wrote."""
    if os.name != "posix":  # elsewhere os.kill kills, whatever the signal
        return
    # What cannot be listed or removed is only litter, no reason not to write.
    with contextlib.suppress(OSError):
        for name in os.listdir(folder):  # noqa: PTH208 (names are enough)
            match = _TEMPORARY.fullmatch(name)
            if match and not _is_alive(int(match[1])):
                (folder / name).unlink(missing_ok=True)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)  # asks, sends nothing
    except ProcessLookupError:
        return False
    except PermissionError:  # it is someone else's
        return True
    return True
