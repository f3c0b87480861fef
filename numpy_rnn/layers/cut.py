"""Cut a batch and its state into shards by their rows, and join what was computed of them.

The number of shards depends on the batch or on the user's settings, never on who does the work.
Gradients are added in pairs, as in a binary counter:

    g_0 + g_1,  g_2 + g_3,  (g_0 + g_1) + (g_2 + g_3),  ...

Whoever has neighbouring shards can add them before they are sent, and the sum still has the same
bits for any number of threads, and of processes (:mod:`numpy_rnn.training.ranks`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from numpy_rnn.functional.types import Array, Generator, State

MIN_ROWS, MAX_SHARDS = 16, 8  # with fewer rows, the matrix products of a shard become slower
Gradients = dict[str, Array]


def default_shards(B: int) -> int:
    """Return the number of shards of a batch of B rows: 16 rows each at least, 8 shards at most.

    >>> [default_shards(B) for B in (1, 31, 32, 64, 1000)]
    [1, 1, 2, 4, 8]
    """
    return max(1, min(B // MIN_ROWS, MAX_SHARDS))


def cut(B: int, shards: int) -> list[slice]:
    """Return the rows of each shard.

    >>> cut(5, 2)
    [slice(0, 2, None), slice(2, 5, None)]
    """
    return [slice(*ends) for ends in pairwise(k * B // shards for k in range(shards + 1))]


class PairwiseSum:
    """The sum of consecutive parts. Its bits depend on their number alone.

    A part is a dictionary of arrays, of level 0. Two neighbours of one level whose first has an
    even number become one part of the next level.

    >>> total = PairwiseSum()
    >>> for number in range(3):
    ...     total.add(0, number, {"w": np.ones(1)})
    >>> [(level, number) for level, number, _ in total.parts]
    [(1, 0), (0, 2)]
    >>> total.result()["w"]
    array([3.])
    """

    def __init__(self) -> None:
        self.parts: list[tuple[int, int, Gradients]] = []  # level, number, sum

    def add(self, level: int, number: int, part: Gradients) -> None:
        """Add the next part."""
        while self.parts and number % 2 and self.parts[-1][:2] == (level, number - 1):
            part = _plus(self.parts.pop()[2], part)
            level, number = level + 1, number // 2
        self.parts.append((level, number, part))

    def result(self) -> Gradients:
        """Return the sum of all parts, of which the smallest are added first."""
        *first, (_, _, total) = self.parts
        for _, _, part in reversed(first):
            total = _plus(part, total)
        return total


def _plus(a: Gradients, b: Gradients) -> Gradients:
    return {name: a[name] + b[name] for name in a}


def shard_rngs(
    rngs: Sequence[Generator], shards: int, numbers: Sequence[int] = ()
) -> list[Generator | None]:
    """Return a generator of dropout masks for each shard, or for those with these `numbers`.

    It is drawn from the model's generators. With one shard, or without dropout, it is None: the
    model's own.
    """
    numbers = numbers or range(shards)
    if shards == 1 or not rngs:
        return [None] * len(numbers)
    seed = [int(n) for rng in rngs for n in rng.integers(2**32, size=4)]
    return [np.random.default_rng([*seed, k]) for k in numbers]


def map_state(function: Callable[..., State], *states: State) -> State:
    """Return a state made of function(arrays that have one place in all of these states)."""
    if isinstance(states[0], tuple | list):
        return tuple(map_state(function, *parts) for parts in zip(*states, strict=True))
    return None if states[0] is None else function(*states)


def cut_rows(array: Array | None, slices: Sequence[slice], axis: int) -> list[Any]:
    """Return the rows of each shard, or None for each. Raise ValueError if there are others."""
    if array is None:
        return [None] * len(slices)
    array = np.asarray(array)
    if array.ndim <= axis or array.shape[axis] != slices[-1].stop:
        raise ValueError(f"shape is {array.shape}, expected {slices[-1].stop} rows in axis {axis}")
    return [array[(slice(None),) * axis + (rows,)] for rows in slices]


def cut_state(state: State, slices: Sequence[slice]) -> list[State]:
    """Return the state of each shard. See :func:`cut_rows`."""
    if isinstance(state, tuple | list):
        parts = [cut_state(part, slices) for part in state]
        return [tuple(part[k] for part in parts) for k in range(len(slices))]
    return cut_rows(state, slices, 1)


def join_states(states: Sequence[State]) -> State:
    """Undo :func:`cut_state`."""
    if len(states) == 1:
        return states[0]
    return map_state(lambda *parts: np.concatenate(parts, 1), *states)


def list_state(state: State) -> list[Array]:
    """Return the arrays of a state, in order."""
    found: list[Array] = []
    map_state(found.append, state)
    return found
