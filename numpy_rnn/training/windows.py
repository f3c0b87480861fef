"""Windows of a long sequence, for truncated backpropagation through time.

B readers stand at equal distances in a sequence of N elements. Each batch is the next T elements
of every reader, and its row b goes on where row b of the batch before ended:

    reader b   begins at floor(b N / B), goes on by T each batch, behind the end comes the beginning

The state is carried from window to window, the gradient is not: the gradient of a window's loss
goes back to the window's first step and no further. An error at the last step of a window is
sent back over T steps, one at the first step over none. In the terms of Williams & Peng (1990)
this is BPTT(h; h') with h = h' = T: back over h steps, done once every h' steps.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from numpy_rnn.functional.types import Array
from numpy_rnn.layers.validate import check_size
from numpy_rnn.training.batch import Batch


class Windows:
    """Batches of windows of one long sequence; a :class:`~numpy_rnn.training.batch.Source`.

    Parameters
    ----------
    x : (N, D) array, or (N,) array of int
        The sequence. It may be a ``numpy.memmap``: only the windows are read.
    target : (N, ...) array
        What the output should be at each element. For a sequence that predicts its own next
        element, :meth:`next_of`.
    batch_size : int
        B, how many readers.
    window : int
        T.

    Raises
    ------
    ValueError
        If the sequence is shorter than one window, or there are more readers than elements.
    """

    carries = True

    def __init__(self, x: Array, target: Array, batch_size: int, window: int) -> None:
        N = len(x)
        if len(target) != N:
            raise ValueError(f"Windows: target has {len(target)} elements, expected {N}")
        self.batch_size = check_size("Windows", "batch_size", batch_size)
        self.window = check_size("Windows", "window", window)
        if self.window > N:
            raise ValueError(
                f"Windows: {N} elements to predict, expected at least one window of {window}"
            )
        if self.batch_size > N:
            raise ValueError(f"Windows: {N} elements for {batch_size} rows, expected more")
        self.x, self.target, self.per_epoch = x, target, N / (self.batch_size * self.window)
        self._starts = np.arange(self.batch_size) * N // self.batch_size
        self.position = 0  # of the first reader

    @classmethod
    def next_of(cls, sequence: Array, batch_size: int, window: int) -> Windows:
        """Return windows of a sequence in which each element predicts the next.

        Parameters
        ----------
        sequence : (N, D) array, or (N,) array of int
            x is all but the last, the target all but the first.
        batch_size, window : int
            As above.
        """
        return cls(sequence[:-1], sequence[1:], batch_size, window)

    def next(self) -> Batch:
        """Return the next window of each reader: x (T, B, ...) and target (T, B, ...)."""
        steps = self.position + np.arange(self.window)[:, None]
        places = (steps + self._starts) % len(self.x)  # (T, B)
        self.position = (self.position + self.window) % len(self.x)
        return Batch(self.x[places], self.target[places])

    def state_dict(self) -> dict[str, Any]:
        """Return where the first reader is."""
        return {"position": self.position}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there.

        Raises
        ------
        ValueError
            If there is no such place.
        """
        position = operator.index(state["position"])
        if not 0 <= position < len(self.x):
            raise ValueError(f"position is {position}, expected 0 to {len(self.x) - 1}")
        self.position = position
