"""One training run: train a cell on a task at one length until the task is solved."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from time import process_time

import numpy as np

from numpy_rnn.apps.memory.cells import CELLS, CellSpec, build
from numpy_rnn.apps.memory.tasks import DTYPE, TASKS, Result
from numpy_rnn.arguments import (
    MAX_SIZE,
    Validated,
    check_flag,
    checked,
    integer,
    one_of,
    optional,
    real,
    required,
)
from numpy_rnn.layers.validate import NotFiniteError
from numpy_rnn.layers.workers import one_blas_thread
from numpy_rnn.optim import Adam, clip_grad_norm
from numpy_rnn.training import gradient
from numpy_rnn.training.process import check_memory

EVALUATE_EVERY = 50  # updates between two evaluations


@dataclass(frozen=True)
class TrainingConfig(Validated):
    """The settings that all runs of a search share.

    Examples
    --------
    >>> TrainingConfig(task="adding", cell="gru-chrono", hidden_size=48).spec.description
    'GRU, chrono initialisation (Tallec & Ollivier 2018)'
    """

    task: str = checked("recall", one_of(*TASKS))
    cell: str = checked("rnn", one_of(*CELLS))
    hidden_size: int = checked(35, integer(1, MAX_SIZE), "units per recurrent layer")
    updates: int = checked(1000, integer(1), "maximum number of updates in a run")
    batch_size: int = checked(32, integer(1, MAX_SIZE), "sequences per update; recall has one")
    lr: float = checked(3e-3, real(above=0), "learning rate of Adam")
    clip_norm: float = checked(1.0, real(above=0), "maximum gradient norm")

    @property
    def spec(self) -> CellSpec:
        """The cell and its initialisation."""
        return CELLS[self.cell]


@dataclass(frozen=True)
class Run(Validated):
    """The outcome of one training run, which repeats from its seed in all but `seconds`."""

    length: int = required(integer(1))  # of the task
    seed: int = required(integer(0))
    solved: bool = required(check_flag)
    score: float | None = required(optional(real()))  # of the last evaluation, None if diverged
    loss: float | None = required(optional(real()))  # mean of the updates before it, or None
    baseline: float = required(real())  # expected loss of a model without memory
    updates: int = required(integer(1))  # that were taken
    parameters: int = required(integer(1))  # numbers in the model
    seconds: float = required(real(minimum=0), compare=False)  # processor time


def run(
    config: TrainingConfig,
    length: int,
    seed: int,
    on_update: Callable[[int, float], object] = lambda _update, _loss: None,
) -> Run:
    """Train a new model, evaluate it every 50 updates, and stop when the task is solved.

    The seed is that of weights, training data and evaluation data. ``on_update(update, loss)`` is
    called after each update, from 1. A length that is too short for the task is a ValueError. A run
    that diverges has not solved the task.

    >>> config = TrainingConfig("first-token", "gru-chrono", hidden_size=16, lr=0.02)
    >>> run(config, length=20, seed=0).solved
    True
    """
    start = process_time()
    sequences = 1 if config.task == "recall" else config.batch_size
    outputs = DTYPE.itemsize * length * sequences * config.hidden_size
    check_memory(outputs, f"length {length}, batch size {sequences}, {config.hidden_size} units")
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
    # Divergence is checked for below.
    with one_blas_thread(), np.errstate(over="ignore", invalid="ignore"):
        try:
            while update < config.updates and not (result and result.solved):
                update += 1
                batch = task.sample(config.batch_size, training)
                loss, _ = gradient(model, criterion, batch)
                losses.append(loss)
                for grad in frozen:
                    grad.fill(0)
                clip_grad_norm(model.parameters, config.clip_norm)
                optimizer.step()
                if update % EVALUATE_EVERY == 0 or update == config.updates:
                    result = task.evaluate(model, config.batch_size, evaluation)
                    if not math.isfinite(result.score):
                        result = None
                        break
                on_update(update, loss)
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
