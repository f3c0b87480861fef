"""History and Validation: the loss in training, and on data that is held out."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import ClassVar

import numpy as np

from numpy_rnn.arguments import check_flag, check_kind, check_number, check_size, optional
from numpy_rnn.functional.types import Array
from numpy_rnn.training.parts import Callback, StepInfo
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


class Validation(Callback):
    """Measure a held-out loss, keep the best parameters, and stop without progress.

    Parameters
    ----------
    measure : callable
        Returns the held-out loss of the model, which is in evaluation mode; lower is better. It is
        called at the end of the run too. A copy of the trainer has the same function, so with it
        measures the original model.
    patience : int, optional
        Number of measurements without a new best that ends the run (early stopping; Prechelt
        1998). None is no limit.
    restore_best : bool
        Whether :meth:`Trainer.fit` leaves the best parameters in the model. Checkpoints hold those
        of the last step in any case, and a further fit continues from there.

    Attributes
    ----------
    history : list of (int, float)
        Step and loss of the last 100,000 measurements, and of the best one.
    best_parameters : (N,) array
        The parameters with the lowest loss, as a flat vector.

    Examples
    --------
    >>> Validation(lambda: 0.5, every=100, patience=3)
    Validation(measure=<lambda>, every=100, patience=3, restore_best=True)
    """

    name = "validation"
    state: ClassVar = {
        "history": by_step(finite),
        "best_parameters": lambda _where, _name, value: np.array(value),
    }

    def __init__(
        self,
        measure: Callable[[], float],
        every: int,
        patience: int | None = None,
        *,
        restore_best: bool = True,
    ) -> None:
        self.measure = check_kind("Validation", "measure", measure, Callable, "a function")
        self.every = check_size("Validation", "every", every)
        self.restore_best = check_flag("Validation", "restore_best", restore_best)
        self.patience = None if patience is None else check_size("Validation", "patience", patience)
        self.history: list[tuple[int, float]] = []
        self.best_parameters: Array = np.zeros(0)

    @property
    def best(self) -> float:
        """The lowest loss, infinity before the first measurement."""
        return min((loss for _, loss in self.history), default=math.inf)

    def attach(self, trainer: Trainer) -> None:
        """Take the initial parameters as the best ones until something is measured."""
        self.best_parameters = trainer.model.parameters.data.copy()

    def after_step(self, trainer: Trainer, step: StepInfo) -> None:
        """Measure if it is time."""
        if step.number % self.every and not trainer.done:
            return
        trainer.check_finite()
        trainer.model.eval()
        measured = trainer.ranks.first(self.measure)
        loss = check_number("Validation", "measure()", measured, lambda _: True)
        if not math.isfinite(loss):
            raise trainer.failed(step.number, f"the validation loss is {loss}")
        if loss < self.best:
            self.best_parameters[...] = trainer.model.parameters.data
        self.history.append((step.number, loss))
        if len(self.history) > MAX_ENTRIES:
            del self.history[int(self.history[0][1] == self.best)]
        since = len(self.history) - 1 - [v for _, v in self.history].index(self.best)
        if self.patience is not None and since >= self.patience and not trainer.done:
            trainer.stopped = f"no better validation loss in {self.patience} measurements"

    def end(self, trainer: Trainer) -> None:
        """Leave the best parameters in the model."""
        if self.restore_best and self.history:
            trainer.show(self.best_parameters)
