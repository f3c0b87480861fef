"""Callbacks: loss history, validation, log, checkpoints and a time budget.

The argument `every` is the number of steps between two entries, measurements or lines.
"""

from __future__ import annotations

import errno
import json
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from numpy_rnn.arguments import (
    check_above_zero,
    check_flag,
    check_kind,
    check_mapping,
    check_number,
    check_path,
    check_size,
    optional,
)
from numpy_rnn.files import naming, open_regular, write_atomically
from numpy_rnn.functional.types import Array
from numpy_rnn.training import checkpoint
from numpy_rnn.training.state import MAX_STEPS, by_step, count, finite, seconds
from numpy_rnn.training.trainer import Callback, StepInfo, Trainer


def _losses(where: object, name: str, values: Any) -> list[float]:
    check_kind(where, name, values, list, "a list of numbers")
    return [finite(where, name, value) for value in values]


def _copy(_where: object, _name: str, value: Any) -> Array:
    return np.array(value)


MAX_ENTRIES = 100_000  # of a history: a checkpoint has to stay readable
SMOOTHING = 0.95  # weight of the past in the moving average of the loss
Identity = tuple[int, int, int]  # of a file
COLUMNS = ("step", "total", "epoch", "loss", "norm", "lr", "seconds")  # of a log


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
    state: ClassVar = {"history": by_step(finite), "best_parameters": _copy}

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


class JsonLines(Callback):
    """Write a log with one JSON object a line.

    Parameters
    ----------
    path : Path or str, optional
        The file; None writes nothing. A resumed run keeps the lines up to its step and drops later
        ones, which belong to lost steps that are taken again. The loss of a line is the mean since
        the line before, which a checkpoint keeps. An existing file that is no log, or has other
        columns, is a ValueError in :meth:`Trainer.fit`.
    validation : Validation, optional
        Its measurements are written too.

    Examples
    --------
    >>> log = JsonLines(Path("log.jsonl"), every=100)
    """

    name = "log"
    state: ClassVar = {"losses": _losses}

    def __init__(
        self, path: Path | str | None, every: int = 10, validation: Validation | None = None
    ) -> None:
        self.path = None if path is None else check_path("JsonLines", "path", path)
        self.validation = validation
        if validation is not None:
            check_kind("JsonLines", "validation", validation, Validation)
        self.every = check_size("JsonLines", "every", every)
        self.losses: list[float] = []  # since the last line
        self._written = 0  # measurements

    def begin(self, trainer: Trainer) -> None:
        """Create the file, or cut off the lines of lost steps."""
        trainer.ranks.first(lambda: self._cut_off(trainer.num_steps))
        self._written = 0 if self.validation is None else len(self.validation.history)

    def _cut_off(self, steps: int) -> None:
        if self.path is not None:
            lines = read_log(self.path, steps)
            with naming(self.path):
                write_atomically(self.path, lambda file: file.writelines(lines))

    def _append(self, line: dict[str, Any]) -> None:
        if self.path is not None:
            # Opened each time, so that the line is in the file before the next step.
            with naming(self.path), self.path.open("ab") as file:
                file.write(f"{json.dumps(line)}\n".encode())

    def after_step(self, trainer: Trainer, step: StepInfo) -> None:
        """Write a line if it is time."""
        self.losses.append(step.loss)
        measured = [] if self.validation is None else self.validation.history[self._written :]
        if not (step.number % self.every == 0 or measured or trainer.done):
            return
        epoch, loss = step.number / trainer.source.per_epoch, sum(self.losses) / len(self.losses)
        seconds = round(trainer.seconds, 3)
        values = (step.number, trainer.total, epoch, loss, step.norm, step.lr, seconds)
        line: dict[str, Any] = dict(zip(COLUMNS, values, strict=True))
        if measured:
            line["validation"] = measured[-1][1]
            self._written += len(measured)
        self.losses.clear()
        trainer.ranks.first(lambda: self._append(line))


def read_log(path: Path, steps: int) -> list[bytes]:
    """Return the lines of a log up to a step. There are none if the file does not exist.

    A line that is not of a log, or has other columns, as of another version, is a ValueError.
    """
    kept: list[bytes] = []
    if not path.exists():
        return kept
    with naming(path), open_regular(path) as file:
        for number, line in enumerate(file, 1):
            if not line.endswith(b"\n"):  # a kill may leave an incomplete one
                break
            try:
                columns = dict(json.loads(line))
                step = float(columns["step"])
                columns.pop("validation", None)
                if set(columns) != set(COLUMNS):
                    raise ValueError(f"the columns are {', '.join(columns)}: another version's")  # noqa: TRY301 (one message for all)
            except (ValueError, TypeError, KeyError, RecursionError) as error:
                raise ValueError(
                    f"{str(path)!r} is not a log: line {number}: {error}; expected another file"
                ) from None
            if step <= steps:
                kept.append(line)
    return kept


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
        checkpoint.save(self.path, trainer, self.about)
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
    >>> budget = TimeBudget(3600, Checkpoints(Path("run.safetensors")))
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
