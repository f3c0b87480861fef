"""Two sets of parameters, and the vector that they are joined in."""

from __future__ import annotations

import numpy as np

from numpy_rnn.parameters import Parameters


def two() -> tuple[Parameters, Parameters, Parameters]:
    a = Parameters({"w": (2, 3), "b": (3,)}, np.float64)
    b = Parameters({"w": (3, 1)}, np.float64)
    a.data[...] = range(9)
    b.data[...] = range(9, 12)
    a.grad[...] = 1
    return a, b, Parameters.join({"first": a, "second": b})
