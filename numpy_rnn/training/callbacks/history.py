"""History: the training loss by steps, and its moving average."""

from __future__ import annotations

from typing import ClassVar

from numpy_rnn.arguments import check_size, optional
from numpy_rnn.training.callback import Callback, StepInfo
from numpy_rnn.training.state import MAX_ENTRIES, by_step, count, finite
from numpy_rnn.training.trainer import Trainer

SMOOTHING = 0.95  # weight of the past in the moving average of the loss


class History(Callback):
    """Keep the mean loss over every few steps, and a moving average. Both are in a checkpoint.

    Attributes
    ----------
    losses : list of (int, float)
        A step, and the mean over the steps since the entry before: the last 100,000 entries.
    average : float or None
        Moving average of the loss, whose weight of the past is 0.95.

    Examples
    --------
    >>> History(every=100)
    History(every=100)
    """

    name = "history"
    state: ClassVar = {
        "losses": by_step(finite),
        "sum": finite,
        "count": count,
        "average": optional(finite),
    }

    def __init__(self, every: int = 50) -> None:
        self.every = check_size("History", "every", every)
        self.losses: list[tuple[int, float]] = []
        self.sum, self.count = 0.0, 0  # of the next mean
        self.average: float | None = None

    def after_step(self, trainer: Trainer, step: StepInfo) -> None:
        """Add the loss to the mean and to the moving average."""
        if self.average is None:
            self.average = step.loss
        self.average = SMOOTHING * self.average + (1 - SMOOTHING) * step.loss
        self.sum += step.loss
        self.count += 1
        if step.number % self.every == 0 or trainer.done:
            self.losses.append((step.number, self.sum / self.count))
            del self.losses[:-MAX_ENTRIES]
            self.sum, self.count = 0.0, 0
