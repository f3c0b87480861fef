"""One cell in one direction over a padded batch: pairs run segment by segment.

A pair knows neither lengths nor resets. Where rows are sorted by length, longest first, the
rows that are still running are the first n; between two steps at which a row ends or a state is
put back, the pair runs on them alone:

    segment   x[start:stop, :n]     from the state where the last segment left it, or, where a
                                    row is reset at `start`, from the initial state

So padding costs no recurrent work, and everything here is gathers and scatters. A gradient goes
back through the segments in reverse: what a segment returns for its first state goes to the last
state of the one before, or, where the row was reset, to the initial state.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from numpy_rnn.functional.types import Array
from numpy_rnn.layers.cell import Cell


class Segment(NamedTuple):
    """Steps start to stop of the first `rows` rows; `reset` (rows,) or None, before `start`."""

    start: int
    stop: int
    rows: int
    reset: Array | None


def segments(T: int, B: int, lengths: Array | None, reset: Array | None) -> list[Segment]:
    """Cut a batch where a row ends or a state is put back.

    Parameters
    ----------
    T, B : int
        Steps and rows of the padded batch.
    lengths : (B,) array of int, optional
        Longest first.
    reset : (T, B) array of bool, optional
        True where a row's state is put back before the step.

    Returns
    -------
    cut : list of Segment
        In order; empty where no row has a step.
    """
    if lengths is None and reset is None:
        return [Segment(0, T, B, None)] if T else []
    cuts = {0, T} if lengths is None else {0, *lengths.tolist()}
    end = max(cuts)
    if reset is not None:
        cuts |= set(np.flatnonzero(reset.any(axis=1)).tolist())
    points = sorted(cut for cut in cuts if cut <= end)
    found = []
    for start, stop in pairwise(points):
        rows = B if lengths is None else int(np.count_nonzero(lengths > start))
        put_back = None if reset is None or not start else reset[start, :rows]
        found.append(Segment(start, stop, rows, put_back))
    return found


class StrandCache(NamedTuple):
    """What :func:`strand_backward` needs of the forward pass."""

    cell: Cell
    segments: list[Segment]
    caches: list[Any]
    shape: tuple[int, int]  # T, B


def strand_forward(
    cell: Cell,
    x: Array,
    initial: list[Array],
    weights: list[Array],
    lengths: Array | None = None,
    reset: Array | None = None,
) -> tuple[Array, list[Array], StrandCache]:
    """Run a cell over a padded batch.

    Parameters
    ----------
    cell : Cell
        The pair.
    x : (T, B, D) array, or (T, B) array of int
        Input; what stands behind a row's end is not looked at.
    initial : list of (B, size) arrays
        Each component of the state before the first step.
    weights : list of arrays
        In the order of ``cell.weights``.
    lengths : (B,) array of int, optional
        Longest first.
    reset : (T, B) array of bool, optional
        True where a row's state is put back to the initial one before the step.

    Returns
    -------
    y : (T, B, size) array
        The first component after every step, zero behind a row's end. May be read-only.
    final : list of (B, size) arrays
        Each component at each row's end.
    cache : StrandCache
        For :func:`strand_backward`.
    """
    T, B = x.shape[:2]
    cut = segments(T, B, lengths, reset)
    whole = len(cut) == 1 and cut[0][:3] == (0, T, B)
    y = np.zeros((0 if whole else T, B, cell.states[0]), initial[0].dtype)
    final = [state.copy() for state in initial]
    caches = []
    for start, stop, n, put_back in cut:
        states = [state[:n] for state in final]
        if put_back is not None:
            states = [
                np.where(put_back[:, None], first[:n], state)
                for first, state in zip(initial, states, strict=True)
            ]
        elif not start:
            states = [first[:n] for first in initial]
        out, cache = cell.forward(x[start:stop, :n], *states, *weights)
        trajectories = out if isinstance(out, tuple) else (out,)
        for state, trajectory in zip(final, trajectories, strict=True):
            state[:n] = trajectory[-1]
        if whole:
            y = trajectories[0]
        else:
            y[start:stop, :n] = trajectories[0]
        caches.append(cache)
    return y, final, StrandCache(cell, cut, caches, (T, B))


def strand_backward(
    dy: Array | None, dfinal: list[Array], cache: StrandCache
) -> tuple[Array | None, list[Array], list[Array]]:
    """Go back through the segments.

    Parameters
    ----------
    dy : (T, B, size) array or None
        Gradient of the output; None is zero. Behind a row's end it is not looked at.
    dfinal : list of (B, size) arrays
        Gradient of the final state.
    cache : StrandCache
        From the forward pass.

    Returns
    -------
    dx : (T, B, D) array, or None for an integer x or no segment
        Gradient of the input, zero behind a row's end.
    dinitial : list of (B, size) arrays
        Gradient of the initial state.
    dweights : list of arrays
        Gradient of each weight; empty where there was no segment.
    """
    cell, cut, caches, (T, B) = cache
    dstates = [d.copy() for d in dfinal]
    dinitial = [np.zeros_like(d) for d in dfinal]
    dx: Array | None = None
    dweights: list[Array] = []
    for (start, stop, n, put_back), pair_cache in zip(cut[::-1], caches[::-1], strict=True):
        given = None if dy is None else dy[start:stop, :n]
        douts = [
            _with_last(given if not component else None, d[:n], stop - start)
            for component, d in enumerate(dstates)
        ]
        dx_piece, *rest = cell.backward(*douts, pair_cache)
        if dx_piece is not None:
            if len(cut) == 1 and n == B and stop - start == T:
                dx = dx_piece
            else:
                dx = np.zeros((T, B, dx_piece.shape[-1]), dx_piece.dtype) if dx is None else dx
                dx[start:stop, :n] = dx_piece
        for d, first, d_piece in zip(dstates, dinitial, rest, strict=False):
            if put_back is None:
                d[:n] = d_piece
            else:
                first[:n] += np.where(put_back[:, None], d_piece, 0)
                d[:n] = np.where(put_back[:, None], 0, d_piece)
        shares = rest[len(dstates) : len(dstates) + len(cell.weights)]
        dweights = [a + b for a, b in zip(dweights, shares, strict=True)] if dweights else shares
    return dx, [a + b for a, b in zip(dinitial, dstates, strict=True)], dweights


def _with_last(given: Array | None, last: Array, steps: int) -> Array | None:
    """Add the gradient of the last state to those of a trajectory; None stays zero."""
    if not last.any():
        return given
    d = np.zeros((steps, *last.shape), last.dtype) if given is None else given.copy()
    d[-1] += last
    return d
