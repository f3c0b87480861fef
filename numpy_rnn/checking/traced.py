"""Arrays that carry a complex step through code written for real numbers, and record what it does.

The complex step needs code that is analytic. Ordinary code is, except for a few operations:
buffers of real numbers, abs, norm, std, conj, float(). For real inputs each of them equals one
that is analytic (``equals.py``), which :class:`TracedArray` uses. A real buffer may be complex, so
array creation in the user's code gives complex buffers for a while, and ``float`` and ``math`` take
complex numbers (:func:`stand_ins`).

With real numbers the same class records what is not seen from outside: where float64 becomes
float32, and to which side each comparison of the code falls. Buffers have this class then, too.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import math
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from numpy_rnn.checking.equals import COMPARISONS, FUNCTIONS, MATH, STAND_INS

SINGLE = (np.dtype(np.float32), np.dtype(np.complex64), np.dtype(np.float16))
HERE = str(Path(__file__).parent)
NUMPY = str(Path(np.__file__).parent)
PRODUCTS = ("dot", "einsum", "inner", "outer", "tensordot", "vdot")
ROUNDED = {*MATH, "divide", "reciprocal", "expit", "power", "float_power", "logaddexp", "arctan"}
FROM_DATA = ("array", "asarray", "ascontiguousarray", "asanyarray")
_LIKE = ("zeros_like", "empty_like", "ones_like", "full_like")
CREATORS = (*_LIKE, *FROM_DATA, "zeros", "empty", "ones", "full", "eye", "identity", "copy")
LIBRARIES = ("builtins", "numpy", "functools", "torch", "jax")


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
    for frame in _frames() if stack is None else reversed(stack):
        if not frame.filename.startswith((HERE, NUMPY)):
            where = f"{Path(frame.filename).name}:{frame.lineno}"
            return f"{where}: {frame.line}" if frame.line else where
    return "its code"


def _frames() -> Iterator[traceback.FrameSummary]:
    """Yield the frames, the innermost first. Only the text of one that is looked at is read."""
    for frame, line in traceback.walk_stack(inspect.currentframe()):
        code = frame.f_code
        yield traceback.FrameSummary(code.co_filename, line, code.co_name, lookup_line=False)


def _moved(result: Any, last_bits: np.random.Generator) -> Any:
    """Return a result of real numbers with its last bits moved."""
    if np.asarray(result).dtype.kind != "f":
        return result
    last_bit = np.nan_to_num(np.spacing(result))  # that of an infinity is NaN
    return result + last_bit * last_bits.integers(-2, 3, np.shape(result))


class TracedArray(np.ndarray[Any, Any]):
    """An array that records what the code does with it, and stands in for what is not analytic."""

    def __array_ufunc__(
        self, ufunc: np.ufunc, method: str, *inputs: Any, out: Any = None, **options: Any
    ) -> Any:
        name, called = ufunc.__name__, method == "__call__"
        plain = [i.view(np.ndarray) if isinstance(i, TracedArray) else i for i in inputs]
        record = _Active.record if called else None
        if record is not None:
            _record_side(record, name, plain)
        stand_in = STAND_INS.get(name) if called else None
        if stand_in is not None and not any(map(np.iscomplexobj, plain)):
            stand_in = None
        if stand_in is not None and "where" not in options:
            result = stand_in(*plain)
            if out is not None:
                np.copyto(_untraced(out[0]), result)
        else:
            if out is not None:
                options["out"] = tuple(_untraced(o) for o in out)
            call = ufunc if called else getattr(ufunc, method)
            result = call(*plain, **options)
        if called and out is None and _Active.last_bits is not None and name in ROUNDED:
            result = _moved(result, _Active.last_bits)
        if _Active.record is not None:
            first = result[0] if ufunc.nout > 1 else result
            _record_operation(_Active.record, name, plain, first, stands_in=stand_in is not None)
        if out is not None:
            return out[0] if len(out) == 1 else out
        return tuple(map(traced, result)) if ufunc.nout > 1 else traced(result)

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if func.__name__ in FUNCTIONS and np.iscomplexobj(self):
            note(f"np.{func.__name__}")
            args = tuple(_untraced(a) for a in args)
            return traced(FUNCTIONS[func.__name__](*args, **kwargs))
        if func.__name__ in ("split", "array_split"):  # pages split at every step; this is faster
            kwargs = {key: _untraced(value) for key, value in kwargs.items()}
            return list(map(traced, func(*map(_untraced, args), **kwargs)))
        made = super().__array_function__(func, types, args, kwargs)
        if func.__name__ in PRODUCTS and _Active.record is not None:
            _Active.record.operation(made)
        if func.__name__ in ("result_type", "shape", "iscomplexobj", "may_share_memory"):
            return made
        return type(made)(map(traced, made)) if type(made) in (tuple, list) else traced(made)

    def __getitem__(self, index: Any) -> Any:
        return traced(super().__getitem__(index))

    def __iter__(self) -> Iterator[Any]:
        return map(traced, super().__iter__())  # code may compare single numbers

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
        call = functools.partial(np.var, self) if self.dtype.kind == "c" else super().var
        return call(*args, **options)

    def std(self, *args: Any, **options: Any) -> Any:
        """Return the standard deviation."""
        call = functools.partial(np.std, self) if self.dtype.kind == "c" else super().std
        return call(*args, **options)

    @property  # type: ignore[misc]
    def real(self) -> Any:  # read-only: code under test does not assign to it
        """Return the real part of a real number: itself."""
        if self.dtype.kind == "c":
            note(".real")
        return self


def traced(value: Any) -> Any:
    """Return floating-point numbers as a tracing array, and anything else as it is."""
    numbers = type(value) is np.ndarray or (
        isinstance(value, np.ndarray | np.generic) and not isinstance(value, TracedArray)
    )
    return np.asarray(value).view(TracedArray) if numbers and value.dtype.kind in "fc" else value


def _untraced(value: Any) -> Any:
    return value.view(np.ndarray) if isinstance(value, TracedArray) else value


def _lost(before: list[np.dtype[Any]], after: np.dtype[Any]) -> bool:
    return after in SINGLE and any(d.kind in "fc" and d not in SINGLE for d in before)


def note(operation: str) -> None:
    """Record an operation with its line."""
    if _Active.record is not None:
        _Active.record.notes[f"{operation} at {line_of_user()}"] = None


def _record_operation(
    record: Record, name: str, inputs: list[Any], result: Any, *, stands_in: bool
) -> None:
    record.operation(result)
    if stands_in and name not in COMPARISONS:
        note(f"np.{name}")
    if _lost([np.asarray(i).dtype for i in inputs], np.asarray(result).dtype):
        note(f"np.{name} in float32")


def _record_side(record: Record, name: str, inputs: list[Any]) -> None:
    if name in ("absolute", "fabs", "sign"):
        pairs = [("> 0", inputs[0], 0.0)]
    elif name == "clip":
        limits = zip(("lower", "upper"), inputs[1:3], strict=True)
        pairs = [(end, inputs[0], limit) for end, limit in limits if np.isfinite(limit).any()]
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


class _FloatType(type):
    """float, for code whose numbers may be complex for a while."""

    def __instancecheck__(cls, value: Any) -> bool:
        return isinstance(value, float)


class _Float(float, metaclass=_FloatType):
    dtype = np.dtype(complex)

    def __new__(cls, value: Any = 0.0) -> Any:
        return traced(np.asarray(value)) if np.iscomplexobj(value) else float(value)


@contextlib.contextmanager
def stand_ins(*functions: Any, complex_buffers: bool = True) -> Iterator[None]:
    """Give tracing buffers to the user's code, in the modules of these functions by name too."""
    swaps = {id(getattr(np, n)): _creator(getattr(np, n), complex_buffers) for n in CREATORS}
    swaps |= {id(getattr(math, name)): _math(name) for name in MATH}
    spaces = [(space, {"float": _Float}) for space in _globals_of(functions)]
    changes: list[tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = []
    for space, new in ((vars(np), {}), (vars(math), {}), *spaces):
        swapped = new | {n: swaps[id(v)] for n, v in space.items() if id(v) in swaps}
        changes.append((space, swapped, {n: space[n] for n in swapped if n in space}))
    try:
        for space, new, _ in changes:
            space.update(new)
        yield
    finally:
        for space, new, old in changes:
            space.update(old)
            for name in new.keys() - old.keys():
                del space[name]


def _creator(function: Callable[..., Any], complex_buffers: bool) -> Callable[..., Any]:
    """Return a version of an array creation that gives tracing buffers to this thread's code."""
    thread = threading.get_ident()

    @functools.wraps(function)
    def create(*args: Any, **options: Any) -> Any:
        name = sys._getframe(1).f_code.co_filename
        outside = "site-packages" in name or name.startswith((HERE, NUMPY))
        if outside or thread != threading.get_ident():
            return function(*args, **options)
        if not complex_buffers:
            return traced(function(*args, **options))
        chosen = options.get("dtype", args[1] if len(args) > 1 else None)
        if function.__name__ in FROM_DATA and chosen is not None and np.dtype(chosen).kind in "fc":
            args, options = args[:1], options | {"dtype": complex}
        made = function(*args, **options)
        return made.astype(complex).view(TracedArray) if made.dtype.kind in "fc" else made

    return create


def _math(name: str) -> Callable[..., Any]:
    """Return a function of ``math`` that takes complex numbers too."""
    function = getattr(math, name)

    def compute(x: Any, *rest: Any) -> Any:
        return getattr(np, name)(x) if np.iscomplexobj(x) else function(x, *rest)

    return compute


def _globals_of(functions: tuple[Any, ...]) -> list[dict[str, Any]]:
    """Return the module namespaces that functions and objects are defined in."""
    spaces: dict[int, dict[str, Any]] = {}
    for function in functions:
        while hasattr(function, "func"):  # functools.partial
            function = function.func  # noqa: PLW2901 (unwrapped)
        names = [function.__module__] if hasattr(function, "__module__") else []
        names += [c.__module__ for c in type(function).__mro__]
        found = [vars(sys.modules[n]) for n in names if n in sys.modules]
        for space in (*found, getattr(function, "__globals__", vars(np))):
            if not str(space.get("__name__", "")).startswith(LIBRARIES):
                spaces[id(space)] = space
    return list(spaces.values())
