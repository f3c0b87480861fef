"""Open a file for reading, and write one so that it is complete or absent, never half-written.

Every file that a user names is opened for reading by :func:`open_regular`.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import socket
import stat
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

# A process id is only unique on one machine, so the name of a temporary file includes the host.
_HOST = f"{zlib.crc32(socket.gethostname().encode('utf-8', 'replace')):08x}"
_TEMPORARY = re.compile(rf"\.numpy_rnn-{_HOST}-(\d{{1,9}})-[0-9a-f]{{8}}\.tmp")
_STALE = 24 * 3600.0  # seconds; no file takes that long to write
# Windows opens a device for the first, and another file for the second: the stream or the name
# without its end. The rest is refused when a file is renamed, which is after hours of work.
_RESERVED = re.compile(
    r"(?i)(?:con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[1-9\u00b9\u00b2\u00b3]) *(?:[.:].*)?"
    r"|.*[. ]|.*[<>:\"/\\|?*\x00-\x1f].*"
)
_WAITS = [0.01 * 2**k for k in range(8)]  # seconds between attempts to rename, 2.5 in total


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Make an OSError name this file. The system's error may name a temporary one, or none."""
    try:
        yield
    except OSError as error:
        # One with a message alone names its file already, and so does one from a block inside.
        if error.errno is not None and not hasattr(error, "__notes__"):
            error.filename, error.filename2 = str(path), None
            error.add_note(f"of {path}")
        raise


class NotRegularFileError(OSError):
    """A name leads to a pipe, a socket, a device or a file without a size."""


def open_regular(path: Path | str) -> BinaryIO:
    """Open a regular file for reading.

    A pipe would wait for its writer and a device may never end, so both are a NotRegularFileError,
    and so is a file without a size, as in ``/proc``. A folder is an IsADirectoryError.
    """
    try:
        _check_regular(path, Path(path).stat().st_mode)  # opening some files has an effect
        # Another file may have the name by now, so opening must not wait either.
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        file = os.fdopen(os.open(path, flags), "rb")
    except ValueError:  # a NUL, or a character that the system's encoding lacks
        reason = "Not a possible name of a file"
        raise FileNotFoundError(errno.ENOENT, reason, str(path)) from None
    try:
        status = os.fstat(file.fileno())
        _check_regular(path, status.st_mode)
        if not status.st_size and file.read(1):
            raise _not_regular(path, "a special one without a size")  # noqa: TRY301 (closes the file)
    except BaseException:
        file.close()
        raise
    return file


def read_whole(path: Path | str, limit: int) -> bytes:
    """Return the content of a regular file. More than `limit` bytes are a ValueError."""
    with open_regular(path) as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise ValueError(f"it has more than {limit} bytes, expected at most that")
    return data


def _check_regular(path: Path | str, mode: int) -> None:
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(mode):
        kinds = (stat.S_ISFIFO, "a pipe"), (stat.S_ISSOCK, "a socket")
        raise _not_regular(path, next((kind for is_, kind in kinds if is_(mode)), "a device"))


def _not_regular(path: Path | str, kind: str) -> NotRegularFileError:
    return NotRegularFileError(errno.ENOTSUP, f"Not a regular file but {kind}", str(path))


def check_writable(path: Path) -> None:
    """Raise now the OSError that a write would raise after hours of work."""
    target, _ = _target_and_mode(path)
    with _temporary(target.parent, 0o600):
        pass  # permission bits alone do not tell whether the system allows it


def write_atomically(path: Path, write: Callable[[BinaryIO], None]) -> None:
    """Write a file that appears under its name only when all of it is on the disk.

    The bytes go to a temporary file in the same folder. That file is synced and renamed, then the
    folder is synced. A crash leaves the old file or the new one. It may also leave the temporary
    file, which the next write to the folder removes.

    `write` receives the open temporary file. A replaced file keeps its permissions. Of a symbolic
    link, the file that it points to is replaced. If there is an OSError (a full disk, a folder that
    is not writable, a path that is not a regular file), the old file is unchanged.
    """
    target, mode = _target_and_mode(path)
    _remove_stale(target.parent)
    with _temporary(target.parent, 0o666 if mode is None else mode) as (file, name):
        write(file)
        file.flush()
        if mode is not None:
            name.chmod(mode)  # the umask may have cleared bits that the old file had
        os.fsync(file.fileno())
        file.close()  # Windows renames no open file
        _replace(name, target)
    # The file is complete by now. Some folders cannot be opened and some cannot be synced.
    with contextlib.suppress(OSError):
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _target_and_mode(path: Path) -> tuple[Path, int | None]:
    """Return the file that a name leads to, and its permissions if it exists."""
    if os.name == "nt" and _RESERVED.fullmatch(path.name):
        raise OSError(f"{str(path)!r} is a name that Windows reserves, expected a file's name")
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
    if os.name == "nt" and not status.st_mode & stat.S_IWRITE:  # it can be replaced elsewhere
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
    return target, status.st_mode & 0o777


@contextmanager
def _temporary(folder: Path, mode: int) -> Iterator[tuple[BinaryIO, Path]]:
    """Create a temporary file, opened for writing, and remove it unless it was renamed."""
    # Short, so that it fits wherever the file's own name fits.
    name = folder / f".numpy_rnn-{_HOST}-{os.getpid()}-{secrets.token_hex(4)}.tmp"
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_BINARY", 0)
    handle = os.open(name, flags, mode)  # the kernel applies the umask
    try:
        with os.fdopen(handle, "wb") as file:
            yield file, name
    finally:
        name.unlink(missing_ok=True)


def _replace(name: Path, target: Path) -> None:
    """Rename a file. Windows refuses that while another process reads the target: wait a little."""
    for wait in _WAITS if os.name == "nt" else []:
        try:
            name.replace(target)
        except PermissionError:
            time.sleep(wait)
        else:
            return
    name.replace(target)


def _remove_stale(folder: Path) -> None:
    """Remove the temporary files of processes that were killed while they wrote."""
    # A temporary file that cannot be listed or removed is no reason to fail.
    with contextlib.suppress(OSError):
        for name in os.listdir(folder):  # noqa: PTH208 (names are enough)
            match = _TEMPORARY.fullmatch(name)
            if match and _is_stale(folder / name, int(match[1])):
                (folder / name).unlink(missing_ok=True)


def _is_stale(path: Path, process: int) -> bool:
    """Return whether the process that wrote a temporary file has ended."""
    if os.name != "posix":  # on Windows os.kill ends the process, whatever the signal
        return time.time() - path.stat().st_mtime > _STALE
    try:
        os.kill(process, 0)  # signal 0 only asks whether the process exists
    except OSError as error:  # of another user's process it is a PermissionError
        return isinstance(error, ProcessLookupError)
    return False
