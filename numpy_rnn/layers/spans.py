"""Spans: the steps of a row that follow one another, from one reset to the next.

A reset sets a row's state back to the initial one, so the steps before it and those after it are
independent sequences. Lengths, resets, masks and the reverse direction all say which steps follow
one another, so they become spans, and a cell knows none of them:

    lengths    a row's path is over at its length
    mask       a masked step is not on the path: the state is carried over it
    reset      a new span begins, from the row's initial state
    reverse    the path of each row is reversed

Each row has one span at least. A span may be empty: its final state is the initial one.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from numpy_rnn.functional.types import Array


class Spans(NamedTuple):
    """The spans of a batch, row by row, in the order in which the cell takes them."""

    path: Array  # t * B + b of all steps, span after span
    first: Array  # (S,): where in `path` each span begins
    length: Array  # (S,)
    row: Array  # (S,)

    @property
    def last(self) -> Array:
        """The last span of each row, (B,): it ends in the row's final state."""
        return np.flatnonzero(np.append(self.row[1:] != self.row[:-1], len(self.row) > 0))

    def initial(self, states: list[Array]) -> list[Array]:
        """Return the initial state of each span, (S, size), from those of the rows, (B, size)."""
        return [state[self.row] for state in states]

    def initial_vjp(self, dstates: list[Array]) -> list[Array]:
        """Return the gradient of the rows' initial states: the sum over a row's spans."""
        starts = np.append(0, self.last[:-1] + 1) if len(self.row) else self.row
        return [np.add.reduceat(d, starts) for d in dstates]

    def final(self, states: list[Array]) -> list[Array]:
        """Return the final state of each row, from those of the spans."""
        return [state[self.last] for state in states]

    def final_vjp(self, dstates: list[Array]) -> list[Array]:
        """Return the gradient of the spans' final states."""
        spread = [np.zeros((len(self.row), *d.shape[1:]), d.dtype) for d in dstates]
        for d, given in zip(spread, dstates, strict=True):
            d[self.last] = given
        return spread


def make_spans(valid: Array, resets: Array | None, *, backwards: bool) -> Spans:
    """Return the spans of a batch with these valid steps, (T, B), in one direction.

    Steps are invalid if they are masked or beyond a row's end. `resets`, (T, B), says where the
    state is reset between step t - 1 and step t, masked steps included.

    >>> valid, resets = np.ones((4, 1), bool), np.array([[False], [False], [True], [False]])
    >>> make_spans(valid, resets, backwards=True)
    Spans(path=array([3, 2, 1, 0]), first=array([0, 2]), length=array([2, 2]), row=array([0, 0]))
    """
    T, B = valid.shape
    row, step = np.nonzero((valid[::-1] if backwards else valid).T)
    count = np.count_nonzero(valid, axis=0)
    path = (T - 1 - step if backwards else step) * B + row
    start = np.cumsum(count) - count  # of each row in `path`
    if resets is None:
        return Spans(path, start, count, np.arange(B))
    row, step = np.nonzero(resets[1:].T)
    passed = (np.cumsum(valid, axis=0) - valid)[1:].T[row, step]  # valid steps before the reset
    if backwards:
        passed = count[row] - passed
    begins = np.append(np.arange(B) * (T + 1), row * (T + 1) + passed)
    row, begin = np.divmod(np.sort(begins), T + 1)
    end = np.append(begin[1:], 0)
    last = np.append(row[1:] != row[:-1], len(row) > 0)
    end[last] = count
    return Spans(path, start[row] + begin, end - begin, row)
