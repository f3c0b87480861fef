"""From wrong numbers to the first wrong place, and to what it suggests.

A backward pass goes from the last step to the first and from the gates to the weights. So the
error at the latest step causes the earlier ones, and an error in the pre-activations causes those
in the weights. If the gradient of the input is right, so are the pre-activations' gradients, and
the sums over time that make the weights' gradients are wrong.

No backward pass returns dz, the gradient of the pre-activations, but it locates an error best: the
gate, the step and the row. One-hot inputs show it from outside. Each step and row gets one of its
own, x[t,b] = e_(tB+b), whatever the order of the axes. Then

    dW_ih = sum_t,b dz[t,b] x[t,b]^T        has dz[t,b] as its column tB + b.

A wrong gradient often equals the exact one scaled or transposed, or that of another argument.
Other causes are found by changes of the code, in ``repair.py``.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from numpy_rnn.checking.compare import Comparison, Context
from numpy_rnn.checking.derivatives import gradient
from numpy_rnn.checking.places import Location, find_place, first_of_backward, gate_name, words
from numpy_rnn.checking.shapes import Given, draw, draw_gradients, letter_of
from numpy_rnn.checking.side_effects import trace
from numpy_rnn.checking.target import Point, is_real, largest
from numpy_rnn.functional.types import Array

MAX_ELEMENTS = 3000  # above this, nothing is done element by element
CLOSE = 1e-7  # the relative distance at which a wrong gradient is taken for a suspect


class Diagnosis(NamedTuple):
    """The first wrong place, and what the pattern of the errors suggests."""

    location: Location | None
    suggestions: list[str]


NOT_LOCATED = Diagnosis(None, [])


def locate(
    context: Context,
    comparisons: list[Comparison],
    given: Mapping[str, Given],
    sizes: Mapping[str, int],
) -> Diagnosis:
    """Find the wrong place that the other errors follow from."""
    wrong = [c for c in comparisons if not c.right]
    order = {c.name: first_use(context.point, c.name) for c in wrong}
    located = sorted(wrong, key=lambda c: (c.problem is not None, -order[c.name]))
    if sum(v.size for v in context.point.values.values() if is_real(v)) <= MAX_ELEMENTS:
        with contextlib.suppress(Exception):  # code that cannot be cut in time
            in_time = [c for c in wrong if "T" in context.axes.get(c.name, ())]
            dz = preactivations(context, given, sizes) if in_time else None
            if dz and not dz.right.all():
                return _from_preactivations(dz, context)
            first = (in_time or located)[0]
            return Diagnosis(_place(context, first), _suggestions(context, first))
    return Diagnosis(_place(context, located[0]), [])


def _place(context: Context, comparison: Comparison) -> Location | None:
    if comparison.problem is not None:
        return None
    return find_place(context, comparison, np.asarray(context.point.claimed()[comparison.name]))


def first_use(point: Point, name: str) -> float:
    """Return when forward first computes with a value, as the number of an operation.

    Backward goes the other way. Of several wrong gradients, the one whose value is used last is
    made first, and the others follow from it or have the same cause. The value is NaN, so what is
    computed from it is seen.
    """
    poisoned = point.values | {name: np.full_like(point.values[name], np.nan)}
    found = trace(point._replace(values=poisoned)).first_nan
    return -1 if found is None else found


class Preactivations(NamedTuple):
    """The gradient of the pre-activations, (T, B, G), as claimed and exact."""

    got: Array
    expected: Array
    gates: tuple[str, ...]
    tolerance: float

    @property
    def right(self) -> Array:
        """Whether each step of each gate is right, (T, gates)."""
        shape = *self.got.shape[:2], max(1, len(self.gates)), -1
        off = np.abs(self.got - self.expected).reshape(shape).max(axis=(1, 3))
        return np.asarray(off <= self.tolerance * np.abs(self.expected).max(axis=(1, 2))[:, None])


def preactivations(
    context: Context, given: Mapping[str, Given], sizes: Mapping[str, int]
) -> Preactivations | None:
    """Return the gradient of the pre-activations, if an input has a weight of its own."""
    tried = (_by_one_hot(context, given, sizes, ns) for ns in _inputs_and_weights(context))
    return next(filter(None, tried), None)


def _by_one_hot(
    context: Context, given: Mapping[str, Given], sizes: Mapping[str, int], names: tuple[str, ...]
) -> Preactivations | None:
    """Return the gradient of the pre-activations, by one-hot inputs for this weight.

    None if the code takes no such inputs, or the weight multiplies the input of another step.
    """
    (x, W, inputs), axes, T, B = names, context.axes, sizes["T"], sizes["B"]
    target, settings, regime = context.point.target, context.settings, context.regime
    rng = np.random.default_rng(settings.seed)
    values, _ = draw(rng, given, {**sizes, letter_of(inputs): T * B}, regime)
    one_hot = np.eye(T * B).reshape(T, B, T * B)
    values[x] = np.ascontiguousarray(one_hot.transpose(["TB".find(axis) for axis in axes[x]]))
    try:
        outputs = target.run(values).outputs
    except Exception:  # code that takes no one-hot input of another size
        return None
    douts = draw_gradients(rng, outputs, T, regime)
    point = context.point._replace(values=values, douts=douts)
    expected = gradient(point, W, settings.method)  # (G, T B) or (T B, G)
    got = point.claimed()[W]
    if got is None or np.shape(got) != expected.shape:
        return None
    column = axes[W].index(inputs)
    dz, claimed = (
        np.ascontiguousarray(np.moveaxis(a, column, 0)).reshape(T, B, -1)
        for a in (expected, np.asarray(got))
    )
    if not (dz[0].any() and dz[-1].any()):
        return None
    return Preactivations(claimed, dz, settings.gates, regime.rtol)


def _inputs_and_weights(context: Context) -> Iterator[tuple[str, str, str]]:
    """Yield the names of x, with axes T, B and D in any order, of each weight of it, and D.

    Nothing for an object, or if the complex step is no use.
    """
    use = context.point.target.repeatable and context.settings.method != "central differences"
    for x, a in context.axes.items() if use else ():
        if len(a) == 3 and {"T", "B"} < set(a):
            (inputs,) = set(a) - {"T", "B"}
            for W, b in context.axes.items():
                if len(b) == 2 and b.count(inputs) == 1 and not {"T", "B"} & set(b):
                    yield x, W, inputs


def _from_preactivations(dz: Preactivations, context: Context) -> Diagnosis:
    """Return the worst element of the first wrong step, and the gates that are wrong there."""
    gates, first = dz.gates, first_of_backward(context)
    wrong_steps = tuple(np.flatnonzero(~dz.right.all(axis=1)).tolist())
    t = wrong_steps[first]
    got, expected = dz.got[t], dz.expected[t]  # (B, G)
    wrong_gates = [gate for gate, right in zip(gates, dz.right[t], strict=False) if not right]
    b, unit = np.unravel_index(int(np.abs(got - expected).argmax()), got.shape)
    axes = ("T", "B", f"{len(gates)}H" if gates else "H")
    place = words((t, int(b), int(unit)), axes, dz.got.shape, gates)
    location = Location("pre-activation", place, float(got[b, unit]), float(expected[b, unit]))
    suggestions = []
    if gates and len(wrong_gates) < len(gates):
        suggestions.append(f"at t = {t} {_only(wrong_gates)} wrong, the others are right")
    if wrong_gates == ["i", "f", "g"]:
        suggestions.append("those are the gates that feed c: is its gradient wrong, or its carry?")
    columns, name = slice(None), "the pre-activations' gradient"
    if first == -1 and (text := suggest_in_time(dz.got, wrong_steps)):
        suggestions.append(f"{name} {text}")
    if len(wrong_gates) == 1:
        units = got.shape[1] // len(gates)
        start = gates.index(wrong_gates[0]) * units
        columns, name = slice(start, start + units), f"the gradient of {gate_name(wrong_gates[0])}"
    if text := suggest_whole(got[:, columns], expected[:, columns], {}):
        suggestions.append(f"at t = {t} {name} {text}")
    return Diagnosis(location, suggestions)


def _only(gates: list[str]) -> str:
    if len(gates) == 1:
        return f"only {gate_name(gates[0])} is"
    kind = "" if gates[0].startswith("block") else "gates "
    return f"only {kind}{', '.join(gates[:-1])} and {gates[-1]} are"


def _suggestions(context: Context, first: Comparison) -> list[str]:
    """Return what one wrong gradient looks like."""
    name, point, method = first.name, context.point, context.settings.method
    if first.problem is not None:
        return [f"{name}: {first.problem}"]
    got = np.asarray(point.claimed()[name])
    expected = gradient(point, name, method)
    axes = context.axes.get(name, ())
    found = [suggest_whole(got, expected, _known_sizes(context))]
    if "T" in axes and first_of_backward(context) == -1:
        found.append(suggest_in_time(np.moveaxis(got, axes.index("T"), 0), first.wrong_steps))
    if not any(found):
        found.append(_equal_to_another(context, got, name))
    return [f"the gradient of {name} {text}" for text in found if text]


def _known_sizes(context: Context) -> Mapping[str, int]:
    """Return the sizes of the axes that are known."""
    shapes = ((axes, context.point.values[n].shape) for n, axes in context.axes.items())
    return {axis: n for axes, shape in shapes for axis, n in zip(axes, shape, strict=False)}


def _equal_to_another(context: Context, got: Array, name: str) -> str | None:
    """Return which other argument of the same shape the gradient belongs to, if any."""
    for other, value in context.point.values.items():
        if other != name and is_real(value) and value.shape == got.shape:
            exact = gradient(context.point, other, context.settings.method)
            if exact.any() and np.allclose(got, exact, rtol=1e-7, atol=0):
                return f"equals that of {other}: are two results in each other's place?"
    return None


def is_close(a: Array, b: Array) -> bool:
    """Whether two arrays are the same to a few digits, and not both zero."""
    return a.shape == b.shape and bool(b.any()) and largest(a - b) <= CLOSE * largest(b)


def suggest_whole(got: Array, expected: Array, sizes: Mapping[str, int]) -> str | None:
    """Return what a wrong gradient is as a whole, if it is something simple.

    `sizes` has T and B, if known: a factor of 1/B is a mean instead of a sum.
    """
    if not np.isfinite(got).all():
        return "is not finite"
    if not got.any():
        return "is zero everywhere: is it never written, or overwritten?"
    if expected.ndim == 2 and got.shape == expected.T.shape and is_close(got, expected.T):
        return "equals the transpose: is a transpose missing, or one too many?"
    factor = float(np.vdot(expected, got) / max(float(np.vdot(expected, expected)), 1e-290))
    # A number alone is always a multiple of another.
    says = got.size > 1 or any(abs(f - round(f)) < CLOSE for f in (factor, 1 / (factor or 1)))
    if factor and says and abs(factor - 1) > CLOSE and is_close(got, factor * expected):
        return _about_factor(factor, sizes)
    return _about_elements(got, expected)


def _about_elements(got: Array, expected: Array) -> str | None:
    off = np.abs(got - expected) / max(largest(expected), 1e-290)
    limit, cut = largest(got), off > CLOSE
    wrong = int(np.count_nonzero(off > 1e-12))
    larger = np.mean(np.abs(got) > np.abs(expected))  # rounding goes both ways
    if 1e-9 < largest(off) < 1e-5 and wrong > got.size / 2 and 0.1 < larger < 0.9:
        return "differs by the size of float32's rounding: is there a float32 array inside?"
    if (
        cut.any()
        and (np.abs(got[cut]) > limit * (1 - CLOSE)).all()
        and (np.abs(expected[cut]) > limit).all()
    ):
        return f"is at most {limit:.4g} where the right one is larger: is it clipped?"
    return f"is wrong in {wrong} of {got.size} elements" if 0 < wrong <= got.size / 4 else None


def _about_factor(factor: float, sizes: Mapping[str, int]) -> str:
    if np.isclose(factor, -1):
        return "has the opposite sign: is a minus missing, or one too many?"
    for name, what in (("B", "rows of the batch"), ("T", "timesteps")):
        size = sizes.get(name, 1)
        there = f"the right one, and there are {size} {what}"
        if size > 1 and np.isclose(factor, 1 / size):
            return f"is 1/{size} of {there}: a mean instead of a sum?"
        if size > 1 and np.isclose(factor, size):
            return f"is {size} times {there}: a sum instead of a mean?"
    return f"is off by a constant factor {factor:.6g}: is a factor missing, or one too many?"


def suggest_in_time(got: Array, wrong: tuple[int, ...]) -> str | None:
    """Return what is wrong with gradients (T, ...) at these steps, if it is something simple."""
    T = len(got)
    if wrong == (0,) and T > 1:
        zero = " (it is zero there)" if not got[0].any() else ""
        return f"is wrong only at t = 0{zero}: is the initial state's step skipped?"
    if wrong == (T - 1,) and T > 1:
        return "is wrong only at the last step: is the loop's first iteration a special case?"
    if not wrong or not got[wrong[-1] + 1 :].any():  # zero, so nothing is known of those steps
        return None
    if wrong[-1] == T - 2 and len(wrong) > T // 2:
        return (
            "is right at the last step, wrong before it: is the carry, the gradient that comes "
            "back through time, dropped or wrong?"
        )
    if wrong == tuple(range(wrong[-1] + 1)) and wrong[-1] < T - 2:
        return (
            f"is right for the last {T - 1 - wrong[-1]} steps, wrong before them: "
            f"does something happen at t = {wrong[-1]}, or is time truncated?"
        )
    return None
