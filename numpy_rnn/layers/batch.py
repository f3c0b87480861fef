"""A batch in the user's layout, and as the cells take it: time-major, longest rows first.

    time-major (T, B, ...)    the default
    batch_first (B, T, ...)   an option
    unbatched (T, ...)        accepted wherever (T, B, ...) is

``lengths`` may come in any order. Rows are sorted once, at the edge of a layer, and their order is
restored at the end. The reverse direction of a padded batch begins at each row's own end, so a
reversal is a gather: step t of a row of length n becomes step n - 1 - t, and the padding stays
where it is. To reverse twice changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from numpy_rnn.functional.contract import Keep
from numpy_rnn.functional.types import Array, DType, State
from numpy_rnn.layers.validate import (
    check_array,
    check_bool,
    check_lengths,
    check_shape,
    check_tokens,
    split_state,
)


class SequenceBatch(NamedTuple):
    """How the rows of one call are arranged."""

    T: int
    B: int
    batched: bool
    batch_first: bool
    tokens: bool  # x is token ids
    order: Array | None  # (B,) rows by decreasing length; None: as they are
    lengths: Array | None  # (B,), decreasing
    reset: Array | None  # (T, B), rows in this order
    mirror: Array | None  # (T, B): where each step goes in a reversal
    plain: bool  # the user's layout is that of the cells, so that nothing has to be restored

    def shape(self, *rest: int) -> tuple[int, ...]:
        """Return the user's shape for (T, B, *rest)."""
        if not self.batched:
            return (self.T, *rest)
        return (self.B, self.T, *rest) if self.batch_first else (self.T, self.B, *rest)

    def reverse(self, sequence: Array) -> Array:
        """Return every row reversed, up to its end."""
        if self.mirror is None:
            return sequence[::-1]
        flipped: Array = sequence[self.mirror, np.arange(self.B)]
        return flipped

    @property
    def reversed_reset(self) -> Array | None:
        """The resets in the reverse direction: a segment begins where it ended."""
        if self.reset is None:
            return None
        after = np.zeros_like(self.reset)
        after[:-1] = self.reset[1:]
        return self.reverse(after)

    def sort_sequence(self, sequence: Array) -> Array:
        """Return a sequence in the user's layout as (T, B, ...), longest rows first."""
        sequence = to_time_major(sequence, self.batched, self.batch_first)
        return sequence if self.order is None else sequence[:, self.order]

    def restore_sequence(self, sequence: Array) -> Array:
        """Undo :meth:`sort_sequence`."""
        return user_layout(self.restore_rows(sequence), self.batched, self.batch_first)

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
            array = array.reshape(L, self.B, size)
            # A copy, because a cell may keep it.
            read.append(array.copy() if self.order is None else array[:, self.order])
        return read

    def restore_state(self, parts: list[Array]) -> list[Array]:
        """Return the components of a state in the user's order of rows and shape."""
        parts = [self.restore_rows(part) for part in parts]
        return parts if self.batched else [part[:, 0] for part in parts]

    def restore_kept(self, gradient: Array, keep: Keep, *, reverse: bool) -> Array:
        """Return the steps and rows that a gradient keeps in the user's order.

        For the reverse direction, `gradient` keeps the rows even if only "t" is asked for: rows
        that end at different steps are reversed one by one.
        """
        if reverse and "t" in keep:
            gradient = self.reverse(gradient)
            if keep == "t":
                gradient = np.add.reduce(gradient, axis=1)
        if "b" not in keep:
            return gradient
        return self.restore_rows(gradient) if keep == "tb" else self.restore_rows(gradient[None])[0]

    def restore_rows(self, array: Array) -> Array:
        """Return an array (., B, ...) with its rows in the user's order."""
        if self.order is None:
            return array
        restored = np.empty_like(array)
        restored[:, self.order] = array
        return restored


def read_arguments(
    where: object,
    x: Array,
    state: State,
    lengths: Array | None,
    reset: Array | None,
    *,
    input_size: int,
    state_shape: tuple[int, Sequence[int]],
    dtype: DType,
    batch_first: bool,
) -> tuple[Array, list[Array], SequenceBatch]:
    """Check the arguments of a recurrent layer and arrange them.

    `state_shape` is L, and the size of each state component. Returned are x, time-major with rows
    by decreasing length; the components of the initial state, (L, B, size) each, zeros for None;
    and how to restore the user's layout.
    """
    x, batched, tokens = read_layout(where, x, input_size, batch_first)
    time_major = to_time_major(x, batched, batch_first)
    T, B = time_major.shape[:2]
    order = mirror = None
    if lengths is not None:
        lengths = check_lengths(where, lengths, T, B)
        padding = np.arange(T)[:, None] >= lengths
        if padding.any():  # it may hold anything, even NaN or -1: zeros take its place
            x = x.copy()
            time_major = to_time_major(x, batched, batch_first)
            time_major[padding] = 0
        order = np.argsort(-lengths, kind="stable")
        lengths = lengths[order]
        steps = np.arange(T)[:, None]
        mirror = np.where(steps < lengths, lengths - 1 - steps, steps)
    plain = batched and not batch_first and order is None
    batch = SequenceBatch(T, B, batched, batch_first, tokens, order, lengths, None, mirror, plain)
    if reset is not None:
        reset = batch.sort_sequence(check_bool(where, "reset", reset, batch.shape()).copy())
        batch = batch._replace(reset=reset)
    initial = batch.read_state(where, "state", state, *state_shape, dtype)
    if tokens:
        check_tokens(where, "x", x, input_size)
    else:
        check_array(where, "x", x, dtype, (x.shape,))
    return (time_major if order is None else time_major[:, order]), initial, batch


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


def user_layout(array: Array, batched: bool, batch_first: bool) -> Array:
    """Undo :func:`to_time_major`."""
    if not batched:
        return array[:, 0]
    return array.swapaxes(0, 1) if batch_first else array
