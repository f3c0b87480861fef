"""Recall: know one random string by heart. The notebook's question, with nothing to guess from.

N characters are drawn, once, from the 33 of the notebook's alphabet; the network reads the start
symbol and the characters and says each next one, in the end the end symbol. Then it has to write
the string by itself: from the start symbol alone, fed with the one-hot of its own argmax. A
sentence can be written from a few letters of context; a random string of more than 33 characters
has every letter several times, and of more than 1,000 most pairs.

    baseline     one of 33 at random, and the end known: N ln 33 / (N + 1), the mean cross-entropy
    solved       all N characters are right when it writes

In training every step's input is given. In writing nothing is, and one wrong character is a
failure, so it is no judgement on training data, though there is only the one string.
"""

from __future__ import annotations

import math

import numpy as np

from numpy_rnn.apps.memory.task import Batch, Task, Verdict, one_hot
from numpy_rnn.layers import CrossEntropyLoss, Sequential

CHARACTERS = 33
START, END = CHARACTERS, CHARACTERS + 1


class Recall(Task):
    """Recall of a random string; its length is N."""

    inputs, outputs, at_end, shortest = CHARACTERS + 2, CHARACTERS + 2, False, 1
    criterion = "every character right, written from the start symbol alone"

    def __init__(self, length: int, seed: int = 0) -> None:
        super().__init__(length, seed)
        string = np.random.default_rng([seed, length]).integers(0, CHARACTERS, length)
        self.string = string
        symbols = np.concatenate([[START], string, [END]])[:, None]
        self._batch = Batch(one_hot(symbols[:-1], self.inputs), symbols[1:])

    def sample(self, rows: int, rng: np.random.Generator) -> Batch:  # noqa: ARG002 (there is one string)
        """Return the string, (N + 1, 1, 35), and what comes next (N + 1, 1)."""
        return self._batch

    def loss(self) -> CrossEntropyLoss:
        """Return the cross-entropy, mean over the steps."""
        return CrossEntropyLoss()

    def baseline(self) -> float:
        """Return the loss of guessing the characters."""
        return self.length * math.log(CHARACTERS) / (self.length + 1)

    def judge(self, model: Sequential, rows: int, rng: np.random.Generator) -> Verdict:  # noqa: ARG002 (nothing to draw)
        """Return the share of the string that is right before the first mistake."""
        symbol, state = START, None
        for right, wanted in enumerate(self.string):
            y, state = model.step(one_hot(np.array([symbol]), self.inputs), state)
            symbol = int(y.argmax())
            if symbol != wanted:
                return Verdict(right / self.length, solved=False)
        return Verdict(1.0, solved=True)
