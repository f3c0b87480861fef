"""Claimed gradients against derivatives, slice by slice, on one set of inputs.

An error counts relative to the largest entry of its timestep. With vanishing gradients the first
steps of dx are 1e-20 of the last. Relative to the whole tensor, a wrong early slice hides under
a right late one. Relative to itself it cannot.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from numpy_rnn.checking.derivatives import Method, directional, gradient
from numpy_rnn.checking.shapes import Axes, InputRegime, letter_of, time_axis_of
from numpy_rnn.checking.target import Gradients, Point, is_real
from numpy_rnn.checking.traced import moving_last_bits, traced
from numpy_rnn.functional.types import Array

GATES = {3: ("r", "z", "n"), 4: ("i", "f", "g", "o")}  # PyTorch's orders
FLOAT32_RTOL = 3e-3
MAX_EACH = 100  # above this, the worst element is not looked for, but any wrong one
MAX_ELEMENTS = 3000  # above this, nothing is done element by element
TRIES = 6  # runs with inputs moved by their last bits


class CheckSettings(NamedTuple):
    """Settings of differentiation and comparison. None stands for the default."""

    method: Literal["auto"] | Method  # auto: the complex step, while the code is analytic
    project: bool | None  # compare along random directions instead of element by element
    rtol: float | None
    gates: Sequence[str] | None  # names of the row blocks of the weights
    seed: int
    single: bool = False  # float32 inside: its precision is the most that can be asked for


class Context(NamedTuple):
    """One set of inputs, and all that is known about them."""

    point: Point
    axes: dict[str, Axes]  # tokens of the axes, where known
    regime: InputRegime
    settings: CheckSettings

    @property
    def method(self) -> Method:
        """How to differentiate."""
        return "complex step" if self.settings.method == "auto" else self.settings.method

    @property
    def gates(self) -> tuple[str, ...]:
        """The names of the row blocks of the weights, empty if there are none."""
        return tuple(self.settings.gates or ())


class Location(NamedTuple):
    """One element of one gradient, in the field's words, and both of its values."""

    parameter: str
    words: str  # "gate f, t = 4, batch row 1, unit 2"
    got: float
    expected: float

    def __str__(self) -> str:
        where = f"{self.parameter}, {self.words}" if self.words else self.parameter
        return f"{where}: got {self.got:.9g}, expected {self.expected:.9g}"


class Comparison(NamedTuple):
    """The result of comparing one gradient with the exact one: a row of the report."""

    name: str
    shape: tuple[int, ...]
    error: float  # worst, relative to its slice
    regime: str  # of the inputs
    tolerance: float
    wrong_steps: tuple[int, ...] = ()  # timesteps that are wrong; (0,) for a tensor without time
    location: Location | None = None  # of the worst element of the latest wrong step
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
        if got is None:  # no gradient is no wrong gradient; the report lists it
            continue
        if name in found_wrong:
            continue
        comparison = _compare_one(context, name, got)
        if comparison.wrong_steps:
            slack = rounding(context, claimed) if slack is None else slack
            comparison = _compare_one(context, name, got, slack.get(name))
        comparisons.append(comparison)
    return comparisons


def has_kink(context: Context, name: str) -> bool:
    """Whether the slopes to both sides of a value differ: it is exactly at a kink."""
    point, h = context.point, 1e-6
    value = point.values[name]
    step = h * np.random.default_rng(0).standard_normal(value.shape)
    below, here, above = (point.outputs_with(**{name: value + s * step}) for s in (-1, 0, 1))
    turns = [
        float(np.abs(a - 2 * b + c).max(initial=0.0))
        for a, b, c in zip(above, here, below, strict=True)
    ]
    return max(turns, default=0.0) > 1e-3 * h


def rounding(context: Context, claimed: Gradients) -> dict[str, Array]:
    """Return how far each element of the claimed gradients moves with its inputs' last bits.

    A slope computed from an output, 1 - h^2 with h near 1, has lost digits that no backward
    pass can restore. The gradient is right, and below that level it is noise. So the last bits of
    what functions like tanh return are moved too. Code that follows the dtype of its inputs is
    also run in extended precision, where the machine has it.
    """
    rng, point = np.random.default_rng(0), context.point
    moved = {n: np.zeros(np.shape(g)) for n, g in claimed.items() if is_real(np.asarray(g))}
    for name, exact in _in_extended_precision(point).items():
        if name in moved and np.shape(exact) == moved[name].shape:
            moved[name] += np.abs(exact - claimed[name]).astype(float)
    bits = 1.2e-7 if context.settings.single else 0.0
    for _ in range(TRIES):
        near = {
            n: v
            * (1 + max(np.finfo(v.dtype).eps, bits) * rng.integers(-2, 3, v.shape)).astype(v.dtype)
            if is_real(v)
            else v
            for n, v in point.values.items()
        }
        for again in (point._replace(values=near).claimed(), _with_moved_results(point, rng)):
            for name, most in moved.items():
                if np.shape(np.asarray(again.get(name))) == most.shape:
                    np.maximum(most, np.abs(again[name] - claimed[name]), out=most)
    if not context.regime.optional:
        return moved
    # Where inputs are of all magnitudes, what is far below the largest is rounding.
    largest = max((float(np.abs(g).max(initial=0.0)) for g in moved.values()), default=0.0)
    values = [v for v in (*point.values.values(), np.ones(1)) if is_real(v)]
    scales = [
        max(float(np.abs(a).max(initial=0.0)) for a in group) for group in (values, point.douts)
    ]
    floor = 1e-3 * largest + 1e-15 * scales[0] * scales[1]
    return {name: most + floor for name, most in moved.items()}


def _with_moved_results(point: Point, rng: np.random.Generator) -> Gradients:
    """Return the gradients with moved last bits inside, or nothing if the code refuses it."""
    values = {n: traced(np.array(v)) if is_real(v) else v for n, v in point.values.items()}
    try:
        with moving_last_bits(rng):
            found = point._replace(values=values).claimed()
    except Exception:  # whatever code raises that was not written for such arrays
        return {}
    return {name: np.array(g) for name, g in found.items() if is_real(np.asarray(g))}


def _in_extended_precision(point: Point) -> Gradients:
    """Return the gradients in extended precision, or nothing if the code refuses it."""
    longer = {n: v.astype(np.longdouble) if is_real(v) else v for n, v in point.values.items()}
    try:
        return point.target.run(longer).backward([d.astype(np.longdouble) for d in point.douts])
    except Exception:  # whatever code raises that was not written for it
        return {}


def _compare_one(context: Context, name: str, got: Any, slack: Array | None = None) -> Comparison:
    """Compare one gradient: along one direction, then by slices, then by elements."""
    value, by_element = context.point.values[name], context.settings.project is False
    fits = np.shape(got) == value.shape and np.isfinite(got).all()
    if fits and not by_element and slack is None and context.method == "complex step":
        error = _weighted_error(context, name, np.asarray(got))
        if error <= _tolerance(context, name):
            tolerance, slices = _tolerance(context, name), 1
            return Comparison(
                name, value.shape, error, context.regime.name, tolerance, slices=slices
            )
    if fits and not by_element:
        return _compare_projected(context, name, np.asarray(got), slack)
    expected, noise = gradient(context.point, name, context.method)
    return compare(context, name, got, expected, noise, slack)


def _weighted_error(context: Context, name: str, got: Array) -> float:
    """Return the error along one random direction in which every slice counts alike.

    A slice of the direction is divided by the largest entry of the gradient's slice. So an early
    slice of 1e-20 shows as much as a late one, in one evaluation.
    """
    rng = np.random.default_rng([context.settings.seed, *f"{name}, {context.regime.name}".encode()])
    axis = time_axis_of(context.axes.get(name, ()))
    sizes = np.abs(_by_slice(got, axis)).max(axis=1, initial=0.0)  # (S,)
    some = sizes[sizes > 0]
    sizes = np.where(sizes > 0, sizes, some.min() if len(some) else 1.0)
    if sizes.min(initial=1.0) < 1e-250:
        return np.inf
    weights = np.zeros(got.size)
    for elements, size in zip(_slices_of(got.shape, axis), sizes, strict=True):
        weights[elements] = rng.standard_normal(len(elements)) / size
    exact = directional(context.point, {name: weights.reshape(got.shape)}, context.method).value
    terms = got.ravel() * weights
    off = abs(float(terms.sum()) - exact)
    return off / max(float(np.sqrt(np.sum(terms**2))), abs(exact), 1e-300) if off else 0.0


def _tolerance(context: Context, name: str) -> float:
    if context.settings.rtol is not None:
        return context.settings.rtol
    if context.point.values[name].dtype == np.float32 or context.settings.single:
        return FLOAT32_RTOL
    if context.method == "complex step":
        return context.regime.rtol
    return max(1e-8, context.regime.rtol)  # differences resolve fewer digits


def compare(
    context: Context,
    name: str,
    got: Any,
    expected: Array,
    noise: float = 0.0,
    slack: Array | None = None,
) -> Comparison:
    """Compare a claimed gradient with the exact one, element by element.

    `noise` is the largest error of `expected` by rounding. A slice below it is left unresolved.
    `slack` is from :func:`rounding`.
    """
    if problem := _problem(got, expected):
        rtol, regime = _tolerance(context, name), context.regime.name
        return Comparison(name, expected.shape, np.inf, regime, rtol, problem=problem)
    time_axis = time_axis_of(context.axes.get(name, ()))
    mine, exact = _by_slice(np.asarray(got), time_axis), _by_slice(expected, time_axis)  # (S, n)
    off = np.abs(mine - exact)
    error = np.where(np.isfinite(mine), off, np.inf).max(axis=1, initial=0.0)  # (S,)
    scale = np.abs(exact).max(axis=1, initial=0.0)
    resolved = (noise == 0) | (error == 0) | (np.maximum(scale, error) > 30 * noise)
    allowed = np.zeros(len(error))
    if slack is not None:
        allowed = 30 * _by_slice(slack, time_axis).max(axis=1, initial=0.0)

    def worst_element(t: int) -> Location:
        worst = int(np.argmax(np.where(np.isnan(off[t]), np.inf, off[t])))
        element = _slices_of(expected.shape, time_axis)[t, worst]
        values = float(mine[t, worst]), float(exact[t, worst])
        return _location(context, name, element, expected.shape, *values)

    slices = Slices(error, scale, np.full(len(error), noise), allowed, resolved)
    return _judge(context, name, expected.shape, slices, worst_element)


class Slices(NamedTuple):
    """The errors of a gradient, slice by slice. All are arrays (S,)."""

    error: Array
    scale: Array  # of the exact gradient
    noise: Array  # of the exact gradient, by rounding
    allowed: Array  # what the rounding of the claimed gradient explains
    resolved: Array


def _judge(
    context: Context,
    name: str,
    shape: tuple[int, ...],
    slices: Slices,
    locate: Callable[[int], Location],
) -> Comparison:
    """Return the comparison. `locate` finds a wrong element of a slice."""
    rtol, (error, scale, noise, allowed, resolved) = _tolerance(context, name), slices
    with np.errstate(divide="ignore", invalid="ignore"):  # a slice that should be zero, and is not
        relative = np.where(error == 0, 0.0, error / scale)
    relative = np.where((error > rtol * scale) & (error <= allowed), rtol, relative)
    wrong = np.flatnonzero((error > rtol * scale + 10 * noise + allowed) & resolved)
    return Comparison(
        name,
        shape,
        error=float(np.max(relative[resolved], initial=0.0)),
        regime=context.regime.name,
        tolerance=rtol,
        wrong_steps=tuple(int(t) for t in wrong),
        location=locate(int(wrong[-1])) if len(wrong) else None,
        unresolved=int(np.count_nonzero(~resolved)),
        slices=len(error),
    )


def _problem(got: Any, expected: Array) -> str | None:
    """Return what keeps a gradient from being compared, if anything does."""
    if got is None:
        return "backward returns no gradient for it"
    got = np.asarray(got)
    if got.shape == expected.shape:
        return None
    text = f"its gradient has shape {got.shape}, expected {expected.shape}"
    if got.shape == expected.shape[::-1] and np.allclose(got.T, expected, rtol=1e-6):
        text += ": it is the transpose"
    return text


def _by_slice(array: Array, time_axis: int | None) -> Array:
    """Return an array as one row for each timestep, or as one row if it has no time."""
    if time_axis is None:
        return array.reshape(1, array.size)
    T = array.shape[time_axis]
    return np.moveaxis(array, time_axis, 0).reshape(T, array.size // max(T, 1))


def _slices_of(shape: tuple[int, ...], time_axis: int | None) -> Array:
    """Return the flat indices of a value's elements, a row for each slice."""
    return _by_slice(np.arange(np.prod(shape, dtype=int)).reshape(shape), time_axis)


def _location(
    context: Context, name: str, element: int, shape: tuple[int, ...], got: float, expected: float
) -> Location:
    """Return the place of an element, given its flat index, with both of its values."""
    index = tuple(int(i) for i in np.unravel_index(element, shape))
    text = words(index, context.axes.get(name, ()), shape, context.gates)
    return Location(name, text, got, expected)


def _compare_projected(context: Context, name: str, got: Array, slack: Array | None) -> Comparison:
    """Compare along one random direction for each time slice.

    A wrong gradient agrees along a random direction with probability zero. A bisection over the
    elements then finds one that is wrong.
    """
    point, value = context.point, context.point.values[name]
    rng = np.random.default_rng([context.settings.seed, *f"{name}, {context.regime.name}".encode()])
    elements = _slices_of(got.shape, time_axis_of(context.axes.get(name, ())))
    found = []
    for chosen in elements:
        direction = np.zeros(got.size, value.dtype)
        direction[chosen] = rng.standard_normal(len(chosen))
        exact = directional(point, {name: direction.reshape(got.shape)}, context.method)
        terms = got.flat[chosen] * direction[chosen]
        error, scale = abs(float(terms.sum()) - exact.value), float(np.sqrt(np.sum(terms**2)))
        scale = max(scale, abs(exact.value))
        allowed = 0.0 if slack is None else 100 * float(slack.flat[chosen].sum())
        unresolved = exact.noise and error <= 10 * exact.noise and scale <= 30 * exact.noise
        found.append((error, scale, exact.noise, allowed, not unresolved))
    slices = Slices(*(np.array(column) for column in zip(*found, strict=True)))
    return _judge(
        context, name, got.shape, slices, lambda t: _bisect(context, name, got, elements[t])
    )


def _bisect(context: Context, name: str, claimed: Array, elements: Array) -> Location:
    """Find an element whose claimed gradient is wrong, among these flat indices."""
    point, rng = context.point, np.random.default_rng(0)

    def both(elements: Array, signs: Any) -> tuple[float, float]:
        """Return the claimed and the exact derivative along these elements."""
        direction = np.zeros(claimed.size, point.values[name].dtype)
        direction[elements] = signs
        direction = direction.reshape(claimed.shape)
        exact = directional(point, {name: direction}, context.method).value
        return float(np.sum(claimed * direction)), exact

    if len(elements) <= MAX_EACH:  # the worst of all says most
        pairs = [both(np.array([e]), 1) for e in elements]
        elements = elements[[int(np.argmax([abs(a - b) for a, b in pairs]))]]
    while len(elements) > 1:
        halves = np.array_split(elements, 2)
        errors = [abs(np.subtract(*both(h, rng.choice([-1.0, 1.0], len(h))))) for h in halves]
        elements = halves[int(np.argmax(errors))]
    got, expected = both(elements, 1)
    return _location(context, name, elements[0], claimed.shape, got, expected)


def words(
    index: tuple[int, ...], axes: Axes, shape: tuple[int, ...], gates: tuple[str, ...]
) -> str:
    """Return the index of an element in the field's words: ``"gate f, unit 2, column 0"``."""
    if len(axes) != len(index):
        axes = ("",) * len(index)
    in_time, found = "T" in axes or "B" in axes, []
    gated = [place for place, axis in enumerate(axes) if _is_gated(axis, gates)]
    if not any(axes) and gates and shape and not shape[0] % len(gates):
        gated = [0]
    for place, (i, axis) in enumerate(zip(index, axes, strict=True)):
        if axis in ("T", "B"):
            found.append(f"t = {i}" if axis == "T" else f"batch row {i}")
        elif place in gated[:1]:
            block = shape[place] // len(gates)
            found.append(f"{gate_name(gates[i // block])}, unit {i % block}")
        elif len(index) == 2 and not in_time:
            found.append(f"{'column' if place else 'row'} {i}")
        elif in_time or axis or len(index) == 1:
            found.append(f"unit {i}")
        else:
            found.append(f"index {i} of axis {place}")
    return ", ".join(found)


def gate_name(gate: str) -> str:
    """Return how a report names a gate: a guess is a block, and its name a condition."""
    return gate if gate.startswith("block") else f"gate {gate}"


def _is_gated(axis: str, gates: tuple[str, ...]) -> bool:
    """Whether an axis has one block of rows for each gate."""
    return bool(gates and axis) and axis == f"{len(gates)}{letter_of(axis)}"


def guess_gates(shapes: dict[str, tuple[int, ...]], axes: dict[str, Axes]) -> tuple[str, ...]:
    """Return the blocks that a weight's shape implies: (4H, H) and (D, 4H) are an LSTM's.

    Which block is which gate cannot be seen, so its name is PyTorch's with an "if".
    """
    count = 0
    for name, shape in shapes.items():
        tokens = axes.get(name, ())
        found = [t[0] for t in tokens if t in ("3H", "4H")]
        recurrent = "hh" in name.lower() and len(shape) == 2 and shape[1]
        if found and not {"T", "B"} & set(tokens):
            count = int(found[0])
        elif not tokens and recurrent and shape[0] // shape[1] in GATES:
            count = 0 if shape[0] % shape[1] else shape[0] // shape[1]
        if count:
            order = GATES[count]
            return tuple(
                f"block {k + 1} of {count} ({g} if the order is PyTorch's)"
                for k, g in enumerate(order)
            )
    return ()
