"""Faults of a pass besides wrong numbers: side effects, randomness, clipping, lost precision.

A pass must not change its inputs, its cache or the gradient it was given. Called twice, backward
must return the same bits. It is linear in its gradient, so nothing may be clipped inside. Nothing
is random, float64 stays float64 throughout, and no number is NaN.

The complex step needs code that is analytic: no absolute value, conjugate, real part or buffer of
real numbers between input and output. A tracing array records each operation that breaks this,
or drops to float32, with the line of code that did it.
"""

from __future__ import annotations

import contextlib
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from numpy_rnn.checking.target import Gradients, Point, arrays_in, is_real
from numpy_rnn.functional.types import Array

# Functions of a complex number that have no complex derivative, or another one.
NOT_ANALYTIC = {
    "absolute", "fabs", "conjugate", "real", "imag", "angle", "sign", "norm", "vdot", "floor",
    "ceil", "rint", "around", "round", "nan_to_num", "real_if_close", "hypot", "cbrt",
}  # fmt: skip
SINGLE = (np.dtype(np.float32), np.dtype(np.complex64), np.dtype(np.float16))
HERE = str(Path(__file__).parent)
NUMPY = str(Path(np.__file__).parent)


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
        if gradient is not None and not np.isfinite(gradient).all():
            return Violation("not finite", f"the gradient of {name} is {_first_bad(gradient)}")
    return None


def _first_bad(array: Any, *, earliest: bool = False) -> str:
    array = np.asarray(array)
    bad = np.argwhere(~np.isfinite(array))
    # Forward goes wrong first at the earliest step; backward comes from the other end.
    index = tuple(int(i) for i in bad[0 if earliest else -1])
    time = f", first at t = {index[0]}" if len(index) == 3 else ""
    return f"{array[index]} at index {index}{time}"


def find_violations(point: Point) -> list[Violation]:
    """Run both passes several times and return what they did and must not do.

    The outputs at these inputs must be finite.
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
        if point.target.repeatable:
            second = _own_copies(again.backward(point.own_douts()))
            if name := _first_different(first, second):
                text = f"a second backward returns another gradient of {name}: did the first write?"
                found.append(Violation("second backward differs", text))
        found += _find_not_linear(point, first)
    return found + _find_single_precision(point, first)


def _find_changes(point: Point) -> tuple[list[Violation], list[Array], Gradients]:
    """Return what the passes write to and must not, the outputs and the gradients."""
    target = point.target
    received = point.own_douts()
    result = target.run(point.values)
    outputs = [np.array(out) for out in result.outputs]  # copies: backward may write to them
    given = {name: value for name, value in point.values.items() if name in result.inputs}
    found = _changed("forward", "input changed", given, result.inputs)
    before = {path: array.copy() for path, array in arrays_in(result.cache, "cache").items()}
    gradients = _own_copies(result.backward(received))
    found += _changed("backward", "input changed", given, result.inputs)
    found += _changed("backward", "cache changed", before, arrays_in(result.cache, "cache"))
    names = target.cotangent_names(len(received))
    sent, kept = (dict(zip(names, douts, strict=True)) for douts in (point.douts, received))
    found += _changed("backward", "incoming gradient changed", sent, kept)
    return found, outputs, gradients


def _changed(who: str, kind: str, before: Any, after: Any) -> list[Violation]:
    """Return a violation for the first array that is not what it was."""
    for name, old in before.items():
        if isinstance(old, np.ndarray) and not _same_bits(old, after.get(name)):
            return [Violation(kind, f"{who} changes {name}")]
    return []


def _same_bits(a: Array | None, b: Array | None) -> bool:
    if a is None or b is None:
        return a is b
    return bool(a.shape == b.shape and a.dtype == b.dtype and a.tobytes() == b.tobytes())


def _own_copies(gradients: Gradients) -> Gradients:
    return {n: None if g is None else np.array(g) for n, g in gradients.items()}


def _first_different(a: Gradients, b: Gradients) -> str:
    """Return the name of a gradient that differs in a bit, or an empty string."""
    return next((name for name, g in a.items() if not _same_bits(g, b[name])), "")


def _find_not_linear(point: Point, first: Gradients) -> list[Violation]:
    for factor in (1e4, -1e-20):  # clipping shows on large gradients, a threshold on small ones
        scaled = point._replace(douts=[factor * d for d in point.douts]).claimed()
        for name, g in first.items():
            if g is None or scaled[name] is None:
                continue
            scale = float(np.abs(g).max(initial=0.0))
            off = float(np.abs(np.asarray(scaled[name]) / factor - g).max(initial=0.0))
            if np.array_equal(np.asarray(scaled[name]), g) and scale:
                text = f"the gradient of {name} does not depend on the one that comes in: ignored?"
            elif off > 1e-5 * scale:  # more than float32's rounding, which is reported on its own
                text = (
                    f"a gradient {factor:g} times as large comes back as another one for {name}: "
                    "is it clipped inside?"
                )
            else:
                continue
            return [Violation("not linear", text)]
    return []


def _find_single_precision(point: Point, gradients: Gradients) -> list[Violation]:
    if any(is_real(v) and v.dtype != np.float64 for v in point.values.values()):
        return []  # not a float64 computation
    lines = _precision_losses(point)
    arrays = {f"output {i}": o for i, o in enumerate(point.target.run(point.values).outputs)}
    arrays |= {f"the gradient of {n}": np.asarray(g) for n, g in gradients.items() if g is not None}
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


class TracingArray(np.ndarray[Any, Any]):
    """An array that records the operations that are not analytic or drop to float32."""

    notes: list[str]

    def __array_finalize__(self, source: Any) -> None:
        self.notes = getattr(source, "notes", [])

    def __array_ufunc__(
        self, ufunc: np.ufunc, method: str, *inputs: Any, out: Any = None, **options: Any
    ) -> Any:
        if out is not None:
            options["out"] = tuple(_untraced(o) for o in out)
        result = getattr(ufunc, method)(*(_untraced(i) for i in inputs), **options)
        self._record(ufunc.__name__, [np.asarray(i).dtype for i in inputs], result)
        if out is not None:
            return out[0] if len(out) == 1 else out
        traceable = isinstance(result, np.ndarray) and result.dtype.kind in "fc"
        return _traced(result, self.notes) if traceable else result

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if func.__name__ in NOT_ANALYTIC and np.iscomplexobj(self):
            self._note(f"np.{func.__name__}")
        return super().__array_function__(func, types, args, kwargs)

    def astype(self, dtype: Any, *args: Any, **options: Any) -> Any:
        """Convert, and record what is lost."""
        target = np.dtype(dtype)
        loses_imaginary_part = self.dtype.kind == "c" and target.kind == "f"
        if loses_imaginary_part or (target in SINGLE and self.dtype not in SINGLE):
            self._note(f"astype({target})")
        return super().astype(dtype, *args, **options)

    def conj(self) -> Any:
        """Conjugate, and record it."""
        return np.conjugate(self)

    @property  # type: ignore[misc]
    def real(self) -> Any:  # read-only: code under test does not assign to it
        """Return the real part, and record it."""
        if self.dtype.kind == "c":
            self._note(".real")
        return np.asarray(self).real

    def _record(self, name: str, dtypes: list[np.dtype[Any]], result: Any) -> None:
        made = np.asarray(result).dtype if not isinstance(result, tuple) else result[0].dtype
        if name in NOT_ANALYTIC and any(dtype.kind == "c" for dtype in dtypes):
            self._note(f"np.{name}")
        if made in SINGLE and any(d.kind in "fc" and d not in SINGLE for d in dtypes):
            self._note(f"np.{name} in {made}")

    def _note(self, operation: str) -> None:
        self.notes.append(f"{operation} at {_innermost_line(traceback.extract_stack())}")


def why_not_analytic(point: Point) -> str:
    """Return which operation the complex step does not get through, and its line if known."""
    moved = {n: v + 1e-30j if is_real(v) else v for n, v in point.values.items()}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", np.exceptions.ComplexWarning)
            point.target.run(moved)
    except Exception as error:  # whatever the code raises is the answer
        line = _innermost_line(traceback.extract_tb(error.__traceback__))
        return f"{line} ({type(error).__name__}: {error})"
    notes = _trace(point._replace(values=moved), lambda _result, _notes: None)
    return notes[0] if notes else "the imaginary part it returns is not its slope"


def _precision_losses(point: Point) -> list[str]:
    """Return the operations that turn float64 into float32, each with its line."""

    def backward(result: Any, notes: list[str]) -> None:
        result.backward([_traced(np.array(d), notes) for d in point.douts])

    return [note for note in _trace(point, backward) if "32" in note or "16" in note]


def _trace(point: Point, then: Callable[[Any, list[str]], None]) -> list[str]:
    """Return what tracing arrays record in forward, and in what `then` does with its result."""
    notes: list[str] = []
    traced = {n: _traced(np.array(v), notes) if is_real(v) else v for n, v in point.values.items()}
    # Code that refuses tracing arrays records nothing, which is no error.
    with warnings.catch_warnings(), contextlib.suppress(Exception):
        warnings.simplefilter("ignore")
        then(point.target.run(traced), notes)
    return list(dict.fromkeys(notes))


def _traced(array: Array, notes: list[str]) -> TracingArray:
    traced = array.view(TracingArray)
    traced.notes = notes
    return traced


def _untraced(value: Any) -> Any:
    return np.asarray(value) if isinstance(value, TracingArray) else value


def _innermost_line(stack: traceback.StackSummary) -> str:
    """Return file, line and text of the innermost frame outside NumPy and this folder."""
    for frame in reversed(stack):
        if not frame.filename.startswith((HERE, NUMPY)):
            where = f"{Path(frame.filename).name}:{frame.lineno}"
            return f"{where}: {frame.line}" if frame.line else where
    return "its code"
