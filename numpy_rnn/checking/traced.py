"""Arrays that carry a complex step through code written for real numbers, and record what it does.

The complex step needs code that is analytic. Ordinary code is, except for a few operations:
buffers of real numbers, abs, norm, std, conj, float(). For real inputs each of them equals one
that is analytic (``equals.py``), which :class:`TracedArray` uses. A real buffer may be complex, so
array creation in the user's code gives complex buffers for a while (``buffers.py``).

With real numbers the same class records what is not seen from outside: where float64 becomes
float32, and to which side each comparison of the code falls.
"""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from numpy_rnn.checking.equals import COMPARISONS, FUNCTIONS, MATH, STAND_INS

SINGLE = (np.dtype(np.float32), np.dtype(np.complex64), np.dtype(np.float16))
HERE = str(Path(__file__).parent)
NUMPY = str(Path(np.__file__).parent)
PRODUCTS = ("dot", "einsum", "inner", "outer", "tensordot", "vdot")
ROUNDED = (*MATH, "divide", "reciprocal", "expit", "power", "float_power", "logaddexp", "arctan")


class Record:
    """What tracing arrays have met: operations by line, and sides of comparisons."""

    def __init__(self) -> None:
        self.notes: dict[str, None] = {}  # an ordered set
        self.sides: dict[str, set[bool]] = {}  # by comparison and line, its outcomes
        self.operations = 0
        self.first_nan: int | None = None  # the first operation whose result has a NaN

    def operation(self, result: Any) -> None:
        """Count an operation, and record the first that returns a NaN."""
        self.operations += 1
        if self.first_nan is None and np.isnan(np.sum(np.real(result))):
            self.first_nan = self.operations


class _Active:
    """What is recorded, and what moves last bits."""

    record: Record | None = None
    # Moves what functions like tanh return by its last bits, each time anew. The spread of what
    # is computed from it shows how much is rounding (Parker 1997, Monte Carlo arithmetic).
    last_bits: np.random.Generator | None = None


@contextlib.contextmanager
def tracing(**chosen: Any) -> Iterator[None]:
    """Choose, for a while, what tracing arrays do: the attributes of :class:`_Active`."""
    before = {name: getattr(_Active, name) for name in chosen}
    try:
        for name, value in chosen.items():
            setattr(_Active, name, value)
        yield
    finally:
        for name, value in before.items():
            setattr(_Active, name, value)


def line_of_user(stack: traceback.StackSummary | None = None) -> str:
    """Return file, line and text of the innermost frame outside NumPy and this folder."""
    for frame in reversed(traceback.extract_stack() if stack is None else stack):
        if not frame.filename.startswith((HERE, NUMPY)):
            where = f"{Path(frame.filename).name}:{frame.lineno}"
            return f"{where}: {frame.line}" if frame.line else where
    return "its code"


def _moved(result: Any) -> Any:
    """Return a result, with its last bits moved if they are to move."""
    if _Active.last_bits is None or np.asarray(result).dtype.kind != "f":
        return result
    return result + np.spacing(result) * _Active.last_bits.integers(-2, 3, np.shape(result))


class TracedArray(np.ndarray[Any, Any]):
    """An array that records what the code does with it, and stands in for what is not analytic."""

    def __array_ufunc__(
        self, ufunc: np.ufunc, method: str, *inputs: Any, out: Any = None, **options: Any
    ) -> Any:
        name, plain = ufunc.__name__, [_untraced(i) for i in inputs]
        is_complex = any(np.iscomplexobj(i) for i in plain)
        if method == "__call__" and _Active.record is not None:
            _record_side(_Active.record, name, plain)
        stand_in = STAND_INS.get(name) if is_complex and method == "__call__" else None
        if stand_in is not None and "where" not in options:
            result = stand_in(*plain)
            if out is not None:
                np.copyto(_untraced(out[0]), result)
        else:
            if out is not None:
                options["out"] = tuple(_untraced(o) for o in out)
            result = getattr(ufunc, method)(*plain, **options)
        if method == "__call__" and name in ROUNDED and out is None:
            result = _moved(result)
        if _Active.record is not None:
            _Active.record.operation(result[0] if ufunc.nout > 1 else result)
            if stand_in is not None and name not in COMPARISONS:
                note(f"np.{name}")
            dtypes = [np.asarray(i).dtype for i in plain]
            if _lost(dtypes, np.asarray(result[0] if ufunc.nout > 1 else result).dtype):
                note(f"np.{name} in float32")
        if out is not None:
            return out[0] if len(out) == 1 else out
        return tuple(map(traced, result)) if ufunc.nout > 1 else traced(result)

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if func.__name__ in FUNCTIONS and np.iscomplexobj(self):
            note(f"np.{func.__name__}")
            args = tuple(_untraced(a) for a in args)
            return traced(FUNCTIONS[func.__name__](*args, **kwargs))
        made = super().__array_function__(func, types, args, kwargs)
        if func.__name__ in PRODUCTS and _Active.record is not None:
            _Active.record.operation(made)
        if func.__name__ in ("result_type", "shape", "iscomplexobj", "may_share_memory"):
            return made
        return type(made)(map(traced, made)) if type(made) in (tuple, list) else traced(made)

    def __getitem__(self, index: Any) -> Any:
        return traced(super().__getitem__(index))

    def astype(self, dtype: Any, *args: Any, **options: Any) -> Any:
        """Convert, and record what is lost; complex numbers stay complex."""
        target = np.dtype(dtype)
        if _lost([self.dtype], target):
            note(f"astype({target})")
        if self.dtype.kind == "c" and target.kind == "f":
            return self.copy()
        if target.kind in "iub":
            return np.asarray(self).real.astype(target, *args, **options)
        return traced(super().astype(dtype, *args, **options))

    def conj(self) -> Any:
        """Return the conjugate of a real number: itself."""
        return np.conjugate(self)

    conjugate = conj

    def var(self, *args: Any, **options: Any) -> Any:
        """Return the variance."""
        if self.dtype.kind == "c":
            return np.var(self, *args, **options)
        return super().var(*args, **options)

    def std(self, *args: Any, **options: Any) -> Any:
        """Return the standard deviation."""
        if self.dtype.kind == "c":
            return np.std(self, *args, **options)
        return super().std(*args, **options)

    @property  # type: ignore[misc]
    def real(self) -> Any:  # read-only: code under test does not assign to it
        """Return the real part of a real number: itself."""
        if self.dtype.kind == "c":
            note(".real")
        return self


def traced(value: Any) -> Any:
    """Return floating-point numbers as a tracing array, and anything else as it is."""
    if isinstance(value, TracedArray):
        return value
    if isinstance(value, np.ndarray | np.generic) and value.dtype.kind in "fc":
        return np.asarray(value).view(TracedArray)
    return value


def _untraced(value: Any) -> Any:
    return value.view(np.ndarray) if isinstance(value, TracedArray) else value


def _lost(before: list[np.dtype[Any]], after: np.dtype[Any]) -> bool:
    return after in SINGLE and any(d.kind in "fc" and d not in SINGLE for d in before)


def note(operation: str) -> None:
    """Record an operation with its line."""
    if _Active.record is not None:
        _Active.record.notes[f"{operation} at {line_of_user()}"] = None


def _record_side(record: Record, name: str, inputs: list[Any]) -> None:
    if name in ("absolute", "fabs", "sign"):
        pairs = [("> 0", inputs[0], 0.0)]
    elif name == "clip":
        pairs = [("lower", inputs[0], inputs[1]), ("upper", inputs[0], inputs[2])]
    elif name in COMPARISONS or name in ("maximum", "minimum", "fmax", "fmin"):
        pairs = [(name, inputs[0], inputs[1])]
    else:
        return
    line = line_of_user()
    for kind, left, right in pairs:
        a, b = (np.real(np.asarray(side)) for side in (left, right))
        if a.dtype.kind == "f" and b.dtype.kind in "fiu":
            outcome = COMPARISONS[kind](a, b) if kind in COMPARISONS else a > b
            record.sides.setdefault(f"{kind}|{line}", set()).update(map(bool, np.unique(outcome)))
