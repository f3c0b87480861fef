"""Examples that do not know of each other, in mini-batches, newly shuffled for each epoch."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from numpy_rnn.functional.types import Array, Rng
from numpy_rnn.layers.validate import check_lengths, check_size
from numpy_rnn.training.batch import Batch


class Examples:
    """Mini-batches of independent sequences; a :class:`~numpy_rnn.training.batch.Source`.

    Parameters
    ----------
    x : (T, N, D) array, or (T, N) array of int
        N sequences, padded to T steps if they are of different lengths.
    target : (N, ...) array, or (T, N, ...) array
        One for each sequence, or, with ``per_step``, one for each step.
    batch_size : int
        B. What is left over at the end of an epoch goes to the front of the next.
    lengths : (N,) array of int, optional
        Where each sequence ends.
    per_step : bool
        Whether `target` has an axis of time.
    rng : numpy.random.Generator, int or None
        For the order.

    Raises
    ------
    TypeError, ValueError
        If an argument does not fit x.
    """

    carries = False

    def __init__(
        self,
        x: Array,
        target: Array,
        batch_size: int,
        *,
        lengths: Array | None = None,
        per_step: bool = False,
        rng: Rng = None,
    ) -> None:
        T, self.count = x.shape[:2]
        self.batch_size = check_size("Examples", "batch_size", batch_size)
        if self.batch_size > self.count:
            raise ValueError(f"Examples: batch_size is {batch_size}, expected up to {self.count}")
        expected = x.shape[:2] if per_step else (self.count,)
        if target.shape[: len(expected)] != expected:
            raise ValueError(
                f"Examples: target has shape {target.shape}, expected {expected} in front"
            )
        if lengths is not None:
            lengths = check_lengths("Examples", lengths, T, self.count)
        self.all = Batch(x, target, lengths, per_step)
        self.per_epoch = self.count / self.batch_size
        self.generator = np.random.default_rng(rng)
        self.order = self.generator.permutation(self.count)
        self.position = 0

    def next(self) -> Batch:
        """Return the next mini-batch."""
        which = self.order[self.position : self.position + self.batch_size]
        self.position += self.batch_size
        if len(which) < self.batch_size:
            self.order = self.generator.permutation(self.count)
            self.position = self.batch_size - len(which)
            which = np.concatenate([which, self.order[: self.position]])
        return self.all.rows(which)

    def state_dict(self) -> dict[str, Any]:
        """Return the order of this epoch, the place in it, and the generator of the next."""
        return {
            "order": self.order.copy(),
            "position": self.position,
            "generator": self.generator.bit_generator.state,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there.

        Raises
        ------
        ValueError
            If it is not the state of as many examples.
        """
        order, position = np.asarray(state["order"]), operator.index(state["position"])
        if not np.array_equal(np.sort(order), np.arange(self.count)):
            raise ValueError(f"order is no order of {self.count} examples")
        if not 0 <= position <= self.count:
            raise ValueError(f"position is {position}, expected 0 to {self.count}")
        self.generator.bit_generator.state = state["generator"]
        self.order, self.position = order, position
