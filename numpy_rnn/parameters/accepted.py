"""What parameters accept: a dtype, how many numbers, and the entries of a state_dict."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple

import numpy as np

from numpy_rnn.arguments import as_array, check_flag, check_mapping
from numpy_rnn.functional.types import Array
from numpy_rnn.text import shown, wrong_names

DTYPES = (np.dtype(np.float32), np.dtype(np.float64))
_LIMIT: ContextVar[float] = ContextVar("limit", default=math.inf)
MOST_LISTED = 12  # wrong entries in a message


@contextmanager
def at_most(size: int) -> Iterator[None]:
    """Refuse new parameters of more than `size` numbers, before memory is allocated for them.

    >>> with at_most(10):
    ...     check_count(10**9 * 10**9)
    Traceback (most recent call last):
    ValueError: parameters are 1000000000000000000 numbers, expected at most 10
    """
    token = _LIMIT.set(size)
    try:
        yield
    finally:
        _LIMIT.reset(token)


def check_count(count: int) -> None:
    """Raise ValueError if parameters are more numbers than :func:`at_most` allows."""
    if count > _LIMIT.get():
        raise ValueError(f"parameters are {count} numbers, expected at most {_LIMIT.get()}")


def check_dtype(dtype: Any, where: str = "") -> np.dtype[Any]:
    """Return `dtype` as a NumPy dtype if parameters can have it. `where` begins the message."""
    try:
        known: np.dtype[Any] | None = None if dtype is None else np.dtype(dtype)
    except (TypeError, ValueError):
        known = None
    if known is None or known not in DTYPES:
        given = shown(dtype) if known is None else known.name
        known_ones = ", ".join(map(str, DTYPES))
        raise ValueError(f"{where}dtype is {given}, expected one of {known_ones}")
    return known


class IncompatibleKeys(NamedTuple):
    """The names that a load with ``strict=False`` left alone, as in PyTorch."""

    missing_keys: list[str]
    unexpected_keys: list[str]


def read_state(
    where: str,
    state: Mapping[str, Array],
    values: Mapping[str, Array],
    tied: Mapping[str, str],
    *,
    strict: bool,
) -> tuple[dict[str, Array], IncompatibleKeys]:
    """Return the arrays of a state that `values` can take, and the names that did not match.

    `tied` has the second and the first name of each weight that has two. All wrong entries are one
    ValueError. See :meth:`Parameters.load_state_dict`.
    """
    check_flag(where, "strict", strict)
    given = _by_own_names(check_mapping(where, "state", state), values, tied)
    keys = IncompatibleKeys(
        missing_keys=[name for name in values if name not in given],
        unexpected_keys=[name for name in given if name not in values],
    )
    wrong: list[str] = []
    if strict:
        _check_prefix(where, *keys)
        wrong += wrong_names(given, values)
    arrays = {n: _numbers(where, n, given[n]) for n in values if n in given}
    found = [_fault(array, values[name]) for name, array in arrays.items()]
    wrong += [f"{name!r} {fault}" for name, fault in zip(arrays, found, strict=True) if fault]
    wrong += [
        f"{name!r} differs from {source!r}, expected the same numbers, because they are tied"
        for name, source in tied.items()
        if name in arrays and not np.array_equal(arrays[name], arrays[source])
    ]
    if wrong:
        rest = [f"{len(wrong) - MOST_LISTED} more"] if len(wrong) > MOST_LISTED else []
        raise ValueError(f"{where}: {'; '.join(wrong[:MOST_LISTED] + rest)}")
    return arrays, keys


def _fault(array: Array, value: Array) -> str:
    """Return why a parameter cannot take the numbers of an array, or ""."""
    if array.dtype.kind not in "fiu":
        return f"has dtype {array.dtype}, expected real numbers"
    if array.shape != value.shape:
        hint = " (transposed, as in Keras)" if array.shape[::-1] == value.shape else ""
        return f"has shape {array.shape}, expected {value.shape}{hint}"
    with np.errstate(over="ignore"):  # too large a number becomes infinite
        finite = np.isfinite(array.astype(value.dtype))
    if finite.all():
        return ""
    first = tuple(map(int, np.argwhere(~finite)[0]))
    return f"is {array[first]} at index {first}, expected finite {value.dtype}"


def _by_own_names(
    state: Mapping[str, Array], values: Mapping[str, Array], tied: Mapping[str, str]
) -> dict[str, Array]:
    """Return a state with both names of tied weights, and ``_l0`` in the names of a cell."""
    given: dict[str, Array] = {}
    for name, value in state.items():
        numbered = f"{name}_l0"
        cell = name not in values and numbered in values and numbered not in state
        given[numbered if cell else name] = value
    for name, source in tied.items():
        if name in given:
            given.setdefault(source, given[name])
    return given | {
        n: given[source] for n, source in tied.items() if source in given and n not in given
    }


def _check_prefix(where: str, missing: list[str], unexpected: list[str]) -> None:
    """Raise ValueError if names differ from the expected ones by one prefix, such as `module.`."""
    if not (missing and unexpected):
        return
    for names, longer, verb, advice in (
        (missing, unexpected, "has", "the names without it"),
        (unexpected, missing, "lacks", "the names with it"),
    ):
        prefix = next((n.removesuffix(names[0]) for n in longer if n.endswith(names[0])), "")
        if prefix and {prefix + name for name in names} <= set(longer):
            raise ValueError(
                f"{where}: state {verb} the prefix {prefix!r} in {len(names)} names, such as "
                f"{unexpected[0]!r}, expected {advice}"
            )


def _numbers(where: str, name: str, value: Any) -> Array:
    """Return a parameter as an array; also a tensor of PyTorch, and numbers in bfloat16."""
    if hasattr(value, "detach"):
        value = value.detach().cpu()
        value = value.float() if "bfloat16" in str(value.dtype) else value
    if type(value) is np.ndarray:  # its dtype is checked by the caller
        return value.astype(np.float32) if value.dtype.name == "bfloat16" else value
    return as_array(where, repr(name), value)
