"""What a layer has to know of a recurrent pair to stack it, turn it round, cut it and stream it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
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
    stepper : callable, optional
        ``stepper(*weights)`` arranges the weights and returns ``step(x_t, *states)``, which
        takes a (B, D) input and (1, B, size) states and returns the components of the state
        after one timestep, new arrays like them. Left out, every step is a sequence of one.
    """

    forward: Callable[..., tuple[Any, Any]]
    backward: Callable[..., tuple[Any, ...]]
    weights: dict[str, tuple[int, ...]]
    states: tuple[int, ...]
    stepper: Callable[..., Callable[..., tuple[Any, ...]]] | None = None

    def single_steps(self, weights: list[Any]) -> Callable[..., tuple[Any, ...]]:
        """Return ``step(x_t, *states)`` with these weights."""
        if self.stepper is not None:
            return self.stepper(*weights)
        return partial(_sequence_of_one, self.forward, weights)


def _sequence_of_one(
    forward: Callable[..., tuple[Any, Any]], weights: list[Any], x_t: Any, *states: Any
) -> tuple[Any, ...]:
    out, _ = forward(x_t[None], *[state[0] for state in states], *weights)
    return tuple(part.copy() for part in (out if isinstance(out, tuple) else (out,)))
