"""Training for a given time, so that what was killed can still go on bit for bit."""

from __future__ import annotations

from typing import Any

from numpy_rnn.training.checkpoints import Checkpoints
from numpy_rnn.training.trainer import MOST_STEPS, Callback, Step, Trainer


class TimeBudget(Callback):
    """Plan how many steps fit into a time, so that the schedule ends with it.

        (1)  N = n budget / elapsed                   after n steps

    at FIRST steps and then whenever another twentieth of the time has gone. Speeds are the
    clock's, so a plan is written to the checkpoint before a step is taken by it: the run is then a
    function of its settings and its plans, and one that is killed goes on as it would have.

    Parameters
    ----------
    seconds : float
        The budget; validation and files count, a pause between two sessions does not.
    checkpoints : Checkpoints, optional
        Where a plan is written, at the end of the same step.

    Attributes
    ----------
    plans : list of (int, int)
        At which step N became what.
    """

    name = "time budget"
    FIRST = 20

    def __init__(self, seconds: float, checkpoints: Checkpoints | None = None) -> None:
        self.seconds, self.checkpoints = seconds, checkpoints
        self.plans: list[tuple[int, int]] = []
        self._next = 0.0  # seconds

    def after_step(self, trainer: Trainer, step: Step) -> None:
        """Plan if it is time; end the run if the time is over."""
        over = trainer.seconds >= self.seconds
        if trainer.done or not (over or self._due(trainer, step)):
            return
        planned = round(min(step.number * self.seconds / trainer.seconds, MOST_STEPS))
        trainer.total = step.number if over else max(step.number + 1, planned)
        self.plans.append((step.number, trainer.total))
        self._next = trainer.seconds + self.seconds / 20
        if self.checkpoints is not None:
            self.checkpoints.due = True

    def _due(self, trainer: Trainer, step: Step) -> bool:
        if not self.plans:
            return step.number >= self.FIRST or trainer.seconds >= self.seconds / 20
        return trainer.seconds >= self._next

    def state_dict(self) -> dict[str, Any]:
        """Return the plans and when the next is due."""
        return {"plans": list(self.plans), "next": self._next}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take them over."""
        self.plans = [(int(step), int(total)) for step, total in state["plans"]]
        self._next = float(state["next"])
