"""Writing a file so that it is complete or absent, never half-written."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO


def check_writable(path: Path) -> None:
    """Say now what would fail after hours of work.

    Parameters
    ----------
    path : Path
        The file to be written.

    Raises
    ------
    OSError
        If its folder does not exist or does not let a file be made, or if it is a folder.
    """
    if path.is_dir():
        raise IsADirectoryError(f"{str(path)!r} is a folder, expected a file's name")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"folder {str(path.parent)!r} does not exist")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise PermissionError(f"folder {str(path.parent)!r} is not writable")


def write_atomically(path: Path, write: Callable[[BinaryIO], None]) -> None:
    """Write a file under its name only once all of it is on the disk.

    The bytes go to a temporary file beside it, which is synced and then renamed over the
    name; the rename is synced with the folder. A crash leaves the old file or the new one.

    Parameters
    ----------
    path : Path
        The file to be written or replaced.
    write : callable
        Is given the open temporary file.

    Raises
    ------
    OSError
        If the disk is full or the folder is not writable; the old file is as it was.
    """
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            os.fchmod(file.fileno(), 0o666 & ~_umask())  # mkstemp's are private
            write(file)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            Path(name).unlink()
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _umask() -> int:
    """Return the process's umask, which can only be read by setting it."""
    umask = os.umask(0)
    os.umask(umask)
    return umask
