"""Faults of a pass besides wrong numbers: side effects, randomness, clipping, lost precision.

A pass must not change its inputs, its cache or the gradient it was given. Called twice, backward
must return the same bits. It is linear in its gradient, so nothing may be clipped inside. Nothing
is random, float64 stays float64 throughout, and no number is NaN.
"""

from __future__ import annotations

import contextlib
import traceback
import warnings
from typing import Any, NamedTuple

import numpy as np

from numpy_rnn.checking.nested import Gradients, arrays_of, path_text
from numpy_rnn.checking.target import (
    CACHES,
    ForwardPass,
    Point,
    argument_names,
    is_real,
    largest,
    of_real,
)
from numpy_rnn.checking.traced import Record, line_of_user, stand_ins, traced, tracing
from numpy_rnn.functional.types import Array

# The kinds that leave the numbers of a first backward right, by the word that allows them.
SIDE_EFFECTS = {
    "accumulates": "second backward differs",
    "changes input": "input changed",
    "changes cache": "cache changed",
    "changes gradient": "incoming gradient changed",
    "updates parameters": "parameters changed",
    "float32": "float32",
}
# What makes the numbers themselves wrong, somewhere.
KINDS = SIDE_EFFECTS | {"clips": "not linear", "random": "random", "unchecked": "not checked"}


class Violation(NamedTuple):
    """Something that a pass did and must not do."""

    kind: str  # "input changed", "cache changed", "not linear", ...
    text: str  # one line: what, and where


def find_not_finite(point: Point) -> Violation | None:
    """Return the first NaN or infinity: in the outputs, by time, then in the gradients."""
    result = point.target.run(point.values)
    for i, out in enumerate(result.outputs):
        if not np.isfinite(out).all():
            which = f"output {i}" if len(result.outputs) > 1 else "the output"
            text = f"{which} of forward is {_first_bad(out, earliest=True)}"
            return Violation("not finite", text)
    for name, gradient in result.backward(point.own_douts()).items():
        array = np.asarray(gradient)  # what is no array of numbers has another problem
        if array.dtype.kind in "fc" and not np.isfinite(array).all():
            return Violation("not finite", f"the gradient of {name} is {_first_bad(gradient)}")
    return None


def _first_bad(array: Any, *, earliest: bool = False) -> str:
    array = np.asarray(array)
    bad = np.argwhere(~np.isfinite(array))
    # Forward goes wrong first at the earliest step; backward comes from the other end.
    index = tuple(int(i) for i in bad[0 if earliest else -1])
    time = f", first at t = {index[0]}" if len(index) == 3 else ""
    return f"{array[index]} at index {index}{time}"


def find_violations(point: Point, record: Record) -> list[Violation]:
    """Run both passes several times and return what they did and must not do.

    The outputs at these inputs must be finite. `record` is what tracing arrays met in both passes.
    """
    found, outputs, first = _find_changes(point)
    again = point.target.run(point.values)
    same = all(a.tobytes() == b.tobytes() for a, b in zip(outputs, again.outputs, strict=True))
    repeated = _own_copies(again.backward(point.own_douts()))
    name = _first_different(first, repeated)
    if not same or name:
        what = f"gradient of {name}" if same else "output"
        text = f"two calls with the same arguments return another {what}: is something random?"
        found.append(Violation("random", text))
    else:
        if point.target.repeatable and (text := _second_differs(point, first, again)):
            found.append(Violation("second backward differs", text))
        if point.target.linear:
            found += _find_not_linear(point, first)
    if "backward updates the parameters" in point.target.remarks:
        found.append(Violation("parameters changed", "backward updates the parameters"))
    return found + _find_single_precision(point, record, outputs, first)


def _second_differs(point: Point, first: Gradients, result: ForwardPass) -> str:
    """Return how a second backward of a result differs from the first, or an empty string."""
    try:
        second = _own_copies(result.backward(point.own_douts()))
    except Exception as error:  # whatever code raises that has used up its cache
        kind = type(error).__name__
        return f"a second backward fails ({kind}: {error}): did the first use up the cache?"
    name = _first_different(first, second)
    return name and f"a second backward returns another gradient of {name}: did the first write?"


def _find_changes(point: Point) -> tuple[list[Violation], list[Array], Gradients]:
    """Return what the passes write to and must not, the outputs and the gradients."""
    target = point.target
    received = point.own_douts()
    result = target.run(point.values)
    outputs = [np.array(out) for out in result.outputs]  # copies: backward may write to them
    given = {name: value for name, value in point.values.items() if name in result.inputs}
    found = _changed("forward", "input changed", given, result.inputs)
    before = {path: array.copy() for path, array in _in_cache(result.cache).items()}
    gradients = _own_copies(result.backward(received))
    found += _changed("backward", "input changed", given, result.inputs)
    found += _changed("backward", "cache changed", before, _in_cache(result.cache))
    names = argument_names(target.backward, len(received) + len(CACHES))
    names = [name for name in names if name.lower() not in CACHES][: len(received)]
    sent, kept = (dict(zip(names, douts, strict=True)) for douts in (point.douts, received))
    found += _changed("backward", "incoming gradient changed", sent, kept)
    return found, outputs, gradients


def _in_cache(cache: Any) -> dict[str, Array]:
    return {f"cache{path_text(path)}": array for path, array in arrays_of(cache).items()}


def _changed(who: str, kind: str, before: Any, after: Any) -> list[Violation]:
    """Return a violation for the first array that is not what it was."""
    arrays = {name: old for name, old in before.items() if isinstance(old, np.ndarray)}
    name = _first_different(arrays, after)
    return [Violation(kind, f"{who} changes {name}")] if name else []


def _own_copies(gradients: Gradients) -> Gradients:
    return {n: None if g is None else np.array(g) for n, g in gradients.items()}


def _first_different(before: Gradients, after: Gradients) -> str:
    """Return the name of an array that differs in a bit, or an empty string."""
    for name, a in before.items():
        both = (a, after.get(name))
        old, new = (g is not None and (g.shape, g.dtype, g.tobytes()) for g in both)
        if old != new:
            return name
    return ""


def _find_not_linear(point: Point, first: Gradients) -> list[Violation]:
    # Clipping shows on large gradients, a threshold on small ones. A power of two changes no digit.
    for factor, shown in ((2.0**13, "2^13"), (-(2.0**-66), "-2^-66")):
        scaled = point._replace(douts=[factor * d for d in point.douts]).claimed()
        for name, g in first.items():
            if g is None or scaled[name] is None:
                continue
            again = np.asarray(scaled[name])
            off = largest(again / factor - g)
            if np.array_equal(again, g) and np.any(g):
                text = f"the gradient of {name} does not depend on the one that comes in: ignored?"
            elif off > 1e-5 * largest(g):  # more than rounding, which is reported on its own
                cause = "clipped" if largest(again / factor) < largest(g) else "not linear in them"
                text = (
                    f"incoming gradients times {shown} do not give the gradient of {name} times "
                    f"{shown}: is it {cause} inside?"
                )
            else:
                continue
            return [Violation("not linear", text)]
    return []


def _find_single_precision(
    point: Point, record: Record, outputs: list[Array], gradients: Gradients
) -> list[Violation]:
    if any(is_real(v) and v.dtype != np.float64 for v in point.values.values()):
        return []  # not a float64 computation
    lines = [note for note in record.notes if "32" in note or "16" in note]
    arrays = {f"output {i}": out for i, out in enumerate(outputs)}
    if point.target.linear:  # a difference of parameters has few digits
        arrays |= {f"the gradient of {n}": g for n, g in gradients.items() if is_real(g)}
    for name, array in arrays.items():
        if array.dtype.itemsize < 8 or _has_singles_digits(array):
            where = f": {lines[0]}" if lines else ""
            return [Violation("float32", f"{name} has only float32's digits{where}")]
    return [Violation("float32", f"float64 becomes float32: {lines[0]}")] if lines else []


def _has_singles_digits(array: Array) -> bool:
    """Whether numbers in float64 all fit in float32, as if they had been through it."""
    if array.size <= 8 or not np.array_equal(array.astype(np.float32), array):
        return False
    # Small multiples of a power of two fit anyway.
    return bool(np.ptp(array) > 0 and not np.array_equal(np.round(array * 1024), array * 1024))


def why_not_analytic(point: Point) -> str:
    """Return which operation the complex step does not get through, and its line if known."""
    moved = of_real(lambda v: v + 1e-30j, point.values)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", np.exceptions.ComplexWarning)
            point.target.run(moved)
    except Exception as error:  # whatever the code raises is the answer
        line = line_of_user(traceback.extract_tb(error.__traceback__))
        return f"{line} ({type(error).__name__}: {error})"
    notes = trace(point._replace(values=moved)).notes
    return next(iter(notes), "the imaginary part it returns is not its slope")


def trace(point: Point, *, both: bool = False) -> Record:
    """Return what tracing arrays record in forward, or in both passes."""
    values = of_real(lambda v: traced(np.array(v)), point.values)
    # Code that refuses tracing arrays records nothing, which is no error.
    record = Record()
    buffers = stand_ins(*point.target.code, complex_buffers=False)
    quiet = warnings.catch_warnings(action="ignore")
    with tracing(record=record), buffers, quiet, contextlib.suppress(Exception):
        result = point.target.run(values)
        if both:
            result.backward([traced(np.array(dout)) for dout in point.douts])
    return record
