"""What a person who watches training sees: a bar, and a line and a sample now and then."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from numpy_rnn.cli.progress import Progress
from numpy_rnn.cli.terminal import duration
from numpy_rnn.training import Callback, StepInfo, Trainer, Validation

SMOOTH = 0.95  # how much the loss in the bar keeps of its past
LINES = 50  # steps from one line to the next where nothing is held out


class Watch(Callback):
    """Show how training goes.

    Parameters
    ----------
    bar : Progress
        Where.
    characters : int
        In a step.
    validation : Validation or None
        Whose measurements are shown.
    sample : callable
        Is given the step and returns a few lines that the model writes.
    """

    def __init__(
        self,
        bar: Progress,
        characters: int,
        validation: Validation | None,
        sample: Callable[[int], str],
    ) -> None:
        self.bar, self.characters = bar, characters
        self.validation, self.sample = validation, sample
        self.loss = math.nan
        self._shown = 0  # of the measurements

    def begin(self, trainer: Trainer) -> None:
        """Start the clock of this session."""
        validation = self.validation
        self._shown = 0 if validation is None else len(validation.history)
        self._first, self._start = trainer.num_steps, time.monotonic()

    def after_step(self, trainer: Trainer, step: StepInfo) -> None:
        """Move the bar; print what was measured."""
        fresh = math.isnan(self.loss)
        self.loss = step.loss if fresh else SMOOTH * self.loss + (1 - SMOOTH) * step.loss
        speed = (step.number - self._first) / max(time.monotonic() - self._start, 1e-9)
        total = trainer.total or step.number
        note = f"loss {self.loss:.3f} {bits(self.loss):.2f} bits {self.characters * speed:,.0f}/s"
        if trainer.total:
            note += f" {duration((total - step.number) / speed)} left"
        self.bar.reach(step.number, total, note)
        validation = self.validation
        if validation is None:
            if step.number % (10 * LINES) == 0 or trainer.done:
                self.bar.write(f"step {step.number:6d}  loss {self.loss:.4f}")
        elif len(validation.history) > self._shown:
            self._shown = len(validation.history)
            measured = validation.history[-1][1]
            mark = "  best" if measured == validation.best else ""
            self.bar.write(
                f"step {step.number:6d}  loss {self.loss:.4f}  validation {measured:.4f} nats, "
                f"{bits(measured):.3f} bits per character{mark}"
            )
            for line in self.sample(step.number).splitlines():
                self.bar.write(f"  | {line}")


def bits(nats: float) -> float:
    """Return nats in bits."""
    return nats / math.log(2)
