"""Initialisation, with its source."""

from __future__ import annotations

import math

import numpy as np

from numpy_rnn.functional.types import Rng
from numpy_rnn.parameters import Parameters


def uniform(parameters: Parameters, fan: int, rng: Rng) -> None:
    """Fill every parameter from U(-1/sqrt(fan), 1/sqrt(fan)).

    PyTorch's default: for a recurrent layer ``fan`` is the hidden size, for a linear one
    the input size. LeCun et al. ("Efficient BackProp", 1998) ask for a standard deviation of
    1/sqrt(fan); this bound gives 1/sqrt(3 fan), and is kept because it is PyTorch's.

    Parameters
    ----------
    parameters : Parameters
        What to fill, in the order of its names.
    fan : int
        How many numbers a unit sums; at least 1.
    rng : numpy.random.Generator, int or None
        Source of the numbers, or a seed for one. They are drawn in float64 and then
        rounded, so that a seed means the same weights in every dtype.
    """
    bound = 1 / math.sqrt(fan)
    generator = np.random.default_rng(rng)
    parameters.data[...] = generator.uniform(-bound, bound, parameters.data.size)
