"""The output of a program on a terminal."""

from __future__ import annotations

import os


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
