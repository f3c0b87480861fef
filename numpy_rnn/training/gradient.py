"""The gradient of one batch: what every training step has in common.

A batch is cut by its rows into S shards. With L_k and g_k the loss and gradient of shard k:

    (1)  L = (c_0 L_0 + c_1 L_1 + ...) / C      c_k: the number of counted targets of the shard
    (2)  g = (c_0 g_0 + c_1 g_1 + ...) / C      C: their sum, or 1 and all c_k = 1 for "sum"

The sums have an order that depends on S alone. Who computes a shard makes no difference: one
thread, several threads of a process, or several processes. All threads use one model, whose
``apply`` and ``vjp`` change nothing. NumPy releases the GIL in matrix products and in operations
on large arrays, so threads do run in parallel. Each shard draws its dropout masks from a separate
generator, whose seed the model's generators draw for each batch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial

import numpy as np

from numpy_rnn.arguments import check_kind, check_size
from numpy_rnn.functional.types import Array, Generator, State
from numpy_rnn.layers.base import Layer
from numpy_rnn.layers.cut import (
    PairwiseSum,
    cut,
    cut_state,
    default_shards,
    join_states,
    shard_rngs,
)
from numpy_rnn.layers.losses import Loss
from numpy_rnn.layers.validate import NotFiniteError
from numpy_rnn.layers.workers import Workers
from numpy_rnn.text import shown
from numpy_rnn.training.data import Batch
from numpy_rnn.training.ranks import Ranks


class TrainingFailedError(RuntimeError):
    """Training cannot continue. The message names the step and the cause.

    Examples
    --------
    >>> raise TrainingFailedError("training diverged at step 3 (the loss is inf)")
    Traceback (most recent call last):
    numpy_rnn.training.gradient.TrainingFailedError: training diverged at step 3 (the loss is inf)
    """


class Shards:
    """The shards of a batch, and who computes them.

    Parameters
    ----------
    batch_size : int
        B.
    count : int, optional
        S, from 1 to B; by default at least 16 rows each, and at most 8. The results depend on it.
    threads : int
        Worker threads. The results do not depend on it.
    ranks : Ranks, optional
        Processes, at most S; by default this one alone. The results do not depend on it.

    Attributes
    ----------
    numbers : range
        The shards that this process computes.
    rows : slice
        Their rows of the batch.

    Examples
    --------
    >>> Shards(64).count
    4
    """

    def __init__(
        self,
        batch_size: int,
        count: int | None = None,
        threads: int = 1,
        ranks: Ranks | None = None,
    ) -> None:
        B = check_size("Shards", "batch_size", batch_size)
        count = default_shards(B) if count is None else count
        self.count = check_size("Shards", "shards", count, most=B)
        self.ranks = Ranks() if ranks is None else ranks
        check_kind("Shards", "ranks", self.ranks, Ranks)
        if self.count < self.ranks.size:
            raise ValueError(
                f"Shards: shards is {self.count} of a batch of {B} rows, expected at least 1 for "
                f"each of the {self.ranks.size} processes of mpiexec"
            )
        self.workers = Workers(threads)
        self.numbers = self.ranks.numbers(self.count)
        slices = [cut(B, self.count)[k] for k in self.numbers]
        first = slices[0].start
        self.rows = slice(first, slices[-1].stop)
        self.slices = [slice(s.start - first, s.stop - first) for s in slices]  # of the own rows

    def cut(self, batch: Batch, state: State) -> tuple[list[Batch], list[State]]:
        """Return batch and state of each of this process's shards."""
        rows = self.slices[-1].stop
        if batch.x.shape[1] != rows:
            raise ValueError(f"gradient: batch has {batch.x.shape[1]} rows, expected {rows}")
        try:
            return [batch.rows(part) for part in self.slices], cut_state(state, self.slices)
        except (TypeError, ValueError):
            raise TypeError(
                f"gradient: state is {shown(state)}, expected one like model.zero_state(B)"
            ) from None


def gradient(
    model: Layer,
    criterion: Loss,
    batch: Batch,
    state: State = None,
    *,
    shards: Shards | None = None,
) -> tuple[float, State]:
    """Set the parameters' gradients to those of the batch's loss.

    Parameters
    ----------
    model : Layer
        Time-major. Only ``parameters.grad`` is changed; what it held before is overwritten.
    criterion : Loss
        With reduction "mean" or "sum"; with one shard, also "sum_over_time".
    batch : Batch
        The rows of this process: all, unless `shards` has several ranks.
    state : state, optional
        State of these rows before the first step; None is zero.
    shards : Shards, optional
        How the batch is cut, and who computes it. None is one shard.

    Returns
    -------
    loss : float
        Equation (1), over all rows.
    state : state
        State of this process's rows after the last step.

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
    if type(shards) is not Shards:  # a trainer has checked its parts
        check_kind("gradient", "model", model, Layer)
        check_kind("gradient", "criterion", criterion, Loss)
        check_kind("gradient", "batch", batch, Batch)
        shards = Shards(max(1, batch.x.shape[1]), 1) if shards is None else shards
        check_kind("gradient", "shards", shards, Shards)
    single = shards.count == 1
    known = ("mean", "sum", "sum_over_time") if single else ("mean", "sum")
    if criterion.reduction not in known:
        raise ValueError(f"gradient: reduction is {criterion.reduction!r}, expected one of {known}")
    # With one shard batch and state are as they are: the model checks them.
    parts, states = ([batch], [state]) if single else shards.cut(batch, state)
    rngs = shard_rngs(model.rngs(), shards.count, shards.numbers)
    weighted = not single and criterion.reduction == "mean"
    tasks = [
        partial(_shard, model, criterion, *each, weighted=weighted)
        for each in zip(parts, states, rngs, strict=True)
    ]
    own, after = PairwiseSum(), list[State]()

    def compute() -> list[tuple[float, float]]:
        results = shards.workers.run(tasks)
        for number, (_, _, last, gradients) in zip(shards.numbers, results, strict=True):
            own.add(0, number, gradients)
            after.append(last)
        return [(loss, weight) for loss, weight, _, _ in results]

    try:
        found = [each for rank in shards.ranks.every(compute) for each in rank]
        C = max(1.0, sum(weight for _, weight in found)) if weighted else 1.0
        loss = sum(part for part, _ in found) / C  # (1)
        if not math.isfinite(loss):
            raise NotFiniteError(f"the loss is {loss}")  # noqa: TRY301 (explained below)
    except NotFiniteError as error:
        shards.ranks.every(partial(batch.check_finite, first=shards.rows.start))
        name = first_not_finite(model.parameters.values)
        reason = str(error).removesuffix(", expected finite numbers")
        raise NotFiniteError(f"parameter {name!r} is not finite" if name else reason) from None
    shards.ranks.set_gradient(model.parameters, own, shards.count)
    if C != 1:
        model.parameters.grad /= C  # (2)
    return loss, join_states(after)


def _shard(
    model: Layer,
    criterion: Loss,
    shard: Batch,
    state: State,
    rng: Generator | None,
    *,
    weighted: bool,
) -> tuple[float, float, State, Mapping[str, Array]]:
    """Return c_k L_k, c_k, the state after the last step, and c_k g_k."""
    weight = float(criterion.count(shard.target, shard.mask())) if weighted else 1.0
    # The layers' checks find an overflow and name its place.
    with np.errstate(over="ignore", invalid="ignore"):
        y, state, cache = model.apply(shard.x, state, lengths=shard.lengths, rng=rng)
        loss, loss_cache = criterion.apply(y, shard.target, shard.mask())
        _, _, gradients = model.vjp(cache, criterion.vjp(loss_cache, weight))
    return float(loss) * weight, weight, state, gradients


def first_not_finite(arrays: Mapping[str, Array]) -> str | None:
    """Return the name of the first array with a NaN or an infinity, or None."""
    return next((name for name, value in arrays.items() if not np.isfinite(value).all()), None)
