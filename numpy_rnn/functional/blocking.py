"""Work that fits the machine: blocked matrix products, chunks of a sequence, memory used again.

A BLAS first copies the operands of a large product into an order of its own ("packing"). A cell
multiplies a few rows by the same matrix at every timestep, and there the copy costs a good part of
the product. Below a certain size OpenBLAS multiplies without it. So the matrix is cut into tiles
below that size, once, before the loop:

    (1) y_n = x W_n                     block n of the columns

For large batches and deep sums (1) would need very narrow blocks. Then x is cut by its rows too,
and both by the axis that is summed over:

    (2) y_n = sum_k x_k W_{kn}          at most 32 rows of x and 512 terms of the sum at a time

Sizes without a suitable divisor, such as large primes, are multiplied whole.

Each pass frees arrays of megabytes, and the next one asks for as many. glibc gives freed memory
back to the system above a limit, and the system hands it out anew: 10 to 60 % of the time of a
pass. The limit follows the largest block that was freed, up to 32 MB (mallopt(3), "dynamic mmap
threshold"). So a block of this size is taken and freed once, when this module is imported. It is
never written to, so it takes no memory. With other C libraries nothing changes.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import methodcaller

import numpy as np

from numpy_rnn.functional.types import Array

MAX_PRODUCT = 10**6  # multiplications in a product that OpenBLAS does not pack
MIN_COLUMNS = 32  # width of a block; down to half of it a block still pays, though less
MAX_ROWS, MAX_DEPTH = 32, 512  # of a block in (2)
MIN_ROWS, MIN_DEPTH = 8, 256  # below these (2) does not pay
CHUNK = 1 << 16  # numbers in a chunk of a sequence: a few hundred kilobytes
np.empty((1 << 25) - (1 << 13), np.uint8)  # 32 MB less what glibc adds, freed at once: see above


def chunks(T: int, numbers_per_step: int) -> list[slice]:
    """Return the slices that cut T timesteps into chunks that fit the processor's cache.

    They are in the order of time. The last one may reach beyond T.

    Examples
    --------
    >>> chunks(5, 1 << 15)
    [slice(0, 2, None), slice(2, 4, None), slice(4, 6, None)]
    """
    steps = max(1, CHUNK // max(1, numbers_per_step))
    return [slice(start, start + steps) for start in range(0, T, steps)]


def blocked_matmul(W: Array, out: Array, times: int) -> Callable[[Array], Array]:
    """Return a function that multiplies by `W` (K, N), arranged for that many products.

    The function writes ``x @ W`` for x (B, K) to `out` (B, N), and returns it. From the second
    product on a copy of `W` pays.

    Examples
    --------
    >>> import numpy as np
    >>> multiply = blocked_matmul(np.eye(2), np.empty((1, 2)), times=10)
    >>> multiply(np.array([[3.0, 4.0]]))
    array([[3., 4.]])
    """
    if times == 1 or not len(out):
        return methodcaller("dot", W, out)
    (K, N), B = W.shape, len(out)
    b, k = B, K
    if B * K * min(N, MIN_COLUMNS) > MAX_PRODUCT:
        b, k = _divisor(B, MAX_ROWS), _divisor(K, MAX_DEPTH)
    n = _divisor(N, MAX_PRODUCT // max(1, b * k))
    too_small = b < min(B, MIN_ROWS) or k < min(K, MIN_DEPTH) or n < MIN_COLUMNS // 2
    if too_small or (b, k, n) == (B, K, N):
        return methodcaller("dot", W.copy(), out)
    tiles = W.reshape(K // k, k, N // n, n).swapaxes(1, 2).copy()[:, None]  # (K/k, 1, N/n, k, n)
    sums = out[None] if k == K else np.empty((K // k, B, N), out.dtype)
    parts = sums.reshape(K // k, B // b, b, N // n, n).swapaxes(2, 3)

    def multiply(x: Array) -> Array:
        rows = x.reshape(B // b, 1, b, K // k, k).transpose(3, 0, 1, 2, 4)
        np.matmul(rows, tiles, parts)  # (1), (2)
        return out if k == K else np.add.reduce(sums, 0, out=out)

    return multiply


def _divisor(size: int, largest: int) -> int:
    """Return the largest divisor of a size that is at most `largest`."""
    return next((n for n in range(min(size, largest), 0, -1) if size % n == 0), 1)
