"""The sigmoid as a scaled tanh, so that one tanh serves all gates of a cell.

    (1)  sigma(z) = (1 + tanh(z / 2)) / 2

This form neither overflows nor compares numbers. The gates of a cell are blocks of one array.
The prescaling multiplies the blocks of sigmoid gates by 1/2. Then one tanh is taken of the whole
array. The rescaling multiplies the sigmoid blocks by 1/2 and adds 1/2 to them. z is linear in the
weights, so the prescaling is applied to the weights, once, before the loop. A factor of 1/2 is
exact in floating point.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from numpy_rnn.functional.types import Array


def prescale(w: Array, sigmoids: tuple[bool, ...]) -> Array:
    """Return a weight or a bias (G*H, ...) with the blocks of sigmoid gates multiplied by 1/2.

    `sigmoids` is True for each of the G blocks whose gate is a sigmoid.
    """
    factors = np.array([0.5 if sigmoid else 1 for sigmoid in sigmoids], w.dtype)
    blocks: Array = w.reshape(len(sigmoids), w.size // len(sigmoids)) * factors[:, None]
    return blocks.reshape(w.shape)


def rescale(
    B: int, H: int, sigmoids: tuple[bool, ...], dtype: np.dtype[Any]
) -> tuple[Array, Array]:
    """Return the factor and the offset, (B, G*H) each, that turn the tanh into the gates.

    They are 1/2 and 1/2 in the blocks of sigmoid gates, 1 and 0 in the others. Every row is the
    same: NumPy takes twice as long to broadcast a row over an array as to read an array of the
    same shape.
    """
    G = len(sigmoids)
    factor, offset = np.ones((B, G, H), dtype), np.zeros((B, G, H), dtype)
    for block, sigmoid in enumerate(sigmoids):
        if sigmoid:
            factor[:, block] = offset[:, block] = 0.5
    return factor.reshape(B, G * H), offset.reshape(B, G * H)
