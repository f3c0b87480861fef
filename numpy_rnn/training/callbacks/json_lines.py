"""JsonLines: a log with one JSON object a line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar

from numpy_rnn.arguments import check_kind, check_path, check_size
from numpy_rnn.files import naming, open_regular, write_atomically
from numpy_rnn.training.callbacks.losses import Validation
from numpy_rnn.training.parts import Callback, StepInfo
from numpy_rnn.training.state import finite
from numpy_rnn.training.trainer import Trainer

COLUMNS = ("step", "total", "epoch", "loss", "norm", "lr", "seconds")


def _losses(where: object, name: str, values: Any) -> list[float]:
    check_kind(where, name, values, list, "a list of numbers")
    return [finite(where, name, value) for value in values]


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
        self._last = 0  # step of the last measurement that was written

    def begin(self, trainer: Trainer) -> None:
        """Create the file, or cut off the lines of lost steps."""
        trainer.ranks.first(lambda: self._cut_off(trainer.num_steps))
        self._last = trainer.num_steps

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
        history = [] if self.validation is None else self.validation.history
        measured = bool(history) and history[-1][0] > self._last
        if not (step.number % self.every == 0 or measured or trainer.done):
            return
        epoch, loss = step.number / trainer.source.per_epoch, sum(self.losses) / len(self.losses)
        seconds = round(trainer.seconds, 3)
        values = (step.number, trainer.total, epoch, loss, step.norm, step.lr, seconds)
        line: dict[str, Any] = dict(zip(COLUMNS, values, strict=True))
        if measured:
            self._last, line["validation"] = history[-1]
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
