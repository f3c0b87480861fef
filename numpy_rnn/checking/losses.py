"""Functions that return a loss and its gradient, as targets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from numpy_rnn.checking.nested import Arguments, FormError, arrays_of, scaled
from numpy_rnn.checking.target import Target, callable_name, positional
from numpy_rnn.functional.types import Array


class FunctionTarget(Target):
    """A function that returns a loss and its gradient, which is the cache of a pair."""

    def __init__(self, function: Callable[..., Any], arguments: Arguments, *, flat: bool) -> None:
        self.function, self.flat = function, flat
        super().__init__(self._loss, times_gradient, arguments, callable_name(function))
        self.code = (function,)
        if positional(function) == []:
            text = f"takes no arguments, expected {self.name}() if it makes what is to be checked"
            raise FormError(f"check_gradients: {self.name} {text}")

    def _loss(self, *arguments: Any) -> tuple[Array, Any]:
        """Return the loss, and the gradient in the form of the arguments."""
        called = (np.concatenate([np.ravel(a) for a in arguments]),) if self.flat else arguments
        made = self.function(*called)
        if not (isinstance(made, tuple) and len(made) >= 2):
            raise FormError(
                f"{self.name}: returned a {type(made).__name__}, expected (loss, gradient)"
            )
        if callable(made[-1]):
            raise FormError(
                f"{self.name}: returned a function, expected (loss, gradient); if it is the "
                f"backward pass, check the pair ({self.name}, lambda *a: a[-1](*a[:-1]))"
            )
        loss = np.asarray(made[0])
        gradient: Any = made[1:]
        if len(gradient) == 1 or isinstance(gradient[0], dict):  # what follows is a state
            gradient = gradient[0]
        single = len(called) == 1 and isinstance(called[0], np.ndarray)
        if loss.ndim or (single and np.shape(gradient) != called[0].shape):
            is_dict = isinstance(gradient, dict)
            shape = "a dict" if is_dict else str(np.shape(gradient))
            size = sum(a.size for a in arrays_of(called).values())
            raise FormError(
                f"{self.name}: returned shapes {loss.shape} and {shape}, "
                f"expected a number and a gradient of {size} numbers"
            )
        if self.flat:
            cuts = np.cumsum([a.size for a in arguments])[:-1]
            parts = zip(np.split(np.asarray(gradient), cuts), arguments, strict=True)
            return loss, tuple(part.reshape(a.shape) for part, a in parts)
        of_first = isinstance(gradient, np.ndarray) and isinstance(called[0], np.ndarray)
        if single or (of_first and gradient.shape == called[0].shape):
            return loss, (np.asarray(gradient), *[None] * (len(called) - 1))
        return loss, gradient


def times_gradient(dloss: Any, cache: Any) -> Any:
    """Return the gradients that came with a loss, times its own: a backward pass."""
    return scaled(cache, dloss)
