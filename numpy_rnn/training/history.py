"""What the loss was in the course of a run, few enough numbers to keep them all."""

from __future__ import annotations

from typing import Any

from numpy_rnn.training.trainer import Callback, Step, Trainer


class History(Callback):
    """Keep the mean loss of every so many steps; it is saved with the run.

    Parameters
    ----------
    every : int
        Steps.

    Attributes
    ----------
    losses : list of (int, float)
        A step, and the mean over the steps since the entry before.
    """

    name = "history"

    def __init__(self, every: int = 50) -> None:
        self.every = every
        self.losses: list[tuple[int, float]] = []
        self._sum, self._count = 0.0, 0

    def after_step(self, trainer: Trainer, step: Step) -> None:
        """Add to the mean, and keep it if it is time."""
        self._sum += step.loss
        self._count += 1
        if step.number % self.every == 0 or trainer.done:
            self.losses.append((step.number, self._sum / self._count))
            self._sum, self._count = 0.0, 0

    def state_dict(self) -> dict[str, Any]:
        """Return the losses, and what has been added up for the next."""
        return {"losses": list(self.losses), "sum": self._sum, "count": self._count}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take them over."""
        self.losses = [(int(step), float(loss)) for step, loss in state["losses"]]
        self._sum, self._count = float(state["sum"]), int(state["count"])
