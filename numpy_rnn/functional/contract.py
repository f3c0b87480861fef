"""The gradient of a shared weight: a sum over time, written as one.

A weight that is used at every timestep, ``z[t,b] = W x[t,b] + bias + ...``, receives one
outer product from each use, and its gradient is their sum (Werbos 1990):

    (1)  dW    = sum_t sum_b  dz[t,b] x[t,b]^T
    (2)  dbias = sum_t sum_b  dz[t,b]

Both sums are done once, after the time loop, never inside it. ``keep`` names the axes
of the sum that are *not* summed, so the same line also answers who contributed what:

    keep=""    (G, D)        the gradient: what the optimiser applies, once
    keep="t"   (T, G, D)     the ledger: what each timestep contributed
    keep="b"   (B, G, D)     the gradient of each example
    keep="tb"  (T, B, G, D)  each single outer product
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from numpy_rnn.functional.types import Array

Keep = Literal["", "t", "b", "tb"]

# The axes of dz (T, B, G) that each `keep` sums away.
_SUMMED: dict[str, tuple[int, ...]] = {"": (0, 1), "t": (1,), "b": (0,), "tb": ()}


def contract(dz: Array, x: Array, keep: Keep = "") -> Array:
    """Sum the outer products ``dz[t,b] x[t,b]^T`` over every axis not kept.

    Parameters
    ----------
    dz : (T, B, G) array
        Gradient of the pre-activations.
    x : (T, B, D) array
        What the weight was multiplied by at each timestep.
    keep : {"", "t", "b", "tb"}
        The axes of the sum to leave standing.

    Returns
    -------
    dW : (G, D), (T, G, D), (B, G, D) or (T, B, G, D) array
        Equation (1).

    Raises
    ------
    ValueError
        If `keep` is none of the four.
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
    """Sum ``dz[t,b]`` over every axis not kept: equation (2).

    Parameters
    ----------
    dz : (T, B, G) array
        Gradient of the pre-activations.
    keep : {"", "t", "b", "tb"}
        The axes of the sum to leave standing.

    Returns
    -------
    db : (G,), (T, G), (B, G) or (T, B, G) array
        A new array, never a view of `dz`.

    Raises
    ------
    ValueError
        If `keep` is none of the four.
    """
    if keep not in _SUMMED:
        raise _unknown_keep(keep)
    db: Array = np.add.reduce(dz, axis=_SUMMED[keep])
    return db


def contract_one_hot(dz: Array, symbols: Array, size: int, keep: Keep = "") -> Array:
    """Equation (1), transposed, for an ``x`` given as the places of its ones.

    With ``x[t,b]`` one-hot, the outer product has a single row that is not zero; adding
    ``dz[t,b]`` to that row costs nothing for the zeros. A loop, one vectorised addition a row:
    ``np.add.at`` and a sorted ``np.add.reduceat`` are faster for rows narrower than about 100
    and several times slower for wide ones, where the time goes (benchmarks/scatter.py).

    Parameters
    ----------
    dz : (T, B, G) array
        Gradient of the pre-activations.
    symbols : (T, B) array of int
        The place of the one in each row, 0 <= symbol < size.
    size : int
        V, the length of a one-hot row.
    keep : {"", "t", "b", "tb"}
        The axes of the sum to leave standing.

    Returns
    -------
    dW_T : (..., V, G) array
        The transpose of what :func:`contract` returns for the dense rows.

    Raises
    ------
    ValueError
        If `keep` is none of the four.
    """
    T, B, G = dz.shape
    if keep not in _SUMMED:
        raise _unknown_keep(keep)
    kept_shape = tuple(n for n, axis in ((T, "t"), (B, "b")) if axis in keep)
    kept = np.zeros((T, B), int)  # where in the flattened kept axes each (t, b) lands
    if "t" in keep:
        kept += np.arange(T)[:, None]
    if "b" in keep:
        kept = kept * B + np.arange(B)
    rows = np.zeros((int(np.prod(kept_shape)) * size, G), dz.dtype)
    for row, dz_tb in zip(
        (kept * size + symbols.astype(int)).ravel(), dz.reshape(T * B, G), strict=True
    ):
        rows[row] += dz_tb
    return rows.reshape(*kept_shape, size, G)


def _unknown_keep(keep: object) -> ValueError:
    return ValueError(f"keep is {keep!r}, expected one of '', 't', 'b', 'tb'")
