"""One batch on several threads: each takes some of the rows and a copy of the model.

    (1)  L = sum over the parts k of s_k L_k     s_k: the part's share of the targets that count
    (2)  g = s_1 g_1 + s_2 g_2 + ...             in this order, whichever thread is done first

NumPy gives the interpreter free in matrix products and in operations on large arrays, so threads
do run side by side. The copies share one vector of parameters and have a gradient each. Because
sums are done in the order of the parts, a run repeats bit for bit; with another number of parts
it is rounded differently. Each copy draws its dropout masks from a generator of its own.
"""

from __future__ import annotations

import copy
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import numpy as np

from numpy_rnn.functional.types import Array
from numpy_rnn.layers import CrossEntropyLoss, MSELoss, Sequential
from numpy_rnn.layers.validate import check_size
from numpy_rnn.training.batch import Batch

State = Any  # arrays with the batch on axis 1, in tuples


class Workers:
    """The gradient of a batch, computed by several threads.

    Parameters
    ----------
    model : Sequential
        The first thread's, into whose gradient the others' are added.
    criterion : CrossEntropyLoss or MSELoss
        With reduction "mean".
    count : int
        How many threads.

    Raises
    ------
    ValueError
        If there is no thread, or the loss is not a mean.
    """

    def __init__(
        self, model: Sequential, criterion: CrossEntropyLoss | MSELoss, count: int = 1
    ) -> None:
        self.count = check_size("Workers", "count", count)
        if criterion.reduction != "mean":
            raise ValueError(f"Workers: reduction is {criterion.reduction!r}, expected 'mean'")
        self.models = [model]
        self.criteria = [criterion]
        for _ in range(1, count):
            other = copy.deepcopy(model)
            other.parameters.share(model.parameters)
            for theirs, ours in zip(other.generators(), model.generators(), strict=True):
                seed = [int(number) for number in ours.integers(2**32, size=4)]
                theirs.bit_generator.state = type(ours.bit_generator)(seed).state
            self.models.append(other)
            self.criteria.append(copy.copy(criterion))
        self._pool = ThreadPoolExecutor(count - 1) if count > 1 else None

    def gradient(self, batch: Batch, state: State) -> tuple[float, State]:
        """Write the gradient of the batch's loss to the model's parameters.

        Parameters
        ----------
        batch : Batch
            At least a row for each thread.
        state : state or None
            Before the first step.

        Returns
        -------
        loss : float
            Equation (1).
        state : state
            After the last step.
        """
        cuts = [k * batch.x.shape[1] // self.count for k in range(self.count + 1)]
        slices = [slice(*cut) for cut in pairwise(cuts)]
        parts = [batch.rows(rows) for rows in slices]
        counts = [_counted(self.criteria[0], part.target) for part in parts]
        total = max(1, sum(counts))
        work = [
            (k, parts[k], rows_of(state, slices[k]), counts[k] / total) for k in range(self.count)
        ]
        # The first part is this thread's own; an error of another one is raised in result().
        futures = (
            [] if self._pool is None else [self._pool.submit(self._part, *w) for w in work[1:]]
        )
        try:
            results = [self._part(*work[0])]
        finally:
            for future in futures:
                future.exception()  # nobody is still at work when this returns
        results += [future.result() for future in futures]
        gradient = self.models[0].parameters.grad
        for model in self.models[1:]:
            gradient += model.parameters.grad  # (2)
        return sum(loss for loss, _ in results), joined([after for _, after in results])

    def _part(self, k: int, part: Batch, state: State, share: float) -> tuple[float, State]:
        model, criterion = self.models[k], self.criteria[k]
        # What overflows is found by the layers' checks, which say where.
        with np.errstate(over="ignore", invalid="ignore"):
            y, state = model.forward(part.x, state, lengths=part.lengths)
            loss = float(criterion.forward(y, part.target)) * share  # (1)
            model.zero_grad()
            model.backward(criterion.backward(share))
        return loss, state

    def close(self) -> None:
        """End the threads."""
        if self._pool is not None:
            self._pool.shutdown()


def rows_of(state: State, rows: slice) -> State:
    """Return the state of some rows."""
    if state is None:
        return None
    if isinstance(state, tuple):
        return tuple(rows_of(part, rows) for part in state)
    return state[:, rows]


def joined(states: list[State]) -> State:
    """Put the states of rows side by side again."""
    if len(states) == 1:
        return states[0]
    if isinstance(states[0], tuple):
        return tuple(joined(list(parts)) for parts in zip(*states, strict=True))
    return np.concatenate(states, axis=1)


def leaves(state: State) -> list[Array]:
    """Return the arrays of a state, in order."""
    if isinstance(state, tuple):
        return [leaf for part in state for leaf in leaves(part)]
    return [state]


def _counted(criterion: CrossEntropyLoss | MSELoss, target: Array) -> int:
    """How many errors a loss is the mean of."""
    if isinstance(criterion, CrossEntropyLoss):
        return int(np.count_nonzero(target != criterion.ignore_index))
    return target.size
