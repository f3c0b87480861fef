"""The product of every timestep, x W with few rows, cut so that BLAS need not pack W.

A BLAS copies the operands of a large product into an order of its own first. With few rows that
copy, made anew at each step, costs a good part of the product. Below a size, OpenBLAS multiplies
without it; so W is cut into blocks of columns that stay below, once, before the loop:

    (1) [x W_1, x W_2, ...] = x [W_1, W_2, ...]
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from numpy_rnn.functional.types import Array

# Multiplications in a product that OpenBLAS does not pack, and the narrowest block that pays.
SMALL, NARROW = 10**6, 16


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
    blocks = -(-B * K * N // SMALL) or 1
    while N % blocks and N // blocks >= NARROW:
        blocks += 1
    if blocks == 1 or N // blocks < NARROW:
        whole = W.copy()
        return lambda x: x.dot(whole, out)
    cut = W.reshape(K, blocks, N // blocks).swapaxes(0, 1).copy()
    parts = out.reshape(B, blocks, N // blocks).swapaxes(0, 1)

    def multiply(x: Array) -> Array:
        np.matmul(x, cut, parts)  # (1)
        return out

    return multiply
