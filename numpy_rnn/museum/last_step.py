"""Room: many to one. Of a padded batch, each row's last valid step."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import numpy as np

from numpy_rnn.functional.types import Array
from numpy_rnn.museum.exhibit import Exhibit, Room
from numpy_rnn.museum.padded import draw_lengths


class LastStepCache(NamedTuple):
    """What backward needs."""

    h: Array
    lengths: Array


def last_step_forward(h: Array, lengths: Array) -> tuple[Array, LastStepCache]:
    """Return ``h[lengths[b] - 1, b]`` of each row b."""
    return h[lengths - 1, np.arange(len(lengths))], LastStepCache(h, lengths)


def last_step_backward(dlast: Array, cache: LastStepCache) -> tuple[Array, None]:
    """Put each row's gradient where the row was taken from."""
    h, lengths = cache
    dh = np.zeros_like(h)
    for b in range(len(lengths)):
        dh[lengths[b] - 1, b] = dlast[b]
    return dh, None


LAST_STEP = Room(
    "last step",
    last_step_forward,
    last_step_backward,
    {"h": "T B H", "lengths": draw_lengths},
)
_bug = partial(Exhibit, LAST_STEP)

LAST_STEP_EXHIBITS = [
    _bug(
        "at T instead of the row's end",
        "dh[lengths[b] - 1, b]",
        "dh[-1, b]",
        "Right for a batch of sequences of one length.",
        ("dh",),
    ),
    _bug(
        "one step early",
        "dh[lengths[b] - 1, b]",
        "dh[lengths[b] - 2, b]",
        "A length was turned into an index twice.",
        ("dh",),
    ),
    _bug(
        "every row's gradient to every row",
        "dh[lengths[b] - 1, b] = dlast[b]",
        "dh[lengths[b] - 1] = dlast[b]",
        "An index forgotten; broadcasting fills in the rest.",
        ("dh",),
    ),
    _bug(
        "to all steps up to the end",
        "dh[lengths[b] - 1, b] = dlast[b]",
        "dh[: lengths[b], b] = dlast[b]",
        "The gradient of a sum over time, where forward picks one step.",
        ("dh",),
    ),
]
