"""What is read off the attribution matrix and the states of a layer.

    (1) A[t, s] = | dL_t / dh_s |                      L_t the loss of step t alone, s <= t

It comes from the layers' own backward passes, by :mod:`numpy_rnn.checking.attribution`.
"""

from __future__ import annotations

import numpy as np

from numpy_rnn.functional.types import Array


def by_distance(A: Array) -> Array:
    """Return how much a state matters k steps later, against at once: the median over the steps.

    Parameters
    ----------
    A : (T, T) array
        Equation (1).

    Returns
    -------
    share : (T,) array
        Of A[t, t - k] / A[t, t], for k = 0 to T - 1; steps without a loss are left out, and
        where there is no other, it is 0.
    """
    own = np.diagonal(A)
    counted = own > 0
    share = np.zeros(len(A))
    for k in range(len(A)):
        if counted[k:].any():
            share[k] = np.median(np.diagonal(A, -k)[counted[k:]] / own[k:][counted[k:]])
    return share


def saturation(h: Array, bound: float = 0.95, *, relu: bool = False) -> Array:
    """Return the share of saturated units at each step, (T,), of a layer's (T, H).

    They are those beyond +-`bound`; of a relu layer those that are off, as it has no upper end.
    """
    share: Array = np.mean(h <= 0 if relu else np.abs(h) > bound, axis=1)
    return share
