"""A batch in the user's layout, and as the cells take it: time-major, longest rows first.

    time-major (T, B, ...)    the default
    batch_first (B, T, ...)   an option
    unbatched (T, ...)        accepted wherever (T, B, ...) is

The cells skip what is beyond a row's end and masked steps (spans.py). A masked step repeats the
output, as in Keras:

    (1)  h_t = cell(x_t, h_{t-1}) if mask_t else h_{t-1}
    (2)  y_t = h_t                if mask_t else y_{t-1}      zero before the first valid step

A reset before a masked step is made before the next valid one. A layer of two directions gives
zeros at masked steps (Keras sets `zero_output_for_mask` there), because they repeat different
steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from numpy_rnn.functional.types import Array, DType, State
from numpy_rnn.layers.spans import Spans, make_spans
from numpy_rnn.layers.validate import (
    check_array,
    check_bool,
    check_lengths,
    check_shape,
    check_tokens,
    split_state,
)


class SequenceBatch(NamedTuple):
    """Which steps of one call count, and how its arrays are arranged."""

    T: int
    B: int
    batched: bool
    batch_first: bool
    tokens: bool  # x is token ids
    valid: Array | None  # (T, B): False at masked steps and beyond a row's end; None: all count
    resets: Array | None  # (T, B), False beyond a row's end
    shown: Array | None  # (T, B): the step whose output each step shows; -1: zero
    plain: bool  # the user's layout is that of the cells, so that nothing has to be restored

    def shape(self, *rest: int) -> tuple[int, ...]:
        """Return the user's shape for (T, B, *rest)."""
        if not self.batched:
            return (self.T, *rest)
        return (self.B, self.T, *rest) if self.batch_first else (self.T, self.B, *rest)

    def spans(self, *, backwards: bool) -> Spans | None:
        """Return the spans of a direction, or None if every row has all steps in one span."""
        if self.valid is None:
            return None
        return make_spans(self.valid, self.resets, backwards=backwards)

    def read_gradient(self, where: object, dy: Array, size: int, dtype: DType) -> Array:
        """Return the gradient of the output as that of the cells' output, (T, B, size)."""
        shape = (self.T, self.B, size) if self.plain else self.shape(size)
        dy = check_array(where, "dy", dy, dtype, (shape,))
        dy = dy if self.plain else to_time_major(dy, self.batched, self.batch_first)
        if self.shown is None:
            return dy
        total = np.zeros_like(dy)
        for dy_t, shown_t in zip(dy, self.shown, strict=True):
            rows = np.flatnonzero(shown_t >= 0)
            total[shown_t[rows], rows] += dy_t[rows]
        return total

    def show(self, y: Array) -> Array:
        """Return the cells' output (T, B, size) as users see it: masked steps repeat it."""
        if self.shown is not None:
            seen: Array = y[self.shown, np.arange(self.B)]
            seen[self.shown < 0] = 0
            y = seen
        return self.restore_sequence(y)

    def read_bool(self, where: object, name: str, value: Array) -> Array:
        """Return an array of bool like x without its last axis as (T, B)."""
        value = check_bool(where, name, value, self.shape())
        return to_time_major(value, self.batched, self.batch_first)

    def restore_sequence(self, sequence: Array) -> Array:
        """Return a sequence (T, B, ...) in the user's layout."""
        if not self.batched:
            return sequence[:, 0]
        return sequence.swapaxes(0, 1) if self.batch_first else sequence

    def read_state(
        self, where: object, name: str, state: State, L: int, sizes: Sequence[int], dtype: DType
    ) -> list[Array]:
        """Return the components of a state or of its gradient, (L, B, size) each, zero for None."""
        if state is None:
            return [np.zeros((L, self.B, size), dtype) for size in sizes]
        parts = split_state(where, name, state, len(sizes))
        read = []
        for (part_name, part), size in zip(parts, sizes, strict=True):
            shape = (L, self.B, size) if self.batched else (L, size)
            array = check_array(where, part_name, part, dtype, (shape,))
            read.append(array.reshape(L, self.B, size).copy())  # because a cell may keep it
        return read

    def restore_state(self, parts: list[Array]) -> list[Array]:
        """Return the components of a state in the user's shape."""
        return parts if self.batched else [part[:, 0] for part in parts]


def read_arguments(
    where: object,
    x: Array,
    state: State,
    *,
    lengths: Array | None = None,
    reset: Array | None = None,
    mask: Array | None = None,
    input_size: int,
    state_shape: tuple[int, Sequence[int]],
    dtype: DType,
    batch_first: bool,
    backwards: Sequence[bool],
) -> tuple[Array, list[Array], SequenceBatch]:
    """Check the arguments of a recurrent layer and arrange them.

    `state_shape` is L, and the size of each state component. `backwards` tells of each direction
    whether it runs from the end to the beginning. Returned are x, time-major, zero where it is not
    read; the components of the initial state, (L, B, size) each, zeros for None; and the rest.
    """
    x, batched, tokens = read_layout(where, x, input_size, batch_first)
    time_major = to_time_major(x, batched, batch_first)
    T, B = time_major.shape[:2]
    plain = batched and not batch_first and mask is None
    batch = SequenceBatch(T, B, batched, batch_first, tokens, None, None, None, plain)
    if any(option is not None for option in (lengths, reset, mask)):
        ends = np.full(B, T) if lengths is None else check_lengths(where, lengths, T, B)
        valid = within = np.arange(T)[:, None] < ends
        if mask is not None:
            valid = within & batch.read_bool(where, "mask", mask)
            batch = batch._replace(shown=_shown(valid, within, backwards))
        if reset is not None:
            resets = within & batch.read_bool(where, "reset", reset)
            batch = batch._replace(resets=resets if resets.any() else None)
        if not valid.all():  # the rest may hold anything, even NaN or -1: zeros take its place
            x = x.copy()
            time_major = to_time_major(x, batched, batch_first)
            time_major[~valid] = 0
        if batch.resets is not None or not valid.all():
            batch = batch._replace(valid=valid)
    initial = batch.read_state(where, "state", state, *state_shape, dtype)
    if tokens:
        check_tokens(where, "x", x, input_size)
    else:
        check_array(where, "x", x, dtype, (x.shape,))
    return time_major, initial, batch


def _shown(valid: Array, within: Array, backwards: Sequence[bool]) -> Array | None:
    """Return the step whose output each step shows, or None if that is its own."""
    if len(backwards) == 2:
        return None
    t = np.arange(len(valid))[:, None]
    if backwards[0]:
        shown = np.minimum.accumulate(np.where(valid, t, len(valid))[::-1])[::-1]
        return np.where(shown < len(valid), shown, -1)
    return np.where(within, np.maximum.accumulate(np.where(valid, t, -1)), -1)


def read_layout(
    where: object, x: Array, input_size: int, batch_first: bool
) -> tuple[Array, bool, bool]:
    """Return `x` as an array if its shape is allowed, whether it has a B, and is token ids."""
    x = np.asarray(x)
    tokens = x.dtype.kind in "iu"
    if tokens and x.ndim == 3:
        raise TypeError(
            f"{where}: x has axes T, B and D and dtype {x.dtype}, but integers are token ids, "
            f"expected features in floating point"
        )
    row = () if tokens else (input_size,)
    batched = x.ndim == 2 + len(row)
    if not (batched or x.ndim == 1 + len(row)) or x.shape[x.ndim - len(row) :] != row:
        first_two: tuple[str | int, ...] = ("B", "T") if batch_first else ("T", "B")
        check_shape(where, "x", x, ((*first_two, *row), ("T", *row)))
    return x, batched, tokens


def to_time_major(array: Array, batched: bool, batch_first: bool) -> Array:
    """Return a sequence in the user's layout as (T, B, ...), without a copy."""
    if not batched:
        return array[:, None]
    return array.swapaxes(0, 1) if batch_first else array
