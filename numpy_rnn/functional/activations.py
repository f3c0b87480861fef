"""Elementwise nonlinearities, each with its derivative written in terms of its *output*.

    (1)  tanh(z)                     (1')  tanh'(z) = 1 - h^2     with h = tanh(z)
    (2)  relu(z) = z if z >= 0 else 0  (2')  relu'(z) = 1 if h > 0 else 0

A derivative from the output needs no second cache: the trajectory h is kept anyway. At 0,
relu has none; (2') takes 0, as PyTorch does. Both can be differentiated by the complex step
(Squire & Trapp 1998): tanh is analytic, and relu is, away from 0, because it compares the real
part only and then passes z on whole.
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
        ``slope(h)`` is the derivative, from the output `h`.
    """

    value: Callable[[Array, Array], Array]
    slope: Callable[[Array], Array]


def _relu(z: Array, out: Array) -> Array:
    np.copyto(out, z)
    np.putmask(out, z.real < 0, 0)  # (2); z.real < 0 lets a NaN through
    return out


def _relu_slope(h: Array) -> Array:
    slope: Array = h.real > 0  # (2')
    return slope


def _tanh_slope(h: Array) -> Array:
    return 1 - h * h  # (1')


TANH = Activation(np.tanh, _tanh_slope)  # (1)
RELU = Activation(_relu, _relu_slope)
