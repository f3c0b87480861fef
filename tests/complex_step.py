"""The complex step (Squire & Trapp 1998): exact derivatives of analytic code.

f(x + ih) = f(x) + ih f'(x) - h^2 f''(x) / 2 - ..., and for an f that is real on the real line
every even term is real, so Im f(x + ih) / h = f'(x) + O(h^2) with nothing subtracted: h can be
1e-30 and the result is right to the last bits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from numpy_rnn.functional.types import Array

STEP = 1e-30


def as_tuple(outputs: Any) -> tuple[Any, ...]:
    """Outputs of a forward as a tuple, whether there is one or several."""
    return outputs if isinstance(outputs, tuple) else (outputs,)


def is_real(argument: Any) -> bool:
    """Whether an argument can have a gradient."""
    return isinstance(argument, np.ndarray) and argument.dtype.kind == "f"


def complex_step(
    forward: Callable[..., Any], arguments: Sequence[Any], douts: Sequence[Any]
) -> list[Array | None]:
    """Gradient of sum(dout * out) with respect to each argument; None for integers."""
    gradients: list[Array | None] = []
    for position, argument in enumerate(arguments):
        if not is_real(argument):
            gradients.append(None)
            continue
        gradient = np.zeros(argument.shape)
        for index in np.ndindex(argument.shape):
            moved = argument.astype(complex)
            moved[index] += 1j * STEP
            outputs, _ = forward(*arguments[:position], moved, *arguments[position + 1 :])
            gradient[index] = sum(
                np.sum(np.imag(out) / STEP * dout)
                for out, dout in zip(as_tuple(outputs), douts, strict=True)
            )
        gradients.append(gradient)
    return gradients


def slice_errors(actual: Array, expected: Array, time_axis: int | None) -> Array:
    """Largest error of each time slice, relative to the largest entry of that slice.

    One number for a tensor without time. A slice that should be zero must be zero.
    """
    assert actual.shape == expected.shape
    if time_axis is None:
        actual, expected, time_axis = actual[None], expected[None], 0
    others = tuple(axis for axis in range(actual.ndim) if axis != time_axis)
    error = np.abs(actual - expected).max(axis=others, initial=0)
    scale = np.abs(expected).max(axis=others, initial=0)
    errors: Array = np.where(error == 0, 0, error / np.where(scale == 0, 1e-300, scale))
    return errors
