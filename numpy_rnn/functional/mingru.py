"""minGRU: a GRU whose gate does not look at the state (Feng et al. 2024, arXiv:2410.01201).

    Forward   (1) a_t = W_ih x_t + b_ih                 in two blocks: z, n; all at once
              (2) z_t = sigma(a_z)
              (3) h_t = (1 - z_t) * h_{t-1} + z_t * a_n         by scan.py

    Backward  (3') e_t, d(1 - z_t) = e_t * h_{t-1}, dh0         by scan.py
                   da_n = e_t * z_t
              (2') da_z = e_t * (a_n - h_{t-1}) * z_t (1 - z_t)
              (1') dW_ih = sum_t da_t x_t^T,  dx_t = W_ih^T da_t,  db_ih = sum_t da_t

With the state taken out of gate and candidate, what is left of the recurrence is linear and
diagonal, so no step waits for another one: there is no loop over time here. The paper computes
(3) from logarithms, and for that makes the candidate positive; scan.py does not divide, so the
candidate is as it is in the paper's sequential form. z takes in the new, as in the paper; the z
of PyTorch's GRU keeps the old.

    (4) sigma(u) = (1 + tanh(u / 2)) / 2,  1 - sigma(u) = (1 - tanh(u / 2)) / 2
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from numpy_rnn.functional.contract import Keep
from numpy_rnn.functional.linear import LinearCache, linear_backward, linear_forward
from numpy_rnn.functional.scan import ScanCache, scan_backward, scan_forward
from numpy_rnn.functional.types import Array


class MinGRUCache(NamedTuple):
    """What :func:`mingru_backward` needs of the forward pass."""

    projection: LinearCache  # of equation (1)
    scan: ScanCache  # of equation (3); its a is 1 - z
    z: Array  # (T, B, H)
    n: Array  # (T, B, H): a_n


def mingru_forward(x: Array, h0: Array, W_ih: Array, b_ih: Array) -> tuple[Array, MinGRUCache]:
    """Run the cell over a sequence.

    Parameters
    ----------
    x : (T, B, D) array, or (T, B) array of int
        Input, or the places of the ones in one-hot rows.
    h0 : (B, H) array
        State before the first step.
    W_ih : (2H, D) array
        Weights of the input; blocks z, n.
    b_ih : (2H,) array
        Bias.

    Returns
    -------
    h : (T, B, H) array
        The state after every step. Read-only: it is also the cache.
    cache : MinGRUCache
        For :func:`mingru_backward`.
    """
    H = h0.shape[1]
    a, projection = linear_forward(x, W_ih, b_ih)  # (1)
    half = 0.5 * np.tanh(0.5 * a[..., :H])
    z, n = 0.5 + half, a[..., H:]  # (2), (4)
    h, scan = scan_forward(0.5 - half, z * n, h0)  # (3)
    return h, MinGRUCache(projection, scan, z, n)


def mingru_backward(
    dh: Array | None, cache: MinGRUCache, keep: Keep = ""
) -> tuple[Array | None, Array, Array, Array]:
    """Gradients of :func:`mingru_forward`, one per argument: BPTT.

    Parameters
    ----------
    dh : (T, B, H) array or None
        What the loss sends to the state at each step; None is zero.
    cache : MinGRUCache
        From the forward pass.
    keep : {"", "t", "b", "tb"}
        The axes of the sums over time and batch to leave standing.

    Returns
    -------
    dx : (T, B, D) array, or None for an integer x
        Gradient of the input.
    dh0 : (B, H) array
        Gradient of the initial state.
    dW_ih, db_ih : (2H, D) and (2H,) arrays, with the kept axes in front
        Gradients of the weights and of the bias.
    """
    projection, scan, z, n = cache
    dkept, e, dh0 = scan_backward(dh, scan)  # (3')
    H = z.shape[2]
    da = np.empty((*z.shape[:2], 2 * H), e.dtype)
    np.multiply(e, z, da[..., H:])
    np.multiply(e, n, da[..., :H])  # (2')
    da[..., :H] -= dkept
    da[..., :H] *= z * scan.a
    dx, dW_ih, db_ih = linear_backward(da, projection, keep)  # (1')
    return dx, dh0, dW_ih, db_ih
