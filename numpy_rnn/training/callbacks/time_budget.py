"""TimeBudget: the number of steps that fit into a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from numpy_rnn.arguments import check_above_zero, check_kind, check_size
from numpy_rnn.training.checkpoint import Checkpoints
from numpy_rnn.training.parts import Callback, StepInfo
from numpy_rnn.training.state import MAX_STEPS, by_step, count, seconds
from numpy_rnn.training.trainer import Trainer


class TimeBudget(Callback):
    """Plan the number of steps that fit into a time, so that the schedule ends with it.

        (1)  N = n + n (budget - elapsed) / elapsed - reserve     after n steps

    The plan is made after `first` steps and again after every twentieth of the time. It is written
    to the checkpoint before a step is taken with it, so a killed run resumes to the same bits.

    Parameters
    ----------
    seconds : float
        The budget. Validation and files count, a pause between two sessions does not.
    checkpoints : Checkpoints, optional
        Writes a plan at the end of the same step.
    first : int
        Number of steps after which the first plan is made.
    reserve : callable
        Maps N to the number of steps that take as long as what follows the last step.

    Attributes
    ----------
    plans : list of (int, int)
        The step of each plan and its N.
    setup : float
        Seconds of the budget that were used up before :meth:`Trainer.fit`.

    Examples
    --------
    >>> budget = TimeBudget(3600, Checkpoints("run.safetensors"))
    """

    name = "time budget"
    state: ClassVar = {"plans": by_step(count), "next": seconds}

    def __init__(
        self,
        seconds: float,
        checkpoints: Checkpoints | None = None,
        first: int = 20,
        reserve: Callable[[int], float] = lambda _N: 0.0,
    ) -> None:
        self.seconds = check_above_zero("TimeBudget", "seconds", seconds)
        if checkpoints is not None:
            check_kind("TimeBudget", "checkpoints", checkpoints, Checkpoints)
        self.checkpoints = checkpoints
        self.first = check_size("TimeBudget", "first", first)
        expected = "a function of a number of steps"
        self.reserve = check_kind("TimeBudget", "reserve", reserve, Callable, expected)
        self.setup = 0.0
        self.plans: list[tuple[int, int]] = []
        self.next = 0.0  # seconds at the next plan

    def after_step(self, trainer: Trainer, step: StepInfo) -> None:
        """Plan if it is time. End the run if the time is over."""
        n, elapsed, seconds = step.number, trainer.seconds, self.seconds - self.setup
        saving = 0.0 if self.checkpoints is None else self.checkpoints.took
        over, due = elapsed >= seconds, elapsed >= self.next
        if not self.plans:
            due = n >= self.first or elapsed >= seconds / 20
        if trainer.done or not (over or due):
            return
        # The file of this plan and the file at the end take time too.
        left = n * (seconds - elapsed - 2 * saving) / max(elapsed, 1e-9)
        planned = round(min(n + left - self.reserve(round(min(n + left, MAX_STEPS))), MAX_STEPS))
        trainer.total = max(n, planned)
        self.plans.append((n, trainer.total))
        self.next = elapsed + max(seconds / 20, 10 * saving)
        if self.checkpoints is not None:
            self.checkpoints.due = True
