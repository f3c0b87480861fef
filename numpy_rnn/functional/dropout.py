"""Dropout: the functions of textbook/dropout.py.

They are repeated here because a page that runs by itself must not be imported by the package.
"""

from __future__ import annotations

from typing import NamedTuple

from numpy_rnn.functional.types import Array


class DropoutCache(NamedTuple):
    """What :func:`dropout_backward` needs."""

    mask: Array  # (T, B, H)
    p: float


def dropout_forward(x: Array, mask: Array, *, p: float) -> tuple[Array, DropoutCache]:
    """Return x with the values outside the mask set to zero and the others scaled up.

    Examples
    --------
    >>> import numpy as np
    >>> y, cache = dropout_forward(np.ones(3), np.array([True, False, True]), p=0.5)
    >>> y
    array([2., 0., 2.])
    """
    y = x * mask / (1 - p)  # (1)
    return y, DropoutCache(mask, p)


def dropout_backward(dy: Array, cache: DropoutCache) -> tuple[Array, None]:
    """Return the gradient of every argument of :func:`dropout_forward`."""
    mask, p = cache
    dx = dy * mask / (1 - p)  # (0')
    return dx, None
