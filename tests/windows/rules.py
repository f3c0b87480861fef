"""Make this process, and those that it starts, follow Windows's rules. There is no way back.

    python -m pytest --windows tests/cli tests/test_files.py tests/test_locks.py

`tests/windows/sitecustomize.py` does it in a process that Python starts. The rules are:

- A file that any process has open cannot be renamed, replaced or removed, nor can a read-only one.
- A folder cannot be opened, so it cannot be synced. A descriptor of os.open is in text mode unless
  it has O_BINARY.
- CON, NUL and the like are devices. ":" and a dot at the end of a name are not what they seem.
  Two names that differ in their case are one.
- Text files and streams are in cp1252 with CRLF, unless something else is asked for.
- There is no fork, no user id, no symbolic link, and no signal beyond SIGINT, SIGTERM and SIGABRT.
  ``os.kill(process, 0)`` ends the process. fcntl, resource, termios and pty cannot be imported.
- os.name is "nt" and sys.platform "win32".

Rules about files are for all modules. Rules about names are for numpy_rnn and its tests: Python's
own modules and other packages would use what is not there.

What it cannot show: Windows's own file system and console, drive letters, other DLLs.
"""

from __future__ import annotations

import builtins
import contextlib
import errno
import fcntl
import io
import os
import re
import signal
import stat
import subprocess
import sys
import types
from collections.abc import Callable, Iterator, Sequence
from typing import Any

MODULES = ("fcntl", "resource", "termios", "pty", "tty", "pwd", "grp", "syslog", "readline")
CALLS = (
    *("fork", "forkpty", "register_at_fork", "geteuid", "getgid", "getegid", "getgroups", "uname"),
    *("chown", "lchown", "mkfifo", "mknod", "killpg", "setsid", "getpgid", "nice", "fchmod"),
    *("sched_getaffinity", "posix_fallocate", "fdatasync", "sync", "statvfs", "pread", "pwrite"),
    *("O_NOFOLLOW", "O_DIRECTORY", "O_NONBLOCK", "O_SYNC", "O_DSYNC", "O_CLOEXEC", "O_TMPFILE"),
    *("SEEK_HOLE", "SEEK_DATA"),
)
SIGNAL_CALLS = ("pthread_sigmask", "alarm", "setitimer", "pause", "sigwait", "pthread_kill")
SIGNALS = {"SIGABRT", "SIGFPE", "SIGILL", "SIGINT", "SIGSEGV", "SIGTERM"}
KEPT = {"SIG_DFL", "SIG_IGN", "SIGINT", *SIGNALS}
DEVICE = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d) *([.:].*)?")
ODD = re.compile(r'.*[. ]|.*[<>:"\\|?*].*')
OURS = re.compile(r"(numpy_rnn|tests|benchmarks)(\.|$)|__main__$|__mp_main__$")
BINARY = 0x8000  # Windows's O_BINARY; Linux ignores it
ENCODING = "cp1252"

_real_open, _real_os_open, _real_kill, _real_signal = io.open, os.open, os.kill, signal.signal
_listdir, _stat, _real_import = os.listdir, os.stat, builtins.__import__


def install() -> None:
    """Introduce the rules."""
    vars(subprocess)["io"] = _Namespace(io, TextIOWrapper=_text_stream)
    signals = [name for name in vars(signal) if re.match(r"SIG[A-Z]", name) and name not in KEPT]
    _show(os, CALLS, name="nt", O_BINARY=BINARY, open=_os_open, kill=_kill, symlink=_no_symlink)
    _show(signal, (*signals, *SIGNAL_CALLS), signal=_signal)
    _show(sys, (), platform="win32")
    builtins.open = io.open = _open
    builtins.__import__ = _import
    sys.addaudithook(_audit)


def streams() -> None:
    """Make the standard streams those of a pipe or a file."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding=ENCODING, newline="\r\n")


class _Namespace(types.SimpleNamespace):
    """A module with some names replaced."""

    def __init__(self, module: types.ModuleType, **names: Any) -> None:
        super().__init__(**vars(module) | names)


def _show(module: types.ModuleType, hidden: Sequence[str], **names: Any) -> None:
    """Show other values of a module's names to the code under test, and hide some."""
    real = dict(vars(module))
    patched: dict[str, Any] = {}  # by a test, for all

    def attribute(name: str) -> property:
        def get(_: object) -> Any:
            shown = (names if _is_ours(sys._getframe(1)) else real) | patched
            if name in shown:
                return shown[name]
            raise AttributeError(f"{module.__name__} has no {name} on Windows")

        def change(_: object, value: Any) -> None:
            patched.pop(name, None)
            if value is not real.get(name):
                patched[name] = value

        return property(get, change)

    attributes = {name: attribute(name) for name in (*names, *hidden)}
    module.__class__ = type("Module", (types.ModuleType,), attributes)


def _is_ours(frame: types.FrameType) -> bool:
    return OURS.match(frame.f_globals.get("__name__", "")) is not None


def _import(name: str, *rest: Any, **options: Any) -> Any:
    if name in MODULES and _is_ours(sys._getframe(1)):
        raise ModuleNotFoundError(f"No module named {name!r} on Windows", name=name)
    if name == "msvcrt" and _is_ours(sys._getframe(1)):
        return _msvcrt()
    return _real_import(name, *rest, **options)


def _text_stream(*arguments: Any, **options: Any) -> io.TextIOWrapper:
    options["encoding"] = options.get("encoding") or ENCODING
    return io.TextIOWrapper(*arguments, **options)


def _open(
    file: Any,
    mode: str = "r",
    buffering: int = -1,
    encoding: str | None = None,
    errors: str | None = None,
    newline: str | None = None,
    *rest: Any,
    **options: Any,
) -> Any:
    if "b" not in mode:
        encoding = ENCODING if encoding in (None, "locale") else encoding
        if newline is None and set(mode) & set("wax+"):
            newline = "\r\n"
    return _real_open(file, mode, buffering, encoding, errors, newline, *rest, **options)


def _os_open(path: Any, flags: int, *rest: Any, **options: Any) -> int:
    if not options and os.path.isdir(path):  # noqa: PTH112 (a str or bytes)
        raise PermissionError(errno.EACCES, "Permission denied", str(path))
    writes = flags & (os.O_WRONLY | os.O_RDWR)
    assert flags & BINARY or not writes or path == os.devnull, f"{path}: opened in text mode"
    return _real_os_open(path, flags, *rest, **options)


def _kill(process: int, number: int) -> None:
    assert number, "os.kill(process, 0) ends the process on Windows"
    _real_kill(process, number)


def _signal(number: Any, handler: Any) -> Any:
    if signal.Signals(number).name not in SIGNALS:
        raise ValueError("invalid signal value")
    return _real_signal(number, handler)


def _no_symlink(*_: Any, **__: Any) -> None:
    raise OSError(errno.EPERM, "A required privilege is not held by the client")


def _msvcrt() -> Any:
    """Return a msvcrt with locks. They are mandatory, so they have to be past a file's end."""
    module: Any = types.ModuleType("msvcrt")
    module.LK_NBLCK, module.LK_UNLCK = 2, 0

    def locking(handle: int, mode: int, count: int) -> None:
        assert count == 1
        assert os.lseek(handle, 0, os.SEEK_CUR) > 1000, "nobody else can read what is locked"
        operation = fcntl.LOCK_UN if mode == module.LK_UNLCK else fcntl.LOCK_EX | fcntl.LOCK_NB
        try:
            fcntl.flock(handle, operation)
        except BlockingIOError:
            raise PermissionError(errno.EACCES, "Permission denied") from None

    module.locking = locking
    return module


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if event in _EVENTS:
        _EVENTS[event](*arguments)


def _on_open(path: Any, _mode: Any, flags: Any) -> None:
    if isinstance(path, str | bytes | os.PathLike):
        _check_name(os.fsdecode(path), new=bool(flags and flags & os.O_CREAT))


def _on_rename(source: Any, target: Any, source_folder: int, target_folder: int) -> None:
    _check_name(os.fsdecode(target), new=True)
    _check_closed(source, source_folder)
    _check_closed(target, target_folder)


def _on_mkdir(path: Any, *_: Any) -> None:
    _check_name(os.fsdecode(path), new=True)


def _check_name(path: str, *, new: bool) -> None:
    folder, name = os.path.split(path)
    if DEVICE.fullmatch(name) or (ODD.fullmatch(name) and name not in (".", "..")):
        raise OSError(errno.EINVAL, "Invalid argument", path)
    if new:
        with contextlib.suppress(OSError):
            same = [other for other in _listdir(folder or ".") if other.lower() == name.lower()]
            assert same in ([], [name]), f"{same[0]} and {name} are one file on Windows"


def _check_closed(path: Any, folder: int) -> None:
    """Raise PermissionError if a process has a file open, or the file is read-only."""
    at = {} if folder in (-1, None) else {"dir_fd": folder}
    try:
        status = _stat(path, follow_symlinks=False, **at)
    except OSError:
        return
    if not stat.S_ISREG(status.st_mode):
        return
    if any(os.path.samestat(other, status) for other in _open_files()):
        reason = "The process cannot access the file because another process uses it"
        raise PermissionError(errno.EACCES, reason, os.fsdecode(path))
    if not status.st_mode & stat.S_IWUSR:
        raise PermissionError(errno.EACCES, "Permission denied", os.fsdecode(path))


def _open_files() -> Iterator[os.stat_result]:
    """Yield the status of every file that a process of this user has open."""
    for process in filter(str.isdigit, _listdir("/proc")):
        with contextlib.suppress(OSError):  # it has ended, or is another user's
            for number in _listdir(f"/proc/{process}/fd"):
                with contextlib.suppress(OSError):
                    yield _stat(f"/proc/{process}/fd/{number}")


_EVENTS: dict[str, Callable[..., None]] = {
    "open": _on_open,
    "os.rename": _on_rename,
    "os.remove": _check_closed,
    "os.mkdir": _on_mkdir,
}
