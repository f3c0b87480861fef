"""Room: the mean squared error."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

from numpy_rnn.functional.types import Array
from numpy_rnn.museum.exhibit import Exhibit, Room


class MSECache(NamedTuple):
    """What backward needs."""

    difference: Array


def mse_forward(y: Array, target: Array) -> tuple[Array, MSECache]:
    """Return the mean over everything."""
    difference = y - target
    return (difference**2).mean(), MSECache(difference)


def mse_backward(dloss: Array | float, cache: MSECache) -> tuple[Array, Array]:
    """Gradients of the output and of the target."""
    difference = cache.difference
    dy = 2 * difference / difference.size
    dy = dloss * dy
    return dy, -dy


MSE = Room("mse", mse_forward, mse_backward, {"y": "T B V", "target": "T B V"})
_bug = partial(Exhibit, MSE)

MSE_EXHIBITS = [
    _bug(
        "factor 2 forgotten",
        "2 * difference / difference.size",
        "difference / difference.size",
        "Forward lost the 1/2 of the textbook, backward did not get the 2.",
        ("dy",),
    ),
    _bug(
        "divided by the steps only",
        "2 * difference / difference.size",
        "2 * difference / len(difference)",
        "The mean over one axis, where forward takes it over all.",
        ("dy",),
    ),
    _bug(
        "sign of the target's gradient",
        "return dy, -dy",
        "return dy, dy",
        "Targets rarely need a gradient, and nobody looked.",
        ("target",),
    ),
    _bug(
        "incoming gradient ignored",
        "dy = dloss * dy",
        "pass",
        "The loss is the end of the computation, until a second loss is added with a weight.",
        ("dy",),
    ),
    _bug(
        "cache overwritten",
        "dy = 2 * difference / difference.size",
        "difference *= 2 / difference.size\n    dy = difference",
        "In place, to save an allocation; a second backward starts from another cache.",
        ("difference",),
        kind="mutates",
    ),
]
