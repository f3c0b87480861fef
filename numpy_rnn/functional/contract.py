"""The gradient of a shared weight: one sum over time, computed as one matrix product.

A weight that is used at every timestep, z[t,b] = W x[t,b] + bias + ..., receives one outer product
from each use. Its gradient is the sum of them (Werbos 1990):

    (1)  dW    = sum_t sum_b  dz[t,b] x[t,b]^T
    (2)  dbias = sum_t sum_b  dz[t,b]

The sum is computed once, after the loop over time. ``keep`` names the axes that are not summed.
It is for gradients what ``keepdims`` is for reductions, but the axes keep their full size:

    keep=""    (G, D)        the gradient: what the optimiser applies, once
    keep="t"   (T, G, D)     the ledger: what each timestep contributes
    keep="b"   (B, G, D)     the gradient of each example
    keep="tb"  (T, B, G, D)  every outer product
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from numpy_rnn.functional.types import Array

Keep = Literal["", "t", "b", "tb"]

BLOCK = 256  # steps that are added one by one

# The axes of dz (T, B, G) that each `keep` sums over.
_SUMMED: dict[str, tuple[int, ...]] = {"": (0, 1), "t": (1,), "b": (0,), "tb": ()}


def contract(dz: Array, x: Array, keep: Keep = "") -> Array:
    """Return equation (1): the sum of ``dz[t,b] x[t,b]^T`` over every axis not kept.

    Parameters
    ----------
    dz : (T, B, G) array
        Gradient of the pre-activations.
    x : (T, B, D) array
        What the weight was multiplied by at each timestep.
    keep : {"", "t", "b", "tb"}
        Axes not summed over. They are in front of the result's (G, D).

    Examples
    --------
    >>> import numpy as np
    >>> dz, x = np.ones((5, 2, 3)), np.ones((5, 2, 4))  # T, B = 5, 2
    >>> contract(dz, x).shape, contract(dz, x, keep="t").shape
    ((3, 4), (5, 3, 4))
    """
    T, B, G = dz.shape
    D = x.shape[-1]
    if keep == "":
        return dz.reshape(T * B, G).T @ x.reshape(T * B, D)
    if keep == "t":
        return dz.transpose(0, 2, 1) @ x  # (T, G, B) @ (T, B, D)
    if keep == "b":
        return dz.transpose(1, 2, 0) @ x.transpose(1, 0, 2)  # (B, G, T) @ (B, T, D)
    if keep == "tb":
        return dz[..., :, None] * x[..., None, :]
    raise _unknown_keep(keep)


def contract_bias(dz: Array, keep: Keep = "") -> Array:
    """Return equation (2): the sum of ``dz[t,b]`` over every axis not kept, a new array.

    `dz` (T, B, G) and `keep` are those of :func:`contract`.

    Examples
    --------
    >>> import numpy as np
    >>> contract_bias(np.ones((5, 2, 3)))  # T, B = 5, 2
    array([10., 10., 10.])
    """
    if keep not in _SUMMED:
        raise _unknown_keep(keep)
    if "t" in keep:
        db: Array = np.add.reduce(dz, axis=_SUMMED[keep])
        return db
    over_time = _sum_over_time(dz)
    return over_time if keep == "b" else np.add.reduce(over_time, axis=0)


def _sum_over_time(dz: Array) -> Array:
    """Return the sum over axis 0, in blocks: added one by one, a million float32 lose 1 %."""
    if len(dz) <= BLOCK:
        few: Array = np.add.reduce(dz, axis=0)
        return few
    cut = len(dz) // BLOCK * BLOCK
    blocks = dz[:cut].reshape(cut // BLOCK, BLOCK, *dz.shape[1:])
    total: Array = _sum_over_time(np.add.reduce(blocks, axis=1))
    total += np.add.reduce(dz[cut:], axis=0)
    return total


def contract_one_hot(dz: Array, tokens: Array, size: int, keep: Keep = "") -> Array:
    """Return equation (1), transposed, (..., V, G), for one-hot rows ``x`` given as token ids.

    Only one row of each outer product is not zero, so ``dz[t,b]`` is added to that row. A loop of
    vectorised additions is used: ``np.add.at`` and a sorted ``np.add.reduceat`` are faster for
    rows of fewer than 100 numbers, and several times slower for long rows, where the time goes
    (``python -m benchmarks.scatter``).

    Parameters
    ----------
    dz, keep
        Those of :func:`contract`.
    tokens : (T, B) array of int
        Position of the one in each row, 0 <= token < size.
    size : int
        V, the length of a one-hot row.

    Examples
    --------
    >>> import numpy as np
    >>> contract_one_hot(np.ones((3, 1, 2)), np.array([[0], [2], [0]]), size=3)
    array([[2., 2.],
           [0., 0.],
           [1., 1.]])
    """
    T, B, G = dz.shape
    if keep not in _SUMMED:
        raise _unknown_keep(keep)
    steps = max(BLOCK, size // max(B, 1))  # a table of zeros for each block must cost little
    if "t" not in keep and steps < T:  # in blocks, for the same reason as in _sum_over_time
        total = contract_one_hot(dz[:steps], tokens[:steps], size, keep)
        for t in range(steps, T, steps):
            block = slice(t, t + steps)
            total += contract_one_hot(dz[block], tokens[block], size, keep)
        return total
    kept_shape = tuple(n for n, axis in ((T, "t"), (B, "b")) if axis in keep)
    kept = np.zeros((T, B), int)  # the position of each (t, b) in the flattened kept axes
    if "t" in keep:
        kept += np.arange(T)[:, None]
    if "b" in keep:
        kept = kept * B + np.arange(B)
    rows = np.zeros((int(np.prod(kept_shape)) * size, G), dz.dtype)
    for row, dz_tb in zip(
        (kept * size + token_ids(tokens)).ravel(), dz.reshape(T * B, G), strict=True
    ):
        rows[row] += dz_tb
    return rows.reshape(*kept_shape, size, G)


def token_ids(tokens: Array) -> Array:
    """Return integers of any type as int64, which every version of NumPy indexes and compares.

    Those beyond int64 become its largest, which no table has.
    """
    if tokens.dtype == np.uint64:
        tokens = np.minimum(tokens, np.uint64(2**63 - 1))
    return tokens.astype(np.int64, copy=False)


def _unknown_keep(keep: object) -> ValueError:
    return ValueError(f"keep is {keep!r}, expected one of '', 't', 'b', 'tb'")
