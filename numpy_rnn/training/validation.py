"""Validation between the steps of training, early stopping, and the best parameters."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from numpy_rnn.functional.types import Array
from numpy_rnn.training.trainer import Callback, Step, Trainer


class Validation(Callback):
    """Measure now and then, keep the best parameters, and stop when nothing gets better.

    Parameters
    ----------
    measure : callable
        Returns the loss on what is held out; lower is better.
    every : int
        Steps from one measurement to the next; there is one at the end in any case.
    patience : int, optional
        After how many measurements without a new best the run ends (early stopping; Prechelt
        1998). None: never.

    Attributes
    ----------
    history : list of (int, float)
        Step and loss of each measurement.
    best : float
        The lowest loss.
    best_parameters : (N,) array
        The flat vector of that moment.
    """

    name = "validation"

    def __init__(
        self, measure: Callable[[], float], every: int, patience: int | None = None
    ) -> None:
        self.measure, self.every, self.patience = measure, every, patience
        self.history: list[tuple[int, float]] = []
        self.best_parameters: Array = np.zeros(0)

    @property
    def best(self) -> float:
        """The lowest loss, infinity before the first."""
        return min((loss for _, loss in self.history), default=math.inf)

    def attach(self, trainer: Trainer) -> None:
        """Take the parameters as the best ones until something is measured."""
        self.best_parameters = trainer.model.parameters.data.copy()

    def after_step(self, trainer: Trainer, step: Step) -> None:
        """Measure if it is time."""
        if step.number % self.every == 0 or trainer.done:
            self._measure(trainer)

    def _measure(self, trainer: Trainer) -> None:
        trainer.check_finite()
        trainer.model.eval()
        loss = float(self.measure())
        if not math.isfinite(loss):
            raise trainer.failed(trainer.steps, f"the validation loss is {loss}")
        if loss < self.best:
            self.best_parameters[...] = trainer.model.parameters.data
        self.history.append((trainer.steps, loss))
        since = len(self.history) - 1 - [v for _, v in self.history].index(self.best)
        if self.patience is not None and since >= self.patience and not trainer.done:
            trainer.stopped = f"no better validation loss in {self.patience} measurements"

    def state_dict(self) -> dict[str, Any]:
        """Return the measurements and the best parameters."""
        return {"history": list(self.history), "best_parameters": self.best_parameters.copy()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take them over."""
        self.history = [(int(step), float(loss)) for step, loss in state["history"]]
        self.best_parameters = np.array(state["best_parameters"])
