"""The diagonal linear recurrence, computed in parallel over time.

    Forward   (1) h_t = a_t * h_{t-1} + b_t             t = 1..T

    Backward  (1') dh_t = dh[t] + a_{t+1} * dh_{t+1}    t = T..1, dh_{T+1} = 0
                   da_t = dh_t * h_{t-1},  db_t = dh_t,  dh0 = a_1 * dh_1

dh_t is the whole gradient of h_t, and dh[t] is what the loss sends to it directly. (1') is (1)
from the end to the beginning, so the same function computes it. Two steps of (1) are one step
of the same form:

    (2) h_t = (a_t a_{t-1}) * h_{t-2} + (a_t * b_{t-1} + b_t)

So (1) over T steps becomes (1) over the T/2 pairs, which gives every second h_t, and one more (1)
for all others at once (Blelloch 1990; Martin & Cundy 2018). That makes about log2 T rounds of a
few array operations each. There is no division, so decays may be 0 and products of them may
underflow. With |a_t| <= 1 nothing overflows that (1) itself does not.

The rounds do twice the arithmetic of a loop over time. They pay where a timestep is so small that
calling NumPy costs more than its work. With fewer than WIDE bytes a step they are 1 to 8 times
faster, with more the loop is up to 2.4 times faster (``python -m benchmarks.scan``).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from numpy_rnn.functional.blocking import chunks
from numpy_rnn.functional.types import Array

WIDE = 1536  # bytes in a timestep, from which on the loop is used
SHORT = 8  # timesteps up to which the loop is faster


class ScanCache(NamedTuple):
    """What :func:`scan_backward` needs."""

    a: Array  # (T, B, H)
    h: Array  # (T + 1, B, H), row 0 is h0


def scan_forward(a: Array, b: Array, h0: Array) -> tuple[Array, ScanCache]:
    """Run the recurrence over a sequence.

    Parameters
    ----------
    a, b : (T, B, H) arrays
        Factor of the previous state, and what is added to it.
    h0 : (B, H) array

    Returns
    -------
    h, cache : (T, B, H) array, the state after every step, and what backward takes

    Examples
    --------
    >>> import numpy as np
    >>> a, b = np.full((3, 1, 1), 0.5), np.ones((3, 1, 1))
    >>> h, cache = scan_forward(a, b, np.zeros((1, 1)))
    >>> h.ravel()
    array([1.  , 1.5 , 1.75])
    """
    h = np.empty((len(b) + 1, *h0.shape), np.result_type(a, b, h0))
    h[0] = h0
    _scan(a, b, h[0], h[1:])  # (1)
    h.setflags(write=False)
    return h[1:], ScanCache(a, h)


def scan_backward(dh: Array | None, cache: ScanCache) -> tuple[Array, Array, Array]:
    """Return the gradients of :func:`scan_forward`, one per argument: da, db and dh0.

    The arguments and results of every backward are explained in functional/__init__.py.
    """
    a, h = cache
    if dh is None:
        dh = np.zeros_like(h[1:])
    total = np.empty(dh.shape, np.result_type(dh, h))  # the whole gradient of every h_t
    if not len(total):
        return total, total.copy(), np.zeros(h.shape[1:], total.dtype)
    total[-1] = dh[-1]
    _scan(a[:0:-1], dh[-2::-1], total[-1], total[-2::-1])  # (1')
    return total * h[:-1], total, a[0] * total[0]


def _scan(a: Array, b: Array, h0: Array, h: Array) -> None:
    """Write the states to `h`, in chunks, so that the rounds stay in the processor's cache."""
    for chunk in chunks(len(b), h0.size):
        _scan_chunk(a[chunk], b[chunk], h0, h[chunk])
        h0 = h[chunk][-1]


def _scan_chunk(a: Array, b: Array, h0: Array, h: Array) -> None:
    T = len(b)
    if T <= SHORT or h0.nbytes >= WIDE:
        for a_t, b_t, h_t in zip(a, b, h, strict=True):
            np.multiply(a_t, h0, h_t)  # (1)
            np.add(h_t, b_t, h_t)
            h0 = h_t
        return
    first, second = slice(0, T // 2 * 2, 2), slice(1, None, 2)  # of each pair
    _scan_chunk(a[second] * a[first], a[second] * b[first] + b[second], h0, h[second])  # (2)
    np.multiply(a[0], h0, h[0])  # (1) for the others
    np.multiply(a[2::2], h[1:-1:2], h[2::2])
    np.add(h[::2], b[::2], h[::2])
