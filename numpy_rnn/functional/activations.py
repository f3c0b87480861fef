# ruff: noqa: ARG005 (in the table every slope has the same arguments)
"""Elementwise nonlinearities, each with its derivative.

    (1)  tanh(z)                       (1')  tanh'(z) = 1 - h^2         with h = tanh(z)
    (2)  relu(z) = z if z >= 0 else 0  (2')  relu'(z) = 1 if h > 0 else 0

A derivative as a function of the output h needs no second cache, because the trajectory h is
kept anyway. The others, by name in ``NONLINEARITIES``, may need z too. Their constants a and b are
ONNX's alpha and beta, with the defaults of its operators:

    (3)  linear            z
    (4)  affine            a z + b
    (5)  leaky_relu        z if z >= 0 else a z
    (6)  thresholded_relu  z if z >= a else 0
    (7)  hard_tanh         z between a and b, else the nearer of the two
    (8)  scaled_tanh       a tanh(b z)
    (9)  sigmoid           1 / (1 + exp(-z))
    (10) hard_sigmoid      a z + b between 0 and 1, else the nearer of the two
    (11) elu               z if z >= 0 else a (exp(z) - 1)
    (12) selu              s elu(z), with the constants s and a of Klambauer et al. 2017
    (13) softsign          z / (1 + |z|)
    (14) softplus          log(1 + exp(a z)) / a, and z where a z > b
    (15) silu              z sigmoid(z)
    (16) exponential       exp(z)

Where there is no derivative it is PyTorch's: that of the constant side, or of the side below. All
can be differentiated by the complex step (Squire & Trapp 1998): they are analytic, and branches
compare real parts only and pass the whole number on.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple, TypeAlias

import numpy as np

from numpy_rnn.functional.types import Array
from numpy_rnn.text import shown

# A name, or a name and its constants: ("leaky_relu", 0.2).
ActivationSpec: TypeAlias = "str | tuple[str | float, ...]"


class Activation(NamedTuple):
    """A nonlinearity and its derivative.

    ``value(z, out)`` writes the nonlinearity of `z` into `out`, which may be `z`. ``slope(h, z)``
    is the derivative at the input `z` and the output `h`.

    Examples
    --------
    >>> import numpy as np
    >>> h = TANH.value(np.array([0.0, 1.0]), np.empty(2))
    >>> TANH.slope(h).round(4)
    array([1.  , 0.42])
    """

    value: Callable[[Array, Array], Array]
    slope: Callable[..., Array]
    of_input: bool = False  # whether the slope needs z


class Nonlinearity(NamedTuple):
    """A row of ``NONLINEARITIES``: two functions of arrays and constants, and the defaults."""

    value: Callable[..., Array]  # of z, a, b
    slope: Callable[..., Array]  # of h, z, a, b
    constants: tuple[float, ...] = ()


def _relu(z: Array, out: Array) -> Array:
    np.copyto(out, z)
    np.putmask(out, z.real < 0, 0)  # (2); NaN passes, because NaN < 0 is false
    return out


def _relu_slope(h: Array, z: Array | None = None) -> Array:  # noqa: ARG001 (as every slope)
    slope: Array = h.real > 0  # (2')
    return slope


def _tanh_slope(h: Array, z: Array | None = None) -> Array:  # noqa: ARG001 (as every slope)
    return 1 - h * h  # (1')


TANH = Activation(np.tanh, _tanh_slope)  # (1)
RELU = Activation(_relu, _relu_slope)


def _sigmoid(z: Array) -> Array:
    s: Array = 0.5 + 0.5 * np.tanh(0.5 * z)
    return s


def _where(condition: Array, yes: Array | float, no: Array | float, like: Array) -> Array:
    """Return ``np.where`` in the dtype of an array, whatever the constants are."""
    return np.where(condition, yes, no).astype(like.dtype, copy=False)


def _below(z: Array) -> Array:
    """Return `z` where it is negative and 0 elsewhere, so that exp cannot overflow."""
    return _where(z.real < 0, z, 0, z)


def _magnitude(z: Array) -> Array:
    return _where(z.real < 0, -z, z, z)


def _between(z: Array, low: float, high: float) -> Array:
    return _where(z.real < low, low, _where(z.real > high, high, z, z), z)


def _softplus(z: Array, a: float, b: float) -> Array:
    u = a * z
    smooth = (np.log1p(np.exp(-_magnitude(u))) + _where(u.real < 0, 0, u, u)) / a
    return _where(u.real > b, z, smooth, z)


# Those whose slope needs h alone.
_OF_OUTPUT = {"tanh", "relu", "linear", "affine", "hard_tanh", "sigmoid"}
_OF_OUTPUT |= {"hard_sigmoid", "exponential"}
_SELU_SCALE, _SELU_ALPHA = 1.0507009873554804934193349852946, 1.6732632423543772848170429916717

NONLINEARITIES: dict[str, Nonlinearity] = {
    "tanh": Nonlinearity(np.tanh, lambda h, z: 1 - h * h),
    "relu": Nonlinearity(
        lambda z: _where(z.real < 0, 0, z, z), lambda h, z: _where(h.real > 0, 1, 0, h)
    ),
    "linear": Nonlinearity(lambda z: z.copy(), lambda h, z: np.ones_like(h)),
    "affine": Nonlinearity(
        lambda z, a, b: a * z + b, lambda h, z, a, b: np.full_like(h, a), (1.0, 0.0)
    ),
    "leaky_relu": Nonlinearity(
        lambda z, a: _where(z.real < 0, a * z, z, z),
        lambda h, z, a: _where(z.real > 0, 1, a, h),
        (0.01,),
    ),
    "thresholded_relu": Nonlinearity(
        lambda z, a: _where(z.real < a, 0, z, z),
        lambda h, z, a: _where(z.real > a, 1, 0, h),
        (1.0,),
    ),
    "hard_tanh": Nonlinearity(
        _between, lambda h, z, a, b: _where((h.real > a) & (h.real < b), 1, 0, h), (-1.0, 1.0)
    ),
    "scaled_tanh": Nonlinearity(
        lambda z, a, b: a * np.tanh(b * z),
        lambda h, z, a, b: a * b * (1 - np.tanh(b * z) ** 2),
        (1.0, 1.0),
    ),
    "sigmoid": Nonlinearity(_sigmoid, lambda h, z: h * (1 - h)),
    "hard_sigmoid": Nonlinearity(
        lambda z, a, b: _between(a * z + b, 0, 1),
        lambda h, z, a, b: _where((h.real > 0) & (h.real < 1), a, 0, h),
        (0.2, 0.5),
    ),
    "elu": Nonlinearity(
        lambda z, a: _where(z.real < 0, a * np.expm1(_below(z)), z, z),
        lambda h, z, a: _where(z.real > 0, 1, a * np.exp(_below(z)), h),
        (1.0,),
    ),
    "selu": Nonlinearity(
        lambda z: _SELU_SCALE * _where(z.real < 0, _SELU_ALPHA * np.expm1(_below(z)), z, z),
        lambda h, z: _SELU_SCALE * _where(z.real > 0, 1, _SELU_ALPHA * np.exp(_below(z)), h),
    ),
    "softsign": Nonlinearity(
        lambda z: z / (1 + _magnitude(z)),
        lambda h, z: 1 / (1 + _magnitude(z)) ** 2,
    ),
    "softplus": Nonlinearity(
        _softplus,
        lambda h, z, a, b: _where(a * z.real > b, 1, _sigmoid(a * z), h),
        (1.0, np.inf),
    ),
    "silu": Nonlinearity(
        lambda z: z * _sigmoid(z),
        lambda h, z: _sigmoid(z) * (1 + z * _sigmoid(-z)),
    ),
    "exponential": Nonlinearity(np.exp, lambda h, z: h.copy()),
}


def check_activation(spec: object) -> tuple[str, tuple[float, ...]]:
    """Return the name and all constants of a nonlinearity: those given, then the defaults."""
    name, *given = (spec if isinstance(spec, tuple | list) else [spec]) or [None]
    if not isinstance(name, str) or name not in NONLINEARITIES:
        raise ValueError(f"{shown(spec)}, expected a name of {', '.join(NONLINEARITIES)}")
    defaults = NONLINEARITIES[name].constants
    if len(given) > len(defaults) or not all(map(_is_constant, given)):
        raise ValueError(f"{shown(spec)}, expected {name!r} with at most {len(defaults)} numbers")
    return name, (*map(float, given), *defaults[len(given) :])


def _is_constant(value: object) -> bool:
    """Return whether a value is a number, NumPy's or Python's, and not NaN."""
    number = isinstance(value, int | float | np.floating) and not isinstance(value, bool)
    return number and value == value  # noqa: PLR0124 (NaN is not equal to itself)


def make_activation(spec: ActivationSpec, clip: float | None = None) -> Activation:
    """Return a nonlinearity by its name, or by a tuple of its name and constants.

    Parameters
    ----------
    spec : str or tuple
    clip : float, optional
        Bound of the input: it is first clipped to [-clip, clip], as in ONNX's operators. Beyond
        it the derivative is zero.

    Examples
    --------
    >>> import numpy as np
    >>> hard = make_activation(("hard_sigmoid", 1 / 6))
    >>> z = np.array([-4.0, 0.0, 3.0])
    >>> h = hard.value(z, np.empty(3))
    >>> h, hard.slope(h, z).round(2)
    (array([0. , 0.5, 1. ]), array([0.  , 0.17, 0.  ]))
    """
    name, constants = check_activation(spec)
    of_input = clip is not None or name not in _OF_OUTPUT
    chosen = name, constants, clip
    return Activation(partial(_value, *chosen), partial(_slope, *chosen), of_input)


def _value(
    name: str, constants: tuple[float, ...], clip: float | None, z: Array, out: Array
) -> Array:
    z = z if clip is None else _between(z, -clip, clip)
    out[...] = NONLINEARITIES[name].value(z, *constants)
    return out


def _slope(
    name: str, constants: tuple[float, ...], clip: float | None, h: Array, z: Array
) -> Array:
    if clip is None:
        return NONLINEARITIES[name].slope(h, z, *constants)
    inside: Array = np.abs(z.real) < clip
    return inside * NONLINEARITIES[name].slope(h, _between(z, -clip, clip), *constants)
