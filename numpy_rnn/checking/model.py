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

from numpy_rnn.checking.subject import (
    Gradients,
    Run,
    Values,
    arrays_in,
    as_tuple,
    copied,
    is_real,
    regroup,
)
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
        self.names = known_parameters(model) if parameters is None else list(parameters)
        self._named, self._looked = parameters is not None, False
        self.overlooked: list[str] = []
        for name in parameters or ():
            if not hasattr(model, name):
                raise TypeError(f"{self.name}: there is no {name!r}, expected an attribute's name")

    def discover(self, arguments: Values) -> None:
        """Find, once, the parameters that are attributes, and what is overlooked.

        A parameter is an array that forward leaves as it is and backward makes a gradient of.
        Of every other array that changes the output, `overlooked` has a line.

        Parameters
        ----------
        arguments : dict
            Of forward.

        Raises
        ------
        TypeError
            If the object shows no parameters.
        """
        if self._looked or of_this_library(self.model):
            return
        self._looked = True
        model = copy.deepcopy(self.model)
        outputs = model.forward(*copied(arguments).values())
        held = arrays_in(model, "self")
        steady = {
            path: array
            for path, array in arrays_in(self.model, "self").items()
            if is_real(array) and path in held and np.array_equal(held[path], array)
        }
        flat = [np.ones_like(out, float) for out in as_tuple(outputs)]
        model.backward(*top_level(flat, outputs))
        if not self.names and not self._named:
            self.names = [
                name
                for name in vars(model)
                if f"self.{name}" in steady and read_gradient(model, name) is not None
            ]
        if not self.names and not self._named:
            raise TypeError(
                f"{self.name}: no parameters found, expected .params and .grads, attributes W "
                "and dW, or parameters=('W', ...) in the call, () for none"
            )
        known = {f"self{place}" for n in self.names for place in (f".{n}", f".params[{n!r}]")}
        self.overlooked = [
            f"{path} changes the output and has no gradient that is known: name it in parameters="
            for path in steady
            if path not in known and self._changes(path, arguments, as_tuple(outputs))
        ]

    def _changes(self, path: str, arguments: Values, outputs: tuple[Any, ...]) -> bool:
        """Whether the outputs are others when an array of the object is."""
        model = copy.deepcopy(self.model)
        array = arrays_in(model, "self")[path]
        if not array.flags.writeable:
            return False
        array += 0.1
        moved = as_tuple(model.forward(*copied(arguments).values()))
        return any(not np.array_equal(a, b) for a, b in zip(moved, outputs, strict=True))

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
        given = list(copied({name: values[name] for name in self.arguments}).values())
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

        return Run(as_tuple(outputs), backward, None, dict(zip(self.arguments, given, strict=True)))


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


def known_parameters(model: Any) -> list[str]:
    """Return the names of the parameters that an object lists; those of attributes come later."""
    if has_parameters(model):
        return list(model.parameters.shapes)
    if isinstance(getattr(model, "params", None), dict):
        return [name for name, value in model.params.items() if is_real(value)]
    return []


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
        return next(
            (model.grads[p + name] for p in ("", *PREFIXES) if p + name in model.grads), None
        )
    for prefix in PREFIXES:
        if hasattr(model, prefix + name):
            return getattr(model, prefix + name)
    return None


def clear_gradient(model: Any, name: str) -> None:
    """Set a gradient to zero, for objects that add to it."""
    held = read_gradient(model, name)
    if isinstance(held, np.ndarray) and held.flags.writeable:
        held[...] = 0
