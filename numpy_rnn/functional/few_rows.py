"""The product of every timestep, x W with few rows, cut so that BLAS need not pack W.

A BLAS copies the operands of a large product into an order of its own first. With few rows that
copy, made anew at each step, costs a good part of the product. Below a size, OpenBLAS multiplies
without it; so W is cut into tiles that stay below, once, before the loop, and x where it is used:

    (1) y_n = x W_n                     block n of the columns

and, where B and K leave room for narrow blocks only, x by its rows and both by what is summed over:

    (2) y_n = sum_k x_k W_{kn}          up to 32 rows of x at a time, up to 512 terms of the sum

Sizes that have no divisor in range, as prime ones, are multiplied whole.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from numpy_rnn.functional.types import Array

SMALL = 10**6  # multiplications in a product that OpenBLAS does not pack
NARROW = 32  # columns; down to half of that a block still pays, though less
ROWS, DEPTH = 32, 512  # of (2): at most so many rows and so many terms
FEWEST, SHALLOW = 8, 256  # of (2): with fewer it does not pay


def few_rows(W: Array, out: Array, times: int) -> Callable[[Array], Array]:
    """Arrange a matrix for many products.

    Parameters
    ----------
    W : (K, N) array
        What is multiplied by.
    out : (B, N) array
        Where every product is written.
    times : int
        How many products there will be. From the second on a copy of `W` pays.

    Returns
    -------
    multiply : callable
        ``multiply(x)`` for x (B, K) writes ``x @ W`` to `out`, and returns it.
    """
    if times == 1:
        return lambda x: x.dot(W, out)
    (K, N), B = W.shape, len(out)
    b, k = B, K
    if B * K * min(N, NARROW) > SMALL:
        b, k = _part(B, ROWS), _part(K, DEPTH)
    n = _part(N, SMALL // max(1, b * k))
    too_small = b < min(B, FEWEST) or k < min(K, SHALLOW) or n < NARROW // 2
    if too_small or (b, k, n) == (B, K, N):
        whole = W.copy()
        return lambda x: x.dot(whole, out)
    tiles = W.reshape(K // k, k, N // n, n).swapaxes(1, 2).copy()[:, None]  # (K/k, 1, N/n, k, n)
    sums = out[None] if k == K else np.empty((K // k, B, N), out.dtype)
    parts = sums.reshape(K // k, B // b, b, N // n, n).swapaxes(2, 3)

    def multiply(x: Array) -> Array:
        rows = x.reshape(B // b, 1, b, K // k, k).transpose(3, 0, 1, 2, 4)
        np.matmul(rows, tiles, parts)  # (1), (2)
        return out if k == K else np.add.reduce(sums, 0, out=out)

    return multiply


def _part(size: int, largest: int) -> int:
    """Return the largest divisor of a size that is at most `largest`."""
    return next((n for n in range(min(size, largest), 0, -1) if size % n == 0), 1)
