"""Elementwise nonlinearities, each with its derivative as a function of its output.

    (1)  tanh(z)                       (1')  tanh'(z) = 1 - h^2         with h = tanh(z)
    (2)  relu(z) = z if z >= 0 else 0  (2')  relu'(z) = 1 if h > 0 else 0

A derivative as a function of the output h needs no second cache, because the trajectory h is
kept anyway. At 0, where relu has no derivative, (2') is 0, as in PyTorch. Both functions can be
differentiated by the complex step (Squire & Trapp 1998). tanh is analytic. relu compares real
parts only and passes the whole number on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from numpy_rnn.functional.types import Array


class Activation(NamedTuple):
    """A nonlinearity and its derivative.

    Attributes
    ----------
    value : callable
        ``value(z, out)`` writes the nonlinearity of `z` into `out` (which may be `z`).
    slope : callable
        ``slope(h)`` is the derivative at the output `h`.

    Examples
    --------
    >>> import numpy as np
    >>> h = TANH.value(np.array([0.0, 1.0]), np.empty(2))
    >>> TANH.slope(h).round(4)
    array([1.  , 0.42])
    """

    value: Callable[[Array, Array], Array]
    slope: Callable[[Array], Array]


def _relu(z: Array, out: Array) -> Array:
    np.copyto(out, z)
    np.putmask(out, z.real < 0, 0)  # (2); NaN passes, because NaN < 0 is false
    return out


def _relu_slope(h: Array) -> Array:
    slope: Array = h.real > 0  # (2')
    return slope


def _tanh_slope(h: Array) -> Array:
    return 1 - h * h  # (1')


TANH = Activation(np.tanh, _tanh_slope)  # (1)
RELU = Activation(_relu, _relu_slope)
