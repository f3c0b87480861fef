"""LastStep: the last valid step of each sequence, from many-to-many to many-to-one."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from numpy_rnn.arguments import check_flag
from numpy_rnn.functional.contract import Keep
from numpy_rnn.functional.types import Array, DTypeLike, State
from numpy_rnn.layers.merge import check_merge, merge_outputs, merge_vjp
from numpy_rnn.layers.stateless import Call, StatelessLayer
from numpy_rnn.layers.validate import (
    check_array,
    check_bool,
    check_float,
    check_lengths,
    check_no_state,
    check_shape,
)
from numpy_rnn.parameters import Parameters


class LastStepCache(NamedTuple):
    """Values of ``apply`` that ``vjp`` needs."""

    shape: tuple[int, ...]  # (T, B, D)
    rows: Array  # that have a step
    last: Array  # step of each of these rows
    first: Array  # step of each of these rows
    halves: list[Array]  # of the output, if they are multiplied


class LastStep(StatelessLayer):
    """``y[b] = x[length_b - 1, b]``. A row without a step gives zeros.

    Parameters
    ----------
    batch_first : bool
        Whether sequences are (B, T, D) instead of (T, B, D).
    bidirectional : bool
        Whether x is the output of a bidirectional layer. The second half of its features runs
        backwards, so its last step is the first one: y is then the two final states side by side.
    reverse : bool
        Whether x is the output of a layer with ``reverse=True``, whose last step is the first one.
    merge : {"concat", "sum", "mul", "ave"}
        How the final states of two directions become one (see :class:`Recurrent`).
    dtype : dtype, optional
        Required dtype of the input; by default float32 and float64 are both taken.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.arange(6.0).reshape(3, 2, 1)  # T, B, D = 3, 2, 1
    >>> LastStep()(x, lengths=[3, 1])
    array([[4.],
           [1.]])
    """

    causal = False

    def __init__(
        self,
        batch_first: bool = False,
        bidirectional: bool = False,
        *,
        reverse: bool = False,
        merge: str = "concat",
        dtype: DTypeLike | None = None,
    ) -> None:
        self.batch_first = check_flag("LastStep", "batch_first", batch_first)
        self.bidirectional = check_flag("LastStep", "bidirectional", bidirectional)
        self.reverse = check_flag("LastStep", "reverse", reverse)
        if self.reverse and self.bidirectional:
            raise ValueError("LastStep: reverse and bidirectional are True, expected one of them")
        self.merge = check_merge("LastStep", merge, bidirectional=self.bidirectional)
        self.parameters = Parameters({}, np.float64 if dtype is None else dtype, "LastStep")
        self._any_dtype = dtype is None

    def _apply(self, x: Array, call: Call) -> tuple[Array, LastStepCache]:
        where = "LastStep.forward"
        x = check_float(where, "x", x)
        first_two = ("B", "T") if self.batch_first else ("T", "B")
        check_shape(where, "x", x, ((*first_two, "D"),))
        if not self._any_dtype:
            check_array(where, "x", x, self.parameters.dtype, (x.shape,))
        x = x.swapaxes(0, 1) if self.batch_first else x
        T, B, D = x.shape
        ends = np.full(B, T) if call.lengths is None else check_lengths(where, call.lengths, T, B)
        valid = np.arange(T)[:, None] < ends
        if call.mask is not None:
            mask = check_bool(where, "mask", call.mask, (B, T) if self.batch_first else (T, B))
            valid &= mask.T if self.batch_first else mask
        rows = first = last = np.flatnonzero(valid.any(axis=0))
        if len(rows):  # then there is a step
            first = valid[:, rows].argmax(axis=0)
            last = T - 1 - valid[::-1, rows].argmax(axis=0)
        y = np.zeros((B, D), x.dtype)
        half = self._reverse_part(D)
        y[rows, :half] = x[last, rows, :half]
        y[rows, half:] = x[first, rows, half:]
        parts = [y[:, :half], y[:, half:]] if self.bidirectional else [y]
        y = y if self.merge == "concat" else merge_outputs(self.merge, parts)
        return y, LastStepCache(x.shape, rows, last, first, parts if self.merge == "mul" else [])

    def _vjp(self, cache: LastStepCache, dy: Array, keep: Keep) -> tuple[Array, dict[str, Array]]:  # noqa: ARG002 (there is no sum over time)
        (T, B, D), rows, last, first, halves = cache
        dx = np.zeros((T, B, D), dy.dtype)
        half = self._reverse_part(D)
        if self.merge != "concat":
            dy = np.concatenate(merge_vjp(self.merge, dy, halves), axis=1)
        dx[last, rows, :half] = dy[rows, :half]
        dx[first, rows, half:] = dy[rows, half:]
        return dx.swapaxes(0, 1) if self.batch_first else dx, {}

    def step(self, x_t: Array, state: State = None) -> Array:
        """Return a copy of `x_t`: a single step is its own last one."""
        check_no_state("LastStep.step", state)
        x_t = check_float("LastStep.step", "x_t", x_t)
        check_shape("LastStep.step", "x_t", x_t, (("B", "D"), ("D",)))
        return np.array(x_t)

    def _reverse_part(self, D: int) -> int:
        """Return where the features of the reverse direction begin."""
        if self.bidirectional and D % 2:
            raise ValueError(f"{self!r}: x has {D} features, expected an even number")
        return 0 if self.reverse else D // 2 if self.bidirectional else D
