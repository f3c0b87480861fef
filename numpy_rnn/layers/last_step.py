"""LastStep: the last valid step of each sequence, from many-to-many to many-to-one."""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import numpy as np

from numpy_rnn.functional.contract import Keep
from numpy_rnn.functional.types import Array, DTypeLike, State
from numpy_rnn.layers.base import Call, StatelessLayer
from numpy_rnn.layers.validate import (
    check_array,
    check_flag,
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
    steps: Array  # the last one of each of these rows


class LastStep(StatelessLayer):
    """``y[b] = x[length_b - 1, b]``. A row without a step gives zeros.

    Parameters
    ----------
    batch_first : bool
        Whether sequences are (B, T, D) instead of (T, B, D).
    bidirectional : bool
        Whether x is the output of a bidirectional layer. The second half of its features runs
        backwards, so its last step is the first one: y is then the two final states side by side.
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
    _options: ClassVar = {"batch_first": False, "bidirectional": False}

    def __init__(
        self,
        batch_first: bool = False,
        bidirectional: bool = False,
        *,
        dtype: DTypeLike | None = None,
    ) -> None:
        self.batch_first = check_flag("LastStep", "batch_first", batch_first)
        self.bidirectional = check_flag("LastStep", "bidirectional", bidirectional)
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
        rows = np.flatnonzero(ends)
        steps = ends[rows] - 1
        y = np.zeros((B, D), x.dtype)
        y[rows] = x[steps, rows]
        if self.bidirectional and len(rows):  # then there is a step 0
            half = self._reverse_half(D)
            y[rows, half:] = x[0, rows, half:]
        return y, LastStepCache(x.shape, rows, steps)

    def _vjp(
        self,
        cache: LastStepCache,
        dy: Array,
        keep: Keep,  # noqa: ARG002 (there is no sum over time)
    ) -> tuple[Array, dict[str, Array]]:
        (T, B, D), rows, steps = cache
        dx = np.zeros((T, B, D), dy.dtype)
        half = self._reverse_half(D) if self.bidirectional else D
        dx[steps, rows, :half] = dy[rows, :half]
        if len(rows):  # then there is a step 0
            dx[0, rows, half:] = dy[rows, half:]
        return dx.swapaxes(0, 1) if self.batch_first else dx, {}

    def step(self, x_t: Array, state: State = None) -> Array:
        """Return a copy of `x_t`: a single step is its own last one."""
        check_no_state("LastStep.step", state)
        return np.array(check_float("LastStep.step", "x_t", x_t))

    def _reverse_half(self, D: int) -> int:
        """Return where the features of the reverse direction begin."""
        if D % 2:
            raise ValueError(f"{self!r}: x has {D} features, expected an even number")
        return D // 2
