"""The gradient of one batch: what every training step has in common.

Worker threads split a batch by its rows. With L_k and g_k the loss and gradient of shard k:

    (1)  L = sum over k of s_k L_k      s_k: the shard's share of the counted targets; 1 for "sum"
    (2)  g = s_1 g_1 + s_2 g_2 + ...    in this order, whichever thread is done first

All threads use one model, whose ``apply`` and ``vjp`` change nothing. NumPy releases the GIL in
matrix products and in operations on large arrays, so threads do run in parallel. The sums have a
fixed order, so a run repeats bit for bit with the same number of workers. With another number it is
rounded differently. Each shard draws its dropout masks from a separate generator.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import pairwise
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import numpy as np

from numpy_rnn.arguments import check_kind, check_size
from numpy_rnn.functional.types import Array, State
from numpy_rnn.layers.base import Layer
from numpy_rnn.layers.losses import Loss
from numpy_rnn.layers.validate import NotFiniteError
from numpy_rnn.text import shown
from numpy_rnn.training.data import Batch

if TYPE_CHECKING:  # see functional/types.py
    from numpy.random import Generator


class TrainingFailedError(RuntimeError):
    """Training cannot continue. The message names the step and the cause.

    Examples
    --------
    >>> raise TrainingFailedError("training diverged at step 3 (the loss is inf)")
    Traceback (most recent call last):
    numpy_rnn.training.gradient.TrainingFailedError: training diverged at step 3 (the loss is inf)
    """


class Workers:
    """Threads that share the work on a batch.

    They are started when they are first needed, also after a fork or in a copy.

    Parameters
    ----------
    count : int
        Number of threads, at least 1.
    model : Layer
        Its generators seed `rngs`, the sources of each shard's dropout masks. The first of these is
        None: the model's own.

    Examples
    --------
    >>> from numpy_rnn import RNN
    >>> Workers(2, RNN(1, 2)).run([lambda: "first", lambda: "second"])
    ['first', 'second']
    """

    def __init__(self, count: int, model: Layer) -> None:
        self.count = check_size("Workers", "count", count)
        check_kind("Workers", "model", model, Layer)
        self.rngs: list[Generator | None] = [None]
        for k in range(1, self.count):
            seed = [int(n) for rng in model.rngs() for n in rng.integers(2**32, size=4)]
            self.rngs.append(np.random.default_rng(seed or k))
        self._pool: tuple[int, ThreadPoolExecutor] | None = None  # and the process it belongs to
        # Kept until the next batch, so that the allocator does not return the memory of each batch
        # to the system: that took 9 ms of 50 a step (GRU 256, B = 32, T = 64).
        self._results: list[Any] = []

    def __getstate__(self) -> dict[str, Any]:
        """Return everything but the threads, which a copy starts itself."""
        return vars(self) | {"_pool": None, "_results": []}

    def run(self, tasks: list[Callable[[], Any]]) -> list[Any]:
        """Return the results of one task for each thread. No task is running afterwards."""
        futures = []
        if len(tasks) > 1:
            if self._pool is None or self._pool[0] != os.getpid():
                self._pool = os.getpid(), ThreadPoolExecutor(self.count - 1)
            futures = [self._pool[1].submit(task) for task in tasks[1:]]
        # The first task is this thread's own; an error in another one is raised by result().
        try:
            first = tasks[0]()
        finally:
            for future in futures:
                future.exception()
        self._results = [first, *(future.result() for future in futures)]
        return self._results


def gradient(
    model: Layer,
    criterion: Loss,
    batch: Batch,
    state: State = None,
    *,
    workers: Workers | None = None,
) -> tuple[float, State]:
    """Set the parameters' gradients to those of the batch's loss.

    Parameters
    ----------
    model : Layer
        Time-major. Only ``parameters.grad`` is changed; what it held before is overwritten.
    criterion : Loss
        With reduction "mean" or "sum"; with one worker, also "sum_over_time".
    batch : Batch
        With at least a row for each worker.
    state : state, optional
        State before the first step; None is zero.
    workers : Workers, optional
        Threads; None is one.

    Returns
    -------
    loss : float
        Equation (1).
    state : state
        State after the last step.

    Raises
    ------
    NotFiniteError, ValueError
        If the computation diverged; if the data is not finite, with its row and step.

    Examples
    --------
    >>> from numpy_rnn import RNN, MSELoss
    >>> model = RNN(1, 2, rng=0)
    >>> batch = Batch(np.ones((4, 3, 1)), np.zeros((4, 3, 2)))
    >>> loss, state = gradient(model, MSELoss(), batch)
    >>> model.parameters.grads["weight_hh_l0"].shape
    (2, 2)
    """
    if type(workers) is not Workers:  # a trainer has checked its parts
        check_kind("gradient", "model", model, Layer)
        check_kind("gradient", "criterion", criterion, Loss)
        check_kind("gradient", "batch", batch, Batch)
        workers = Workers(1, model) if workers is None else workers
        check_kind("gradient", "workers", workers, Workers)
    cuts = [k * batch.x.shape[1] // workers.count for k in range(workers.count + 1)]
    slices = [slice(*cut) for cut in pairwise(cuts)]
    shards = [batch.rows(rows) for rows in slices]
    states = [state]  # with one worker as it is: the model checks it
    if workers.count > 1:
        try:
            states = [_map_state(itemgetter((slice(None), rows)), state) for rows in slices]
        except (TypeError, IndexError):
            raise TypeError(
                f"gradient: state is {shown(state)}, expected one like model.zero_state(B)"
            ) from None
    arguments = zip(shards, states, _shares(criterion, shards), workers.rngs, strict=True)
    try:
        results = workers.run([partial(_shard, model, criterion, *each) for each in arguments])
        loss = sum(part for part, _, _ in results)
        if not math.isfinite(loss):
            raise NotFiniteError(f"the loss is {loss}")  # noqa: TRY301 (explained below)
    except NotFiniteError as error:
        batch.check_finite()
        name = first_not_finite(model.parameters.values)
        reason = str(error).removesuffix(", expected finite numbers")
        raise NotFiniteError(f"parameter {name!r} is not finite" if name else reason) from None
    model.zero_grad()
    for _, _, gradients in results:
        model.parameters.add(gradients)  # (2)
    if len(results) == 1:
        return loss, results[0][1]
    states_after = (after for _, after, _ in results)
    return loss, _map_state(lambda *parts: np.concatenate(parts, axis=1), *states_after)


def _shard(
    model: Layer,
    criterion: Loss,
    shard: Batch,
    state: State,
    share: float,
    rng: Generator | None,
) -> tuple[float, State, Mapping[str, Array]]:
    # The layers' checks find an overflow and name its place.
    with np.errstate(over="ignore", invalid="ignore"):
        y, state, cache = model.apply(shard.x, state, lengths=shard.lengths, rng=rng)
        loss, loss_cache = criterion.apply(y, shard.target, shard.mask())
        _, _, gradients = model.vjp(cache, criterion.vjp(loss_cache, share))
    return float(loss) * share, state, gradients  # (1)


def _shares(criterion: Loss, shards: list[Batch]) -> list[float]:
    """Return s_k of equation (1)."""
    reduction = criterion.reduction
    known = ("mean", "sum") if len(shards) > 1 else ("mean", "sum", "sum_over_time")
    if reduction not in known:
        raise ValueError(f"gradient: reduction is {reduction!r}, expected one of {known}")
    if len(shards) == 1 or reduction == "sum":
        return [1.0] * len(shards)
    counts = [criterion.count(shard.target, shard.mask()) for shard in shards]
    return [count / max(1, sum(counts)) for count in counts]


def _map_state(function: Callable[..., State], *states: State) -> State:
    """Return a state made of function(arrays that have one place in all of these states)."""
    if isinstance(states[0], tuple):
        return tuple(_map_state(function, *parts) for parts in zip(*states, strict=True))
    return None if states[0] is None else function(*states)


def leaves(state: State) -> list[Array]:
    """Return the arrays of a state, in order."""
    found: list[Array] = []
    _map_state(found.append, state)
    return found


def first_not_finite(arrays: Mapping[str, Array]) -> str | None:
    """Return the name of the first array with a NaN or an infinity, or None."""
    return next((name for name, value in arrays.items() if not np.isfinite(value).all()), None)
