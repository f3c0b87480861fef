"""The training loop: a step, the callbacks between steps, and everything that a run consists of.

A step is

    (1) the next batch; the state that the last one ended in, if its rows continue it
    (2) L and dL/dtheta of the batch                           training/gradient.py
    (3) g <- g min(1, max_norm / (|g| + 1e-6))                 if the norm is clipped
    (4) lr_n = base f(n, N), and the optimiser's update

It depends only on what :meth:`Trainer.state_dict` returns. So a resumed run ends at the same bits
as one that was never stopped. Under ``mpiexec -n N`` the same script trains in N processes. Each
computes the shards of its rows; the first one writes all files.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from numpy_rnn.arguments import check_above_zero, check_kind, check_size, optional
from numpy_rnn.functional.types import Array
from numpy_rnn.layers.base import Layer
from numpy_rnn.layers.cut import list_state
from numpy_rnn.layers.losses import Loss
from numpy_rnn.layers.validate import NotFiniteError
from numpy_rnn.layers.workers import one_blas_thread
from numpy_rnn.optim import Optimizer, clip_grad_norm
from numpy_rnn.training.data import Described, Source
from numpy_rnn.training.gradient import Shards, TrainingFailedError, first_not_finite, gradient
from numpy_rnn.training.parts import Callback, StepInfo, check_parts
from numpy_rnn.training.process import defer_signals
from numpy_rnn.training.ranks import Ranks, world
from numpy_rnn.training.schedule import Schedule, constant
from numpy_rnn.training.state import MAX_STEPS, STATE, check_entries, check_names, check_steps


class Trainer(Described):
    """A model, its optimiser and its data, and the loop that trains it.

    It can be copied, pickled and used after a fork, between two steps.

    Parameters
    ----------
    model : Layer
        Time-major.
    criterion : Loss
        With reduction "mean".
    optimizer : Optimizer
        For the model's parameters. Its `lr` is the base rate, which may be changed at any time.
    source : Source
        :class:`Windows` or :class:`Examples`.
    schedule : callable
        The factor of the learning rate, from :mod:`numpy_rnn.training.schedule`.
    clip_norm : float, optional
        max_norm of (3); None is no limit.
    shards : int, optional
        Parts into which a batch is cut by its rows. The results depend on it. By default they have
        at least 16 rows each, and there are at most 8.
    threads : int
        Worker threads that share the shards. Neither it nor the number of processes changes a bit.
    callbacks : sequence of Callback
        Called after each step, in this order.
    ranks : Ranks, optional
        The processes that train together; by default those of ``mpiexec``, or this one alone.

    Attributes
    ----------
    num_steps : int
        Number of steps that this trainer has taken.
    total : int or None
        N, the number of steps at which the run ends.
    seconds : float
        Time in :meth:`fit`, callbacks included.
    stopped : str
        Why a callback ended the run early, or "".

    Examples
    --------
    >>> from numpy_rnn import RNN, Adam, Linear, MSELoss, Sequential
    >>> from numpy_rnn.training import Examples
    >>> x = np.random.default_rng(0).standard_normal((10, 64, 1))
    >>> model = Sequential(RNN(1, 8, rng=1), Linear(8, 1, rng=2))
    >>> data = Examples(x, x.cumsum(axis=0), batch_size=16, per_step=True, rng=3)
    >>> trainer = Trainer(model, MSELoss(), Adam(model.parameters, lr=0.01), data)
    >>> trainer.fit(epochs=5)
    >>> trainer.num_steps
    20
    """

    def __init__(
        self,
        model: Layer,
        criterion: Loss,
        optimizer: Optimizer,
        source: Source,
        *,
        schedule: Schedule | None = None,
        clip_norm: float | None = None,
        shards: int | None = None,
        threads: int = 1,
        callbacks: Sequence[Callback] = (),
        ranks: Ranks | None = None,
    ) -> None:
        check_parts(model, criterion, optimizer, source, callbacks)
        self.ranks = world() if ranks is None else ranks
        self._shards = Shards(source.batch_size, shards, threads, self.ranks)
        self.shards, self.threads = self._shards.count, threads
        self.model, self.criterion = model, criterion
        self.optimizer, self.source = optimizer, source
        schedule = constant() if schedule is None else schedule
        expected = "a function of a step and the total"
        self.schedule = check_kind("Trainer", "schedule", schedule, Callable, expected)
        self.clip_norm = optional(check_above_zero)("Trainer", "clip_norm", clip_norm)
        self.callbacks = list(callbacks)
        own = self._shards.slices[-1].stop  # rows
        self.carried = model.zero_state(own) if source.carries else None
        self.num_steps = 0
        self.total: int | None = None
        self.seconds, self.stopped = 0.0, ""
        self._shown: tuple[Array, dict[str, Array]] | None = None  # see show
        for callback in self.callbacks:
            callback.attach(self)

    @property
    def done(self) -> bool:
        """Whether the run has ended."""
        return bool(self.stopped) or (self.total is not None and self.num_steps >= self.total)

    def step(self) -> StepInfo:
        """Take one step.

        If a number is no longer finite, there is a TrainingFailedError, or a ValueError if it is in
        the data. The parameters stay as the last step left them.
        """
        self._restore_last()
        self.check_finite(self.num_steps + 1)
        parameters, optimizer = self.model.parameters, self.optimizer
        number, batch = self.num_steps + 1, self.source.next(self._shards.rows)  # (1)
        self.model.train()
        try:
            loss, after = gradient(  # (2)
                self.model, self.criterion, batch, self.carried, shards=self._shards
            )
        except NotFiniteError as error:
            raise self.failed(number, str(error)) from None
        norm = clip_grad_norm(parameters, self.clip_norm or math.inf)  # (3)
        if not math.isfinite(norm):
            name = first_not_finite(parameters.grads)
            what = f"the gradient of {name!r} is not finite" if name else f"its norm is {norm}"
            raise self.failed(number, what)
        if self.source.carries:
            self.carried = after
        base_lr = optimizer.lr
        try:
            optimizer.lr = lr = base_lr * self.schedule(self.num_steps, self.total)
            optimizer.step()  # (4)
        finally:
            optimizer.lr = base_lr
        self.num_steps = number
        return StepInfo(number, loss, norm, lr)

    def fit(self, steps: int | None = None, *, epochs: float | None = None) -> None:
        """Take steps until the run is done.

        A signal that ends the program (Ctrl-C) waits until the current step is complete and the
        callbacks have ended.

        Parameters
        ----------
        steps : int, optional
            N, the number of steps at which the run ends. It counts from the trainer's first step,
            also in a second fit; if N is reached already, there is a warning.
        epochs : float, optional
            The same in epochs. Without either, `total` is unchanged; if it is None, a callback has
            to end the run.
        """
        if steps is not None and epochs is not None:
            raise ValueError("Trainer.fit: steps and epochs are given, expected one of the two")
        if steps is not None:
            self.total = check_size("Trainer.fit", "steps", steps)
        if epochs is not None:
            self.total = self.steps_in(epochs)
        if not self.callbacks and (self.total is None or epochs == math.inf):
            raise ValueError(
                f"Trainer.fit: steps is None and epochs is {epochs}, expected a number of one of "
                "them, or a callback that ends the run"
            )
        if self.done and (steps, epochs) != (None, None):
            reason = self.stopped or f"step {self.num_steps} of {self.total} is reached"
            warnings.warn(
                f"Trainer.fit: no step is taken ({reason}); "
                "steps and epochs count from the trainer's first step",
                stacklevel=2,
            )
        self._restore_last()
        with one_blas_thread(), defer_signals() as interrupted:
            start = time.monotonic() - self.seconds
            for callback in self.callbacks:
                callback.begin(self)
            while not self.done and not self._interrupted(interrupted):
                step = self.step()
                self.seconds = self.ranks.first(lambda: time.monotonic() - start)
                for callback in self.callbacks:
                    callback.after_step(self, step)
                self.seconds = time.monotonic() - start
            self.check_finite()
            for callback in self.callbacks:
                callback.end(self)

    def _interrupted(self, signals: list[int]) -> bool:
        """Whether a process has received a signal, which then all of them have."""
        if self.ranks.size == 1:
            return bool(signals)
        received = [number for each in self.ranks.every(lambda: signals[:1]) for number in each]
        if not signals:
            signals += received
        return bool(received)

    def steps_in(self, epochs: float) -> int:
        """Return the number of steps in so many epochs, at least 1 and at most 2^53."""
        epochs = check_above_zero("Trainer.fit", "epochs", epochs)
        return max(1, round(min(epochs * self.source.per_epoch, MAX_STEPS)))

    def show(self, parameters: Array) -> None:
        """Put other parameters, (N,), into the model until the next step.

        The run does not depend on them: the next step and :meth:`state_dict` use those of the last
        step.
        """
        last = self._last_parameters()
        self.model.parameters.data[...] = parameters
        self._shown = parameters.copy(), last

    def _last_parameters(self) -> dict[str, Array]:
        """Return those of the last step, or what the user has put there since :meth:`show`."""
        if self._shown and np.array_equal(self._shown[0], self.model.parameters.data):
            return self._shown[1]
        return self.model.state_dict()

    def _restore_last(self) -> None:
        """Undo :meth:`show`."""
        if self._shown:
            for name, value in self._last_parameters().items():
                self.model.parameters.values[name][...] = value
            self._shown = None

    def state_dict(self) -> dict[str, Any]:
        """Return everything that the rest of the run depends on: arrays, and values for JSON.

        All processes have to call it, because each has the carried state of its rows.
        """
        carried = [] if self.carried is None else list_state(self.carried)
        if self.ranks.size > 1:
            parts = self.ranks.every(lambda: carried)
            carried = [np.concatenate(leaf, axis=1) for leaf in zip(*parts, strict=True)]
        return {
            "step": self.num_steps,
            "shards": self.shards,
            "total": self.total,
            "seconds": self.seconds,
            "stopped": self.stopped,
            "model": self._last_parameters(),
            "optimizer": self.optimizer.state_dict(),
            "source": self.source.state_dict(),
            "carried": {str(k): leaf.copy() for k, leaf in enumerate(carried)},
            "rngs": {str(k): rng.bit_generator.state for k, rng in enumerate(self.model.rngs())},
            "callbacks": {c.name: c.state_dict() for c in self.callbacks if c.name},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what :meth:`state_dict` returned, of a trainer made of the same parts.

        If it is not such a state there is an exception, perhaps after a part was restored.
        """
        checked = check_entries("state", state, STATE)
        if state["shards"] != self.shards:
            raise ValueError(f"state: shards is {state['shards']}, expected {self.shards}")
        leaves = [] if self.carried is None else list_state(self.carried)
        rngs = self.model.rngs()
        for name, parts in (("carried", leaves), ("rngs", rngs)):
            check_names(f"state: {name}", state[name], [str(k) for k in range(len(parts))])
        self._shown = None
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.source.load_state_dict(state["source"])
        for k, leaf in enumerate(leaves):
            leaf[...] = state["carried"][str(k)][:, self._shards.rows]
        for k, rng in enumerate(rngs):
            rng.bit_generator.state = state["rngs"][str(k)]
        for callback in (callback for callback in self.callbacks if callback.name):
            if callback.name not in state["callbacks"]:
                raise ValueError(f"state: the callback {callback.name!r} is missing")
            callback.load_state_dict(state["callbacks"][callback.name])
            check_steps(callback, callback.state, state["step"])
        self.num_steps, self.total = checked["step"], checked["total"]
        self.seconds, self.stopped = checked["seconds"], checked["stopped"]

    def check_finite(self, number: int | None = None) -> None:
        """Raise TrainingFailedError if a parameter of the last step is not finite.

        `number` is the step that the message names; by default the last one.
        """
        data = self.model.parameters.data
        if not self._shown and math.isfinite(np.vdot(data, data)):  # one pass, without a copy
            return
        name = first_not_finite(self._last_parameters())
        if name is not None:
            number = self.num_steps if number is None else number
            raise self.failed(number, f"parameter {name!r} is not finite")

    def failed(self, number: int, what: str) -> TrainingFailedError:
        """Return the error for a number that is not finite at a step."""
        return TrainingFailedError(
            f"training diverged at step {number} ({what}); try a lr below {self.optimizer.lr:g}"
        )
