"""Copy: hold ten symbols over a long blank, then say them.

Hochreiter & Schmidhuber (1997), in the form of Arjovsky, Shah & Bengio (2016): ten symbols drawn
from eight, T - 1 blanks, a sign, ten blanks. The answer is a blank at each of the first T + 10
steps and the ten symbols, in order, at the last ten.

    baseline     a blank until the sign, then one of eight at random: 10 ln 8 / (T + 20), the mean
                 cross-entropy over the steps
    solved       at least 99 % of the last ten answers, and of the others, right on new sequences
"""

from __future__ import annotations

import math

import numpy as np

from numpy_rnn.apps.memory.task import JUDGED, Batch, Task, Verdict, answers, one_hot
from numpy_rnn.layers import CrossEntropyLoss, Sequential

SYMBOLS, COUNT = 8, 10
BLANK, SIGN = SYMBOLS, SYMBOLS + 1


class Copying(Task):
    """The copy task; its length is T, the steps between a symbol's coming and its place."""

    inputs, outputs, at_end, shortest = SYMBOLS + 2, SYMBOLS + 1, False, 1
    criterion = "99 % of the symbols and of the blanks right on new sequences"

    def sample(self, rows: int, rng: np.random.Generator) -> Batch:
        """Draw inputs (T + 20, B, 10) and classes (T + 20, B)."""
        steps = self.length + 2 * COUNT
        symbols = rng.integers(0, SYMBOLS, (COUNT, rows))
        x, target = np.full((2, steps, rows), BLANK)
        x[:COUNT] = target[-COUNT:] = symbols
        x[-COUNT - 1] = SIGN
        return Batch(one_hot(x, self.inputs), target)

    def loss(self) -> CrossEntropyLoss:
        """Return the cross-entropy, mean over all steps."""
        return CrossEntropyLoss()

    def baseline(self) -> float:
        """Return the loss of guessing the ten symbols."""
        return COUNT * math.log(SYMBOLS) / (self.length + 2 * COUNT)

    def judge(self, model: Sequential, rows: int, rng: np.random.Generator) -> Verdict:
        """Return the share of the ten symbols that is right on new sequences."""
        batch = self.sample(JUDGED, rng)
        right = answers(model, batch, rows).argmax(axis=-1) == batch.target
        symbols, blanks = float(right[-COUNT:].mean()), float(right[:-COUNT].mean())
        return Verdict(symbols, min(symbols, blanks) >= 0.99)
