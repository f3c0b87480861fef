"""Room: dropout with a mask that is handed in: y = x mask / (1 - p)."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import numpy as np

from numpy_rnn.functional.types import Array
from numpy_rnn.museum.exhibit import Exhibit, Room, Sizes


class DropoutCache(NamedTuple):
    """What backward needs."""

    mask: Array
    p: float


def dropout_forward(x: Array, mask: Array, p: float = 0.3) -> tuple[Array, DropoutCache]:
    """Drop, and scale what is kept."""
    return x * mask / (1 - p), DropoutCache(mask, p)


def dropout_backward(dy: Array, cache: DropoutCache) -> tuple[Array, None]:
    """Drop the same, and scale it alike."""
    mask, p = cache
    dx = dy * mask / (1 - p)
    return dx, None


def draw_mask(rng: np.random.Generator, sizes: Sizes) -> Array:
    """Draw what is kept."""
    return np.asarray(rng.random([sizes[axis] for axis in "TBH"]) >= 0.3)


DROPOUT = Room("dropout", dropout_forward, dropout_backward, {"x": "T B H", "mask": draw_mask})
_bug = partial(Exhibit, DROPOUT)

DROPOUT_EXHIBITS = [
    _bug(
        "not scaled",
        "dy * mask / (1 - p)",
        "dy * mask",
        "Forward was changed to inverted dropout, backward was not.",
        ("dx",),
    ),
    _bug(
        "divided by p",
        "dy * mask / (1 - p)",
        "dy * mask / p",
        "p is the probability to drop in one library and to keep in another.",
        ("dx",),
    ),
    _bug(
        "a fresh mask",
        "dy * mask / (1 - p)",
        "dy * (np.random.default_rng().random(mask.shape) >= p) / (1 - p)",
        "Backward draws, as forward does, instead of remembering.",
        ("dx",),
        kind="random",
    ),
    _bug(
        "one step's mask for all",
        "dy * mask / (1 - p)",
        "dy * mask[:1] / (1 - p)",
        "The mask of variational dropout, in backward only.",
        ("dx",),
    ),
    _bug(
        "not masked",
        "dy * mask / (1 - p)",
        "dy / (1 - p)",
        "What was dropped gets a gradient, as in the straight-through estimator.",
        ("dx",),
    ),
    _bug(
        "incoming gradient changed",
        "dx = dy * mask / (1 - p)",
        "dy *= mask / (1 - p)\n    dx = dy",
        "In place, to save an allocation, in an array that somebody else still needs.",
        ("dy",),
        kind="mutates",
    ),
]
