"""One cell in one direction over a padded batch: pairs run segment by segment.

A pair knows neither lengths nor resets. Where rows are sorted by length, longest first, the
rows that are still running are the first n; between two steps at which a row ends or a state is
put back, the pair runs on them alone:

    segment   x[start:stop, :n]     from the state where the last segment left it, or, where a
                                    row is reset at `start`, from the initial state

So padding costs no recurrent work, and everything here is gathers and scatters. A gradient goes
back through the segments in reverse: what a segment returns for its first state goes to the last
state of the one before, or, where the row was reset, to the initial state.

Checkpointing (Chen et al. 2016) is a cut more, every k-th step, after which only the state is
kept: the backward pass runs a segment's forward pass again just before it goes back through it.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from numpy_rnn.functional.contract import Keep
from numpy_rnn.functional.types import Array
from numpy_rnn.layers.cell import Cell


class Segment(NamedTuple):
    """Steps start to stop of the first `rows` rows; `reset` (rows,) or None, before `start`."""

    start: int
    stop: int
    rows: int
    reset: Array | None


def segments(
    T: int, B: int, lengths: Array | None, reset: Array | None, every: int | None = None
) -> list[Segment]:
    """Cut a batch where a row ends, a state is put back or a state is to be kept.

    Parameters
    ----------
    T, B : int
        Steps and rows of the padded batch.
    lengths : (B,) array of int, optional
        Longest first.
    reset : (T, B) array of bool, optional
        True where a row's state is put back before the step.
    every : int, optional
        Cut at every such step, too.

    Returns
    -------
    cut : list of Segment
        In order; empty where no row has a step.
    """
    if lengths is None and reset is None and (every is None or every >= T):
        return [Segment(0, T, B, None)] if T else []
    cuts = {0, T} if lengths is None else {0, *lengths.tolist()}
    end = max(cuts)
    if reset is not None:
        cuts |= set(np.flatnonzero(reset.any(axis=1)).tolist())
    if every is not None:
        cuts |= set(range(0, end, every))
    points = sorted(cut for cut in cuts if cut <= end)
    found = []
    for start, stop in pairwise(points):
        rows = B if lengths is None else int(np.count_nonzero(lengths > start))
        put_back = None if reset is None or not start else reset[start, :rows]
        found.append(Segment(start, stop, rows, put_back))
    return found


def recompute_every(recompute: bool | int, T: int) -> int | None:
    """Return after how many steps a state is kept; None for every step, and nothing again."""
    if isinstance(recompute, bool):
        return math.isqrt(T) + 1 if recompute else None
    return recompute


class StrandCache(NamedTuple):
    """What :func:`strand_backward` needs of the forward pass."""

    cell: Cell
    segments: list[Segment]
    caches: list[Any]  # of the pair; with `recompute` the arguments that make them again
    shape: tuple[int, int]  # T, B
    recompute: bool


def strand_forward(
    cell: Cell,
    x: Array,
    initial: list[Array],
    weights: list[Array],
    lengths: Array | None = None,
    reset: Array | None = None,
    every: int | None = None,
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
    every : int, optional
        Keep the state at every such step and nothing in between.

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
    cut = segments(T, B, lengths, reset, every)
    if _is_whole(cut, T, B):
        out, cache = cell.forward(x, *initial, *weights)
        trajectories = out if isinstance(out, tuple) else (out,)
        last = [trajectory[-1] for trajectory in trajectories]
        return trajectories[0], last, StrandCache(cell, cut, [cache], (T, B), False)
    y = np.zeros((T, B, cell.states[0]), initial[0].dtype)
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
        if every is not None:
            states = [state.copy() for state in states]  # `final` is written over
        arguments = (x[start:stop, :n], *states, *weights)
        out, cache = cell.forward(*arguments)
        trajectories = out if isinstance(out, tuple) else (out,)
        for state, trajectory in zip(final, trajectories, strict=True):
            state[:n] = trajectory[-1]
        y[start:stop, :n] = trajectories[0]
        caches.append(cache if every is None else arguments)
    return y, final, StrandCache(cell, cut, caches, (T, B), every is not None)


def strand_backward(
    dy: Array | None,
    dfinal: list[Array | None],
    cache: StrandCache,
    dtype: np.dtype[Any],
    keep: Keep = "",
) -> tuple[Array | None, list[Array], list[Array]]:
    """Go back through the segments.

    Parameters
    ----------
    dy : (T, B, size) array or None
        Gradient of the output; None is zero. Behind a row's end it is not looked at.
    dfinal : list of (B, size) arrays or None
        Gradient of the final state; None is zero.
    cache : StrandCache
        From the forward pass.
    dtype : dtype
        Of the gradients.
    keep : {"", "t", "b", "tb"}
        Axes of the weights' gradients to leave standing.

    Returns
    -------
    dx : (T, B, D) array, or None for an integer x or no segment
        Gradient of the input, zero behind a row's end.
    dinitial : list of (B, size) arrays
        Gradient of the initial state.
    dweights : list of arrays
        Gradient of each weight, with the kept axes in front.
    """
    kept: dict[str, Any] = {"keep": keep} if keep else {}  # not asked of a cell in vain
    cell, cut, caches, (T, B), recompute = cache
    components = len(cell.states)
    # A cell may return more than a gradient for each weight, as the LSTM for its projection.
    gradients = slice(1 + components, 1 + components + len(cell.weights))
    if _is_whole(cut, T, B):
        douts = _with_last(dy, dfinal, T)
        grads = cell.backward(*douts, caches[0], **kept)
        return grads[0], list(grads[1 : 1 + components]), list(grads[gradients])
    dstates = [
        np.zeros((B, size), dtype) if d is None else d.copy()
        for d, size in zip(dfinal, cell.states, strict=True)
    ]
    dinitial = [np.zeros_like(d) for d in dstates]
    dx: Array | None = None
    axes = tuple({"t": T, "b": B}[axis] for axis in keep)
    dweights: list[Array] = []
    for (start, stop, n, put_back), pair_cache in zip(cut[::-1], caches[::-1], strict=True):
        douts = _with_last(
            None if dy is None else dy[start:stop, :n], [d[:n] for d in dstates], stop - start
        )
        # Not under a name: it would keep one cache while the next is made.
        grads = cell.backward(
            *douts, cell.forward(*pair_cache)[1] if recompute else pair_cache, **kept
        )
        if grads[0] is not None:
            dx = np.zeros((T, B, grads[0].shape[-1]), grads[0].dtype) if dx is None else dx
            dx[start:stop, :n] = grads[0]
        for d, first, d_piece in zip(dstates, dinitial, grads[1 : 1 + components], strict=True):
            if put_back is None:
                d[:n] = d_piece
            else:
                first[:n] += np.where(put_back[:, None], d_piece, 0)
                d[:n] = np.where(put_back[:, None], 0, d_piece)
        shares = list(grads[gradients])
        if keep:
            dweights = dweights or [
                np.zeros((*axes, *share.shape[len(keep) :]), share.dtype) for share in shares
            ]
            place = tuple({"t": slice(start, stop), "b": slice(n)}[axis] for axis in keep)
            for total, share in zip(dweights, shares, strict=True):
                total[place] += share
        else:
            dweights = (
                [a + b for a, b in zip(dweights, shares, strict=True)] if dweights else shares
            )
    if not cut:  # no row has a step
        dweights = [np.zeros((*axes, *shape), dtype) for shape in cell.weights.values()]
    return dx, [a + b for a, b in zip(dinitial, dstates, strict=True)], dweights


def _is_whole(cut: list[Segment], T: int, B: int) -> bool:
    """Whether there is one segment, with every step of every row."""
    return len(cut) == 1 and cut[0][:3] == (0, T, B)


def _with_last(dy: Array | None, dlast: list[Array | None], steps: int) -> list[Array | None]:
    """Return the gradient of each component's trajectory: `dy` and those of the last state."""
    douts = [dy, *[None] * (len(dlast) - 1)]
    for component, last in enumerate(dlast):
        if last is not None and last.any():
            given = douts[component]
            d = np.zeros((steps, *last.shape), last.dtype) if given is None else given.copy()
            d[-1] += last
            douts[component] = d
    return douts
