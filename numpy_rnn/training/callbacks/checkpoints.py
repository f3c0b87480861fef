"""Checkpoints: the files of a run, at intervals and at its end."""

from __future__ import annotations

import errno
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from numpy_rnn.arguments import check_kind, check_mapping, check_number, check_path
from numpy_rnn.training.callback import Callback, StepInfo
from numpy_rnn.training.checkpoint import save
from numpy_rnn.training.trainer import Trainer

Identity = tuple[int, int, int]  # of a file


def identity(path: Path) -> Identity | None:
    """Return numbers that change when a file is replaced; None if there is no such file."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns


class Checkpoints(Callback):
    """Write the run to a file at intervals and at its end.

    It must be the last callback, so that the file includes what the others did after a step.

    Parameters
    ----------
    path, about
        As for :func:`save`.
    seconds : float
        Time between two files.

    Attributes
    ----------
    due : bool
        Whether the file is written after this step; other callbacks may set it.
    saved : int
        The step of the last file; 0 if there is none.
    took : float
        Seconds in which the last file was written.

    Examples
    --------
    >>> files = Checkpoints(Path("run.safetensors"), seconds=600)
    """

    def __init__(
        self, path: Path | str, seconds: float = 60.0, about: Mapping[str, Any] | None = None
    ) -> None:
        self.path = check_path("Checkpoints", "path", path)
        self.seconds = check_number("Checkpoints", "seconds", seconds, lambda v: v >= 0, ">= 0")
        self.about = None if about is None else check_mapping("Checkpoints", "about", about)
        self.due, self.saved = False, 0
        self._last = 0.0  # of the trainer's seconds, at the last save
        self.took = 0.0  # seconds of the last save
        self.resumed: Identity | None = None  # the file that the run was resumed from
        self._found: Identity | None = None  # the file at the last look

    def save(self, trainer: Trainer) -> None:
        """Write the file, unless another process has written it since the last look.

        That is a FileExistsError, and the other's file is kept.
        """
        start = time.monotonic()
        check_kind("Checkpoints.save", "trainer", trainer, Trainer)
        trainer.ranks.first(self._check_unchanged)
        save(self.path, trainer, self.about)
        self.due = False
        self.begin(trainer)
        self.took = trainer.ranks.first(lambda: time.monotonic() - start)

    def _check_unchanged(self) -> None:
        if identity(self.path) not in (None, self._found):
            what = f"another process has written it since step {self.saved}"
            raise FileExistsError(errno.EEXIST, what, str(self.path))

    def begin(self, trainer: Trainer) -> None:
        """Start the clock. The run is in the file up to this step."""
        self._found, self.resumed = self.resumed or identity(self.path), None
        self.saved, self._last = trainer.num_steps, trainer.seconds

    def after_step(self, trainer: Trainer, step: StepInfo) -> None:  # noqa: ARG002
        """Write the file if it is time."""
        due = self.due or trainer.seconds - self._last >= self.seconds
        if due and not trainer.done:  # the end is written in any case
            self.save(trainer)

    def end(self, trainer: Trainer) -> None:
        """Write the file."""
        self.save(trainer)
