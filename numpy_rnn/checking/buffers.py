"""Complex buffers, and ``float`` and ``math`` of complex numbers, for the user's code."""

from __future__ import annotations

import contextlib
import functools
import math
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from numpy_rnn.checking.equals import MATH
from numpy_rnn.checking.traced import HERE, NUMPY, TracedArray, traced

FROM_DATA = ("array", "asarray", "ascontiguousarray", "asanyarray")
_LIKE = ("zeros_like", "empty_like", "ones_like", "full_like")
CREATORS = (*_LIKE, *FROM_DATA, "zeros", "empty", "ones", "full", "eye", "identity", "copy")
LIBRARIES = ("builtins", "numpy", "functools", "torch", "jax")


class _FloatType(type):
    """float, for code whose numbers may be complex for a while."""

    def __instancecheck__(cls, value: Any) -> bool:
        return isinstance(value, float)


class _Float(float, metaclass=_FloatType):
    dtype = np.dtype(complex)

    def __new__(cls, value: Any = 0.0) -> Any:
        return traced(np.asarray(value)) if np.iscomplexobj(value) else float(value)


@contextlib.contextmanager
def stand_ins(*functions: Any) -> Iterator[None]:
    """Give complex buffers to the user's code, in the modules of these functions by name too."""
    swaps = {id(getattr(np, name)): _creator(getattr(np, name)) for name in CREATORS}
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


def _creator(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a version of an array creation that gives complex buffers to this thread's code."""
    thread = threading.get_ident()

    @functools.wraps(function)
    def create(*args: Any, **options: Any) -> Any:
        name = sys._getframe(1).f_code.co_filename
        outside = "site-packages" in name or name.startswith((HERE, NUMPY))
        if outside or thread != threading.get_ident():
            return function(*args, **options)
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
