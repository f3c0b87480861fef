"""Two gradients, compared slice by slice: relative to the largest entry of each timestep.

With vanishing gradients the first steps of dx are 1e-20 of the last. Relative to the whole
tensor a wrong early slice hides under a right late one; relative to itself it cannot.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from numpy_rnn.checking.shapes import Axes, letter
from numpy_rnn.functional.types import Array

GATES = {3: ("r", "z", "n"), 4: ("i", "f", "g", "o")}  # PyTorch's orders


class Place(NamedTuple):
    """One element of one gradient, in the field's words, and both of its values."""

    parameter: str
    words: str  # "gate f, t = 4, batch row 1, unit 2"
    got: float
    expected: float

    def __str__(self) -> str:
        where = f"{self.parameter}, {self.words}" if self.words else self.parameter
        return f"{where}: got {self.got:.9g}, expected {self.expected:.9g}"


class Comparison(NamedTuple):
    """What comparing one gradient with the exact one said."""

    parameter: str
    shape: tuple[int, ...]
    error: float  # worst, relative to its slice
    tolerance: float
    wrong_steps: tuple[int, ...]  # timesteps that are wrong; (0,) for a tensor without time
    place: Place | None  # of the worst element of the latest wrong step
    problem: str | None = None  # no gradient, or of another shape
    unresolved: int = 0  # slices too small for the method to say anything
    slices: int = 1

    @property
    def right(self) -> bool:
        """Whether there is nothing to complain of."""
        return self.problem is None and not self.wrong_steps


def compare(
    name: str,
    got: Any,
    expected: Array,
    axes: Axes,
    gates: tuple[str, ...],
    rtol: float,
    noise: float = 0.0,
    slack: Array | None = None,
) -> Comparison:
    """Compare a claimed gradient with the exact one.

    Parameters
    ----------
    name : str
        What it is the gradient of.
    got, expected : arrays
        The claimed gradient and the exact one.
    axes : tuple of str
        Tokens of the axes; empty where unknown.
    gates : tuple of str
        Names of the row blocks of a weight with 3H or 4H rows; empty for none.
    rtol : float
        Relative to the largest entry of a slice.
    noise : float
        What rounding can have added to `expected`. A slice below it is left unresolved.
    slack : array like them, optional
        How far `got` moves when its inputs move by their last bits.

    Returns
    -------
    comparison : Comparison
    """
    if got is None:
        problem = "backward returns no gradient for it"
        return Comparison(name, expected.shape, np.inf, rtol, (), None, problem)
    got = np.asarray(got)
    if got.shape != expected.shape:
        problem = f"its gradient has shape {got.shape}, expected {expected.shape}"
        if got.shape == expected.shape[::-1] and np.allclose(got.T, expected, rtol=1e-6):
            problem += ": it is the transpose"
        return Comparison(name, expected.shape, np.inf, rtol, (), None, problem)
    time_axis = axes.index("T") if "T" in axes else None
    a, b = (got[None], expected[None]) if time_axis is None else (got, expected)
    others = tuple(axis for axis in range(a.ndim) if axis != (time_axis or 0))
    off = np.abs(a - b)
    error = np.where(np.isfinite(a), off, np.inf).max(axis=others, initial=0.0)
    scale = np.abs(b).max(axis=others, initial=0.0)
    with np.errstate(divide="ignore", invalid="ignore"):  # a slice that should be zero, and is not
        relative = np.where(error == 0, 0.0, error / scale)
    resolved = (noise == 0) | (error == 0) | (np.maximum(scale, error) > 1e3 * noise)
    allowed = np.zeros(len(error))
    if slack is not None:
        allowed = 30 * (slack[None] if time_axis is None else slack).max(axis=others, initial=0.0)
        relative = np.where((error > rtol * scale) & (error <= allowed), rtol, relative)
    wrong = np.flatnonzero((error > rtol * scale + 10 * noise + allowed) & resolved)
    place = None
    if len(wrong):
        latest = int(wrong[-1])
        step = np.take(off, latest, axis=time_axis or 0)
        step = np.where(np.isnan(step), np.inf, step)
        index = [int(i) for i in np.unravel_index(int(np.argmax(step)), step.shape)]
        if time_axis is not None:
            index.insert(time_axis, latest)
        at = tuple(index)
        place = Place(
            name, words(at, axes, expected.shape, gates), float(got[at]), float(expected[at])
        )
    worst = float(np.max(relative[resolved], initial=0.0))
    steps = tuple(int(t) for t in wrong)
    left = int(np.count_nonzero(~resolved))
    return Comparison(name, expected.shape, worst, rtol, steps, place, None, left, len(error))


def words(
    index: tuple[int, ...], axes: Axes, shape: tuple[int, ...], gates: tuple[str, ...]
) -> str:
    """Say an index in the field's words.

    Parameters
    ----------
    index : tuple of int
        Of an element.
    axes : tuple of str
        Tokens of the axes; empty where unknown.
    shape : tuple of int
        Of the array.
    gates : tuple of str
        Names of the row blocks.

    Returns
    -------
    words : str
        ``"gate f, unit 2, column 0"``.
    """
    if len(axes) != len(index):
        axes = ("",) * len(index)
    said = []
    for place, (i, axis) in enumerate(zip(index, axes, strict=True)):
        if axis == "T":
            said.append(f"t = {i}")
        elif axis == "B":
            said.append(f"batch row {i}")
        elif place == 0 and gates and is_gated(axis, shape[0], gates):
            block = shape[0] // len(gates)
            said.append(f"gate {gates[i // block]}, unit {i % block}")
        elif "T" in axes or "B" in axes:
            said.append(f"unit {i}")
        elif len(index) == 2:
            said.append(f"{'column' if place else 'row'} {i}")
        elif axis or len(index) == 1:
            said.append(f"unit {i}")
        else:
            said.append(f"index {i} of axis {place}")
    return ", ".join(said)


def is_gated(axis: str, rows: int, gates: tuple[str, ...]) -> bool:
    """Whether an axis holds one block of rows for each gate."""
    if axis:
        return axis == f"{len(gates)}{letter(axis)}"
    return rows % len(gates) == 0


def guess_gates(shapes: dict[str, tuple[int, ...]], axes: dict[str, Axes]) -> tuple[str, ...]:
    """Return the gates that the recurrent weight's shape tells of: (4H, H) is an LSTM's.

    Parameters
    ----------
    shapes : dict of str to shape
        Of every value.
    axes : dict of str to tuple of str
        Tokens, where known.

    Returns
    -------
    gates : tuple of str
        Empty if there is no such weight.
    """
    for name, shape in shapes.items():
        a = axes.get(name, ())
        if len(a) == 2 and a[0] in ("3H", "4H"):
            return GATES[int(a[0][0])]
        recurrent = "hh" in name.lower() and len(shape) == 2 and shape[1]
        if not a and recurrent and shape[0] // shape[1] in GATES and shape[0] % shape[1] == 0:
            return GATES[shape[0] // shape[1]]
    return ()
