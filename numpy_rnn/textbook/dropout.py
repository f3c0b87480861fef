"""Dropout: some values are set to zero, the others are scaled up so that the mean stays.

Symbols
    x, y           input and output
    mask           1 (or True) where a value is kept, which has probability 1 - p, else 0
    p              probability that a value is dropped, 0 <= p < 1
    T, B, H        numbers of timesteps, sequences and units
    L              the loss: one number, computed elsewhere from y
    dX             the gradient dL/dX, shaped like X: its element j is the change of L per change of
                   element j of X, all consequences included

Forward, for every element
    (0)  given: x, mask, p
    (1)  y = x * mask / (1 - p)        the mean of mask is 1 - p, so the mean of y is x

Backward. (k') is the gradient of what equation (k) defines, (0') of what is given.
The one path is x ---> y ---> L, and its arrow to the loss gives all of dy.
    (1') dy                            given
    (0') dx = dy * mask / (1 - p)      x is in y alone, with factor mask / (1 - p)

    What was dropped had no influence, and gets gradient 0. The mask is the same in both
    directions: it is an argument, drawn once by ``rng.random(x.shape) >= p``. It is a choice and
    not a number that can change by a little, so None is returned for its gradient.

Srivastava et al. (2014), who scale when the trained network is used; a (B, H) mask, the same at
every timestep: Gal & Ghahramani (2016).
"""

from __future__ import annotations

import numpy as np

from numpy_rnn.functional.types import Array, Cache


def dropout_forward(x: Array, mask: Array, *, p: float) -> tuple[Array, Cache]:
    """Return x with some values set to zero and the others scaled up, and the cache.

    Parameters
    ----------
    x, mask, p : (T, B, H) array, (T, B, H) or (B, H) array of bool, and float

    Examples
    --------
    >>> y, cache = dropout_forward(np.ones((1, 1, 2)), np.array([[[True, False]]]), p=0.5)
    >>> y
    array([[[2., 0.]]])
    """
    y = x * mask / (1 - p)  # (1) (T, B, H)
    return y, (mask, p)


def dropout_backward(dy: Array, cache: Cache) -> tuple[Array, None]:
    """Return dx of x's shape, and None for the mask.

    dy : (T, B, H), the gradient of L with respect to y.
    """
    mask, p = cache
    dx = dy * mask / (1 - p)  # (0') (T, B, H)
    return dx, None


if __name__ == "__main__":
    from numpy_rnn.textbook.example import show

    mask = np.array([[[True, False]], [[True, True]]])
    show(dropout_forward, dropout_backward, {"x": "T B H", "mask": mask}, p=0.5)
