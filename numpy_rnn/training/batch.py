"""What one step of training sees, and where it comes from."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

from numpy_rnn.functional.types import Array


class Batch(NamedTuple):
    """Rows of a batch, time-major.

    Attributes
    ----------
    x : (T, B, D) array, or (T, B) array of int
        Input.
    target : (T, B, ...) or (B, ...) array
        What the output should be: at each step, or for each row.
    lengths : (B,) array of int or None
        Where each row ends.
    per_step : bool
        Whether `target` has an axis of time.
    """

    x: Array
    target: Array
    lengths: Array | None = None
    per_step: bool = True

    def rows(self, which: slice | Array) -> Batch:
        """Return some of the rows."""
        return self._replace(
            x=self.x[:, which],
            target=self.target[:, which] if self.per_step else self.target[which],
            lengths=None if self.lengths is None else self.lengths[which],
        )


class Source(Protocol):
    """Where batches come from, without end, and from where they can go on.

    Attributes
    ----------
    batch_size : int
        B.
    per_epoch : float
        How many batches show everything once.
    carries : bool
        Whether row b of a batch goes on where row b of the one before ended, so that it starts
        from the state that one ended in.
    """

    batch_size: int
    per_epoch: float
    carries: bool

    def next(self) -> Batch:
        """Return the next batch."""

    def state_dict(self) -> dict[str, Any]:
        """Return where the source is."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
