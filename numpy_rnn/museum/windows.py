"""Room: the time loop in windows of four steps; each hands its state, and its gradient, on."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import numpy as np

from numpy_rnn.functional.types import Array
from numpy_rnn.museum.elman import (
    ELMAN_SHAPES,
    ElmanCache,
    elman_backward,
    elman_forward,
)
from numpy_rnn.museum.exhibit import Exhibit, Room

K = 4  # steps of a window; the last one may be shorter


class WindowsCache(NamedTuple):
    """What backward needs: x, and the first step and the cell's cache of each window."""

    x: Array
    windows: list[tuple[int, ElmanCache]]


def windows_forward(
    x: Array, h0: Array, W_ih: Array, W_hh: Array, b_ih: Array, b_hh: Array
) -> tuple[Array, WindowsCache]:
    """Return h at every step, as the cell would in one go."""
    pieces, windows, state = [], [], h0
    for start in range(0, len(x), K):
        piece, cache = elman_forward(x[start : start + K], state, W_ih, W_hh, b_ih, b_hh)
        state = piece[-1]
        pieces.append(piece)
        windows.append((start, cache))
    return np.concatenate(pieces), WindowsCache(x, windows)


def windows_backward(dh: Array, cache: WindowsCache) -> tuple[Array, ...]:
    """Go back through the windows, the last one first."""
    x, windows = cache
    dx, dstate = np.zeros_like(x), np.zeros_like(windows[0][1].h[0])
    dweights = [np.zeros_like(weight) for weight in windows[0][1][3:]]
    for start, window in reversed(windows):
        dpiece = dh[start : start + K].copy()
        dpiece[-1] += dstate
        dx_piece, dstate, *shares = elman_backward(dpiece, window)
        dx[start : start + K] = dx_piece
        for k, share in enumerate(shares):
            dweights[k] += share
    return dx, dstate, *dweights


WINDOWS = Room("windows", windows_forward, windows_backward, ELMAN_SHAPES)
_bug = partial(Exhibit, WINDOWS)

WINDOWS_EXHIBITS = [
    _bug(
        "detached between windows",
        "dpiece[-1] += dstate",
        "pass",
        "The state is handed on, its gradient is not: truncated, and called complete.",
        ("dx",),
    ),
    _bug(
        "gradient of the state at the window's first step",
        "dpiece[-1] += dstate",
        "dpiece[0] += dstate",
        "The next window starts where this one ends, not where it starts.",
        ("dx",),
    ),
    _bug(
        "windows in the order of time",
        "reversed(windows)",
        "windows",
        "Each window's backward is right, so the loop around it seems to need no care.",
        ("dx",),
    ),
    _bug(
        "caller's gradient changed",
        "dh[start : start + K].copy()",
        "dh[start : start + K]",
        "A slice is a view.",
        ("dh",),
        kind="mutates",
    ),
    _bug(
        "= for +=",
        "dweights[k] += share",
        "dweights[k] = share",
        "Each window overwrites what the others found.",
        ("W_ih",),
    ),
    _bug(
        "short window at the end left out",
        "for start, window in reversed(windows):\n",
        "for start, window in reversed(windows[: len(x) // K]):\n",
        "len(x) // K windows, where it should be rounded up.",
        ("dx",),
    ),
    _bug(
        "gradient of the state handed on twice",
        "dstate, *shares = elman_backward(dpiece, window)",
        "step, *shares = elman_backward(dpiece, window)\n        dstate = dstate + step",
        "Added up like the weights' gradients.",
        ("dx",),
    ),
]
