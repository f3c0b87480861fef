"""Room: both directions; the second reads x backwards, and its output is turned round again."""

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


class BidirectionalCache(NamedTuple):
    """What backward needs: the cell's cache of each direction."""

    ahead: ElmanCache
    back: ElmanCache


def bidirectional_forward(x: Array, *arguments: Array) -> tuple[Array, BidirectionalCache]:
    """Return h of both directions side by side, (T, B, 2H)."""
    ahead, ahead_cache = elman_forward(x, *arguments[:5])
    back, back_cache = elman_forward(x[::-1], *arguments[5:])
    h = np.concatenate([ahead, back[::-1]], axis=-1)
    return h, BidirectionalCache(ahead_cache, back_cache)


def bidirectional_backward(dh: Array, cache: BidirectionalCache) -> tuple[Array, ...]:
    """Each direction by itself; the input's gradient is the sum."""
    H = dh.shape[-1] // 2
    dx_ahead, *ahead = elman_backward(dh[..., :H], cache.ahead)
    dx_back, *back = elman_backward(dh[::-1, :, H:], cache.back)
    dx = dx_ahead + dx_back[::-1]
    return dx, *ahead, *back


BIDIRECTIONAL = Room(
    "bidirectional",
    bidirectional_forward,
    bidirectional_backward,
    ELMAN_SHAPES | {f"{name}_reverse": ELMAN_SHAPES[name] for name in list(ELMAN_SHAPES)[1:]},
)
_bug = partial(Exhibit, BIDIRECTIONAL)

BIDIRECTIONAL_EXHIBITS = [
    _bug(
        "gradient not turned round on the way in",
        "dh[::-1, :, H:]",
        "dh[:, :, H:]",
        "Forward turns twice, backward once.",
        ("dx", "W_ih_reverse"),
    ),
    _bug(
        "gradient not turned round on the way out",
        "dx_ahead + dx_back[::-1]",
        "dx_ahead + dx_back",
        "Forward turns twice, backward once.",
        ("dx",),
    ),
    _bug(
        "input's gradient of one direction only",
        "dx = dx_ahead + dx_back[::-1]",
        "dx = dx_ahead",
        "dx was assigned by the first direction, and nothing failed.",
        ("dx",),
    ),
    _bug(
        "halves exchanged",
        "dh[..., :H], cache.ahead)\n    dx_back, *back = elman_backward(dh[::-1, :, H:]",
        "dh[..., H:], cache.ahead)\n    dx_back, *back = elman_backward(dh[::-1, :, :H]",
        "Both halves have the same shape.",
        ("dx", "h0"),
    ),
    _bug(
        "directions exchanged in what is returned",
        "return dx, *ahead, *back",
        "return dx, *back, *ahead",
        "Both sets of weights have the same shapes.",
        ("h0",),
    ),
]
