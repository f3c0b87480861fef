"""The diagonal linear recurrence, computed in parallel over time.

    Forward   (1) h_t = a_t * h_{t-1} + b_t             t = 1..T

    Backward  (1') e_t = dh_t + a_{t+1} * e_{t+1}       t = T..1, e_{T+1} = 0
                   da_t = e_t * h_{t-1},  db_t = e_t,  dh0 = a_1 * e_1

e_t is the whole gradient of h_t; (1') is (1) run from the end to the beginning, so it is
computed by the same function. Two steps of (1) are one step of the same form,

    (2) h_t = (a_t a_{t-1}) * h_{t-2} + (a_t * b_{t-1} + b_t)

so (1) over T steps is (1) over the T/2 pairs, which gives every second h_t, and one more (1) for
all the others at once (Blelloch 1990; Martin & Cundy 2018). That is about log2 T rounds, each a
few array operations. Nothing is divided, so that decays may be 0, and products of them may
underflow, without harm; with |a_t| <= 1 nothing overflows that (1) itself does not.

The rounds do twice the arithmetic of a loop over time, and pay where an operation on one step
costs less than calling it: for rows of fewer than WIDE numbers, 1.1 to 15 times faster. For
wider ones the loop is faster, in the end by two (``python -m benchmarks.scan``).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from numpy_rnn.functional.types import Array

WIDE = 128  # numbers in a row from which on the loop is faster
SHORT = 8  # steps up to which it is
PIECE = 1 << 16  # numbers that are scanned at a time: a few hundred kilobytes


class ScanCache(NamedTuple):
    """What :func:`scan_backward` needs of the forward pass."""

    a: Array  # (T, B, H)
    h: Array  # (T + 1, B, H), row 0 is h0


def scan_forward(a: Array, b: Array, h0: Array) -> tuple[Array, ScanCache]:
    """Run the recurrence over a sequence.

    Parameters
    ----------
    a, b : (T, B, H) arrays
        What is left of the previous state, and what is added to it.
    h0 : (B, H) array
        State before the first step.

    Returns
    -------
    h : (T, B, H) array
        The state after every step. Read-only: it is also the cache.
    cache : ScanCache
        For :func:`scan_backward`.
    """
    h = np.empty((len(b) + 1, *h0.shape), np.result_type(a, b, h0))
    h[0] = h0
    _scan(a, b, h[0], h[1:])  # (1)
    h.setflags(write=False)
    return h[1:], ScanCache(a, h)


def scan_backward(dh: Array | None, cache: ScanCache) -> tuple[Array, Array, Array]:
    """Gradients of :func:`scan_forward`, one per argument.

    Parameters
    ----------
    dh : (T, B, H) array or None
        What the loss sends to the state at each step; None is zero.
    cache : ScanCache
        From the forward pass.

    Returns
    -------
    da, db : (T, B, H) arrays
        Gradients of the factors and of what was added.
    dh0 : (B, H) array
        Gradient of the initial state.
    """
    a, h = cache
    if dh is None:
        dh = np.zeros_like(h[1:])
    e = np.empty(dh.shape, np.result_type(dh, h))
    if not len(e):
        return e, e.copy(), np.zeros(h.shape[1:], e.dtype)
    e[-1] = dh[-1]
    _scan(a[:0:-1], dh[-2::-1], e[-1], e[-2::-1])  # (1')
    return e * h[:-1], e, a[0] * e[0]


def _scan(a: Array, b: Array, h0: Array, h: Array) -> None:
    """Write the states to `h`, piece by piece, so that the rounds stay in the processor's cache."""
    steps = max(1, PIECE // max(1, h0.size))
    for start in range(0, len(b), steps):
        piece = slice(start, start + steps)
        _scan_piece(a[piece], b[piece], h0, h[piece])
        h0 = h[piece][-1]


def _scan_piece(a: Array, b: Array, h0: Array, h: Array) -> None:
    T = len(b)
    if T <= SHORT or h0.size >= WIDE:
        for a_t, b_t, h_t in zip(a, b, h, strict=True):
            np.multiply(a_t, h0, h_t)  # (1)
            np.add(h_t, b_t, h_t)
            h0 = h_t
        return
    first, second = slice(0, T // 2 * 2, 2), slice(1, None, 2)  # of each pair
    _scan_piece(a[second] * a[first], a[second] * b[first] + b[second], h0, h[second])  # (2)
    np.multiply(a[0], h0, h[0])  # (1) of the others
    np.multiply(a[2::2], h[1:-1:2], h[2::2])
    np.add(h[::2], b[::2], h[::2])
