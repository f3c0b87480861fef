"""Checkpoints between the steps of training."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from numpy_rnn.training import checkpoint
from numpy_rnn.training.trainer import Callback, Step, Trainer


class Checkpoints(Callback):
    """Write the run to a file now and then, and when it ends.

    The last of the callbacks: what the others did after a step belongs to it.

    Parameters
    ----------
    path : Path
        The file.
    seconds : float
        From one to the next.
    about : mapping, optional
        For :func:`numpy_rnn.training.checkpoint.save`.

    Attributes
    ----------
    due : bool
        Set by whoever wants the file written after this step.
    saved : int
        The step that was written last; 0 if none was.
    """

    def __init__(
        self, path: Path, seconds: float = 60.0, about: Mapping[str, Any] | None = None
    ) -> None:
        self.path, self.seconds, self.about = path, seconds, about
        self.due, self.saved, self._last = False, 0, time.monotonic()

    def save(self, trainer: Trainer) -> None:
        """Write the file."""
        checkpoint.save(self.path, trainer, self.about)
        self.due, self.saved, self._last = False, trainer.steps, time.monotonic()

    def begin(self, trainer: Trainer) -> None:
        """Start the clock; a run that goes on has been saved."""
        self.saved, self._last = trainer.steps, time.monotonic()

    def after_step(self, trainer: Trainer, step: Step) -> None:  # noqa: ARG002
        """Write if it is time."""
        due = self.due or time.monotonic() - self._last >= self.seconds
        if due and not trainer.done:  # the end is written in any case
            self.save(trainer)

    def end(self, trainer: Trainer) -> None:
        """Write the end."""
        self.save(trainer)
