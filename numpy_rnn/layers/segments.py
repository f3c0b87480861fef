"""Segment runner: one cell in one direction over a batch.

A cell takes neither lengths nor resets nor masks, which make a batch of spans (spans.py). Spans
differ in length, and a cell takes sequences of one length. So the work is cut into segments:

    segment   the next `size` steps of every span that has so many left, each from the state in
              which its segment before it ended

The spans' ends may lie anywhere. A segment for each would be many short ones. Sizes that halve, as
T, T/2, ..., 1, serve spans of all lengths with few segments. So padding costs no recurrent work,
and everything here is gathers and scatters. Backward goes through the segments in reverse.

Gradient checkpointing (Chen et al. 2016) cuts at every k-th step too. Only the state at the cut is
stored, and backward runs the forward pass of a segment again just before it needs it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np

from numpy_rnn.functional.blocking import CHUNK
from numpy_rnn.functional.contract import Keep
from numpy_rnn.functional.linear import as_block
from numpy_rnn.functional.types import Array, DType
from numpy_rnn.layers.spans import Spans

STEPS_PER_CALL = 12  # a call of a cell costs as much as this many steps with few rows


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
