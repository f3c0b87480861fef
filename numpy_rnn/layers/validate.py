"""Checks of arrays and states, made once at the public edge of a layer.

The functions below that edge check nothing. Checks of all other arguments are in arguments.py.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from numpy_rnn.arguments import as_array, check_choice, check_flag, check_rng
from numpy_rnn.functional.contract import token_ids
from numpy_rnn.functional.types import Array, DType, Generator
from numpy_rnn.parameters import DTYPES


class Where(NamedTuple):
    """A layer and a method, for messages. It is formatted only if there is one to write."""

    layer: object
    method: str = "forward"

    def __str__(self) -> str:
        return f"{self.layer!r}.{self.method}"


class NotFiniteError(ValueError):
    """An array holds a NaN or an infinity."""


def check_no_state(where: object, state: Any) -> None:
    """Raise ValueError if a layer without state is given one."""
    if state is not None and not (isinstance(state, tuple | list) and not state):
        raise ValueError(f"{where}: state is a {type(state).__name__}, expected none")


def wrong_cache(where: object, cache: object) -> TypeError:
    """Return the error for a `cache` that ``apply`` of this layer did not return."""
    return TypeError(f"{where}: cache is a {type(cache).__name__}, expected one from its own apply")


def check_cache_dtype(where: object, cached: DType, dtype: DType) -> None:
    """Raise TypeError if the parameters were converted after the ``apply`` of a cache."""
    if cached != dtype:
        raise TypeError(f"{where}: cache is {cached}, the parameters are {dtype} since, call apply")


def check_keep(where: object, keep: Any) -> None:
    """Raise ValueError if `keep` is none of the four."""
    check_choice(where, "keep", keep, ("", "t", "b", "tb"))


def read_input(where: object, name: str, x: Any, dtype: DType, features: int | None) -> Array:
    """Return an input as a plain array. A list has no dtype: its real numbers get the layer's.

    `features` is the number of features of a layer that takes token ids too, or None.
    """
    if type(x) is np.ndarray:
        return x
    array = as_array(where, name, x)
    if not isinstance(x, list | tuple):
        return array
    if array.dtype.kind in "iu" and array.shape[-1:] == (features,):
        raise TypeError(
            f"{where}: {name} is a list of integers, which can be token ids or features, expected "
            "an array: np.array(x) for token ids, np.array(x, float) for features"
        )
    return array.astype(dtype) if array.dtype.kind == "f" else array


def read_options(
    where: object, training: bool | None, rng: Generator | None
) -> tuple[bool | None, Generator | None]:
    """Return the options of ``apply`` that are neither arrays nor states."""
    if training is not None:
        training = check_flag(where, "training", training)
    return training, None if rng is None else check_rng(where, rng)


def to_dtype(x: Any, dtype: DType) -> Array:
    """Return `x` as an array, and floating-point numbers in this dtype."""
    array = x if type(x) is np.ndarray else as_array("step", "x_t", x)
    return array.astype(dtype, copy=False) if array.dtype.kind == "f" else array


def check_call(where: object, lengths: Any, reset: Any, mask: Any) -> None:
    """Raise TypeError for a wrong kind of array, where a layer has no use for it.

    It is for the layers beside this one in a chain, which check its shape too.
    """
    for name, value in (("lengths", lengths), ("reset", reset), ("mask", mask)):
        if value is not None:
            array = value if type(value) is np.ndarray else as_array(where, name, value)
            kinds = "iu" if name == "lengths" else "b"
            if not array.ndim or array.dtype.kind not in kinds:
                raise TypeError(
                    f"{where}: {name} has dtype {array.dtype} and shape {array.shape}, expected "
                    f"an array of {'integers' if name == 'lengths' else 'bool'}"
                )


def check_lengths(where: object, lengths: Array, T: int, B: int) -> Array:
    """Return `lengths` as a new array if it has one length, 0 to T, for each of B rows."""
    array = as_array(where, "lengths", lengths)
    if array.dtype.kind not in "iu":
        raise TypeError(f"{where}: lengths has dtype {array.dtype}, expected integers")
    if array.shape != (B,):
        hint = "one for each row of x (T, B, ...); batch_first=True is for (B, T, ...)"
        raise ValueError(f"{where}: lengths has shape {array.shape}, expected ({B},), {hint}")
    check_tokens(where, "lengths", array, T + 1)
    return array.astype(int)


def check_bool(where: object, name: str, value: Array, shape: tuple[int, ...]) -> Array:
    """Return `value` as an array if it holds booleans and has this shape."""
    array = value if type(value) is np.ndarray else as_array(where, name, value)
    if array.dtype != bool:
        raise TypeError(f"{where}: {name} has dtype {array.dtype}, expected bool")
    check_shape(where, name, array, (shape,))
    return array


def check_array(
    where: object, name: str, value: Array, dtype: DType, shapes: tuple[tuple[int | str, ...], ...]
) -> Array:
    """Return `value` as an array if its dtype, its shape and its numbers are allowed.

    Another dtype is an error. A conversion would hide a copy of the whole input, or float32
    arithmetic inside a float64 computation.
    """
    array = value if type(value) is np.ndarray else as_array(where, name, value)
    check_shape(where, name, array, shapes)
    if array.dtype != dtype:
        raise TypeError(f"{where}: {name} has dtype {array.dtype}, expected {dtype}")
    check_finite(where, name, array)
    return array


def check_float(where: object, name: str, value: Array) -> Array:
    """Return `value` as an array if it holds finite numbers, in float32 or float64.

    complex128 is allowed too, for the complex step.
    """
    array = value if type(value) is np.ndarray else as_array(where, name, value)
    if array.dtype not in DTYPES and array.dtype != np.complex128:
        expected = " or ".join(map(str, DTYPES))
        raise TypeError(f"{where}: {name} has dtype {array.dtype}, expected {expected}")
    check_finite(where, name, array)
    return array


def check_shape(
    where: object, name: str, array: Array, shapes: tuple[tuple[int | str, ...], ...]
) -> None:
    """Raise ValueError if the array's shape is none of `shapes`. A letter is any size."""
    if array.shape in shapes:
        return
    for shape in shapes:
        if len(shape) == array.ndim:
            for want, size in zip(shape, array.shape, strict=True):
                if want != size and not isinstance(want, str):
                    break
            else:
                return
    expected = " or ".join(f"({', '.join(map(str, s))}{',' * (len(s) == 1)})" for s in shapes)
    if array.ndim > 1 and array.swapaxes(0, 1).shape in shapes:
        expected += " (its first two axes are swapped)"
    raise ValueError(f"{where}: {name} has shape {array.shape}, expected {expected}")


def check_loss_gradient(
    where: object, dloss: Array | float, shape: tuple[int, ...], dtype: DType
) -> Array:
    """Return the gradient of a loss as an array like the loss, in its dtype."""
    if not shape and isinstance(dloss, float) and math.isfinite(dloss):
        return np.array(dloss, dtype)
    array = as_array(where, "dloss", dloss)
    if array.dtype.kind not in "fiuc":
        raise TypeError(f"{where}: dloss has dtype {array.dtype}, expected numbers")
    check_shape(where, "dloss", array, (shape,))
    return check_array(where, "dloss", array if shape else array.astype(dtype), dtype, (shape,))


def check_finite(where: object, name: str, array: Array) -> None:
    """Raise NotFiniteError if a number is NaN or infinite."""
    # The sum of squares takes one pass, and it is finite only if every number is. If it is not,
    # it may only have overflowed.
    if math.isfinite(np.vdot(array, array).real):
        return
    finite = np.isfinite(array)
    if not finite.all():
        first = tuple(int(i) for i in np.argwhere(~finite)[0])
        raise NotFiniteError(
            f"{where}: {name} is {array[first]} at index {first}, expected finite numbers"
        )


def check_tokens(where: object, name: str, tokens: Array, size: int) -> None:
    """Raise ValueError if a token id is not below the vocabulary's size, or is negative."""
    ids = token_ids(tokens)
    wrong = (ids < 0) | (ids >= size)
    if wrong.any():
        first = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise ValueError(
            f"{where}: {name} is {tokens[first]} at index {first}, expected 0 to {size - 1}"
        )


def split_state(where: object, name: str, state: Any, components: int) -> list[tuple[str, Any]]:
    """Return the components of a state, an array or a tuple of several, and their names."""
    if components == 1:
        return [(name, state)]
    several = isinstance(state, tuple | list)
    if not (several and len(state) == components):
        came = f"{type(state).__name__} of {len(state)}" if several else type(state).__name__
        raise ValueError(f"{where}: {name} is a {came}, expected a tuple of {components} arrays")
    return [(f"{name}[{k}]", part) for k, part in enumerate(state)]
