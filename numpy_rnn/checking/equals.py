"""Functions that equal NumPy's for real numbers and are analytic: abs(z) is z sign(z).

:mod:`numpy_rnn.checking.traced` uses them while code is differentiated by complex step.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

MATH = ("exp", "tanh", "sinh", "cosh", "log", "log1p", "expm1", "sqrt", "sin", "cos", "tan")


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


def _variance(
    z: Any, axis: Any = None, _dtype: Any = None, ddof: int = 0, *, keepdims: bool = False
) -> Any:
    z = np.asarray(z)
    squares = (z - z.mean(axis=axis, keepdims=True)) ** 2
    kept = squares.sum(axis=axis, keepdims=keepdims)
    return kept / (squares.size / max(np.size(kept), 1) - ddof)


def _norm(z: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:  # noqa: A002 (as NumPy has it)
    z = np.asarray(z)
    if ord not in (None, 2, "fro") or (ord == 2 and axis is None and z.ndim > 1):
        raise TypeError(f"norm of order {ord} has no complex derivative here")
    return np.sqrt((z * z).sum(axis=axis, keepdims=keepdims))


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
