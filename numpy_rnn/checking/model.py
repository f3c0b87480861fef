"""Objects with `forward`, `backward` and named parameters, as subjects.

Three ways to name parameters are understood:

    this library's        model.parameters.values["weight_hh_l0"], model.parameters.grads[...]
    two dictionaries      model.params["W"], model.grads["W"]
    attributes            model.W, model.dW, or those that are named in the call
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np

from numpy_rnn.checking.subject import Gradients, Run, Values, as_tuple, is_real, regroup
from numpy_rnn.functional.types import Array
from numpy_rnn.layers.losses import CrossEntropyLoss, MSELoss
from numpy_rnn.parameters import Parameters

PREFIXES = ("d", "grad_", "d_")  # of the attribute that holds a parameter's gradient


class ModelSubject:
    """An object whose forward remembers what its backward needs.

    Each run is on a copy of its own, so that the object is left as it was.

    Parameters
    ----------
    model : object
        With ``forward(*arguments)`` and ``backward(*douts)``.
    arguments : sequence of str
        Names of forward's arguments; backward returns their gradients, in order, or nothing.
    parameters : sequence of str, optional
        Attributes that are parameters, where the object does not say so itself.
    """

    again = False

    def __init__(
        self, model: Any, arguments: Sequence[str], parameters: Sequence[str] | None = None
    ) -> None:
        self.model, self.arguments = model, list(arguments)
        self.name = repr(model) if has_parameters(model) else type(model).__name__
        self.names = find_parameters(model) if parameters is None else list(parameters)

    def parameters(self) -> dict[str, Array]:
        """Return a copy of every parameter."""
        return {name: np.array(read(self.model, name)) for name in self.names}

    def incoming(self, count: int) -> list[str]:
        """Return names of the gradients that backward is given."""
        return [f"the gradient of output {i}" for i in range(count)]

    def run(self, values: Values) -> Run:
        """Run forward on these arguments with these parameters."""
        model = copy.deepcopy(self.model)
        for name in self.names:
            write(model, name, values[name])
        given = [values[name] for name in self.arguments]
        if of_this_library(model):  # whose arrays are all of one dtype
            real = [values[name] for name in (*self.names, *self.arguments)]
            dtype = np.result_type(*(value for value in real if is_real(value)))
            given = [a.astype(dtype) if is_real(a) else a for a in given]
            if self.names:
                model.parameters.to(dtype)
            for name in self.names:
                model.parameters.values[name][...] = values[name]
        outputs = model.forward(*given)

        def backward(douts: Sequence[Array | None]) -> Gradients:
            for name in self.names:
                clear_gradient(model, name)
            made = model.backward(*top_level(douts, outputs))
            flat = () if made is None else made if isinstance(made, tuple | list) else (made,)
            gradients = dict(zip(self.arguments, flat, strict=False))
            return gradients | {name: read_gradient(model, name) for name in self.names}

        return Run(as_tuple(outputs), backward, None)


def of_this_library(model: Any) -> bool:
    """Whether an object is a layer, a model or a loss of this library, or derived from one."""
    return has_parameters(model) or isinstance(model, MSELoss | CrossEntropyLoss)


def has_parameters(model: Any) -> bool:
    """Whether an object keeps its parameters as this library's layers do."""
    return isinstance(getattr(model, "parameters", None), Parameters)


def top_level(douts: Sequence[Array | None], outputs: Any) -> tuple[Any, ...]:
    """Return the gradients grouped as backward takes them: one for each output."""
    grouped = regroup(douts, outputs if isinstance(outputs, tuple | list) else (outputs,))
    return tuple(grouped)


def find_parameters(model: Any) -> list[str]:
    """Return the names of an object's parameters.

    Raises
    ------
    TypeError
        If it shows none.
    """
    if has_parameters(model):
        return list(model.parameters.shapes)
    if isinstance(model, MSELoss | CrossEntropyLoss):
        return []
    if isinstance(getattr(model, "params", None), dict):
        return [name for name, value in model.params.items() if is_real(value)]
    names = [
        name
        for name, value in vars(model).items()
        if is_real(value) and any(hasattr(model, prefix + name) for prefix in PREFIXES)
    ]
    if not names:
        raise TypeError(
            f"{type(model).__name__}: no parameters found, expected .params and .grads, "
            "attributes W and dW, or parameters=('W', ...) in the call, () for none"
        )
    return names


def read(model: Any, name: str) -> Any:
    """Return a parameter."""
    if has_parameters(model):
        return model.parameters.values[name]
    if isinstance(getattr(model, "params", None), dict):
        return model.params[name]
    return getattr(model, name)


def write(model: Any, name: str, value: Array) -> None:
    """Put an array in a parameter's place."""
    if has_parameters(model):
        return  # `run` does it once the dtype is known
    if isinstance(getattr(model, "params", None), dict):
        model.params[name] = value.copy()
    else:
        setattr(model, name, value.copy())


def read_gradient(model: Any, name: str) -> Any:
    """Return a parameter's gradient, or None if there is none."""
    if has_parameters(model):
        return model.parameters.grads[name]
    if isinstance(getattr(model, "grads", None), dict):
        return model.grads.get(name)
    for prefix in PREFIXES:
        if hasattr(model, prefix + name):
            return getattr(model, prefix + name)
    return None


def clear_gradient(model: Any, name: str) -> None:
    """Set a gradient to zero, for objects that add to it."""
    held = read_gradient(model, name)
    if isinstance(held, np.ndarray) and held.flags.writeable:
        held[...] = 0
