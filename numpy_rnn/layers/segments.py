"""Segment runner: one cell in one direction over a batch, and back through its segments in reverse.

Gradient checkpointing (Chen et al. 2016) cuts at every k-th step too. Only the state at the cut is
stored, and backward runs the forward pass of a segment again just before it needs it.
"""

from __future__ import annotations

import math
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np

from numpy_rnn.functional.contract import Keep
from numpy_rnn.functional.types import Array, DType
from numpy_rnn.layers.cell import Cell
from numpy_rnn.layers.segmentation import Segment, cut_segments
from numpy_rnn.layers.spans import Spans


def recompute_every(recompute: bool | int, T: int) -> int | None:
    """Return the distance of stored states, about sqrt(T) for True, or None to store every step."""
    if isinstance(recompute, bool):
        return math.isqrt(T) + 1 if recompute else None
    return recompute


class SegmentsCache(NamedTuple):
    """Values of the forward pass that :func:`segments_vjp` needs."""

    cell: Cell
    spans: Spans | None
    segments: list[Segment]  # none if the cell ran over the whole batch at once
    caches: list[Any]  # of the cell; with `recompute` the arguments of its forward instead
    shape: tuple[int, int]  # T, B
    recompute: bool
    whole: bool  # the cell ran once, and its output may be part of its cache


def run_segments(
    cell: Cell,
    x: Array,
    initial: list[Array],
    weights: list[Array],
    spans: Spans | None = None,
    recompute: bool | int = False,
    out: Array | None = None,
) -> tuple[Array, list[Array], SegmentsCache]:
    """Run a cell over a batch. Return the output, the final state and the cache.

    `x` is (T, B, D), or (T, B) token ids. It is read at the steps of `spans`; None is every step
    of every row. `initial` and the final state are lists of the state's components, (B, size)
    each. `recompute` is the distance of stored states, if what is between them is not kept.

    The output (T, B, size) is the first component after every step, zero elsewhere. It may be
    read-only. If `out` is given, it is written there and nothing is kept for backward.
    """
    T, B = x.shape[:2]
    every = recompute_every(recompute, T)
    if spans is None and T and out is None and (every is None or every >= T):
        outputs, cache = cell.forward(x, *initial, *weights)
        trajectories = outputs if isinstance(outputs, tuple) else (outputs,)
        last = list(map(itemgetter(-1), trajectories))
        return trajectories[0], last, SegmentsCache(cell, None, [], [cache], (T, B), False, True)
    y = np.empty((T, B, cell.states[0]), initial[0].dtype) if out is None else out
    if spans is not None and len(spans.path) < T * B:
        y[...] = 0
    x = x if spans is None else np.ascontiguousarray(x)
    carried = list(map(np.copy, initial)) if spans is None else spans.initial(initial)
    segments, caches = [], []
    for segment in cut_segments(T, B, spans, every or max(1, T), cell.states[0]):
        # A copy, because a cell may keep it.
        arguments = (
            segment.gather(x),
            *[state[segment.spans].copy() for state in carried],
            *weights,
        )
        outputs, cache = cell.forward(*arguments)
        trajectories = outputs if isinstance(outputs, tuple) else (outputs,)
        for state, trajectory in zip(carried, trajectories, strict=True):
            state[segment.spans] = trajectory[-1]
        segment.scatter(trajectories[0], y)
        if out is None:
            segments.append(segment)
            caches.append(cache if every is None else arguments)
        del outputs, cache, trajectories  # before the next ones are made
    final = carried if spans is None else spans.final(carried)
    return y, final, SegmentsCache(cell, spans, segments, caches, (T, B), every is not None, False)


def segments_vjp(
    dy: Array | None,
    dfinal: list[Array | None],
    cache: SegmentsCache,
    dtype: DType,
    keep: Keep = "",
) -> tuple[Array | None, list[Array], list[Array]]:
    """Backpropagate through the segments. Return the gradients of input, initial state, weights.

    They have the shapes of the arguments of :func:`run_segments`, and `dtype`. None for `dy` or
    for a component of `dfinal` is zero. `dy` is read at the steps of the spans, and dx is zero
    elsewhere. dx is None for token ids, or if there is no segment. The axes that `keep` names are
    in front of the weights' gradients.
    """
    cell, spans, segments, caches, (T, B), recompute, whole = cache
    # The spans of a segment differ in time, so a sum over them alone is not a sum over "b".
    kept = "tb" if keep == "t" and spans is not None else keep
    options: dict[str, Any] = {"keep": kept} if keep else {}  # a custom cell need not have it
    components = len(cell.states)
    # A cell may return more gradients than it has weights, as the LSTM for its projection.
    of_weights = slice(1 + components, 1 + components + len(cell.weights))
    if whole:
        douts = _with_final(dy, dfinal, T, fresh=False)
        grads = cell.backward(*douts, caches[0], **options)
        return grads[0], list(grads[1 : 1 + components]), list(grads[of_weights])
    dstates = [
        np.zeros((B, size), dtype) if d is None else d.copy()
        for d, size in zip(dfinal, cell.states, strict=True)
    ]
    dstates = dstates if spans is None else spans.final_vjp(dstates)
    dx: Array | None = None
    kept_axes = tuple({"t": T, "b": B}[axis] for axis in keep)
    dweights = [np.zeros((*kept_axes, *shape), dtype) for shape in cell.weights.values()]
    dy = dy if dy is None or spans is None else np.ascontiguousarray(dy)
    for segment, pair_cache in zip(segments[::-1], caches[::-1], strict=True):
        which, at = segment
        d_last = [d[which] for d in dstates]
        steps = len(range(T)[at]) if spans is None else len(at)
        d = None if dy is None else segment.gather(dy)
        douts = _with_final(d, d_last, steps, fresh=spans is not None)
        # The recomputed cache has no name, which would keep it while the next one is made.
        grads = cell.backward(
            *douts, cell.forward(*pair_cache)[1] if recompute else pair_cache, **options
        )
        if grads[0] is not None:
            if dx is None:
                full = spans is None or len(spans.path) == T * B
                dx = (np.empty if full else np.zeros)((T, B, grads[0].shape[-1]), grads[0].dtype)
            segment.scatter(grads[0], dx)
        for d, d_segment in zip(dstates, grads[1 : 1 + components], strict=True):
            d[which] = d_segment
        places = {"t": at, "b": which, "tb": at}
        if spans is not None:  # several spans of a segment may be one row's
            t_b = np.divmod(at, B)
            places |= {"t": t_b[0], "b": spans.row[which], "tb": t_b}
        for dweight, contribution in zip(dweights, grads[of_weights], strict=True):
            if keep:
                np.add.at(dweight, places[keep], contribution)
            else:
                np.add(dweight, contribution, dweight)
    return dx, dstates if spans is None else spans.initial_vjp(dstates), dweights


def _with_final(
    dy: Array | None, dfinal: list[Array | None], steps: int, *, fresh: bool
) -> list[Array | None]:
    """Return the gradient of each component's trajectory: `dy`, and those of the final state.

    `fresh` says that `dy` may be written to.
    """
    douts = [dy, *[None] * (len(dfinal) - 1)]
    for component, last in enumerate(dfinal):
        if last is not None and last.any():
            given = douts[component]
            if given is None:
                given = np.zeros((steps, *last.shape), last.dtype)
            elif not fresh:
                given = given.copy()
            given[-1] += last
            douts[component] = given
    return douts
