"""Dropout: some values are set to zero, the others scaled up so that the mean stays.

    Forward   (1) y = x * mask / (1 - p)                mask is 1 with probability 1 - p, else 0
    Backward  (1') dx = dy * mask / (1 - p)

The mask is an argument, not drawn here: so the function is deterministic, can be checked like
any other and can be repeated. Drawing it is one line, ``rng.random(x.shape) >= p``. The scale is
that of "inverted" dropout: E[y] = x, and at evaluation x is used as it is. Srivastava et al.
(2014), who scale at evaluation instead.
"""

from __future__ import annotations

from typing import NamedTuple

from numpy_rnn.functional.types import Array


class DropoutCache(NamedTuple):
    """What :func:`dropout_backward` needs of the forward pass."""

    mask: Array  # (T, B, H) of bool
    scale: float  # 1 / (1 - p)


def dropout_forward(x: Array, mask: Array, *, p: float) -> tuple[Array, DropoutCache]:
    """Keep the values where the mask is true.

    Parameters
    ----------
    x : (T, B, H) array
        Input.
    mask : (T, B, H) array of bool
        Which values to keep. A (B, H) mask is the same at every step (Gal & Ghahramani 2016).
    p : float
        Probability with which the mask was false, 0 <= p < 1.

    Returns
    -------
    y : (T, B, H) array
        Equation (1).
    cache : DropoutCache
        For :func:`dropout_backward`.
    """
    scale = 1 / (1 - p)
    return x * mask * scale, DropoutCache(mask, scale)  # (1)


def dropout_backward(dy: Array, cache: DropoutCache) -> tuple[Array, None]:
    """Gradients of :func:`dropout_forward`, one per argument.

    Parameters
    ----------
    dy : (T, B, H) array
        Gradient of the output.
    cache : DropoutCache
        From the forward pass.

    Returns
    -------
    dx : (T, B, H) array
        Equation (1').
    dmask : None
        A mask has no gradient.
    """
    return dy * cache.mask * cache.scale, None  # (1')
