"""Cell: a recurrent pair of functions, its weights and states, as a layer takes it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from numpy_rnn.functional.linear import as_block
from numpy_rnn.functional.types import Array


class Cell(NamedTuple):
    """A recurrent pair of functions, for one input size.

    Attributes
    ----------
    forward : callable
        ``forward(x, *states, *weights)`` returns the trajectory (T, B, size) of each state
        component, as a tuple if there are several, and a cache.
    backward : callable
        ``backward(*dstates, cache)`` returns one gradient per argument of `forward`.
    weights : dict of str to shape
        Names without layer and direction, such as ``weight_ih``, in the order of `forward`'s
        arguments. A weight whose name begins with ``bias`` is zero in a layer without biases.
    states : tuple of int
        Size of each state component. The first component is the output.
    stepper : callable, optional
        ``stepper(*weights)`` returns ``step(x, *states)``. It takes one timestep, (B, D), and
        (1, B, size) states, and returns the new states. By default it runs `forward` on a sequence.
    blocks : bool
        Whether ``step`` also takes a block of k timesteps, (k, B, D), and returns trajectories,
        (k, B, size), as new arrays. If not, it is called for each timestep of a block.

    Examples
    --------
    >>> from numpy_rnn import Cell
    >>> from numpy_rnn.functional import mingru_backward, mingru_forward
    >>> weights = {"weight_ih": (8, 3), "bias_ih": (8,)}  # D, H = 3, 4
    >>> Cell(mingru_forward, mingru_backward, weights, states=(4,)).states
    (4,)
    """

    forward: Callable[..., tuple[Any, Any]]
    backward: Callable[..., tuple[Any, ...]]
    weights: dict[str, tuple[int, ...]]
    states: tuple[int, ...]
    stepper: Callable[..., Callable[..., tuple[Any, ...]]] | None = None
    blocks: bool = False

    def single_steps(self, weights: list[Array]) -> Callable[..., tuple[Array, ...]]:
        """Return ``step(x, *states)`` with these weights."""
        if self.stepper is not None:
            step = self.stepper(*weights)
            return step if self.blocks else partial(_one_by_one, step)
        forward = self.forward

        def sequence(x: Array, *states: Array) -> tuple[Array, ...]:
            out, _ = forward(as_block(x), *[state[0] for state in states], *weights)
            return tuple(part.copy() for part in (out if isinstance(out, tuple) else (out,)))

        return sequence


def _one_by_one(
    step: Callable[..., tuple[Array, ...]], x: Array, *states: Array
) -> tuple[Array, ...]:
    """Take one timestep, or each of a block in turn, with a function of one timestep."""
    if x is not as_block(x):
        return step(x, *states)
    trajectories = [tuple(state[:0] for state in states)]
    for x_t in x:
        states = step(x_t, *states)
        trajectories.append(states)
    return tuple(map(np.concatenate, zip(*trajectories, strict=True)))
