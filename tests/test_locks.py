"""The second process is told who holds a file, and a lock ends with its process."""

from __future__ import annotations

import errno
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from numpy_rnn import locks
from numpy_rnn.locks import hold, released_at_end

HOLDS = """
import pathlib, sys
from numpy_rnn.locks import hold, released_at_end
with released_at_end():
    hold(pathlib.Path(sys.argv[1]), "a test")
    print("held", flush=True)
    sys.stdin.read()
"""


def holder(path: Path) -> subprocess.Popen[str]:
    """Start a process that holds the lock until its input ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDS, path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def test_the_second_process_is_told_who_holds_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a"
    with holder(path) as process:
        message = f"'{path}' is in use by process {process.pid} on {socket.gethostname()}, expected"
        for _ in range(2), released_at_end():
            with pytest.raises(OSError, match="is in use by") as caught:
                hold(path, "a test")
            assert str(caught.value).startswith(message)
        with released_at_end():
            hold(tmp_path / "b", "a test")  # another file in the folder
        process.communicate("")
    assert names(tmp_path) == []
    with released_at_end():
        hold(path, "a test")
        assert len(names(tmp_path)) == 1
    assert names(tmp_path) == []


def test_a_lock_ends_with_its_process_however_that_ends(tmp_path: Path) -> None:
    path = tmp_path / "a"
    with holder(path) as process:
        process.kill()
        process.wait()
    assert len(names(tmp_path)) == 1  # it is left, but nobody holds it
    with released_at_end():
        hold(path, "a test")
    assert names(tmp_path) == []


def test_one_name_for_two_files_of_a_command(tmp_path: Path) -> None:
    with released_at_end():
        hold(tmp_path / "a", "--log")
        hold(tmp_path / "a", "--log")
        for name in ("a", "./a"):
            with pytest.raises(
                OSError, match=f"{name}' is the file of --log too, expected another"
            ):
                hold(tmp_path / name, "--plot")
    with released_at_end():
        hold(tmp_path / "a", "--plot")


@pytest.mark.posix
def test_names_that_macos_and_windows_take_for_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with released_at_end():
        hold(tmp_path / "a", "--log")
        hold(tmp_path / "A", "--plot")
    monkeypatch.setattr(sys, "platform", "darwin")
    with released_at_end():
        hold(tmp_path / "a", "--log")
        with pytest.raises(OSError, match="is the file of --log too"):
            hold(tmp_path / "A", "--plot")


@pytest.mark.posix
def test_a_file_system_without_locks_is_written_without_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fcntl  # noqa: PLC0415 (POSIX)

    def refuse(_handle: int, _operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with released_at_end():
        hold(tmp_path / "a", "a test")
    assert names(tmp_path) == []


@pytest.mark.posix
def test_a_lock_file_that_its_last_holder_removes_is_opened_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[Path] = []
    system_open = locks._open

    def removed(name: Path) -> int:
        handle = system_open(name)
        opened.append(name)
        if len(opened) < 3:
            name.unlink()
        if len(opened) == 2:
            name.touch()  # another process has made a new one
        return handle

    monkeypatch.setattr(locks, "_open", removed)
    with released_at_end():
        hold(tmp_path / "a", "a test")
        assert len(opened) == 3
        with pytest.raises(OSError, match="is in use by process"), holder(tmp_path / "b"):
            hold(tmp_path / "b", "a test")


@pytest.mark.posix
def test_a_link_in_place_of_a_lock_file_is_not_written_through(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    locks._lock_name(tmp_path / "a").symlink_to(victim)
    with released_at_end(), pytest.raises(OSError, match="symbolic links"):
        hold(tmp_path / "a", "a test")
    assert victim.read_bytes() == b"precious"
