"""Dropout as a layer of its own: before or behind a recurrent layer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from numpy_rnn.functional.contract import Keep
from numpy_rnn.functional.dropout import DropoutCache, dropout_backward, dropout_forward
from numpy_rnn.functional.types import Array, DTypeLike, Rng
from numpy_rnn.layers.base import Layer, forward_first
from numpy_rnn.layers.validate import check_array, check_probability
from numpy_rnn.parameters import Parameters

if TYPE_CHECKING:  # see functional/types.py
    from numpy.random import Generator


class Dropout(Layer):
    """Zero some values in training and scale the others up, as ``torch.nn.Dropout``.

    Parameters
    ----------
    p : float
        Probability with which a value is zeroed.
    rng : numpy.random.Generator, int or None
        For the masks.
    dtype : dtype
        That of the layers around it.

    Raises
    ------
    ValueError
        If p is not at least 0 and below 1, or the dtype is another one.
    """

    def __init__(self, p: float = 0.5, *, rng: Rng = None, dtype: DTypeLike = np.float64) -> None:
        self.p = check_probability("Dropout", "p", p)
        self.parameters = Parameters({}, dtype, "Dropout")
        self.generator = np.random.default_rng(rng)
        self._cache: tuple[DropoutCache | None, tuple[int, ...]] | None = None

    def __repr__(self) -> str:
        return f"Dropout({self.p:g})"

    def generators(self) -> list[Generator]:
        """Return the generator of the masks, if any are drawn."""
        return [self.generator] if self.p else []

    def forward(self, x: Array) -> Array:
        """Draw a mask and apply it; in evaluation, return x as it is.

        Parameters
        ----------
        x : array of any shape

        Returns
        -------
        y : array like x

        Raises
        ------
        TypeError, ValueError
            If the dtype or a number in x is not what the layer takes.
        """
        self._cache = None
        x = np.asarray(x)
        x = check_array("Dropout.forward", "x", x, self.parameters.dtype, (x.shape,))
        if not (self.training and self.p):
            self._cache = None, x.shape
            return x
        # Single precision is enough to compare with p and takes half the time to draw.
        mask = self.generator.random(x.shape, np.float32) >= self.p
        y, cache = dropout_forward(x, mask, p=self.p)
        self._cache = cache, x.shape
        return y

    def gradients(self, dy: Array, keep: Keep = "") -> tuple[Array, dict[str, Array]]:  # noqa: ARG002 (no sum to keep anything of)
        """Go back: the gradient of what was kept, scaled like it; see :meth:`Layer.gradients`."""
        if self._cache is None:
            raise forward_first("Dropout")
        cache, shape = self._cache
        dy = check_array("Dropout.backward", "dy", dy, self.parameters.dtype, (shape,))
        return dy if cache is None else dropout_backward(dy, cache)[0], {}
