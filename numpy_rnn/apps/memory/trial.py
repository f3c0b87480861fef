"""One trial: train a cell on a task at one length, until it is solved or the budget is spent."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from time import process_time

import numpy as np

from numpy_rnn.apps.memory.adding import Adding
from numpy_rnn.apps.memory.cells import CELLS, Scheme, build
from numpy_rnn.apps.memory.copying import Copying
from numpy_rnn.apps.memory.digits import Digits, Pixels
from numpy_rnn.apps.memory.first_symbol import FirstSymbol
from numpy_rnn.apps.memory.recall import Recall
from numpy_rnn.apps.memory.task import Task, Verdict
from numpy_rnn.layers.validate import NotFiniteError, check_size
from numpy_rnn.optim import Adam, clip_grad_norm

TASKS: dict[str, type[Task]] = {
    "recall": Recall,
    "copy": Copying,
    "adding": Adding,
    "first-symbol": FirstSymbol,
    "digits": Digits,
    "pixels": Pixels,
}
JUDGE_EVERY = 50  # updates between two judgements


@dataclass(frozen=True)
class Budget:
    """What a trial is run with, the same for every length and seed.

    Parameters
    ----------
    task, cell : str
        Names out of `TASKS` and `CELLS`.
    hidden : int
        Units of each recurrent layer.
    updates : int
        How many updates a trial may take.
    rows : int
        Sequences an update is made from; recall has one.
    lr : float
        Adam's learning rate.
    clip : float
        The largest norm of a gradient.

    Raises
    ------
    ValueError, TypeError
        Naming the argument, what came and what was expected.
    """

    task: str = "recall"
    cell: str = "rnn"
    hidden: int = 35
    updates: int = 1000
    rows: int = 32
    lr: float = 3e-3
    clip: float = 1.0

    def __post_init__(self) -> None:
        for name, known in (("task", TASKS), ("cell", CELLS)):
            value = getattr(self, name)
            if value not in known:
                raise ValueError(f"{name} is {value!r}, expected one of {', '.join(known)}")
        for name in ("hidden", "updates", "rows"):
            check_size("Budget", name, getattr(self, name))
        for name in ("lr", "clip"):
            value = getattr(self, name)
            if not (value > 0 and math.isfinite(value)):
                raise ValueError(f"Budget: {name} is {value}, expected a finite number above 0")

    @property
    def scheme(self) -> Scheme:
        """The cell."""
        return CELLS[self.cell]


@dataclass(frozen=True)
class Trial:
    """What came out of one training.

    Attributes
    ----------
    length, seed : int
        What was tried.
    solved : bool
        Whether the judge was satisfied.
    score : float or None
        What the judge found last, in the unit of the task's criterion; None if the training
        diverged.
    loss, baseline : float
        Mean training loss since the judgement before, None likewise; and that of an answer
        without memory.
    updates, parameters : int
        How many updates it took, and how many numbers the model has.
    seconds : float
        Of the processor; the one field that does not repeat.
    """

    length: int
    seed: int
    solved: bool
    score: float | None
    loss: float | None
    baseline: float
    updates: int
    parameters: int
    seconds: float = field(compare=False)


def _ignore(update: int, loss: float) -> None:
    """Do nothing with what an update reports."""


def run(
    budget: Budget, length: int, seed: int, on_update: Callable[[int, float], None] = _ignore
) -> Trial:
    """Train a fresh model and have it judged every 50 updates, and at the end.

    Parameters
    ----------
    budget : Budget
        Task, cell and what may be spent.
    length : int
        Of the task.
    seed : int
        Of weights, sequences and judgement: the same seed, the same trial.
    on_update : callable
        Is told the number of each update, from 1, and its loss.

    Returns
    -------
    trial : Trial
        A training that diverges is one that did not solve the task.

    Raises
    ------
    ValueError
        If the length is too short for the task.
    """
    task = TASKS[budget.task](length, seed)
    # Three streams that do not know of each other: what is judged was never trained on.
    weights, training, judging = np.random.default_rng([seed, length]).spawn(3)
    model = build(budget.scheme, task, budget.hidden, weights)
    adam, loss = Adam(model.parameters, lr=budget.lr), task.loss()
    grads = model.parameters.grads
    held = [grads[name] for name in grads if any(part in name for part in budget.scheme.held)]
    losses: list[float] = []
    verdict: Verdict | None = None
    start, update = process_time(), 0
    with np.errstate(over="ignore", invalid="ignore"):  # what diverges is said to, below
        while update < budget.updates and not (verdict and verdict.solved):
            if update % JUDGE_EVERY == 0:
                losses.clear()
            update += 1
            try:
                x, target = task.sample(budget.rows, training)
                losses.append(float(loss.forward(model.forward(x)[0], target)))
                model.zero_grad()
                model.backward(loss.backward())
                for grad in held:
                    grad.fill(0)
                clip_grad_norm(model.parameters, budget.clip)
                adam.step()
                if update % JUDGE_EVERY == 0 or update == budget.updates:
                    verdict = task.judge(model, budget.rows, judging)
                    if not math.isfinite(verdict.score):
                        verdict = None
                        break
            except NotFiniteError:
                verdict = None
                break
            on_update(update, losses[-1])
    return Trial(
        length=length,
        seed=seed,
        solved=verdict is not None and verdict.solved,
        score=verdict and verdict.score,
        loss=verdict and sum(losses) / len(losses),
        baseline=task.baseline(),
        updates=update,
        parameters=model.parameters.data.size,
        seconds=process_time() - start,
    )
