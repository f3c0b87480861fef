"""Dropout, as a separate layer and between the layers of a recurrent stack."""

from __future__ import annotations

from typing import Any

import numpy as np

from numpy_rnn.arguments import check_probability, check_rng
from numpy_rnn.functional.contract import Keep
from numpy_rnn.functional.dropout import DropoutCache, dropout_backward, dropout_forward
from numpy_rnn.functional.types import Array, DTypeLike, Generator, Rng
from numpy_rnn.layers.stateless import Call, StatelessLayer
from numpy_rnn.layers.validate import check_array, check_float
from numpy_rnn.parameters import Parameters


def apply_dropout(x: Array, p: float, rng: Generator) -> tuple[Array, DropoutCache]:
    """Return `x` with values zeroed with probability `p` and the others scaled up, and the mask."""
    # Single precision is enough to compare with p and takes half the time to draw.
    mask = rng.random(x.shape, np.float32) >= p
    return dropout_forward(x, mask, p=p if p < 1 else 0.0)  # with p = 1 nothing is scaled up


class Dropout(StatelessLayer):
    """Zero some values in training and scale the others up, as ``torch.nn.Dropout``.

    Parameters
    ----------
    p : float
        Probability with which a value is zeroed, 0 to 1.
    rng : numpy.random.Generator, int or None
        For the masks.
    dtype : dtype, optional
        Required dtype of the input; by default float32 and float64 are both taken.

    Examples
    --------
    >>> import numpy as np
    >>> dropout = Dropout(0.5, rng=0)
    >>> dropout(np.ones(4)), dropout.eval()(np.ones(4))
    (array([2., 2., 2., 0.]), array([1., 1., 1., 1.]))
    """

    def __init__(self, p: float = 0.5, *, rng: Rng = None, dtype: DTypeLike | None = None) -> None:
        self.p = check_probability("Dropout", "p", p)
        self.parameters = Parameters({}, np.float64 if dtype is None else dtype, "Dropout")
        self._any_dtype = dtype is None
        self._rng = check_rng("Dropout", rng)

    def rngs(self) -> list[Generator]:
        """Return the generator of the masks, if any are drawn."""
        return [self._rng] if self.p else []

    def check_input(self, x: Array, lengths: Array | None = None) -> None:  # noqa: ARG002 (padding is treated like the rest)
        """Raise TypeError or ValueError if `x` is not an input of this layer."""
        check_float("Dropout.forward", "x", x)
        if not self._any_dtype:
            check_array("Dropout.forward", "x", x, self.parameters.dtype, (x.shape,))

    def _apply(self, x: Array, call: Call) -> tuple[Array, DropoutCache | None]:
        self.check_input(x)
        if not (self.p and call.training):
            return x.copy(), None
        return apply_dropout(x, self.p, self._rng if call.rng is None else call.rng)

    def _vjp(self, cache: Any, dy: Array, keep: Keep) -> tuple[Array, dict[str, Array]]:  # noqa: ARG002 (there is no sum over time)
        return (dy.copy() if cache is None else dropout_backward(dy, cache)[0]), {}
