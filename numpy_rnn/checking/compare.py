"""Claimed gradients against derivatives, slice by slice, on one set of inputs.

An error counts relative to the largest entry of its timestep. With vanishing gradients the first
steps of dx are 1e-20 of the last. An error relative to the whole tensor would not show that an
early slice is wrong.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, NamedTuple

import numpy as np

from numpy_rnn.checking.derivatives import Derivative, Method, directional
from numpy_rnn.checking.nested import Gradients
from numpy_rnn.checking.regimes import InputRegime
from numpy_rnn.checking.shapes import Axes
from numpy_rnn.checking.target import Point, is_real, largest, of_real
from numpy_rnn.checking.traced import traced, tracing
from numpy_rnn.functional.types import Array

FLOAT32_RTOL = 3e-3
TRIES = 6  # runs with inputs moved by their last bits


class CheckSettings(NamedTuple):
    """Settings of differentiation and comparison."""

    method: Method
    rtol: float | None  # None: as fits the method and the inputs
    gates: tuple[str, ...]  # names of the row blocks of the weights, empty if there are none
    seed: int
    single: bool = False  # float32 inside: its precision is the most that can be asked for


class Context(NamedTuple):
    """One set of inputs, and all that is known about them."""

    point: Point
    axes: dict[str, Axes]  # tokens of the axes, where known
    regime: InputRegime
    settings: CheckSettings


class Comparison(NamedTuple):
    """The result of comparing one gradient with the exact one: a row of the report."""

    name: str
    shape: tuple[int, ...]
    error: float  # worst, relative to its slice
    regime: str  # of the inputs
    tolerance: float
    wrong_steps: tuple[int, ...] = ()  # timesteps that are wrong; (0,) for a tensor without time
    problem: str | None = None  # no gradient, or one of another shape
    unresolved: int = 0  # slices too small for the method to resolve
    slices: int = 1

    @property
    def right(self) -> bool:
        """Whether the gradient is there, and right at every step."""
        return self.problem is None and not self.wrong_steps


def compare_all(context: Context, found_wrong: Collection[str] = ()) -> list[Comparison]:
    """Compare the claimed gradient of every real value that was not found wrong before.

    A gradient that looks wrong is compared again, with the effect of :func:`rounding` allowed.
    """
    point = context.point
    claimed = point.claimed()
    comparisons = []
    slack: dict[str, Array] | None = None
    for name in point.real_names():
        got = claimed.get(name)
        if got is None or name in found_wrong:  # the report lists a gradient that is missing
            continue
        comparison = _compare_one(context, name, got)
        if comparison.wrong_steps:
            slack = rounding(context, claimed) if slack is None else slack
            allowed = slack.get(name, np.zeros(np.shape(got)))
            comparison = _compare_one(context, name, got, allowed)
        comparisons.append(comparison)
    return comparisons


def has_kink(context: Context, name: str) -> bool:
    """Whether the slopes to both sides of a value differ: it is exactly at a kink."""
    point, value = context.point, context.point.values[name]
    direction = np.random.default_rng(0).standard_normal(value.shape)
    turns = []
    for h in (1e-4, 2.5e-5):  # a kink's turn is four times smaller then, any other 16 times
        moved = (point.outputs_with({name: value + s * h * direction}) for s in (-1, 0, 1))
        turns.append(largest(*(a - 2 * b + c for a, b, c in zip(*moved, strict=True))))
    return turns[1] > max(turns[0] / 8, 1e-11)


def rounding(context: Context, claimed: Gradients) -> dict[str, Array]:
    """Return how far each element of the claimed gradients moves with its inputs' last bits.

    A slope computed from an output, 1 - h^2 with h near 1, has lost digits that no backward
    pass can restore. The gradient is right, and below that level it is noise. So the last bits of
    what functions like tanh return are moved too, if the code takes tracing arrays.
    """
    rng, point = np.random.default_rng(0), context.point
    moved = {n: np.zeros(np.shape(g)) for n, g in claimed.items() if is_real(np.asarray(g))}
    bits = 1.2e-7 if context.settings.single else 0.0

    def move(v: Array) -> Array:
        factor = 1 + max(np.finfo(v.dtype).eps, bits) * rng.integers(-2, 3, v.shape)
        return np.asarray(v * factor.astype(v.dtype))

    for _ in range(TRIES):
        near = point._replace(values=of_real(move, point.values))
        values, douts = of_real(traced, near.values), [traced(dout) for dout in near.own_douts()]
        with tracing(last_bits=rng):
            try:
                again = near._replace(values=values, douts=douts).claimed()
            except Exception:  # whatever code raises that was not written for such arrays
                again = near.claimed()
        for name, most in moved.items():
            if np.shape(again.get(name, ())) == most.shape:
                np.maximum(most, _finite_change(np.asarray(again[name]), claimed[name]), out=most)
    if not context.regime.optional:
        return moved
    # Where inputs are of all magnitudes, what is far below the largest is rounding.
    inputs = [point.values[name] for name in point.real_names()]
    floor = 1e-3 * largest(*moved.values()) + 1e-15 * largest(1, *inputs) * largest(*point.douts)
    return {name: most + floor for name, most in moved.items()}


def _finite_change(again: Array, claimed: Array) -> Array:
    """Return by how much gradients differ. A NaN must not excuse an error, so it counts as 0."""
    change = np.abs(again - claimed).astype(float)
    return np.where(np.isfinite(change), change, 0.0)


def _compare_one(context: Context, name: str, got: Any, slack: Array | None = None) -> Comparison:
    """Compare one gradient: along one direction, and if that shows an error along more.

    `slack` is from :func:`rounding`.
    """
    shape, got = context.point.values[name].shape, np.asarray(got)
    if problem := _problem(context, name, got):
        rtol, regime = _tolerance(context, name), context.regime.name
        return Comparison(name, shape, np.inf, regime, rtol, problem=problem)

    if slack is None and context.settings.method != "central differences":
        error, rtol = _weighted_error(context, name, got), _tolerance(context, name)
        if error <= rtol:
            return Comparison(name, shape, error, context.regime.name, rtol)
    return _compare_slices(context, name, got, slack)


def exact(context: Context, name: str, direction: Array) -> Derivative:
    """Return the derivative along a direction of one value."""
    return directional(context.point, {name: direction}, context.settings.method)


def _weighted_error(context: Context, name: str, got: Array) -> float:
    """Return the error along one random direction in which every slice counts alike.

    A slice of the direction is divided by the largest entry of the gradient's slice. So an early
    slice of 1e-20 shows as much as a late one, in one evaluation.
    """
    slices = slices_of(got.shape, context.axes.get(name, ()))
    sizes = np.abs(got.ravel()[slices]).max(axis=1, initial=0.0)  # (S,)
    some = sizes[sizes > 0]
    sizes = np.where(sizes > 0, sizes, some.min() if len(some) else 1.0)
    if sizes.min(initial=1.0) < 1e-250:
        return np.inf
    weights = np.zeros(got.size)
    weights[slices] = _generator(context, name).standard_normal(slices.shape) / sizes[:, None]
    value = exact(context, name, weights.reshape(got.shape)).value
    terms = got.ravel() * weights
    off = abs(float(terms.sum()) - value)
    return off / max(float(np.sqrt(np.sum(terms**2))), abs(value), 1e-300) if off else 0.0


def _generator(context: Context, name: str) -> np.random.Generator:
    """Return a generator with a seed of its own for each value and regime."""
    return np.random.default_rng(
        [context.settings.seed, *f"{name}, {context.regime.name}".encode()]
    )


def _tolerance(context: Context, name: str) -> float:
    if context.settings.rtol is not None:
        return context.settings.rtol
    value = context.point.values.get(name)
    if context.settings.single or (value is not None and value.dtype == np.float32):
        return FLOAT32_RTOL
    if context.settings.method != "central differences":
        return context.regime.rtol
    return max(1e-8, context.regime.rtol)  # differences resolve fewer digits


def _compare_slices(
    context: Context, name: str, got: Array, slack: Array | None = None
) -> Comparison:
    """Compare a claimed gradient along one random direction for each time slice.

    A wrong gradient agrees along a random direction with probability zero. A slice below its
    rounding error is left unresolved.
    """
    rtol, rng = _tolerance(context, name), _generator(context, name)
    worst, unresolved, wrong = 0.0, 0, list[int]()
    slices = slices_of(got.shape, context.axes.get(name, ()))
    for t, chosen in enumerate(slices):
        direction = np.zeros(got.size)
        direction[chosen] = rng.standard_normal(len(chosen))
        value, noise = exact(context, name, direction.reshape(got.shape))
        terms = got.flat[chosen] * direction[chosen]
        error = abs(float(terms.sum()) - value)
        scale = max(float(np.sqrt(np.sum(terms**2))), abs(value))
        if noise and error <= 10 * noise and scale <= 30 * noise:
            unresolved += 1
            continue
        allowed = 0.0 if slack is None else 100 * float(slack.flat[chosen].sum())
        if error > rtol * scale:  # what is above the rounding error counts
            error = max(0.0, error - 10 * noise - allowed)
        worst = max(worst, error / scale if scale else 0.0)
        if error > rtol * scale:
            wrong.append(t)
    return Comparison(
        *(name, got.shape, worst, context.regime.name, rtol),
        *(tuple(wrong), None, unresolved, len(slices)),
    )


def _problem(context: Context, name: str, got: Array) -> str | None:
    """Return what keeps a gradient from being compared, if anything does."""
    shape = context.point.values[name].shape
    if got.shape == shape:
        return None if np.isfinite(got).all() else "its gradient is not finite"
    text = f"its gradient has shape {got.shape}, expected {shape}"
    if got.shape == shape[::-1] and _compare_one(context, name, got.T).right:
        text += ": it is the transpose"
    return text


def slices_of(shape: tuple[int, ...], axes: Axes) -> Array:
    """Return the flat indices of a value's elements: a row for each step, or one row."""
    indices = np.arange(np.prod(shape, dtype=int)).reshape(shape)
    if "T" not in axes:
        return indices.reshape(1, indices.size)
    T = shape[axes.index("T")]
    return np.moveaxis(indices, axes.index("T"), 0).reshape(T, indices.size // max(T, 1))
