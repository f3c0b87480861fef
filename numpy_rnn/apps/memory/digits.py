"""Sequential digits: read an image bit by bit, wait, then say which digit it was.

Real data: the 1,797 images of 8 x 8 pixels that come with scikit-learn (Alpaydin & Kaynak 1998,
UCI "Optical Recognition of Handwritten Digits"); reading images as sequences of pixels is Le,
Jaitly & Hinton's (2015). The first of T steps are the image from the top, 8 steps of a row or 64
steps of a pixel, the others are blank, and the answer after the last step is the digit. The first
1,200 images are for training, the other 597 for judging.

    baseline     one of ten at random: ln 10
    solved       at least 90 % of the images right that training never saw
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np

from numpy_rnn.apps.memory.task import DTYPE, Batch, Task, Verdict, answers
from numpy_rnn.functional.types import Array
from numpy_rnn.layers import CrossEntropyLoss, Sequential

SIDE, TRAINING = 8, 1200


class Digits(Task):
    """Digits by rows; the length is T, the blank steps included."""

    inputs, outputs, at_end, shortest = SIDE, 10, True, SIDE  # inputs x shortest: an image
    criterion = "90 % of the images right that training never saw"

    def sample(self, rows: int, rng: np.random.Generator) -> Batch:
        """Draw training images, (T, B, 8), and their digits (B,)."""
        return self._batch(rng.integers(0, TRAINING, rows))

    def loss(self) -> CrossEntropyLoss:
        """Return the cross-entropy of the answer."""
        return CrossEntropyLoss()

    def baseline(self) -> float:
        """Return the loss of guessing."""
        return math.log(10)

    def judge(self, model: Sequential, rows: int, rng: np.random.Generator) -> Verdict:  # noqa: ARG002 (nothing to draw)
        """Return the share of right answers for the images kept back."""
        batch = self._batch(np.arange(TRAINING, len(_load()[1])))
        right = float((answers(model, batch, rows).argmax(axis=-1) == batch.target).mean())
        return Verdict(right, right >= 0.9)

    def _batch(self, places: Array) -> Batch:
        images, digits = _load()
        x = np.zeros((self.length, len(places), self.inputs), DTYPE)
        steps = images[places].reshape(len(places), self.shortest, self.inputs)
        x[: self.shortest] = steps.swapaxes(0, 1)
        return Batch(x, digits[places])


class Pixels(Digits):
    """Digits by pixels, row by row; the length is T, the blank steps included."""

    inputs, shortest = 1, SIDE * SIDE


@cache
def _load() -> tuple[Array, Array]:
    """Return the images (N, 8, 8), from 0 to 1, and the digits (N,)."""
    try:
        from sklearn.datasets import load_digits  # noqa: PLC0415 (an extra, for these tasks alone)
    except ImportError:
        raise ImportError(
            "digits and pixels need scikit-learn: pip install numpy-rnn[digits]"
        ) from None
    data = load_digits()
    return (data.images / 16).astype(DTYPE), data.target
