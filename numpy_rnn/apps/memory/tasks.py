"""The memory tasks: sequences to train on, a loss with a known baseline, and an evaluation.

A task has one length: the number of steps that something must be remembered. Its baseline is the
least expected loss of a model without memory. Evaluation never uses sequences of the training.

Four tasks generate their data. The last two read images of handwritten digits.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from functools import cache
from typing import ClassVar, NamedTuple

import numpy as np

from numpy_rnn.arguments import check_size
from numpy_rnn.functional.types import Array
from numpy_rnn.layers import CrossEntropyLoss, MSELoss, Sequential
from numpy_rnn.training import Batch

DTYPE = np.dtype(np.float32)
TEST_SEQUENCES = 256  # generated for one evaluation
SIDE, TRAINING_IMAGES = 8, 1200


class Result(NamedTuple):
    """The result of an evaluation."""

    score: float  # the quantity that Task.solved_when names
    solved: bool


class Task(ABC):
    """A task at one length, by default a classification task.

    The seed is that of the data that a task draws once and keeps.
    """

    input_size: ClassVar[int]  # features of each step's input
    output_size: ClassVar[int]  # features of each output; of a classification, classes
    min_length: ClassVar[int] = 1  # the shortest possible length
    per_step: ClassVar[bool] = False  # a target at every step, or one after the last step
    criterion: ClassVar[type[CrossEntropyLoss | MSELoss]] = CrossEntropyLoss
    solved_when: ClassVar[str] = "99 % of the answers right on new sequences"
    min_accuracy: ClassVar[float] = 0.99

    def __init__(self, length: int, seed: int = 0) -> None:
        check_size(type(self).__name__, "length", length, self.min_length)
        self.length, self.seed = length, seed

    @abstractmethod
    def sample(self, batch_size: int, rng: np.random.Generator) -> Batch:
        """Draw a batch of training sequences."""

    def test_batch(self, rng: np.random.Generator) -> Batch:
        """Return the sequences of an evaluation."""
        return self.sample(TEST_SEQUENCES, rng)

    def baseline(self) -> float:
        """Return the least expected loss of a model without memory."""
        return math.log(self.output_size)

    def evaluate(self, model: Sequential, batch_size: int, rng: np.random.Generator) -> Result:
        """Return the score of a model on data that it was not trained on.

        At most `batch_size` sequences are processed at a time. `rng` is not the one that the
        training batches are drawn from.
        """
        batch = self.test_batch(rng)
        return self.result(predict(model, batch.x, batch_size), batch.target)

    def result(self, y: Array, target: Array) -> Result:
        """Return the accuracy of the outputs `y` of an evaluation."""
        accuracy = float(np.mean(y.argmax(axis=-1) == target))
        return Result(accuracy, accuracy >= self.min_accuracy)


class AddingTask(Task):
    """Adding: of T numbers, add the two that are marked.

    Experiment 4 of Hochreiter & Schmidhuber (1997), as simplified by Arjovsky, Shah & Bengio
    (2016). Each step has a number from U(0, 1) and a marker. The marker is 1 at one step of the
    first half and at one step of the second half, otherwise 0. The target, after the last step, is
    the sum of the two marked numbers.

    The baseline predicts 1 always. Its loss is the variance of the sum: 2 / 12 = 0.1667.
    """

    input_size, output_size, min_length = 2, 1, 2
    solved_when = "mean squared error below 0.01 on new sequences"
    criterion = MSELoss

    def sample(self, batch_size: int, rng: np.random.Generator) -> Batch:
        """Draw numbers and markers, (T, B, 2), and the sums (B, 1)."""
        T, b = self.length, np.arange(batch_size)
        x = np.zeros((T, batch_size, 2), DTYPE)
        x[..., 0] = rng.random((T, batch_size), DTYPE)
        first, second = rng.integers(0, T // 2, batch_size), rng.integers(T // 2, T, batch_size)
        x[first, b, 1] = x[second, b, 1] = 1
        return Batch(x, (x[first, b, 0] + x[second, b, 0])[:, None], per_step=False)

    def baseline(self) -> float:
        """Return the variance of the sum."""
        return 2 / 12

    def result(self, y: Array, target: Array) -> Result:
        """Return the mean squared error."""
        score = float(np.mean((y - target) ** 2))
        return Result(score, score < 0.01)


class CopyTask(Task):
    """Copy: remember ten tokens over a long blank, then output them in order.

    Hochreiter & Schmidhuber (1997), in the form of Arjovsky, Shah & Bengio (2016). The input is ten
    tokens out of eight, T - 1 blanks, a delimiter and ten blanks. The target is a blank at each of
    the first T + 10 steps and the ten tokens at the last ten. So T is the number of steps for
    which the tokens must be remembered.

    The baseline outputs blanks until the delimiter and then guesses: 10 ln 8 / (T + 20), the mean
    cross-entropy over the steps.
    """

    TOKENS, COUNT = 8, 10
    BLANK, DELIMITER = TOKENS, TOKENS + 1

    input_size, output_size, per_step = TOKENS + 2, TOKENS + 1, True
    solved_when = "99 % of the tokens and of the blanks right on new sequences"

    def sample(self, batch_size: int, rng: np.random.Generator) -> Batch:
        """Draw one-hot inputs (T + 20, B, 10) and classes (T + 20, B)."""
        steps = self.length + 2 * self.COUNT
        tokens = rng.integers(0, self.TOKENS, (self.COUNT, batch_size))
        x, target = np.full((2, steps, batch_size), self.BLANK)
        x[: self.COUNT] = target[-self.COUNT :] = tokens
        x[-self.COUNT - 1] = self.DELIMITER
        return Batch(one_hot(x, self.input_size), target)

    def baseline(self) -> float:
        """Return the loss of guessing the ten tokens."""
        return self.COUNT * math.log(self.TOKENS) / (self.length + 2 * self.COUNT)

    def result(self, y: Array, target: Array) -> Result:
        """Return the accuracy on the ten tokens."""
        right = y.argmax(axis=-1) == target
        tokens, blanks = float(right[-self.COUNT :].mean()), float(right[: -self.COUNT].mean())
        return Result(tokens, min(tokens, blanks) >= self.min_accuracy)


class FirstTokenTask(Task):
    """First token: after T steps, output the token of the first step.

    The latching task of Bengio, Simard & Frasconi (1994) with tokens, as in experiment 2 of
    Hochreiter & Schmidhuber (1997). The first token is one of four, all others are drawn from two
    distractors. The target, after the last step, is the first token. The baseline is ln 4.
    """

    CLASSES, DISTRACTORS = 4, 2

    input_size, output_size = CLASSES + DISTRACTORS, CLASSES

    def sample(self, batch_size: int, rng: np.random.Generator) -> Batch:
        """Draw one-hot inputs (T, B, 6) and classes (B,)."""
        x = rng.integers(self.CLASSES, self.input_size, (self.length, batch_size))
        x[0] = rng.integers(0, self.CLASSES, batch_size)
        return Batch(one_hot(x, self.input_size), x[0], per_step=False)


class RecallTask(Task):
    """Recall: memorise one random string of N characters and generate it.

    The string is drawn once, from the 33 characters of the notebook. In training the network reads
    the start token and the string and predicts each next character, at last the end token. To be
    evaluated it generates the string from the start token alone: each input is the one-hot argmax
    of the output before. A sentence can be predicted from a few characters of context, but in a
    random string of 1,000 characters most pairs of characters occur more than once.

    The baseline guesses one of 33 and knows the end: N ln 33 / (N + 1), the mean cross-entropy over
    the steps. Training and evaluation share the string, but only training is given the inputs.
    """

    CHARACTERS = 33
    START, END = CHARACTERS, CHARACTERS + 1

    input_size, output_size, per_step = CHARACTERS + 2, CHARACTERS + 2, True
    solved_when = "every character right, generated from the start token alone"

    def __init__(self, length: int, seed: int = 0) -> None:
        super().__init__(length, seed)
        self.string = np.random.default_rng([seed, length]).integers(0, self.CHARACTERS, length)
        tokens = np.concatenate([[self.START], self.string, [self.END]])[:, None]
        self._batch = Batch(one_hot(tokens[:-1], self.input_size), tokens[1:])

    def sample(self, batch_size: int, rng: np.random.Generator) -> Batch:  # noqa: ARG002 (there is one string)
        """Return the string, (N + 1, 1, 35), and each next character (N + 1, 1)."""
        return self._batch

    def baseline(self) -> float:
        """Return the loss of guessing the characters."""
        return self.length * math.log(self.CHARACTERS) / (self.length + 1)

    def evaluate(self, model: Sequential, batch_size: int, rng: np.random.Generator) -> Result:  # noqa: ARG002 (nothing is drawn)
        """Return which fraction of the string is generated before the first error."""
        step, token, state = model.stepper(), self.START, None
        for right, expected in enumerate(self.string):
            y, state = step(one_hot(np.array([token]), self.input_size), state)
            token = int(y.argmax())
            if token != expected:
                return Result(right / self.length, solved=False)
        return Result(1.0, solved=True)


class DigitsTask(Task):
    """Digits by rows: one image row a step, 8 steps, then blanks up to length T.

    Le, Jaitly & Hinton (2015) introduced images as sequences of pixels. The data are the 1,797
    images of 8 x 8 pixels that come with scikit-learn (Alpaydin & Kaynak 1998, UCI "Optical
    Recognition of Handwritten Digits"). The first 1,200 are for training, the others for
    evaluation. The target, after the last step, is the digit. The baseline guesses one of ten:
    ln 10.
    """

    input_size, output_size, min_length = SIDE, 10, SIDE
    solved_when, min_accuracy = "90 % of the test images right", 0.9

    def sample(self, batch_size: int, rng: np.random.Generator) -> Batch:
        """Draw training images, (T, B, 8), and their digits (B,)."""
        return self._batch(rng.integers(0, TRAINING_IMAGES, batch_size))

    def test_batch(self, rng: np.random.Generator) -> Batch:  # noqa: ARG002 (nothing is drawn)
        """Return the images that training never draws."""
        return self._batch(np.arange(TRAINING_IMAGES, len(_load_digits()[1])))

    def _batch(self, indices: Array) -> Batch:
        images, digits = _load_digits()
        x = np.zeros((self.length, len(indices), self.input_size), DTYPE)
        # input_size * min_length is the size of an image
        steps = images[indices].reshape(len(indices), self.min_length, self.input_size)
        x[: self.min_length] = steps.swapaxes(0, 1)
        return Batch(x, digits[indices], per_step=False)


class PixelsTask(DigitsTask):
    """Digits by pixels: one pixel a step, row by row, 64 steps, then blanks up to length T."""

    input_size, min_length = 1, SIDE * SIDE


@cache
def _load_digits() -> tuple[Array, Array]:
    """Return the images (N, 8, 8), from 0 to 1, and the digits (N,)."""
    try:
        from sklearn.datasets import load_digits  # noqa: PLC0415 (an extra, for these tasks only)
    except ImportError:
        raise ImportError("these tasks need the extra digits: pip install scikit-learn") from None
    data = load_digits()
    return (data.images / 16).astype(DTYPE), data.target


def predict(model: Sequential, x: Array, batch_size: int) -> Array:
    """Return a model's outputs for sequences (T, N, D), computed `batch_size` at a time."""
    batches = range(0, x.shape[1], batch_size)
    return np.concatenate([model.predict(x[:, k : k + batch_size])[0] for k in batches], axis=-2)


def one_hot(tokens: Array, size: int) -> Array:
    """Return (T, B) tokens as (T, B, size) one-hot vectors.

    Layers also take token ids, but for a small vocabulary the matrix product is faster.
    """
    vectors: Array = np.eye(size, dtype=DTYPE)[tokens]
    return vectors


TASKS: dict[str, type[Task]] = {
    "recall": RecallTask,
    "copy": CopyTask,
    "adding": AddingTask,
    "first-token": FirstTokenTask,
    "digits": DigitsTask,
    "pixels": PixelsTask,
}
