"""What a layer has to know of a recurrent pair to stack it, turn it round, cut it and stream it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple


class Cell(NamedTuple):
    """A recurrent pair, for one input size.

    Attributes
    ----------
    forward : callable
        ``forward(x, *states, *weights)`` returns the trajectory (T, B, size) of each state
        component, as a tuple if there are several, and a cache.
    backward : callable
        ``backward(*dstates, cache)`` returns one gradient per argument of `forward`.
    weights : dict of str to shape
        Names without layer and direction, ``weight_ih``, and shapes, in the order of
        `forward`'s arguments. One whose name begins with ``bias`` is zero in a layer without
        biases.
    states : tuple of int
        Size of each state component. The first one is the output.
    """

    forward: Callable[..., tuple[Any, Any]]
    backward: Callable[..., tuple[Any, ...]]
    weights: dict[str, tuple[int, ...]]
    states: tuple[int, ...]
