"""One training run: train a cell on a task at one length until the task is solved."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from time import process_time

import numpy as np

from numpy_rnn.apps.memory.cells import CELLS, CellSpec, build
from numpy_rnn.apps.memory.digits import DigitsTask, PixelsTask
from numpy_rnn.apps.memory.tasks import (
    AddingTask,
    CopyTask,
    FirstTokenTask,
    RecallTask,
    Result,
    Task,
)
from numpy_rnn.layers.validate import NotFiniteError, check_size
from numpy_rnn.optim import Adam, clip_grad_norm

TASKS: dict[str, type[Task]] = {
    "recall": RecallTask,
    "copy": CopyTask,
    "adding": AddingTask,
    "first-token": FirstTokenTask,
    "digits": DigitsTask,
    "pixels": PixelsTask,
}
EVALUATE_EVERY = 50  # updates between two evaluations


@dataclass(frozen=True)
class TrainingConfig:
    """The settings that all runs of a search share.

    Parameters
    ----------
    task, cell : str
        Keys of `TASKS` and `CELLS`.
    hidden_size : int
        Units of each recurrent layer.
    updates : int
        Maximum number of parameter updates in a run.
    batch_size : int
        Sequences per update. Recall has only one.
    lr : float
        Adam's learning rate.
    clip_norm : float
        Maximum gradient norm.

    Raises
    ------
    ValueError, TypeError
        For the first setting that is not valid.

    Examples
    --------
    >>> TrainingConfig(task="adding", cell="gru-chrono", hidden_size=48).spec.description
    'GRU, chrono initialisation (Tallec & Ollivier 2018)'
    """

    task: str = "recall"
    cell: str = "rnn"
    hidden_size: int = 35
    updates: int = 1000
    batch_size: int = 32
    lr: float = 3e-3
    clip_norm: float = 1.0

    def __post_init__(self) -> None:
        where = type(self).__name__
        for name, known in (("task", TASKS), ("cell", CELLS)):
            value = getattr(self, name)
            if value not in known:
                expected = ", ".join(known)
                raise ValueError(f"{where}: {name} is {value!r}, expected one of {expected}")
        for name in ("hidden_size", "updates", "batch_size"):
            check_size(where, name, getattr(self, name))
        for name in ("lr", "clip_norm"):
            value = getattr(self, name)
            if not (value > 0 and math.isfinite(value)):
                raise ValueError(f"{where}: {name} is {value}, expected a finite number above 0")

    @property
    def spec(self) -> CellSpec:
        """The cell and its initialisation."""
        return CELLS[self.cell]


@dataclass(frozen=True)
class Run:
    """The outcome of one training run. All fields but `seconds` repeat exactly from the seed."""

    length: int  # of the task
    seed: int
    solved: bool
    score: float | None  # of the last evaluation; None if training diverged
    loss: float | None  # training loss, mean since the evaluation before; None if it diverged
    baseline: float  # expected loss of a model without memory
    updates: int  # that were taken
    parameters: int  # numbers in the model
    seconds: float = field(compare=False)  # of processor time


def _ignore(update: int, loss: float) -> None:
    """Ignore the progress."""


def run(
    config: TrainingConfig,
    length: int,
    seed: int,
    on_update: Callable[[int, float], None] = _ignore,
) -> Run:
    """Train a new model, evaluate it every 50 updates, and stop when the task is solved.

    Parameters
    ----------
    config : TrainingConfig
        Task, cell and training settings.
    length : int
        Length of the task.
    seed : int
        Seed of weights, training data and evaluation data.
    on_update : callable
        Called with the number of each update, from 1, and its loss.

    Returns
    -------
    run : Run
        A run that diverges has not solved the task.

    Raises
    ------
    ValueError
        If the length is too short for the task.

    Examples
    --------
    >>> config = TrainingConfig("first-token", "gru-chrono", hidden_size=16, lr=0.02)
    >>> run(config, length=20, seed=0).solved
    True
    """
    start = process_time()
    task = TASKS[config.task](length, seed)
    # Independent streams, so that evaluation changes neither the training nor its data.
    weights, training, evaluation = np.random.default_rng([seed, length]).spawn(3)
    model = build(config.spec, task, config.hidden_size, weights)
    criterion, optimizer = task.criterion(), Adam(model.parameters, lr=config.lr)
    grads = model.parameters.grads
    frozen = [grads[name] for name in grads if any(part in name for part in config.spec.frozen)]
    losses: list[float] = []
    result: Result | None = None
    update = 0
    with np.errstate(over="ignore", invalid="ignore"):  # divergence is checked for below
        try:
            while update < config.updates and not (result and result.solved):
                update += 1
                batch = task.sample(config.batch_size, training)
                y, _ = model.forward(batch.x)
                losses.append(float(criterion.forward(y, batch.target)))
                model.zero_grad()
                model.backward(criterion.backward())
                for grad in frozen:
                    grad.fill(0)
                clip_grad_norm(model.parameters, config.clip_norm)
                optimizer.step()
                if update % EVALUATE_EVERY == 0 or update == config.updates:
                    result = task.evaluate(model, config.batch_size, evaluation)
                    if not math.isfinite(result.score):
                        result = None
                        break
                on_update(update, losses[-1])
        except NotFiniteError:
            result = None
    recent = losses[(update - 1) // EVALUATE_EVERY * EVALUATE_EVERY :]
    return Run(
        length=length,
        seed=seed,
        solved=result is not None and result.solved,
        score=result and result.score,
        loss=result and sum(recent) / len(recent),
        baseline=task.baseline(),
        updates=update,
        parameters=model.parameters.data.size,
        seconds=process_time() - start,
    )
