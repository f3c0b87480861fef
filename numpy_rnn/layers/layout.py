"""Between the layouts a user may choose and the (T, B, ...) of the mathematics.

time-major (T, B, ...)    the default
batch_first (B, T, ...)   an option
unbatched (T, ...)        accepted wherever (T, B, ...) is
"""

from __future__ import annotations

from typing import NamedTuple

from numpy_rnn.functional.types import Array


class Layout(NamedTuple):
    """How the axes of one call are arranged."""

    batched: bool
    batch_first: bool

    def to_time_major(self, array: Array) -> Array:
        """Turn a sequence (..., D) into (T, B, D), without a copy."""
        if not self.batched:
            return array[:, None]
        return array.swapaxes(0, 1) if self.batch_first else array

    def from_time_major(self, array: Array) -> Array:
        """Turn (T, B, D) back into the user's layout, without a copy."""
        if not self.batched:
            return array[:, 0]
        return array.swapaxes(0, 1) if self.batch_first else array

    def shape(self, T: int, B: int, *rest: int) -> tuple[int, ...]:
        """Return the user's shape for (T, B, *rest)."""
        if not self.batched:
            return (T, *rest)
        return (B, T, *rest) if self.batch_first else (T, B, *rest)
