"""The output of a program on a terminal."""

from __future__ import annotations

import os
from pathlib import Path

from tests.cli.command import ENVIRONMENT

# tqdm shows every step, not ten a second: what is shown does not depend on the machine's speed.
EVERY_STEP = {"TQDM_MININTERVAL": "0", "TQDM_MINITERS": "1"}


def shows_every_step(folder: Path, *, with_tqdm: bool) -> dict[str, str]:
    """Return the environment of a program that runs in this folder."""
    if not with_tqdm:  # a package of that name that cannot be imported
        (folder / "tqdm.py").write_text("raise ImportError\n", encoding="utf-8")
    path = f"{folder}{os.pathsep}{ENVIRONMENT['PYTHONPATH']}"
    return ENVIRONMENT | EVERY_STEP | {"PYTHONPATH": path}


def open_terminal(columns: int) -> tuple[int, int]:
    """Return the two ends of a terminal of 24 rows, ours first."""
    import pty  # noqa: PLC0415 (POSIX)
    import termios  # noqa: PLC0415

    master, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (24, columns))
    return master, terminal


def read_all(master: int) -> bytes:
    """Read until the other end is closed by all who had it, and close this one."""
    shown = b""
    try:
        while piece := os.read(master, 1 << 16):
            shown += piece
    except OSError:  # Linux reports in this way that the other end is closed
        pass
    finally:
        os.close(master)
    return shown
