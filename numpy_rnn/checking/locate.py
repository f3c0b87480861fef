"""From wrong numbers to the first wrong place, and to what it suggests.

A backward pass goes from the last step to the first and from the gates to the weights. So the
error at the latest step causes the earlier ones, and an error in the pre-activations causes those
in the weights. If the gradient of the input is right, so are the pre-activations' gradients, and
the sums over time that make the weights' gradients are wrong.

No backward pass returns dz, the gradient of the pre-activations, but it tells most: which gate, at
which step, in which row. One-hot inputs show it from outside. With another one for each step and
row, x[t,b] = e_(tB+b),

    dW_ih = sum_t,b dz[t,b] x[t,b]^T        has dz[t,b] as its column tB + b.

Comparing these columns with the complex step gives the gate, the timestep and the row where a
backward pass goes wrong first.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from numpy_rnn.checking.compare import Comparison, Context, Location, compare
from numpy_rnn.checking.derivatives import gradient
from numpy_rnn.checking.shapes import Axes, Given, draw, draw_gradients, letter_of
from numpy_rnn.checking.suggest import (
    contributions_by_loss,
    contributions_by_use,
    suggest_from_loss,
    suggest_from_use,
    suggest_in_time,
    suggest_whole,
)
from numpy_rnn.checking.target import PairTarget, Point, is_real
from numpy_rnn.functional.types import Array

MAX_ELEMENTS = 3000  # above this, nothing is done element by element


class Diagnosis(NamedTuple):
    """The first wrong place, and what the pattern of the errors suggests."""

    location: Location | None
    suggestions: list[str]


def locate(
    context: Context,
    comparisons: list[Comparison],
    given: Mapping[str, Given],
    sizes: Mapping[str, int],
) -> Diagnosis:
    """Find the wrong place that the other errors follow from.

    `comparisons` are those of the context, `given` the arguments as the user gave them, and
    `sizes` the size of each letter.
    """
    wrong = [c for c in comparisons if not c.right]
    located = sorted(wrong, key=lambda c: c.location is None)
    plain = Diagnosis(located[0].location, [])
    if sum(v.size for v in context.point.values.values() if is_real(v)) > MAX_ELEMENTS:
        return plain
    try:
        in_time = [c for c in wrong if "T" in context.axes.get(c.name, ())]
        if in_time and (dz := preactivations(context, given, sizes)) and dz.comparison.wrong_steps:
            return _from_preactivations(dz, context.gates)
        first = (in_time or located)[0]
        return Diagnosis(first.location, _suggestions(context, first, sizes))
    except Exception:  # code that cannot be cut in time
        return plain


class Preactivations(NamedTuple):
    """The gradient of the pre-activations, (T, B, G), as claimed and exact."""

    comparison: Comparison
    got: Array
    expected: Array


def preactivations(
    context: Context, given: Mapping[str, Given], sizes: Mapping[str, int]
) -> Preactivations | None:
    """Return the gradient of the pre-activations, by one-hot inputs.

    None if no argument is a sequence with a weight of its own, or the complex step is no use.
    """
    target, settings, regime = context.point.target, context.settings, context.regime
    if not isinstance(target, PairTarget) or context.method != "complex step":
        return None
    rng = np.random.default_rng(settings.seed)
    _, axes = draw(rng, given, sizes, regime)
    found = _input_and_weight(axes)
    if found is None:
        return None
    x, W = found
    T, B = sizes["T"], sizes["B"]
    wide = {**sizes, letter_of(axes[x][2]): T * B}
    values, axes = draw(rng, given, wide, regime)
    values[x] = np.eye(T * B).reshape(T, B, T * B)
    try:
        outputs = target.run(values).outputs
    except Exception:  # code that takes no one-hot input of another size
        return None
    point = Point(target, values, draw_gradients(rng, outputs, T, regime))
    expected, _ = gradient(point, W, "complex step")  # (G, T B)
    got = point.claimed()[W]
    if got is None or np.shape(got) != expected.shape:
        return None
    dz, claimed = (
        np.ascontiguousarray(a.T).reshape(T, B, len(expected)) for a in (expected, np.asarray(got))
    )
    here = Context(
        Point(target, {"dz": dz}, []),
        {"dz": ("T", "B", axes[W][0])},
        regime,
        settings._replace(rtol=regime.rtol, gates=()),
    )
    comparison = compare(here, "dz", claimed, dz)
    return Preactivations(comparison, claimed, dz)


def _input_and_weight(axes: Mapping[str, Axes]) -> tuple[str, str] | None:
    """Return the names of x (T, B, D) and of its weight (G, D)."""
    for x, a in axes.items():
        if len(a) == 3 and a[:2] == ("T", "B"):
            for W, b in axes.items():
                if len(b) == 2 and b[1] == a[2] and not {"T", "B"} & set(b):
                    return x, W
    return None


def _from_preactivations(dz: Preactivations, gates: tuple[str, ...]) -> Diagnosis:
    """Return the worst element of the latest wrong step, and the gates that are wrong there."""
    t = dz.comparison.wrong_steps[-1]
    got, expected = dz.got[t], dz.expected[t]  # (B, G)
    off = np.abs(got - expected)
    worst = int(np.argmax(np.where(np.isnan(off), np.inf, off)))
    b, row = (int(i) for i in np.unravel_index(worst, off.shape))
    block = got.shape[1] // len(gates) if gates else 1
    unit = f"gate {gates[row // block]}, unit {row % block}" if gates else f"unit {row}"
    location = Location(
        "pre-activation",
        f"t = {t}, batch row {b}, {unit}",
        float(got[b, row]),
        float(expected[b, row]),
    )
    wrong_gates: list[str] = []
    if gates:
        by_gate = off.reshape(len(off), len(gates), -1).max(axis=(0, 2))
        bound = dz.comparison.tolerance * np.abs(expected).max()
        wrong_gates = [g for g, wrong in zip(gates, by_gate > bound, strict=True) if wrong]
    suggestions = []
    if gates and len(wrong_gates) < len(gates):
        suggestions.append(f"at t = {t} {_only(wrong_gates)} wrong, the others are right")
    if wrong_gates == ["i", "f", "g"]:
        suggestions.append("those are the gates that feed c: is its gradient wrong, or its carry?")
    columns, name = slice(None), "the pre-activations' gradient"
    if text := suggest_in_time(dz.got, dz.expected, dz.comparison.wrong_steps):
        suggestions.append(f"{name} {text}")
    if len(wrong_gates) == 1:
        start = gates.index(wrong_gates[0]) * block
        columns, name = slice(start, start + block), f"the gradient of gate {wrong_gates[0]}"
    if text := suggest_whole(got[:, columns], expected[:, columns], {}):
        suggestions.append(f"at t = {t} {name} {text}")
    return Diagnosis(location, suggestions)


def _only(gates: list[str]) -> str:
    if len(gates) == 1:
        return f"only gate {gates[0]} is"
    return f"only gates {', '.join(gates[:-1])} and {gates[-1]} are"


def _suggestions(context: Context, first: Comparison, sizes: Mapping[str, int]) -> list[str]:
    """Return what one wrong gradient looks like."""
    name, point, method = first.name, context.point, context.method
    if first.problem is not None:
        return [f"{name}: {first.problem}"]
    got = np.asarray(point.claimed()[name])
    expected, _ = gradient(point, name, method)
    axes = context.axes.get(name, ())
    T, B = _time_and_batch(context, sizes)
    found = [(name, suggest_whole(got, expected, {"T": T, "B": B}))]
    if "T" in axes:
        found.append((name, suggest_in_time(got, expected, first.wrong_steps)))
    elif method == "complex step":
        # Of a weight made of blocks, one block may be wrong and the others right.
        rows = _wrong_rows(got, expected, first.tolerance)
        part = name if rows.all() else f"{name}, in its wrong rows,"
        by_loss = contributions_by_loss(point, name, T, B)
        if by_loss is not None:
            found.append((part, suggest_from_loss(got[rows], by_loss[:, :, rows])))
        if isinstance(point.target, PairTarget) and "B" not in axes:
            by_use = contributions_by_use(point, name, context.axes)
            if by_use is not None:
                found.append((part, suggest_from_use(got[rows], by_use[:, rows])))
    if not any(text for _, text in found):
        found.append((name, _equal_to_another(context, got, name)))
    return [f"the gradient of {part} {text}" for part, text in found if text]


def _wrong_rows(got: Array, expected: Array, tolerance: float) -> Array:
    """Return which rows of a gradient are wrong, as a mask of the first axis."""
    off = np.abs(got - expected)
    largest = off.reshape(len(off), -1).max(axis=1) if off.ndim else off
    rows: Array = ~(largest <= tolerance * np.abs(expected).max())
    return rows


def _time_and_batch(context: Context, sizes: Mapping[str, int]) -> tuple[int, int]:
    """Return T and B of an argument that has both, or what the letters say."""
    for name, axes in context.axes.items():
        if axes[:2] == ("T", "B"):
            T, B = context.point.values[name].shape[:2]
            return T, B
    return sizes["T"], sizes["B"]


def _equal_to_another(context: Context, got: Array, name: str) -> str | None:
    """Return which other argument of the same shape the gradient belongs to, if any."""
    for other, value in context.point.values.items():
        if other != name and is_real(value) and value.shape == got.shape:
            exact, _ = gradient(context.point, other, context.method)
            if exact.any() and np.allclose(got, exact, rtol=1e-7, atol=0):
                return f"equals that of {other}"
    return None
