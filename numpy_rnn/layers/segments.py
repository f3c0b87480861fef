"""Segment runner: one cell in one direction over a padded batch.

A cell takes neither lengths nor resets. Rows are sorted by length, longest first, so the rows that
are still running are the first n. The batch is cut in time wherever a row ends or a state is
reset. On each segment the cell runs over the n live rows alone:

    segment   x[start:stop, :n]     from the last segment's final state or, for a row that is reset
                                    at `start`, from the initial state

So padding costs no recurrent work, and everything here is gathers and scatters. Backward goes
through the segments in reverse. The gradient of a segment's first state goes to the final state of
the segment before it or, for a row that was reset, to the initial state.

Gradient checkpointing (Chen et al. 2016) is one more cut at every k-th step. Only the state at the
cut is stored, and backward runs the forward pass of a segment again just before it needs it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np

from numpy_rnn.functional.contract import Keep
from numpy_rnn.functional.types import Array, DType


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
        ``stepper(*weights)`` returns ``step(x_t, *states)``, which takes a (B, D) input and
        (1, B, size) states and returns the state components after one timestep, as new arrays. By
        default every step is a sequence of one.

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

    def single_steps(self, weights: list[Array]) -> Callable[..., tuple[Array, ...]]:
        """Return ``step(x_t, *states)`` with these weights."""
        if self.stepper is not None:
            return self.stepper(*weights)
        forward = self.forward

        def sequence_of_one(x_t: Array, *states: Array) -> tuple[Array, ...]:
            out, _ = forward(x_t[None], *[state[0] for state in states], *weights)
            return tuple(part.copy() for part in (out if isinstance(out, tuple) else (out,)))

        return sequence_of_one


class Segment(NamedTuple):
    """Steps start to stop of the first `rows` rows. `reset` (rows,) or None, before `start`."""

    start: int
    stop: int
    rows: int
    reset: Array | None


def cut_segments(
    T: int, B: int, lengths: Array | None, reset: Array | None, every: int | None = None
) -> list[Segment]:
    """Cut a batch where a row ends, a state is reset or, at every k-th step, a state is stored.

    The arguments are those of :func:`run_segments`. The segments are in the order of time; there
    is none if no row has a step.

    Examples
    --------
    >>> import numpy as np
    >>> cut_segments(5, 2, np.array([5, 3]), None)
    [Segment(start=0, stop=3, rows=2, reset=None), Segment(start=3, stop=5, rows=1, reset=None)]
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
    segments = []
    for start, stop in pairwise(points):
        rows = B if lengths is None else int(np.count_nonzero(lengths > start))
        reset_rows = None if reset is None or not start else reset[start, :rows]
        segments.append(Segment(start, stop, rows, reset_rows))
    return segments


def recompute_every(recompute: bool | int, T: int) -> int | None:
    """Return the distance of stored states, about sqrt(T) for True, or None to store every step."""
    if isinstance(recompute, bool):
        return math.isqrt(T) + 1 if recompute else None
    return recompute


class SegmentsCache(NamedTuple):
    """Values of the forward pass that :func:`segments_vjp` needs."""

    cell: Cell
    segments: list[Segment]
    caches: list[Any]  # of the cell; with `recompute` the arguments of its forward instead
    shape: tuple[int, int]  # T, B
    recompute: bool
    whole: bool  # one segment: the cell ran once, and its output may be part of its cache


def run_segments(
    cell: Cell,
    x: Array,
    initial: list[Array],
    weights: list[Array],
    lengths: Array | None = None,
    reset: Array | None = None,
    recompute: bool | int = False,
    out: Array | None = None,
) -> tuple[Array, list[Array], SegmentsCache]:
    """Run a cell over a padded batch. Return the output, the final state and the cache.

    `x` is (T, B, D), or (T, B) token ids, and is not read beyond a row's end. `initial` and the
    final state are lists of the state's components, (B, size) each. `lengths` (B,) are longest
    first. `reset` (T, B) is True where a row's state is reset to the initial one before the step.
    `recompute` is the distance of stored states, if what is between them is not kept.

    The output (T, B, size) is the first component after every step, zero beyond a row's end. It
    may be read-only. If `out` is given, it is written there and nothing is kept for backward.
    """
    T, B = x.shape[:2]
    every = recompute_every(recompute, T)
    segments = cut_segments(T, B, lengths, reset, every)
    if out is None and len(segments) == 1 and segments[0][:3] == (0, T, B):
        outputs, cache = cell.forward(x, *initial, *weights)
        trajectories = outputs if isinstance(outputs, tuple) else (outputs,)
        last = list(map(itemgetter(-1), trajectories))
        return trajectories[0], last, SegmentsCache(cell, segments, [cache], (T, B), False, True)
    y = np.empty((T, B, cell.states[0]), initial[0].dtype) if out is None else out
    y[...] = 0
    final = [state.copy() for state in initial]
    caches: list[Any] = []
    for start, stop, n, reset_rows in segments:
        states = [state[:n] for state in final]
        if reset_rows is not None:
            states = [
                np.where(reset_rows[:, None], first[:n], state)
                for first, state in zip(initial, states, strict=True)
            ]
        elif not start:
            states = [first[:n] for first in initial]
        if every is not None:
            states = [state.copy() for state in states]  # `final` is overwritten below
        arguments = (x[start:stop, :n], *states, *weights)
        outputs, cache = cell.forward(*arguments)
        trajectories = outputs if isinstance(outputs, tuple) else (outputs,)
        for state, trajectory in zip(final, trajectories, strict=True):
            state[:n] = trajectory[-1]
        y[start:stop, :n] = trajectories[0]
        if out is None:
            caches.append(cache if every is None else arguments)
        del outputs, cache, trajectories  # before the next ones are made
    return y, final, SegmentsCache(cell, segments, caches, (T, B), every is not None, False)


def segments_vjp(
    dy: Array | None,
    dfinal: list[Array | None],
    cache: SegmentsCache,
    dtype: DType,
    keep: Keep = "",
) -> tuple[Array | None, list[Array], list[Array]]:
    """Backpropagate through the segments. Return the gradients of input, initial state, weights.

    They have the shapes of the arguments of :func:`run_segments`, and `dtype`. None for `dy` or
    for a component of `dfinal` is zero. `dy` is not read beyond a row's end, and dx is zero there.
    dx is None for token ids, or if there is no segment. The axes that `keep` names are in front
    of the weights' gradients.
    """
    options: dict[str, Any] = {"keep": keep} if keep else {}  # a custom cell need not have it
    cell, segments, caches, (T, B), recompute, whole = cache
    components = len(cell.states)
    # A cell may return more gradients than it has weights, as the LSTM for its projection.
    of_weights = slice(1 + components, 1 + components + len(cell.weights))
    if whole:
        douts = _with_final(dy, dfinal, T)
        grads = cell.backward(*douts, caches[0], **options)
        return grads[0], list(grads[1 : 1 + components]), list(grads[of_weights])
    dstates = [
        np.zeros((B, size), dtype) if d is None else d.copy()
        for d, size in zip(dfinal, cell.states, strict=True)
    ]
    dinitial = [np.zeros_like(d) for d in dstates]
    dx: Array | None = None
    kept_axes = tuple({"t": T, "b": B}[axis] for axis in keep)
    dweights = [np.zeros((*kept_axes, *shape), dtype) for shape in cell.weights.values()]
    for (start, stop, n, reset_rows), pair_cache in zip(segments[::-1], caches[::-1], strict=True):
        douts = _with_final(
            None if dy is None else dy[start:stop, :n], [d[:n] for d in dstates], stop - start
        )
        # The recomputed cache has no name, which would keep it while the next one is made.
        grads = cell.backward(
            *douts, cell.forward(*pair_cache)[1] if recompute else pair_cache, **options
        )
        if grads[0] is not None:
            dx = np.zeros((T, B, grads[0].shape[-1]), grads[0].dtype) if dx is None else dx
            dx[start:stop, :n] = grads[0]
        for d, first, d_segment in zip(dstates, dinitial, grads[1 : 1 + components], strict=True):
            if reset_rows is None:
                d[:n] = d_segment
            else:
                first[:n] += np.where(reset_rows[:, None], d_segment, 0)
                d[:n] = np.where(reset_rows[:, None], 0, d_segment)
        place = tuple({"t": slice(start, stop), "b": slice(n)}[axis] for axis in keep)
        for total, contribution in zip(dweights, grads[of_weights], strict=True):
            total[place] += contribution
    return dx, [a + b for a, b in zip(dinitial, dstates, strict=True)], dweights


def _with_final(dy: Array | None, dfinal: list[Array | None], steps: int) -> list[Array | None]:
    """Return the gradient of each component's trajectory: `dy`, and those of the final state."""
    douts = [dy, *[None] * (len(dfinal) - 1)]
    for component, last in enumerate(dfinal):
        if last is not None and last.any():
            given = douts[component]
            d = np.zeros((steps, *last.shape), last.dtype) if given is None else given.copy()
            d[-1] += last
            douts[component] = d
    return douts
