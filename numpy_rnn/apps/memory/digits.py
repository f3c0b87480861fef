"""Sequential digits: read an image step by step, wait, then classify it.

The data are the 1,797 images of 8 x 8 pixels that come with scikit-learn (Alpaydin & Kaynak 1998,
UCI "Optical Recognition of Handwritten Digits"). Le, Jaitly & Hinton (2015) introduced images as
sequences of pixels. The first 1,200 images are for training, the other 597 for evaluation.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from numpy_rnn.apps.memory.tasks import DTYPE, Task
from numpy_rnn.functional.types import Array
from numpy_rnn.training import Batch

SIDE, TRAINING_IMAGES = 8, 1200


class DigitsTask(Task):
    """Digits by rows: one image row a step, 8 steps, then blanks up to length T.

    The target, after the last step, is the digit. The baseline guesses one of ten: ln 10.
    """

    input_size, output_size, min_length = SIDE, 10, SIDE
    solved_when, min_accuracy = "90 % of the test images right", 0.9

    def sample(self, batch_size: int, rng: np.random.Generator) -> Batch:
        """Draw training images, (T, B, 8), and their digits (B,)."""
        return self._batch(rng.integers(0, TRAINING_IMAGES, batch_size))

    def test_batch(self, rng: np.random.Generator) -> Batch:  # noqa: ARG002 (nothing is drawn)
        """Return the images that training never draws."""
        return self._batch(np.arange(TRAINING_IMAGES, len(_load()[1])))

    def _batch(self, indices: Array) -> Batch:
        images, digits = _load()
        x = np.zeros((self.length, len(indices), self.input_size), DTYPE)
        # input_size * min_length is the size of an image
        steps = images[indices].reshape(len(indices), self.min_length, self.input_size)
        x[: self.min_length] = steps.swapaxes(0, 1)
        return Batch(x, digits[indices], per_step=False)


class PixelsTask(DigitsTask):
    """Digits by pixels: one pixel a step, row by row, 64 steps, then blanks up to length T."""

    input_size, min_length = 1, SIDE * SIDE


@cache
def _load() -> tuple[Array, Array]:
    """Return the images (N, 8, 8), from 0 to 1, and the digits (N,)."""
    try:
        from sklearn.datasets import load_digits  # noqa: PLC0415 (an extra, for these tasks only)
    except ImportError:
        raise ImportError("digits and pixels need scikit-learn: pip install '.[digits]'") from None
    data = load_digits()
    return (data.images / 16).astype(DTYPE), data.target
