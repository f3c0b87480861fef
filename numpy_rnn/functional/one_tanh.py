"""Gates that are sigmoids and gates that are tanhs, with one tanh for all of them.

    (1)  sigma(z) = (1 + tanh(z / 2)) / 2

neither overflows nor compares numbers. With the gates in blocks, z is multiplied by (1/2) in the
blocks of a sigmoid and by (1) in the others, one tanh is taken of the whole, and the result is
multiplied by the same factors and gets (1/2) or (0) added. The first factor can be in the weights
before a loop begins, as z is linear in them, and a power of two rounds nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from numpy_rnn.functional.types import Array


def before_tanh(w: Array, sigmoids: tuple[bool, ...]) -> Array:
    """Return a weight or a bias with the first factor in it.

    Parameters
    ----------
    w : (G*H, ...) array
        In G blocks.
    sigmoids : tuple of G bools
        Which blocks belong to a sigmoid.

    Returns
    -------
    scaled : (G*H, ...) array
        A new array.
    """
    factors = np.array([0.5 if sigmoid else 1 for sigmoid in sigmoids], w.dtype)
    blocks: Array = w.reshape(len(sigmoids), w.size // len(sigmoids)) * factors[:, None]
    return blocks.reshape(w.shape)


def after_tanh(
    B: int, H: int, sigmoids: tuple[bool, ...], dtype: np.dtype[Any]
) -> tuple[Array, Array]:
    """Return what the tanh is multiplied by, and what is added then.

    Parameters
    ----------
    B, H : int
        Rows and the size of a block. NumPy takes twice as long to repeat a row over an array as
        to read an array of the same shape, so each row has its own.
    sigmoids : tuple of G bools
        Which blocks belong to a sigmoid.
    dtype : dtype
        Of the gates.

    Returns
    -------
    factor, offset : (B, G*H) arrays
        1/2 and 1/2 in the blocks of a sigmoid, 1 and 0 in the others.
    """
    G = len(sigmoids)
    factor, offset = np.ones((B, G, H), dtype), np.zeros((B, G, H), dtype)
    for block, sigmoid in enumerate(sigmoids):
        if sigmoid:
            factor[:, block] = offset[:, block] = 0.5
    return factor.reshape(B, G * H), offset.reshape(B, G * H)
