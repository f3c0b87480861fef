"""Long and endless sequences: prediction in chunks, and single steps as light as they can be."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from numpy_rnn.arguments import as_array
from numpy_rnn.functional.contract import token_ids
from numpy_rnn.functional.types import Array, DType, State
from numpy_rnn.layers.base import Layer, Step
from numpy_rnn.layers.validate import (
    NotFiniteError,
    Where,
    check_lengths,
    check_shape,
    check_tokens,
    read_input,
    split_state,
)

PREDICT_STEPS = 64  # in a chunk: enough that the calls cost little, few enough to hold little


def predict_in_chunks(
    layer: Layer,
    x: Array,
    state: State,
    lengths: Array | None,
    batch_first: bool,
) -> tuple[Array, State]:
    """Run a causal layer over a sequence chunk by chunk, keeping the output and the state alone.

    Arguments and results are those of ``layer.predict``. The layer carries a state.
    """
    x = layer._plain(x)
    batched = x.ndim == (2 if x.dtype.kind in "iu" else 3)
    axis = 1 if batched and batch_first else 0
    T = x.shape[axis] if x.ndim else 0
    if T <= PREDICT_STEPS:
        y, state, _ = layer.apply(x, state, lengths=lengths, training=False)
        return y, state
    where = Where(layer)
    if lengths is not None:
        lengths = check_lengths(where, lengths, T, x.shape[1 - axis] if batched else 1)
    whole: Array | None = None
    for start in range(0, T, PREDICT_STEPS):
        stop = min(T, start + PREDICT_STEPS)
        span = (slice(None), slice(start, stop)) if axis else slice(start, stop)
        lengths_left = None if lengths is None else np.clip(lengths - start, 0, stop - start)
        try:
            y_chunk, state, _ = layer.apply(x[span], state, lengths=lengths_left, training=False)
        except (TypeError, ValueError) as error:
            layer.check_input(x, lengths)  # as a whole: such an error names the index in x
            if isinstance(error, NotFiniteError):  # of a layer further up
                error.add_note(f"in steps {start} to {stop - 1} of {T}, counted from 0")
            raise
        if whole is None:
            shape = (*y_chunk.shape[:axis], T, *y_chunk.shape[axis + 1 :])
            whole = np.empty(shape, y_chunk.dtype)
        whole[span] = y_chunk
    assert whole is not None  # noqa: S101 (T is above 0)
    return whole, state


def make_stepper(
    where: object,
    cells: Sequence[Callable[..., tuple[Array, ...]]],
    input_size: int,
    sizes: Sequence[int],
    dtype: DType,
    batch_first: bool,
) -> Step:
    """Return a function of one timestep, or a block, through stacked cells.

    See :meth:`Recurrent.stepper`. `cells` holds ``step(x, *states)`` of each cell, lowest first
    (see :class:`Cell`), and `sizes` the size of each state component. Everything returned has this
    `dtype`.
    """
    L, components = len(cells), len(sizes)
    only = cells[0] if L == 1 else None
    # What is expected of batches like the last one: the shapes of x_t and of the state.
    known: tuple[tuple[int, ...], list[tuple[int, ...]]] = ((), [])

    def step(x_t: Array, state: State = None) -> tuple[Array, State]:
        nonlocal known
        x = x_t if type(x_t) is np.ndarray else read_input(where, "x_t", x_t, dtype, input_size)
        if x.dtype is dtype and x.shape[-2:] == known[0] and x.ndim < 4:
            axes = x.ndim - 1  # in front of a row: B, or k and B; none for one row
        else:
            x, axes = _read_step_input(where, x, input_size, dtype)
            B = x.shape[axes - 1 - batch_first] if axes == 2 else len(x)
            known = (B, input_size), [(L, B, size) for size in sizes]
        x = x.swapaxes(0, 1) if axes == 2 and batch_first else x
        shapes = known[1]
        if state is None:
            before = tuple([np.zeros(shape, dtype) for shape in shapes])
        else:
            before = state if components > 1 else (state,)
            if not axes or not _has_shapes(before, shapes, dtype):
                before = _read_step_state(where, state, shapes, dtype, axes > 0)
        if only is not None:  # the state's arrays are the cell's
            after = only(x, *before)
            y = after[0] if axes == 2 else after[0][0]
            if axes == 2:
                after = tuple(map(_last, after, before))
        else:
            states = []
            for layer, cell in enumerate(cells):
                parts = [part[layer : layer + 1] for part in before]
                trajectories = cell(x, *parts)
                x = trajectories[0] if axes == 2 else trajectories[0][0]
                states.append(map(_last, trajectories, parts))
            y, after = x, tuple(map(np.concatenate, zip(*states, strict=True)))
        y = y.swapaxes(0, 1) if axes == 2 and batch_first else y
        y = y.copy()  # so that to change it does not change the state
        if not axes:
            y, after = y[0], tuple([part[:, 0] for part in after])
        return y, after if components > 1 else after[0]

    return step


def _last(trajectory: Array, before: Array) -> Array:
    """Return the state after the last step of a trajectory (k, B, size), or the one `before`."""
    return (trajectory[-1:] if len(trajectory) else before).copy()


def _has_shapes(state: Any, shapes: list[tuple[int, ...]], dtype: DType) -> bool:
    """Return whether the components of a state are arrays of these shapes and this dtype."""
    try:
        for part, shape in zip(state, shapes, strict=True):
            if part.shape != shape or part.dtype is not dtype:
                return False
    except (AttributeError, TypeError, ValueError):  # not arrays, or not so many
        return False
    return True


def _read_step_input(where: object, x: Array, input_size: int, dtype: DType) -> tuple[Array, int]:
    """Return the input of a step, (B, D) or (B,), or of a block, in the layer's dtype.

    The second result is how many axes it had in front of a row.
    """
    tokens = x.dtype.kind in "iu"
    row = () if tokens else (input_size,)
    check_shape(where, "x_t", x, (("B", *row), row, ("k", "B", *row)))
    axes = x.ndim - len(row)
    x = x if axes else x[None]
    if tokens:
        if len(x) != 1 or not 0 <= x.item() < input_size:
            check_tokens(where, "x_t", x, input_size)
        return token_ids(x), axes
    return _real_numbers(where, "x_t", x, dtype), axes


def _read_step_state(
    where: object, state: State, shapes: list[tuple[int, ...]], dtype: DType, batched: bool
) -> tuple[Array, ...]:
    """Return the components of a state as (L, B, size) arrays in the layer's dtype."""
    parts = split_state(where, "state", state, len(shapes))
    read = []
    for (name, part), (L, B, size) in zip(parts, shapes, strict=True):
        array = as_array(where, name, part)
        check_shape(where, name, array, ((L, B, size) if batched else (L, size),))
        read.append(_real_numbers(where, name, array, dtype).reshape(L, B, size))
    return tuple(read)


def _real_numbers(where: object, name: str, array: Array, dtype: DType) -> Array:
    """Return an array in the layer's dtype if its own is a kind of real number."""
    if array.dtype.kind not in ("fiuc" if dtype.kind == "c" else "fiu"):
        raise TypeError(f"{where}: {name} has dtype {array.dtype}, expected {dtype}")
    return array.astype(dtype)
