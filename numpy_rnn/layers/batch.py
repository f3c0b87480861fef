"""A batch as the user has it, and as the cells take it: time-major, longest rows first.

``lengths`` may come in any order; rows are sorted once, at the edge of a layer, and put back at
the end. The other direction of a padded batch begins at each row's own end, so "turning" a
sequence round is a gather: step t of a row of length n becomes step n - 1 - t, and what stands
behind the end stays there. Turning twice changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from numpy_rnn.functional.contract import Keep
from numpy_rnn.functional.types import Array
from numpy_rnn.layers.layout import Layout
from numpy_rnn.layers.validate import (
    check_array,
    check_bool,
    check_lengths,
    check_shape,
    check_symbols,
    split_state,
)


class Batch(NamedTuple):
    """How one call's rows are arranged."""

    layout: Layout
    T: int
    B: int
    symbols: bool  # x is integers
    order: Array | None  # (B,) rows by falling length; None for as they are
    lengths: Array | None  # (B,), falling
    reset: Array | None  # (T, B), rows in this order
    mirror: Array | None  # (T, B): where each step goes when a sequence is turned

    def turn(self, sequence: Array) -> Array:
        """Turn every row round, up to its end."""
        if self.mirror is None:
            return sequence[::-1]
        turned: Array = sequence[self.mirror, np.arange(self.B)]
        return turned

    @property
    def turned_reset(self) -> Array | None:
        """The resets as the other direction meets them: a piece begins where it ended."""
        if self.reset is None:
            return None
        after = np.zeros_like(self.reset)
        after[:-1] = self.reset[1:]
        return self.turn(after)

    def sort_sequence(self, sequence: Array) -> Array:
        """Bring (T, B, ...) in the user's layout into the cells'."""
        sequence = self.layout.to_time_major(sequence)
        return sequence if self.order is None else sequence[:, self.order]

    def restore_sequence(self, sequence: Array) -> Array:
        """Undo :meth:`sort_sequence`."""
        return self.layout.from_time_major(self._restore(sequence))

    def state_shape(self, L: int, size: int) -> tuple[int, ...]:
        """Return the user's shape of a state component."""
        return (L, self.B, size) if self.layout.batched else (L, size)

    def read_state(
        self,
        where: str,
        name: str,
        state: Any,
        L: int,
        sizes: Sequence[int],
        dtype: np.dtype[Any],
    ) -> list[Array]:
        """Return the components of a state or of its gradient, (L, B, size) each, zero for None."""
        if state is None:
            return [np.zeros((L, self.B, size), dtype) for size in sizes]
        parts = split_state(where, name, state, len(sizes))
        read = []
        for (part_name, part), size in zip(parts, sizes, strict=True):
            array = check_array(where, part_name, part, dtype, (self.state_shape(L, size),))
            array = array.reshape(L, self.B, size)
            read.append(array if self.order is None else array[:, self.order])
        return read

    def write_state(self, parts: Sequence[Array]) -> Any:
        """Return components in the user's order: one array, or a tuple of several."""
        restored = tuple(self._restore(part) for part in parts)
        if not self.layout.batched:
            restored = tuple(part[:, 0] for part in restored)
        return restored if len(restored) > 1 else restored[0]

    def restore_kept(self, gradient: Array, keep: Keep, *, turned: bool) -> Array:
        """Put the steps and rows that a gradient keeps back into the user's order.

        Of a turned strand, `gradient` keeps the rows even where only "t" is wanted.
        """
        if turned and "t" in keep:
            gradient = self.turn(gradient)
            if keep == "t":
                gradient = np.add.reduce(gradient, axis=1)
        if "b" not in keep:
            return gradient
        return self._restore(gradient) if keep == "tb" else self._restore(gradient[None])[0]

    def _restore(self, array: Array) -> Array:
        """Put axis 1 back into the user's order."""
        if self.order is None:
            return array
        restored = np.empty_like(array)
        restored[:, self.order] = array
        return restored


def read_batch(
    where: str,
    x: Array,
    input_size: int,
    dtype: np.dtype[Any],
    lengths: Array | None,
    reset: Array | None,
    *,
    batch_first: bool,
) -> tuple[Array, Batch]:
    """Check a layer's input and arrange it.

    Parameters
    ----------
    where : str
        The layer, for messages.
    x, lengths, reset : arrays
        As the layer takes them.
    input_size : int
        D.
    dtype : dtype
        The layer's.
    batch_first : bool
        The layer's.

    Returns
    -------
    x : (T, B, D) array, or (T, B) array of int
        Time-major, rows by falling length.
    batch : Batch
        How to put things back.

    Raises
    ------
    TypeError, ValueError
        If an argument is not what the layer takes.
    """
    x = np.asarray(x)
    sequence: tuple[str | int, ...] = ("B", "T") if batch_first else ("T", "B")
    symbols = x.dtype.kind in "iu"
    row = () if symbols else (input_size,)
    check_shape(where, "x", x, ((*sequence, *row), ("T", *row)))
    layout = Layout(x.ndim == 2 + len(row), batch_first)
    time_major = layout.to_time_major(x)
    T, B = time_major.shape[:2]
    order = mirror = None
    if lengths is not None:
        lengths = check_lengths(where, lengths, T, B)
        padding = layout.from_time_major(np.arange(T)[:, None] >= lengths)
        if padding.any():  # it may be anything, even NaN or -1: zeros take its place
            x = x.copy()
            x[padding] = 0
        order = np.argsort(-lengths, kind="stable")
        lengths = lengths[order]
        steps = np.arange(T)[:, None]
        mirror = np.where(steps < lengths, lengths - 1 - steps, steps)
    if reset is not None:
        reset = layout.to_time_major(check_bool(where, "reset", reset, layout.shape(T, B)))
        reset = reset if order is None else reset[:, order]
    batch = Batch(layout, T, B, symbols, order, lengths, reset, mirror)
    if symbols:
        check_symbols(where, "x", x, input_size)
    else:
        check_array(where, "x", x, dtype, (x.shape,))
    return batch.sort_sequence(x), batch
