"""What the pattern of a wrong gradient suggests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from numpy_rnn.functional.types import Array

CLOSE = 1e-7  # how near a wrong gradient must come to a suspect to be it


def close(a: Array, b: Array) -> bool:
    """Whether two arrays are the same to a few digits, and not both zero."""
    scale = float(np.abs(b).max(initial=0.0))
    return bool(
        a.shape == b.shape and scale > 0 and np.abs(a - b).max(initial=0.0) <= CLOSE * scale
    )


def suggest_whole(got: Array, expected: Array, sizes: Mapping[str, int]) -> str | None:
    """Say what a wrong gradient is, where it is something simple.

    Parameters
    ----------
    got, expected : arrays of one shape
        The claimed gradient and the exact one.
    sizes : mapping of str to int
        T and B, where known: a factor of 1/B is a mean for a sum.

    Returns
    -------
    suggestion : str or None
    """
    if not np.isfinite(got).all():
        return "it is not finite"
    if not got.any():
        return "it is zero everywhere: is it never written, or overwritten?"
    if expected.ndim == 2 and got.shape == expected.T.shape and close(got, expected.T):
        return "equals the transpose"
    factor = float(np.vdot(expected, got) / max(float(np.vdot(expected, expected)), 1e-290))
    if factor and abs(factor - 1) > CLOSE and close(got, factor * expected):
        return _factor(factor, sizes)
    off = np.abs(got - expected) / max(float(np.abs(expected).max(initial=0.0)), 1e-290)
    wrong = int(np.count_nonzero(off > 1e-12))
    if 1e-9 < off.max(initial=0.0) < 1e-5 and wrong > got.size / 2:
        return "differs by the size of float32's rounding: is there a float32 array inside?"
    return f"is wrong in {wrong} of {got.size} elements" if 0 < wrong <= got.size / 4 else None


def _factor(factor: float, sizes: Mapping[str, int]) -> str:
    if np.isclose(factor, -1):
        return "has the opposite sign"
    for name, what in (("B", "rows of the batch"), ("T", "timesteps")):
        size = sizes.get(name, 1)
        if size > 1 and np.isclose(factor, 1 / size):
            return f"is 1/{size} of it, and {size} is the number of {what}: a mean for a sum?"
        if size > 1 and np.isclose(factor, size):
            return f"is {size} times it, the number of {what}: a sum for a mean, or added twice?"
    return f"off by a constant factor {factor:.6g}"


def suggest_in_time(  # noqa: PLR0911 (a list of suspects)
    got: Array, expected: Array, wrong: tuple[int, ...]
) -> str | None:
    """Say what is wrong with a sequence of gradients (T, ...), where it is something simple.

    Parameters
    ----------
    got, expected : (T, ...) arrays
        The claimed gradient and the exact one.
    wrong : tuple of int
        The steps that are wrong.

    Returns
    -------
    suggestion : str or None
    """
    T = len(expected)
    if T > 2 and close(got, expected[::-1]):
        return "equals the gradient reversed in time: is a reversed sequence not turned back?"
    if T > 2 and close(got[1:], expected[:-1]):
        return "equals the gradient one step late"
    if T > 2 and close(got[:-1], expected[1:]):
        return "equals the gradient one step early"
    if wrong == (0,) and T > 1:
        zero = " (it is zero there)" if not got[0].any() else ""
        return f"only t = 0 is wrong{zero}: is the initial state's step skipped?"
    if wrong == (T - 1,) and T > 1:
        return "only the last step is wrong: is the loop's first iteration a special case?"
    if len(wrong) == 1:
        return f"only t = {wrong[0]} is wrong"
    if wrong and wrong[-1] == T - 2 and len(wrong) > T // 2:
        return (
            "right at the last step, wrong before it: "
            "is what comes back through time dropped or wrong?"
        )
    if wrong and wrong == tuple(range(wrong[-1] + 1)) and wrong[-1] < T - 2:
        steps = T - 1 - wrong[-1]
        return (
            f"right for the last {steps} steps, wrong before them: "
            f"does something happen at t = {wrong[-1]}, or is time truncated?"
        )
    return None


def suggest_from_loss(got: Array, shares: Array) -> str | None:
    """Compare a wrong gradient with parts of the exact one, by where the loss is.

    Parameters
    ----------
    got : array
        The claimed gradient.
    shares : (T, B, ...) array
        What the loss at each step and row contributes; see :mod:`numpy_rnn.checking.shares`.

    Returns
    -------
    suggestion : str or None
    """
    T, B = shares.shape[:2]
    total = shares.sum(axis=(0, 1))
    suspects: dict[str, Any] = {}
    if B > 1:
        suspects |= {
            f"equals what batch row {b} alone contributes: is the sum over the batch missing?": (
                shares[:, b].sum(axis=0)
            )
            for b in (0, B - 1)
        }
    if T > 1:
        suspects |= {
            "equals what the loss at the last step contributes: are the other steps' dropped?": (
                shares[-1].sum(axis=0)
            ),
            "lacks what the loss at the last step contributes": total - shares[-1].sum(axis=0),
            "lacks what the loss at t = 0 contributes": total - shares[0].sum(axis=0),
        }
    return _which(got, suspects)


def suggest_from_use(got: Array, shares: Array) -> str | None:
    """Compare a wrong gradient with parts of the exact one, by when the weight was used.

    Parameters
    ----------
    got : array
        The claimed gradient of a weight.
    shares : (T, ...) array
        What its use at each step contributes; see :mod:`numpy_rnn.checking.shares`.

    Returns
    -------
    suggestion : str or None
    """
    T, total = len(shares), shares.sum(axis=0)
    if T < 2:
        return None
    return _which(
        got,
        {
            "equals what t = 0 alone contributes: is it = where += is meant?": shares[0],
            "equals what the last step alone contributes: is it = where += is meant?": shares[-1],
            "lacks what t = 0 contributes: is the loop one step short?": total - shares[0],
            "lacks what the last step contributes: is the loop one step short?": (
                total - shares[-1]
            ),
            "is the mean over the timesteps where it should be the sum": total / T,
        },
    )


def _which(got: Array, suspects: Mapping[str, Array]) -> str | None:
    return next((text for text, suspect in suspects.items() if close(got, suspect)), None)
