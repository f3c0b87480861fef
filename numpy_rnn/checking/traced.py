"""Arrays that carry a complex step through code written for real numbers, and record what it does.

The complex step needs code that is analytic. Ordinary code is, except for a few operations:
buffers of real numbers, abs, norm, std, conj, float(). For real inputs each of them equals one
that is analytic: abs(z) is z sign(z), conj(z) is z, a real buffer may be complex. While
:func:`stand_ins` is active, array creation in the user's code gives complex buffers, and
:class:`TracedArray` uses these equals instead of the operations.

With real numbers the same class records what is not seen from outside: where float64 becomes
float32, and to which side each comparison of the code falls.
"""

from __future__ import annotations

import contextlib
import functools
import math
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

SINGLE = (np.dtype(np.float32), np.dtype(np.complex64), np.dtype(np.float16))
HERE = str(Path(__file__).parent)
NUMPY = str(Path(np.__file__).parent)
FROM_DATA = ("array", "asarray", "ascontiguousarray", "asanyarray")
_LIKE = ("zeros_like", "empty_like", "ones_like", "full_like")
CREATORS = (*_LIKE, *FROM_DATA, "zeros", "empty", "ones", "full", "eye", "identity", "copy")
MATH = ("exp", "tanh", "sinh", "cosh", "log", "log1p", "expm1", "sqrt", "sin", "cos", "tan")
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
    """What is recorded, what moves last bits, and who gets stand-ins."""

    thread: int | None = None  # stand-ins are for this thread; others get what they called
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


def _of_real_parts(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *inputs: function(*(np.real(i) for i in inputs))


_sign = _of_real_parts(np.sign)


def _larger(a: Any, b: Any) -> Any:
    p, q = np.real(a), np.real(b)
    return np.where(p == q, 0.5 * (a + b), np.where(p > q, a, b))


def _expit(z: Any) -> Any:
    small = np.exp(np.where(np.real(z) > 0, -z, z))  # never overflows
    return np.where(np.real(z) > 0, 1, small) / (1 + small)


def _logaddexp(a: Any, b: Any) -> Any:
    apart = (a - b) * np.where(np.real(a) >= np.real(b), 1, -1)
    return np.where(np.real(a) >= np.real(b), a, b) + np.log1p(np.exp(-apart))


def _arctan2(y: Any, x: Any) -> Any:
    p, q = np.real(y), np.real(x)
    return np.arctan2(p, q) + 1j * (q * np.imag(y) - p * np.imag(x)) / (p * p + q * q)


COMPARISONS: dict[str, Callable[..., Any]] = {
    name: _of_real_parts(getattr(np, name))
    for name in ("greater", "less", "greater_equal", "less_equal", "equal", "not_equal")
}
# What stands in for a ufunc of complex numbers that has no complex derivative, or another one.
STAND_INS: dict[str, Callable[..., Any]] = {
    **COMPARISONS,
    **{n: _of_real_parts(getattr(np, n)) for n in ("floor", "ceil", "rint", "trunc", "signbit")},
    "absolute": lambda z: z * _sign(z),
    "fabs": lambda z: z * _sign(z),
    "sign": _sign,
    "conjugate": lambda z: z,
    "maximum": _larger,
    "fmax": _larger,
    "minimum": lambda a, b: -_larger(-a, -b),
    "fmin": lambda a, b: -_larger(-a, -b),
    "clip": lambda z, low, high: -_larger(-_larger(z, low), -np.asarray(high)),
    "heaviside": _of_real_parts(np.heaviside),
    "hypot": lambda a, b: np.sqrt(a * a + b * b),
    "cbrt": lambda z: _sign(z) * (z * _sign(z)) ** (1 / 3),
    "arctan2": _arctan2,
    "logaddexp": _logaddexp,
    "expit": _expit,
    "log_expit": lambda z: -_logaddexp(0.0, -z),
    "logit": lambda z: np.log(z / (1 - z)),
    "copysign": lambda a, b: a * _sign(a) * _sign(b),
}


def _square(z: Any) -> Any:
    return z * z


def _variance(
    z: Any, axis: Any = None, _dtype: Any = None, ddof: int = 0, *, keepdims: bool = False
) -> Any:
    z = np.asarray(z)
    squares = _square(z - z.mean(axis=axis, keepdims=True))
    kept = squares.sum(axis=axis, keepdims=keepdims)
    return kept / (squares.size / max(np.size(kept), 1) - ddof)


def _norm(z: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:  # noqa: A002 (as NumPy has it)
    z = np.asarray(z)
    if ord not in (None, 2, "fro") or (ord == 2 and axis is None and z.ndim > 1):
        raise TypeError(f"norm of order {ord} has no complex derivative here")
    return np.sqrt(_square(z).sum(axis=axis, keepdims=keepdims))


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "var": _variance,
    "std": lambda *args, **options: np.sqrt(_variance(*args, **options)),
    "norm": _norm,
    "vdot": lambda a, b: np.sum(np.ravel(a) * np.ravel(b)),
    "real": lambda z: z,
    "real_if_close": lambda z, **_: z,
    "nan_to_num": lambda z, **_: z,
    "around": lambda z, *_, **options: np.around(np.real(z), **options),
    "round": lambda z, *_, **options: np.round(np.real(z), **options),
}


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
        return (
            np.var(self, *args, **options)
            if self.dtype.kind == "c"
            else super().var(*args, **options)
        )

    def std(self, *args: Any, **options: Any) -> Any:
        """Return the standard deviation."""
        return (
            np.std(self, *args, **options)
            if self.dtype.kind == "c"
            else super().std(*args, **options)
        )

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
    elif name in ("maximum", "minimum", "fmax", "fmin"):
        pairs = [(name, inputs[0], inputs[1])]
    elif name == "clip":
        pairs = [("lower", inputs[0], inputs[1]), ("upper", inputs[0], inputs[2])]
    elif name in COMPARISONS:
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


def _creator(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a version of an array creation that gives complex buffers to the user's code."""

    @functools.wraps(function)
    def create(*args: Any, **options: Any) -> Any:
        name = sys._getframe(1).f_code.co_filename
        outside = "site-packages" in name or name.startswith((HERE, NUMPY))
        if outside or _Active.thread != threading.get_ident():
            return function(*args, **options)
        chosen = options.get("dtype", args[1] if len(args) > 1 else None)
        if function.__name__ in FROM_DATA and chosen is not None and np.dtype(chosen).kind in "fc":
            args, options = args[:1], options | {"dtype": complex}
        made = function(*args, **options)
        return made.astype(complex).view(TracedArray) if made.dtype.kind in "fc" else made

    return create


def _math(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    def compute(x: Any, *rest: Any) -> Any:
        return getattr(np, name)(x) if np.iscomplexobj(x) else function(x, *rest)

    return compute


@contextlib.contextmanager
def stand_ins(*functions: Any) -> Iterator[None]:
    """Give complex buffers to the user's code, in the modules of these functions by name too."""
    swaps: dict[Any, Any] = {}
    changes: list[tuple[dict[str, Any], str, Any]] = []
    for module, names in ((np, CREATORS), (math, MATH)):
        for name in names:
            original = getattr(module, name)
            other = _creator(original) if module is np else _math(original, name)
            swaps[original] = other
            changes.append((vars(module), name, other))
    for space in _globals_of(functions):
        for name, value in space.items():
            if callable(value) and getattr(value, "__hash__", None) and _in(value, swaps):
                changes.append((space, name, swaps[value]))
        changes.append((space, "float", _Float))
    missing = object()
    before = [(space, name, space.get(name, missing)) for space, name, _ in changes]
    try:
        for space, name, value in changes:
            space[name] = value
        with tracing(thread=threading.get_ident()):
            yield
    finally:
        for space, name, value in reversed(before):
            if value is missing:
                space.pop(name, None)
            else:
                space[name] = value


def _in(value: Any, swaps: dict[Any, Any]) -> bool:
    try:
        return value in swaps
    except TypeError:  # it cannot be hashed
        return False


def _globals_of(functions: tuple[Any, ...]) -> list[dict[str, Any]]:
    """Return the module namespaces that functions and objects are defined in."""
    spaces: dict[int, dict[str, Any]] = {}
    for function in functions:
        while hasattr(function, "func"):  # functools.partial
            function = function.func  # noqa: PLW2901 (unwrapped)
        names = [function.__module__] if hasattr(function, "__module__") else []
        names += [c.__module__ for c in type(function).__mro__]
        found = [getattr(function, "__globals__", None)]
        found += [vars(sys.modules[n]) for n in names if n in sys.modules]
        for space in found:
            own = space is not None and not str(space.get("__name__", "")).startswith(
                ("builtins", "numpy", "functools", "torch", "jax")
            )
            if own and space is not None:
                spaces[id(space)] = space
    return list(spaces.values())
