"""What a task is: sequences to learn from, a loss with a known baseline, and a judge."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, NamedTuple

import numpy as np

from numpy_rnn.functional.types import Array
from numpy_rnn.layers import CrossEntropyLoss, MSELoss, Sequential

DTYPE = np.dtype(np.float32)
JUDGED = 256  # sequences that a judge draws


class Batch(NamedTuple):
    """Sequences and what is to be said about them."""

    x: Array  # (T, B, inputs)
    target: Array  # like the output, or of classes (T, B); without T for an answer at the end


class Verdict(NamedTuple):
    """What a judge found."""

    score: float  # in the unit of the task's criterion
    solved: bool


class Task(ABC):
    """A task at one length.

    Parameters
    ----------
    length : int
        How far back the answer lies, in steps or characters: the task says.
    seed : int
        Of what the task draws once and keeps, if there is such a thing.

    Attributes
    ----------
    inputs, outputs : int
        Numbers in a step's input and in an answer.
    at_end : bool
        Whether there is one answer, after the last step, or one at every step.
    shortest : int
        The least length that makes sense.
    criterion : str
        When it counts as solved, for people.
    """

    inputs: ClassVar[int]
    outputs: ClassVar[int]
    at_end: ClassVar[bool]
    shortest: ClassVar[int]
    criterion: ClassVar[str]

    def __init__(self, length: int, seed: int = 0) -> None:
        if length < self.shortest:
            raise ValueError(
                f"{type(self).__name__}: length is {length}, expected at least {self.shortest}"
            )
        self.length, self.seed = length, seed

    @abstractmethod
    def sample(self, rows: int, rng: np.random.Generator) -> Batch:
        """Draw sequences to learn from."""

    @abstractmethod
    def loss(self) -> MSELoss | CrossEntropyLoss:
        """Return the loss that is trained on."""

    @abstractmethod
    def baseline(self) -> float:
        """Return the least expected loss of an answer that remembers nothing."""

    @abstractmethod
    def judge(self, model: Sequential, rows: int, rng: np.random.Generator) -> Verdict:
        """Say whether a model has solved the task, from what it was not trained on.

        Parameters
        ----------
        model : Sequential
            Trained on batches from :meth:`sample`.
        rows : int
            How many sequences may be run at a time.
        rng : numpy.random.Generator
            Another one than the training's.
        """


def answers(model: Sequential, batch: Batch, rows: int) -> Array:
    """Return a model's answers, a few rows at a time."""
    pieces = range(0, batch.x.shape[1], rows)
    return np.concatenate([model.forward(batch.x[:, k : k + rows])[0] for k in pieces], axis=-2)


def one_hot(symbols: Array, size: int) -> Array:
    """Return (T, B) symbols as (T, B, size) rows.

    Rows, though layers take symbols: of a small alphabet the product is faster than a lookup.
    """
    rows: Array = np.eye(size, dtype=DTYPE)[symbols]
    return rows
