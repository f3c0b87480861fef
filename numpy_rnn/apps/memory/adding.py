"""Adding: of many numbers, add the two that are marked.

Hochreiter & Schmidhuber (1997), experiment 4, as simplified by Arjovsky, Shah & Bengio (2016).
Each of T steps has a number from U(0, 1) and a marker: 1 at one step of the first half and at one
of the second, else 0. The answer, after the last step, is the sum of the two marked numbers.

    baseline     answering 1 always: the variance of the sum of two U(0, 1), 2 / 12 = 0.1667
    solved       mean squared error below 0.01 on new sequences
"""

from __future__ import annotations

import numpy as np

from numpy_rnn.apps.memory.task import DTYPE, JUDGED, Batch, Task, Verdict, answers
from numpy_rnn.layers import MSELoss, Sequential


class Adding(Task):
    """The adding problem; its length is T."""

    inputs, outputs, at_end, shortest = 2, 1, True, 2
    criterion = "mean squared error below 0.01 on new sequences"

    def sample(self, rows: int, rng: np.random.Generator) -> Batch:
        """Draw numbers, markers (T, B, 2) and their sums (B, 1)."""
        T, b = self.length, np.arange(rows)
        x = np.zeros((T, rows, 2), DTYPE)
        x[..., 0] = rng.random((T, rows), DTYPE)
        first, second = rng.integers(0, T // 2, rows), rng.integers(T // 2, T, rows)
        x[first, b, 1] = x[second, b, 1] = 1
        return Batch(x, (x[first, b, 0] + x[second, b, 0])[:, None])

    def loss(self) -> MSELoss:
        """Return the mean squared error."""
        return MSELoss()

    def baseline(self) -> float:
        """Return the variance of the sum."""
        return 2 / 12

    def judge(self, model: Sequential, rows: int, rng: np.random.Generator) -> Verdict:
        """Return the mean squared error on new sequences."""
        batch = self.sample(JUDGED, rng)
        error = answers(model, batch, rows) - batch.target
        score = float(np.mean(error * error))
        return Verdict(score, score < 0.01)
