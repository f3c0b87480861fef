"""The training loop: a step, what is called between steps, and all that a run consists of.

A step is

    (1) the next batch; the state that the last one ended in, if its rows go on
    (2) L and dL/dtheta, over the batch                        forward and backward of the pairs
    (3) g <- g min(1, max_norm / (|g| + 1e-6))                 if the norm is clipped
    (4) lr_n = lr f(n, N), and the optimiser's update

and it depends on nothing but what :meth:`Trainer.state_dict` returns: parameters, moments, the
source's position, the carried state, the generators. So a run that goes on from there ends at the
same bits as one that was never stopped.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from numpy_rnn.functional.types import Array
from numpy_rnn.layers import CrossEntropyLoss, MSELoss, Sequential
from numpy_rnn.layers.validate import NotFiniteError
from numpy_rnn.optim import Optimizer, clip_grad_norm
from numpy_rnn.training.batch import Source
from numpy_rnn.training.schedule import Schedule, constant
from numpy_rnn.training.signals import deferred
from numpy_rnn.training.threads import one_blas_thread
from numpy_rnn.training.workers import Workers, leaves

MOST_STEPS = 2**53  # beyond which a float cannot count


class TrainingFailedError(RuntimeError):
    """Training cannot go on; the message names the step and the tensor."""


class Step(NamedTuple):
    """What a step did: its number, from 1, loss, norm of the gradient before (3), and rate."""

    number: int
    loss: float
    norm: float
    lr: float


class Callback:
    """Base of the callbacks: each method does nothing unless it is overridden.

    Attributes
    ----------
    name : str
        Under which its state is kept in a checkpoint. One that has a state has a name.
    """

    name: str = ""

    def attach(self, trainer: Trainer) -> None:
        """Be told whose steps these are; there has been none."""

    def begin(self, trainer: Trainer) -> None:
        """Be told that the run begins, or goes on."""

    def after_step(self, trainer: Trainer, step: Step) -> None:
        """Be told what a step did."""

    def end(self, trainer: Trainer) -> None:
        """Be told that the run ends, because it is done or because it is interrupted."""

    def state_dict(self) -> dict[str, Any]:
        """Return what the rest of the run depends on."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what :meth:`state_dict` returned."""


class Trainer:
    """Trains a model on batches from a source.

    Parameters
    ----------
    model : Sequential
        What is trained.
    criterion : CrossEntropyLoss or MSELoss
        With reduction "mean".
    optimizer : Optimizer
        Over the model's parameters; its learning rate is what the schedule multiplies.
    source : Source
        :class:`Windows` or :class:`Examples`.
    schedule : callable
        The factor of the learning rate, from :mod:`numpy_rnn.training.schedule`.
    clip_norm : float, optional
        max_norm of (3).
    workers : int
        How many threads split a batch.
    callbacks : sequence of Callback
        Called after each step, in this order.

    Attributes
    ----------
    total : int or None
        N, at how many steps the run ends.
    seconds : float
        How long it has been running, callbacks included.
    stopped : str
        Why a callback ended it early, or "".

    Raises
    ------
    ValueError
        If the parts do not belong together.
    """

    def __init__(
        self,
        model: Sequential,
        criterion: CrossEntropyLoss | MSELoss,
        optimizer: Optimizer,
        source: Source,
        *,
        schedule: Schedule | None = None,
        clip_norm: float | None = None,
        workers: int = 1,
        callbacks: Sequence[Callback] = (),
    ) -> None:
        if optimizer.parameters is not model.parameters:
            raise ValueError("Trainer: optimizer has other parameters, expected the model's")
        if workers > source.batch_size:
            raise ValueError(
                f"Trainer: workers is {workers}, "
                f"expected up to the batch's {source.batch_size} rows"
            )
        if clip_norm is not None and not clip_norm > 0:
            raise ValueError(f"Trainer: clip_norm is {clip_norm!r}, expected a number above 0")
        self.model, self.optimizer, self.source = model, optimizer, source
        self.schedule = constant() if schedule is None else schedule
        self.clip_norm, self.callbacks = clip_norm, list(callbacks)
        self.lr = optimizer.lr
        self.workers = Workers(model, criterion, workers)
        self.carried = model.zero_state(source.batch_size) if source.carries else None
        self.total: int | None = None
        self.seconds, self.stopped = 0.0, ""
        for callback in self.callbacks:
            callback.attach(self)

    @property
    def steps(self) -> int:
        """How many steps were taken."""
        return self.optimizer.steps

    @property
    def done(self) -> bool:
        """Whether the run has come to its end."""
        return bool(self.stopped) or (self.total is not None and self.steps >= self.total)

    def step(self) -> Step:
        """Take one step.

        Returns
        -------
        step : Step

        Raises
        ------
        TrainingFailedError
            If a number is no longer finite; the parameters are as the last step left them.
        """
        number, parameters = self.steps + 1, self.model.parameters
        batch = self.source.next()  # (1)
        for model in self.workers.models:
            model.train()
        try:
            loss, after = self.workers.gradient(batch, self.carried)  # (2)
        except NotFiniteError as error:
            name = first_not_finite(parameters.values)
            what = str(error).removesuffix(", expected finite numbers")
            raise self.failed(
                number, f"parameter {name!r} is not finite" if name else what
            ) from None
        if not math.isfinite(loss):
            raise self.failed(number, f"the loss is {loss}")
        # No norm is infinity's: with it, (3) only measures.
        norm = clip_grad_norm(parameters, self.clip_norm or math.inf)
        if not math.isfinite(norm):
            name = first_not_finite(parameters.grads)
            what = f"the gradient of {name!r} is not finite" if name else f"its norm is {norm}"
            raise self.failed(number, what)
        if self.source.carries:
            self.carried = after
        self.optimizer.lr = self.lr * self.schedule(self.steps, self.total)
        self.optimizer.step()  # (4)
        return Step(number, loss, norm, self.optimizer.lr)

    def fit(self, steps: int | None = None, *, epochs: float | None = None) -> None:
        """Take steps until the run is done.

        A signal that asks the program to end (Ctrl-C) waits until the step that is being taken
        is complete and the callbacks have had their end.

        Parameters
        ----------
        steps : int, optional
            N, at how many steps the run ends, counted from its beginning.
        epochs : float, optional
            The same in epochs. Without either, `total` stays as it is, and if it is None, a
            callback has to end the run.

        Raises
        ------
        TrainingFailedError
            If a number is no longer finite.
        """
        if steps is not None:
            self.total = steps
        if epochs is not None:
            self.total = self.steps_in(epochs)
        with one_blas_thread(), deferred() as interrupted:
            start = time.monotonic() - self.seconds
            for callback in self.callbacks:
                callback.begin(self)
            while not self.done and not interrupted:
                step = self.step()
                self.seconds = time.monotonic() - start
                for callback in self.callbacks:
                    callback.after_step(self, step)
                self.seconds = time.monotonic() - start
            for callback in self.callbacks:
                callback.end(self)

    def steps_in(self, epochs: float) -> int:
        """Return how many steps so many epochs are, at least 1 (and at most 2^53)."""
        return max(1, round(min(epochs * self.source.per_epoch, MOST_STEPS)))

    def state_dict(self) -> dict[str, Any]:
        """Return everything that the rest of the run depends on: arrays, and what JSON can say."""
        carried = [] if self.carried is None else leaves(self.carried)
        return {
            "total": self.total,
            "seconds": self.seconds,
            "stopped": self.stopped,
            "lr": self.lr,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "source": self.source.state_dict(),
            "carried": {str(k): leaf.copy() for k, leaf in enumerate(carried)},
            "generators": [
                [generator.bit_generator.state for generator in model.generators()]
                for model in self.workers.models
            ],
            "callbacks": {c.name: c.state_dict() for c in self.callbacks if c.name},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what :meth:`state_dict` returned, of a trainer made of the same parts.

        Raises
        ------
        ValueError, TypeError, KeyError
            If it is not such a state. What has been taken over by then stays.
        """
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.source.load_state_dict(state["source"])
        if self.carried is not None:
            for k, leaf in enumerate(leaves(self.carried)):
                leaf[...] = state["carried"][str(k)]
        for model, theirs in zip(self.workers.models, state["generators"], strict=True):
            for generator, numbers in zip(model.generators(), theirs, strict=True):
                generator.bit_generator.state = numbers
        for callback in self.callbacks:
            if callback.name:
                callback.load_state_dict(state["callbacks"][callback.name])
        self.total = None if state["total"] is None else int(state["total"])
        self.seconds, self.stopped = float(state["seconds"]), str(state["stopped"])
        self.lr = float(state["lr"])
        if self.steps < 0 or not (0 <= self.seconds < math.inf and 0 <= self.lr < math.inf):
            raise ValueError(f"step {self.steps}, {self.seconds} seconds, lr {self.lr}")

    def check_finite(self) -> None:
        """Raise TrainingFailedError if a parameter is not finite: nothing to go on from."""
        name = first_not_finite(self.model.parameters.values)
        if name is not None:
            raise self.failed(self.steps, f"parameter {name!r} is not finite")

    def failed(self, number: int, what: str) -> TrainingFailedError:
        """Return the error for something that is not finite at a step."""
        return TrainingFailedError(
            f"training diverged at step {number} ({what}); try a lr below {self.lr:g}"
        )


def first_not_finite(arrays: Mapping[str, Array]) -> str | None:
    """Return the name of the first array with a NaN or an infinity, if there is one."""
    for name, value in arrays.items():
        if not np.isfinite(value).all():
            return name
    return None
