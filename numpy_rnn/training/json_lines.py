"""A log of training, one JSON object a line."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from numpy_rnn.files import naming, write_atomically
from numpy_rnn.training.trainer import Callback, Step, Trainer
from numpy_rnn.training.validation import Validation


class JsonLines(Callback):
    """Write what happens to a file, one JSON object a line.

    Parameters
    ----------
    path : Path
        The file. A run that goes on keeps the lines up to its step and drops those after it,
        which belong to steps that were lost and are taken again.
    every : int
        Steps from one line to the next; the loss is the mean over them.
    validation : Validation, optional
        Whose measurements are written as they come.
    """

    def __init__(self, path: Path, every: int = 10, validation: Validation | None = None) -> None:
        self.path, self.every, self.validation = path, every, validation
        self._losses: list[float] = []
        self._written = 0  # of the measurements

    def begin(self, trainer: Trainer) -> None:
        """Start the file, or cut off what was lost."""
        lines: list[bytes] = []
        if trainer.steps and self.path.exists():
            with self.path.open("rb") as file:
                lines = [line for line in file if _step_of(line) <= trainer.steps]
        with naming(self.path):
            write_atomically(self.path, lambda file: file.writelines(lines))
        self._written = 0 if self.validation is None else len(self.validation.history)

    def after_step(self, trainer: Trainer, step: Step) -> None:
        """Write a line if it is time."""
        self._losses.append(step.loss)
        measured = [] if self.validation is None else self.validation.history[self._written :]
        if not (step.number % self.every == 0 or measured or trainer.done):
            return
        line: dict[str, Any] = {
            "step": step.number,
            "total": trainer.total,
            "epoch": step.number / trainer.source.per_epoch,
            "loss": sum(self._losses) / len(self._losses),
            "norm": step.norm,
            "lr": step.lr,
            "seconds": round(trainer.seconds, 3),
        }
        if measured:
            line["validation"] = measured[-1][1]
            self._written += len(measured)
        self._losses.clear()
        # Opened anew, so that each line is in the file when the step is over.
        with naming(self.path), self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


def _step_of(line: bytes) -> float:
    """Return a line's step; infinity for half a line, which a kill may leave."""
    try:
        return float(json.loads(line)["step"])
    except (ValueError, TypeError, KeyError):
        return math.inf
