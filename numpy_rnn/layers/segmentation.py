"""Segments: how the spans of a batch (spans.py) become few runs of a cell.

Spans differ in length, and a cell takes sequences of one length. So the work is cut into segments:

    segment   the next `size` steps of every span that has so many left, each from the state in
              which its segment before it ended

The spans' ends may lie anywhere. A segment for each would be many short ones. Sizes that halve, as
T, T/2, ..., 1, serve spans of all lengths with few segments. So padding costs no recurrent work,
and everything here is gathers and scatters.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from numpy_rnn.functional.blocking import CHUNK
from numpy_rnn.functional.types import Array
from numpy_rnn.layers.spans import Spans

STEPS_PER_CALL = 12  # a call of a cell costs as much as this many steps with few rows


class Segment(NamedTuple):
    """The same number of steps of several spans."""

    spans: Any  # their indices; all rows, without spans
    at: Any  # t * B + b of each step, (size, number of spans); a slice of time, without spans

    def gather(self, sequence: Array) -> Array:
        """Return the steps of a sequence (T, B, ...)."""
        T, B, *rest = sequence.shape
        if isinstance(self.at, slice):
            steps: Array = sequence[self.at]
        else:
            steps = sequence.reshape(T * B, *rest).take(self.at, axis=0)
        return steps

    def scatter(self, steps: Array, sequence: Array) -> None:
        """Write the steps of a sequence."""
        T, B, *rest = sequence.shape
        if isinstance(self.at, slice):
            sequence[self.at] = steps
        elif sequence.flags.c_contiguous:
            sequence.reshape(T * B, *rest)[self.at] = steps
        else:
            sequence[np.divmod(self.at, B)] = steps


def cut_segments(
    T: int, B: int, spans: Spans | None, every: int, numbers: int
) -> Iterator[Segment]:
    """Yield the segments in an order in which they can run.

    Without `spans` every row has all T steps. `every` is the largest size of a segment. A step
    has `numbers` for each row, and many rows are cut so that a step fits the processor's cache.
    """
    if spans is None:
        for start in range(0, T, every):
            yield Segment(slice(None), slice(start, start + every))
        return
    done = np.zeros_like(spans.length)
    for size in segment_sizes(spans.length, every):
        most = max(B, CHUNK // max(1, numbers))
        most = max(1, min(most, every * B // size))  # as many states as in `every` whole steps
        ready = np.flatnonzero(spans.length - done >= size)
        for start in range(0, len(ready), most):
            few = ready[start : start + most]
            steps = (spans.first + done)[few] + np.arange(size)[:, None]
            yield Segment(few, spans.path[steps])
        done[ready] += size


def segment_sizes(lengths: Array, every: int) -> list[int]:
    """Return sizes, at most `every`, so that taking each that fits uses a span up.

    They are either the distances of the lengths, or the longest length and its halves, whatever
    costs less.

    >>> segment_sizes(np.array([100, 90]), every=100)
    [90, 10]
    >>> segment_sizes(np.arange(1, 101), every=100)
    [100, 50, 25, 13, 7, 4, 2, 1]
    """
    longest = int(lengths.max(initial=0))
    ends = np.unique(np.append(lengths, np.arange(0, longest + 1, every)))
    size = min(every, longest)
    halves = [size] * (longest // max(1, size))
    while size > 1:
        size = (size + 1) // 2
        halves.append(size)
    if sum(halves) + STEPS_PER_CALL * len(halves) < longest + STEPS_PER_CALL * len(ends):
        return halves
    distances: list[int] = np.diff(ends).tolist()
    return distances
