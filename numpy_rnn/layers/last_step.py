"""LastStep: of a sequence, its last valid step; from many-to-many to many-to-one."""

from __future__ import annotations

import numpy as np

from numpy_rnn.functional.contract import Keep
from numpy_rnn.functional.types import Array
from numpy_rnn.layers.base import Layer, forward_first
from numpy_rnn.layers.validate import check_array, check_float, check_lengths, check_shape
from numpy_rnn.parameters import Parameters


class LastStep(Layer):
    """``y[b] = x[length_b - 1, b]``; a row without a step gives zeros.

    Parameters
    ----------
    batch_first : bool
        Sequences are (B, T, D) instead of (T, B, D).
    dtype : dtype
        That of the layers around it, if they are in one model.
    """

    def __init__(self, *, batch_first: bool = False, dtype: str = "float64") -> None:
        self.batch_first = batch_first
        self.parameters = Parameters({}, dtype, "LastStep")
        self._cache: tuple[tuple[int, ...], Array, Array] | None = None

    def __repr__(self) -> str:
        return "LastStep()"

    def forward(self, x: Array, lengths: Array | None = None) -> Array:
        """Pick each row's last step.

        Parameters
        ----------
        x : (T, B, D) array
            Sequences.
        lengths : (B,) array of int, optional
            Where each row ends; T if left out.

        Returns
        -------
        y : (B, D) array

        Raises
        ------
        TypeError, ValueError
            If an argument is not what the layer takes.
        """
        self._cache = None
        x = check_float("LastStep.forward", "x", x)
        sequence = ("B", "T", "D") if self.batch_first else ("T", "B", "D")
        check_shape("LastStep.forward", "x", x, (sequence,))
        B, T = x.shape[:2] if self.batch_first else x.shape[1::-1]
        ends = (
            np.full(B, T) if lengths is None else check_lengths("LastStep.forward", lengths, T, B)
        )
        rows = np.flatnonzero(ends)
        steps = ends[rows] - 1
        self._cache = x.shape, rows, steps
        y = np.zeros((B, x.shape[2]), x.dtype)
        y[rows] = x[rows, steps] if self.batch_first else x[steps, rows]
        return y

    def gradients(self, dy: Array, keep: Keep = "") -> tuple[Array, dict[str, Array]]:  # noqa: ARG002 (no sum to keep anything of)
        """Go back: put each gradient where the step was picked; see :meth:`Layer.gradients`."""
        if self._cache is None:
            raise forward_first("LastStep")
        shape, rows, steps = self._cache
        B = shape[0] if self.batch_first else shape[1]
        dy = check_float("LastStep.backward", "dy", dy)
        check_array("LastStep.backward", "dy", dy, dy.dtype, ((B, shape[2]),))
        dx = np.zeros(shape, dy.dtype)
        dx[(rows, steps) if self.batch_first else (steps, rows)] = dy[rows]
        return dx, {}
