"""First symbol: say at the end what stood at the beginning.

The latching task of Bengio, Simard & Frasconi (1994) with symbols, as in experiment 2 of
Hochreiter & Schmidhuber (1997): the first of T symbols is one of four, all others are drawn from
two distractors, and the answer after the last step is the first.

    baseline     one of four at random: ln 4
    solved       at least 99 % of the answers right on new sequences
"""

from __future__ import annotations

import math

import numpy as np

from numpy_rnn.apps.memory.task import JUDGED, Batch, Task, Verdict, answers, one_hot
from numpy_rnn.layers import CrossEntropyLoss, Sequential

CLASSES, DISTRACTORS = 4, 2


class FirstSymbol(Task):
    """The latching task; its length is T."""

    inputs, outputs, at_end, shortest = CLASSES + DISTRACTORS, CLASSES, True, 1
    criterion = "99 % of the answers right on new sequences"

    def sample(self, rows: int, rng: np.random.Generator) -> Batch:
        """Draw inputs (T, B, 6) and classes (B,)."""
        x = rng.integers(CLASSES, CLASSES + DISTRACTORS, (self.length, rows))
        x[0] = rng.integers(0, CLASSES, rows)
        return Batch(one_hot(x, self.inputs), x[0])

    def loss(self) -> CrossEntropyLoss:
        """Return the cross-entropy of the answer."""
        return CrossEntropyLoss()

    def baseline(self) -> float:
        """Return the loss of guessing."""
        return math.log(CLASSES)

    def judge(self, model: Sequential, rows: int, rng: np.random.Generator) -> Verdict:
        """Return the share of right answers on new sequences."""
        batch = self.sample(JUDGED, rng)
        right = float((answers(model, batch, rows).argmax(axis=-1) == batch.target).mean())
        return Verdict(right, right >= 0.99)
