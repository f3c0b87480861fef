"""One view of everything that has gradients to check.

A pair, an object and a function all become a Subject: named values in, outputs out, and a
`backward` that claims the gradient of sum(dout * out) with respect to each value.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from numpy_rnn.functional.types import Array

Values = dict[str, Any]
Gradients = dict[str, Any]


class Run(NamedTuple):
    """One forward pass."""

    outputs: tuple[Array, ...]
    backward: Callable[[Sequence[Array | None]], Gradients]
    cache: Any  # what backward must not change; None where it is out of sight
    given: Values  # the copies that forward was called with, to see whether they were changed


class Subject(Protocol):
    """Something with gradients to check."""

    name: str
    again: bool  # whether the same backward can be called twice

    def run(self, values: Values) -> Run:
        """Run forward on these values."""

    def incoming(self, count: int) -> list[str]:
        """Return names of the gradients that backward is given."""


def is_real(value: Any) -> bool:
    """Whether a value can have a gradient."""
    return isinstance(value, np.ndarray) and value.dtype.kind in "fc"


def copies(arrays: Sequence[Array]) -> list[Array]:
    """Return copies, for code that may write to what it is given."""
    return [array.copy() for array in arrays]


def copied(values: Values) -> Values:
    """Return values with arrays of their own, for code that may write to them."""
    return {n: v.copy() if isinstance(v, np.ndarray) else v for n, v in values.items()}


def arrays_in(value: Any, path: str, above: tuple[int, ...] = ()) -> dict[str, Array]:
    """Return every array in a nested value, by its path: ``cache.h``, ``cache[0][2]``."""
    if isinstance(value, np.ndarray):
        return {path: value}
    if id(value) in above:  # a value that holds itself
        return {}
    if hasattr(value, "_fields"):
        parts = [(f"{path}.{name}", part) for name, part in zip(value._fields, value, strict=True)]
    elif isinstance(value, tuple | list):
        parts = [(f"{path}[{i}]", part) for i, part in enumerate(value)]
    elif isinstance(value, dict):
        parts = [(f"{path}[{key!r}]", part) for key, part in value.items()]
    elif hasattr(value, "__dict__") and not callable(value):
        parts = [(f"{path}.{name}", part) for name, part in vars(value).items()]
    else:
        parts = []
    return {
        p: array
        for where, part in parts
        for p, array in arrays_in(part, where, (*above, id(value))).items()
    }


def as_tuple(outputs: Any) -> tuple[Any, ...]:
    """Return the outputs as a flat tuple: of one, of several, of states in tuples."""
    if outputs is None:
        return ()
    if isinstance(outputs, tuple | list):
        return tuple(part for output in outputs for part in as_tuple(output))
    return (np.asarray(outputs),)


def regroup(parts: Sequence[Any], like: Any) -> Any:
    """Return flat parts grouped as `like` is; the inverse of :func:`as_tuple`."""
    remaining = iter(parts)

    def build(template: Any) -> Any:
        if template is None:
            return None
        if isinstance(template, tuple | list):
            return tuple(build(part) for part in template)
        return next(remaining)

    return build(like)


class PairSubject:
    """A forward/backward pair that obeys the mirror rule.

    Parameters
    ----------
    forward, backward : callable
        ``forward(*arguments)`` returns outputs and a cache, ``backward(*douts, cache)`` one
        gradient for each argument.
    """

    again = True

    def __init__(self, forward: Callable[..., Any], backward: Callable[..., Any]) -> None:
        self.forward, self.backward = forward, backward
        self.name = callable_name(forward).removesuffix("_forward")

    def incoming(self, count: int) -> list[str]:
        """Return names of the gradients that backward is given."""
        return argument_names(self.backward, count)

    def run(self, values: Values) -> Run:
        """Run forward on these values, in order."""
        given = copied(values)
        made = self.forward(*given.values())
        if not (isinstance(made, tuple) and len(made) == 2):
            raise TypeError(
                f"{self.name}: forward returned a {type(made).__name__}, "
                "expected a pair: outputs and a cache"
            )
        outputs, cache = made

        def backward(douts: Sequence[Array | None]) -> Gradients:
            gradients = self.backward(*douts, cache)
            if isinstance(gradients, np.ndarray):
                gradients = (gradients,)
            if len(gradients) != len(values):
                raise TypeError(
                    f"{self.name}: backward returned {len(gradients)} gradients, "
                    f"expected {len(values)}: one for each of {', '.join(values)}"
                )
            return dict(zip(values, gradients, strict=True))

        return Run(as_tuple(outputs), backward, cache, given)


class FunctionSubject:
    """A function ``theta -> (loss, gradient)``.

    Parameters
    ----------
    function : callable
        Takes one array, returns a number and an array like it.
    laid_out : bool
        Whether the values are the parts of one flat theta, in order.
    """

    again = False

    def __init__(self, function: Callable[..., Any], *, laid_out: bool = False) -> None:
        self.function, self.laid_out, self.name = function, laid_out, callable_name(function)

    def incoming(self, count: int) -> list[str]:
        """Return the name of the loss's gradient; there is one."""
        return ["the loss's gradient"][:count]

    def run(self, values: Values) -> Run:
        """Evaluate; the gradient that was returned is scaled by the loss's."""
        given = copied(values)
        parts = list(given.values())
        made = self.function(
            np.concatenate([part.ravel() for part in parts]) if self.laid_out else parts[0]
        )
        if not (isinstance(made, tuple) and len(made) == 2):
            raise TypeError(
                f"{self.name}: returned a {type(made).__name__}, expected (loss, gradient)"
            )
        loss, whole = np.asarray(made[0]), np.asarray(made[1])
        size = sum(part.size for part in parts)
        if loss.ndim or whole.shape != ((size,) if self.laid_out else parts[0].shape):
            raise TypeError(
                f"{self.name}: returned shapes {loss.shape} and {whole.shape}, "
                f"expected a number and a gradient of {size} numbers"
            )
        cuts = np.cumsum([part.size for part in parts])[:-1]
        gradients = whole

        def backward(douts: Sequence[Array | None]) -> Gradients:
            scaled = gradients * douts[0]
            if not self.laid_out:
                return dict.fromkeys(values, scaled)
            pieces = np.split(scaled, cuts)
            return {n: g.reshape(v.shape) for (n, v), g in zip(values.items(), pieces, strict=True)}

        return Run((loss,), backward, None, given)


def callable_name(function: Any) -> str:
    """Return the name that an error or a report gives a function."""
    while hasattr(function, "func"):  # functools.partial
        function = function.func
    return getattr(function, "__name__", type(function).__name__)


def argument_names(function: Callable[..., Any], count: int) -> list[str]:
    """Return the names of a function's first arguments, as far as it tells them."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        parameters = ()  # type: ignore[assignment]  # a builtin that does not tell
    names = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return [*names, *(f"argument {i}" for i in range(len(names), count))][:count]
