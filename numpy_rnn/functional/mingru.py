"""minGRU, parallel over time. The equations are in textbook/mingru.py.

Here there is no loop over time. Gate and candidate do not depend on the state, so they are computed
for all steps at once, and the recurrence that is left is linear and diagonal (scan.py). The paper
computes it from logarithms and needs a positive candidate for that. scan.py does not divide, so
the candidate is that of the paper's sequential form.
The gain over the textbook page: ``python -m benchmarks.twins``.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from numpy_rnn.functional.contract import Keep
from numpy_rnn.functional.linear import LinearCache, linear_backward, linear_forward
from numpy_rnn.functional.scan import ScanCache, scan_backward, scan_forward
from numpy_rnn.functional.types import Array


class MinGRUCache(NamedTuple):
    """What :func:`mingru_backward` needs."""

    projection: LinearCache  # of the input
    scan: ScanCache  # its a is 1 - z
    z: Array  # (T, B, H)
    n: Array  # (T, B, H)


def mingru_forward(x: Array, h0: Array, W_ih: Array, b_ih: Array) -> tuple[Array, MinGRUCache]:
    """Run the cell over a sequence (Feng et al. 2024, arXiv:2410.01201).

    Parameters
    ----------
    x, h0 : (T, B, D) and (B, H) arrays
    W_ih, b_ih : (2H, D) and (2H,) arrays
        Blocks z, n. Unlike in PyTorch's GRU, z = 1 takes the new value.

    Returns
    -------
    h, cache : (T, B, H) array, the state after every step, and what backward takes

    Examples
    --------
    >>> import numpy as np
    >>> h, cache = mingru_forward(np.ones((3, 1, 2)), np.zeros((1, 1)), np.eye(2), np.zeros(2))
    >>> h.ravel().round(2)
    array([0.73, 0.93, 0.98])
    """
    H = h0.shape[1]
    a, projection = linear_forward(x, W_ih, b_ih)  # (1)
    half = 0.5 * np.tanh(0.5 * a[..., :H])
    z, n = 0.5 + half, a[..., H:]  # (2); 1 - z = 0.5 - half
    h, scan = scan_forward(0.5 - half, z * n, h0)  # (3)
    return h, MinGRUCache(projection, scan, z, n)


def mingru_backward(
    dh: Array | None, cache: MinGRUCache, keep: Keep = ""
) -> tuple[Array | None, Array, Array, Array]:
    """Return the gradients of :func:`mingru_forward`, in the order of functional/__init__.py."""
    projection, scan, z, n = cache
    dkept, dh_t, dh0 = scan_backward(dh, scan)  # (3'); dkept is that of 1 - z
    H = z.shape[2]
    da = np.empty((*z.shape[:2], 2 * H), dh_t.dtype)
    np.multiply(dh_t, z, da[..., H:])
    np.multiply(dh_t, n, da[..., :H])
    da[..., :H] -= dkept  # (2')
    da[..., :H] *= z * scan.a  # (1')
    dx, dW_ih, db_ih = linear_backward(da, projection, keep)  # (0')
    return dx, dh0, dW_ih, db_ih
