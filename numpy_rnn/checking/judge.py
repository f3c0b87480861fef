"""Every gradient of a subject against its derivative, on one set of inputs."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from numpy_rnn.checking.compare import Comparison, Place, compare, words
from numpy_rnn.checking.methods import Method, blocks, directional, disagreement, gradient
from numpy_rnn.checking.shapes import Axes, Regime
from numpy_rnn.checking.subject import Subject, Values, copies, is_real
from numpy_rnn.functional.types import Array

FEW = 100  # elements up to which each is looked at, however many the other values have
TRIES = 6  # of inputs moved by their last bits


class Settings(NamedTuple):
    """How to differentiate, and what to ask."""

    method: Method
    project: bool  # along random directions in place of element by element
    rtol: float | None
    gates: tuple[str, ...]
    seed: int


def compare_all(
    subject: Subject,
    values: Values,
    axes: dict[str, Axes],
    douts: list[Any],
    settings: Settings,
    regime: Regime,
) -> list[Comparison]:
    """Compare the gradient of every real value.

    What looks wrong is looked at again, with :func:`rounding` allowed for.

    Parameters
    ----------
    subject : Subject
        Whose gradients are compared.
    values : dict
        Where.
    axes : dict of str to tuple of str
        Tokens of the axes, where known.
    douts : list of arrays
        Gradient of each output.
    settings : Settings
        How.
    regime : Regime
        What the inputs are.

    Returns
    -------
    comparisons : list of Comparison
    """
    claimed = subject.run(values).backward(copies(douts))
    found: list[Comparison] = []
    slack: dict[str, Array] | None = None
    for name, value in values.items():
        if not is_real(value) or name not in claimed:
            continue
        comparison = _one(subject, values, axes, douts, settings, regime, name, claimed[name])
        if comparison.wrong_steps:
            slack = rounding(subject, values, douts, claimed) if slack is None else slack
            comparison = _one(
                subject, values, axes, douts, settings, regime, name, claimed[name], slack[name]
            )
        found.append(comparison)
    return found


def rounding(
    subject: Subject, values: Values, douts: list[Any], claimed: dict[str, Any]
) -> dict[str, Array]:
    """Return how far each claimed gradient moves when its inputs move by their last bits.

    A slope computed from an output, 1 - h^2 with h near 1, has lost digits that no backward
    pass can bring back: the gradient is right, and is noise below that. Code that follows its
    inputs' dtype is also run in extended precision, where that is more than float64.

    Parameters
    ----------
    subject, values, douts
        As for :func:`compare_all`.
    claimed : dict of str to array
        The gradients as they are.

    Returns
    -------
    moved : dict of str to array
        Largest change of each element.
    """
    rng = np.random.default_rng(0)
    moved = {n: np.zeros(np.shape(g)) for n, g in claimed.items() if g is not None}
    for name, exact in _extended(subject, values, douts).items():
        if exact is not None and np.shape(exact) == moved[name].shape:
            moved[name] += np.abs(exact - claimed[name]).astype(float)
    for _ in range(TRIES):
        near = {
            n: v * (1 + np.finfo(v.dtype).eps * rng.integers(-2, 3, v.shape)).astype(v.dtype)
            if is_real(v)
            else v
            for n, v in values.items()
        }
        again = subject.run(near).backward(copies(douts))
        for name, most in moved.items():
            np.maximum(most, np.abs(again[name] - claimed[name]), out=most)
    return moved


def _extended(subject: Subject, values: Values, douts: list[Any]) -> dict[str, Any]:
    """Return the gradients in extended precision, or nothing where the code refuses it."""
    long = {n: v.astype(np.longdouble) if is_real(v) else v for n, v in values.items()}
    try:
        return subject.run(long).backward([d.astype(np.longdouble) for d in douts])
    except Exception:  # code that was not written for it
        return {}


def _one(
    subject: Subject,
    values: Values,
    axes: dict[str, Axes],
    douts: list[Any],
    settings: Settings,
    regime: Regime,
    name: str,
    got: Any,
    slack: Array | None = None,
) -> Comparison:
    value, a = values[name], axes.get(name, ())
    # Central differences see five digits fewer, in every regime.
    rtol = regime.rtol if settings.method == "complex step" else min(1e5 * regime.rtol, 1e-3)
    if value.dtype == np.float32:
        rtol = 3e-3
    rtol = rtol if settings.rtol is None else settings.rtol
    if settings.project and value.size > FEW and np.shape(got) == value.shape:
        seed = [settings.seed, *f"{name}, {regime.name}".encode()]
        rng = np.random.default_rng(seed)
        claimed = np.asarray(got)
        return _project(subject, values, douts, name, claimed, a, settings, rtol, slack, rng)
    expected, noise = gradient(subject, values, douts, name, settings.method)
    return compare(name, got, expected, a, settings.gates, rtol, noise, slack)


def _project(
    subject: Subject,
    values: Values,
    douts: list[Any],
    name: str,
    got: Array,
    axes: Axes,
    settings: Settings,
    rtol: float,
    slack: Array | None,
    rng: np.random.Generator,
) -> Comparison:
    """Compare along one random direction for each time slice."""
    time_axis = axes.index("T") if "T" in axes else None
    worst, wrong, place, unresolved = 0.0, [], None, 0
    for t, block in enumerate(blocks(got.shape, time_axis)):
        direction = np.zeros(got.shape, values[name].dtype)
        direction[block] = rng.standard_normal(np.shape(direction[block]))
        exact = directional(subject, values, douts, name, direction, settings.method)
        terms = got[block] * direction[block]
        off, scale = abs(float(terms.sum()) - exact.value), float(np.sqrt(np.sum(terms**2)))
        scale = max(scale, abs(exact.value))
        allowed = 10 * exact.noise + (0 if slack is None else 100 * float(slack[block].sum()))
        if off > rtol * scale + allowed:
            wrong.append(t)
            worst = max(worst, off / max(scale, 1e-290))
            index, mine, right = disagreement(
                subject, values, douts, name, got, settings.method, np.flatnonzero(direction)
            )
            place = Place(name, words(index, axes, got.shape, settings.gates), mine, right)
        elif exact.noise and off <= 10 * exact.noise and scale <= 1e3 * exact.noise:
            unresolved += 1
        elif off > rtol * scale:
            worst = max(worst, rtol)  # within rounding
        else:
            worst = max(worst, off / max(scale, 1e-290))
    return Comparison(name, got.shape, worst, rtol, tuple(wrong), place, None, unresolved, t + 1)
