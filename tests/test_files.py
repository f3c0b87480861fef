"""A file is complete or absent: a full disk, a kill, a link, an odd folder."""

from __future__ import annotations

import os
import re
import signal
import stat
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import BinaryIO

import pytest

from numpy_rnn import files
from numpy_rnn.files import check_writable, write_atomically

ROOT = Path(__file__).parents[1]


def hello(file: BinaryIO) -> None:
    file.write(b"hello")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old")

    def fail(file: BinaryIO) -> None:
        file.write(b"half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_atomically(path, fail)
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["a"]


@pytest.mark.posix
def test_a_new_file_has_the_umasks_permissions_without_touching_the_umask(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = os.umask(0o027)
    try:
        with monkeypatch.context() as patch:
            patch.setattr(os, "umask", None)  # it is the whole process's, threads and all
            write_atomically(tmp_path / "a", hello)
    finally:
        os.umask(before)
    assert mode(tmp_path / "a") == 0o640


@pytest.mark.posix
@pytest.mark.parametrize("bits", [0o600, 0o666, 0o440])
def test_an_old_file_keeps_its_permissions(tmp_path: Path, bits: int) -> None:
    path = tmp_path / "a"
    path.touch()
    path.chmod(bits)

    def write(file: BinaryIO) -> None:
        (temporary,) = tmp_path.glob(".numpy_rnn-*.tmp")
        assert mode(temporary) & ~bits == 0  # at no moment more than the old file's
        file.write(b"hello")

    write_atomically(path, write)
    assert (path.read_bytes(), mode(path)) == (b"hello", bits)


@pytest.mark.posix
def test_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    link, real = tmp_path / "link", tmp_path / "folder" / "real"
    link.symlink_to("folder/real")
    for _ in range(2):  # it leads nowhere, then to a file
        check_writable(link)
        write_atomically(link, hello)
        assert link.is_symlink()
        assert real.read_bytes() == b"hello"
    assert names(tmp_path) == ["folder", "link"]
    assert names(tmp_path / "folder") == ["real"]


@pytest.mark.posix
def test_what_is_no_file_is_refused_and_left(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "device").symlink_to(os.devnull)
    for name, message in (
        ("pipe", "exists and is not a regular file"),
        ("loop", "exists and is not a regular file"),
        ("device", "exists and is not a regular file"),
        ("folder", "is a folder, expected a file's name"),
        ("no/a", "folder .*no' does not exist"),
        ("pipe/a", "Not a directory"),
        ("a" * 256, "File name too long"),
    ):
        for attempt in (check_writable, lambda path: write_atomically(path, hello)):
            with pytest.raises(OSError, match=message):
                attempt(tmp_path / name)
    assert names(tmp_path) == ["device", "folder", "loop", "pipe"]


def test_the_longest_name_there_is(tmp_path: Path) -> None:
    path = tmp_path / ("a" * 255)
    check_writable(path)
    assert names(tmp_path) == []
    write_atomically(path, hello)
    assert names(tmp_path) == [path.name]


@pytest.mark.posix
@pytest.mark.parametrize("folder", ["/proc", "/proc/self"])
def test_a_folder_in_which_nothing_can_be_made(folder: str) -> None:
    assert os.access("/proc/self", os.R_OK)
    with pytest.raises(OSError, match=r"No such file|Permission denied"):
        check_writable(Path(folder) / "a")


@pytest.mark.posix
def test_a_working_directory_that_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(FileNotFoundError, match="working directory does not exist any more"):
        check_writable(Path("a"))
    check_writable(tmp_path / "a")  # this one has no need of it


@pytest.mark.posix
def test_a_folder_that_cannot_be_read_is_no_failure_of_a_complete_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    system_open = os.open

    def refuse_folders(path: Path, flags: int, *rest: int) -> int:
        if Path(path).is_dir():
            raise PermissionError(13, "Permission denied", str(path))
        return system_open(path, flags, *rest)

    def refuse(path: Path) -> list[str]:
        raise PermissionError(13, "Permission denied", str(path))

    # Mode -wx has this effect for every user but root, who may be running this.
    monkeypatch.setattr(os, "open", refuse_folders)
    monkeypatch.setattr(os, "listdir", refuse)
    check_writable(tmp_path / "a")
    write_atomically(tmp_path / "a", hello)
    assert (tmp_path / "a").read_bytes() == b"hello"


KILLED_WHILE_WRITING = """
import os, pathlib, signal, sys
from numpy_rnn.files import write_atomically
def die(file):
    file.write(b"half")
    file.flush()
    os.kill(os.getpid(), signal.SIGKILL)
write_atomically(pathlib.Path(sys.argv[1]), die)
"""


@pytest.mark.posix
def test_temporaries_of_the_dead_are_removed_and_of_no_one_else(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old")
    killed = subprocess.run([sys.executable, "-c", KILLED_WHILE_WRITING, path], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert path.read_bytes() == b"old"
    (left,) = (name for name in names(tmp_path) if name != "a")
    match = re.fullmatch(r"\.numpy_rnn-([0-9a-f]{8})-(\d+)-[0-9a-f]{8}\.tmp", left)
    assert match is not None
    host, dead = match.groups()
    others = {
        f".numpy_rnn-{host}-{os.getppid()}-00000000.tmp",  # a process that lives
        f".numpy_rnn-{host}-{os.getpid()}-00000000.tmp",  # another thread of this one
        f".numpy_rnn-{int(host, 16) ^ 1:08x}-{dead}-00000000.tmp",  # another machine's
        f".numpy_rnn-{host}-{dead}.tmp",  # written by hand
    }
    for name in others:
        (tmp_path / name).touch()
    write_atomically(path, hello)
    assert set(names(tmp_path)) == {"a"} | others


KILLED_EVERYWHERE = """
import os, pathlib, sys
from tests.kill_points import NAMES, SURVIVED, Points, in_a_fork, last_words, leave_litter
log, old = pathlib.Path("last words"), sys.argv[1] == "old"
def save(folder, name, number):
    points = Points(1, name, number, os.open(log, os.O_CREAT | os.O_APPEND | os.O_WRONLY))
    points.install()
    content = b"new" * 50_000
    points.write_atomically(folder / "a", lambda file: [file.write(content) for _ in range(5)])
for name in NAMES:
    for number in range(1, 100):
        folder = pathlib.Path(f"{name}-{number}")
        folder.mkdir()
        if old:
            (folder / "a").write_bytes(b"old")
        leave_litter(folder)
        status = in_a_fork(lambda: save(folder, name, number))
        if status == SURVIVED:
            break
        print(status, folder, "replace" in last_words(log)[:-1])
"""


@pytest.mark.posix
@pytest.mark.parametrize("old", [True, False])
def test_a_file_is_complete_wherever_its_writer_is_killed(tmp_path: Path, old: bool) -> None:
    done = subprocess.run(
        [sys.executable, "-c", KILLED_EVERYWHERE, "old" if old else "none"],
        check=True,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"},
    )
    kills: Counter[str] = Counter()
    for line in done.stdout.splitlines():
        status, folder, replaced = line.split()
        assert int(status) == -signal.SIGKILL
        kills[folder.rpartition("-")[0]] += 1
        path = tmp_path / folder / "a"
        if replaced == "True":
            assert path.read_bytes() == b"new" * 250_000
        elif old:
            assert path.read_bytes() == b"old"
        else:
            assert not path.exists()
        write_atomically(path, hello)
        assert names(path.parent) == ["a"]
        assert path.read_bytes() == b"hello"
    calls = {"listdir": 1, "open": 2, "fsync": 2, "replace": 1, "close": 2, "unlink": 2}
    assert kills.pop("write") == kills.pop("half-write") >= 5
    assert kills == calls | ({"chmod": 1} if old else {})


def test_the_machine_is_part_of_the_name() -> None:
    assert re.fullmatch("[0-9a-f]{8}", files._HOST)
