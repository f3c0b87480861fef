"""One view of everything that has gradients to check.

A pair, an object and a function all become a Target: named values in, outputs out, and a
`backward` that claims the gradient of sum(dout * out) for each value.

Objects may name their parameters in three ways:

    this library's        model.parameters.values["weight_hh_l0"], model.parameters.grads[...]
    two dictionaries      model.params["W"], model.grads["W"]
    attributes            model.W and model.dW, or those that the call names
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from numpy_rnn.functional.types import Array
from numpy_rnn.layers import Loss
from numpy_rnn.parameters import Parameters

Values = dict[str, Any]
Gradients = dict[str, Any]
PREFIXES = ("d", "grad_", "d_")  # of the attribute or key that holds a parameter's gradient


class ForwardPass(NamedTuple):
    """The result of one forward pass."""

    outputs: tuple[Array, ...]
    backward: Callable[[Sequence[Array | None]], Gradients]
    cache: Any  # what backward must not change; None if it is out of sight
    inputs: Values  # the copies that forward was called with, to see whether it changed them


Target: TypeAlias = "PairTarget | ObjectTarget"  # something with gradients to check


class Point(NamedTuple):
    """Where gradients are compared: a target, its values, the gradient of each output."""

    target: Target
    values: Values
    douts: list[Array]

    def outputs_with(self, name: str, value: Array) -> tuple[Array, ...]:
        """Return the outputs with another array for one of the values."""
        return self.target.run(self.values | {name: value}).outputs

    def claimed(self) -> Gradients:
        """Return the gradients that the target's backward claims."""
        return self.target.run(self.values).backward(self.own_douts())

    def own_douts(self) -> list[Array]:
        """Return copies of the outputs' gradients, for a backward that may write to them."""
        return [dout.copy() for dout in self.douts]

    def real_names(self) -> list[str]:
        """Return the names of the values that can have a gradient."""
        return [name for name, value in self.values.items() if is_real(value)]


def is_real(value: Any) -> bool:
    """Whether a value can have a gradient."""
    return isinstance(value, np.ndarray) and value.dtype.kind in "fc"


def copied(values: Values) -> Values:
    """Return values whose arrays are copies, for code that may write to its arguments."""
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
    """Return outputs as a flat tuple, whether one, several, or states in nested tuples."""
    if outputs is None:
        return ()
    if isinstance(outputs, tuple | list):
        return tuple(part for output in outputs for part in as_tuple(output))
    return (np.asarray(outputs),)


def regroup(parts: Sequence[Any], like: Any) -> Any:
    """Return flat parts nested as `like` is: the inverse of :func:`as_tuple`."""
    remaining = iter(parts)

    def build(template: Any) -> Any:
        if template is None:
            return None
        if isinstance(template, tuple | list):
            return tuple(build(part) for part in template)
        return next(remaining)

    return build(like)


def read_target(
    target: Any, arguments: Sequence[Any], parameters: Sequence[str] | None
) -> tuple[Target, dict[str, Any]]:
    """Return what check_gradients was given as a Target, and its arguments by name."""
    if isinstance(target, tuple) and len(target) == 2 and all(map(callable, target)):
        forward: Any = target[0]
    elif hasattr(target, "forward") and hasattr(target, "backward"):
        forward = target.forward
    elif callable(target):
        forward = target
    else:
        raise TypeError(
            f"check_gradients: {target!r}, expected a pair (forward, backward), an object with "
            "both methods, or a function theta -> (loss, gradient)"
        )
    by_name = len(arguments) == 1 and isinstance(arguments[0], Mapping)
    if by_name:
        given = dict(arguments[0])
    else:
        given = dict(zip(argument_names(forward, len(arguments)), arguments, strict=True))
    if not given:
        raise TypeError("check_gradients: no arguments, expected those of forward")
    if isinstance(target, tuple):
        return PairTarget(target[0], target[1]), given
    if forward is target:  # an integer vector stands for a real one
        given = {n: g.astype(float) if isinstance(g, np.ndarray) else g for n, g in given.items()}
        return function_as_pair(target, laid_out=by_name), given
    return ObjectTarget(target, list(given), parameters), given


class PairTarget:
    """A forward/backward pair that obeys the mirror rule, as check_gradients describes it."""

    repeatable = True

    def __init__(
        self, forward: Callable[..., Any], backward: Callable[..., Any], name: str = ""
    ) -> None:
        self.forward, self.backward = forward, backward
        self.name = name or callable_name(forward).removesuffix("_forward")

    def cotangent_names(self, count: int) -> list[str]:
        """Return the names of the gradients that backward is given."""
        return argument_names(self.backward, count)

    def run(self, values: Values) -> ForwardPass:
        """Run forward on these values, in order."""
        inputs = copied(values)
        made = self.forward(*inputs.values())
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

        return ForwardPass(as_tuple(outputs), backward, cache, inputs)


def function_as_pair(function: Callable[..., Any], *, laid_out: bool) -> PairTarget:
    """Return a function ``theta -> (loss, gradient)`` as a pair whose cache is the gradient.

    `laid_out` is whether the arguments are the parts of one flat theta, in order.
    """
    name = callable_name(function)

    def forward(*parts: Array) -> tuple[Array, tuple[Array, ...]]:
        theta = np.concatenate([part.ravel() for part in parts]) if laid_out else parts[0]
        shape, size = theta.shape, theta.size
        made = function(theta)
        if not (isinstance(made, tuple) and len(made) == 2):
            raise TypeError(f"{name}: returned a {type(made).__name__}, expected (loss, gradient)")
        loss, gradient = np.asarray(made[0]), np.asarray(made[1])
        if loss.ndim or gradient.shape != shape:
            raise TypeError(
                f"{name}: returned shapes {loss.shape} and {gradient.shape}, "
                f"expected a number and a gradient of {size} numbers"
            )
        if not laid_out:
            return loss, (gradient,) * len(parts)
        by_part = np.split(gradient, np.cumsum([part.size for part in parts])[:-1])
        return loss, tuple(g.reshape(p.shape) for g, p in zip(by_part, parts, strict=True))

    def backward(dloss: Array, cache: tuple[Array, ...]) -> tuple[Array, ...]:
        return tuple(gradient * dloss for gradient in cache)

    return PairTarget(forward, backward, name)


class ObjectTarget:
    """An object whose forward remembers what its backward needs.

    Its ``forward(*arguments)`` returns outputs. Its ``backward(*douts)`` returns gradients of the
    arguments, in order, or nothing. Each run uses a copy, so the object is left as it was.
    """

    repeatable = False

    def __init__(
        self, model: Any, arguments: Sequence[str], parameters: Sequence[str] | None = None
    ) -> None:
        self.model, self.arguments = model, list(arguments)
        self.name = repr(model) if _has_parameters(model) else type(model).__name__
        self.names = _listed_parameters(model) if parameters is None else list(parameters)
        self.overlooked: list[str] = []
        self._names_given, self._discovered = parameters is not None, False
        for name in parameters or ():
            if not hasattr(model, name):
                raise TypeError(f"{self.name}: there is no {name!r}, expected an attribute's name")

    def discover(self, arguments: Values) -> None:
        """Find, once, the attributes that are parameters, and arrays that are overlooked.

        A parameter is an array that forward leaves unchanged and backward makes a gradient for.
        `overlooked` gets a line for every other array that changes the output.
        """
        if self._discovered or _is_of_this_library(self.model):
            return
        self._discovered = True
        model = copy.deepcopy(self.model)
        outputs = model.forward(*copied(arguments).values())
        before, after = arrays_in(self.model, "self"), arrays_in(model, "self")
        constant = [
            path
            for path, array in before.items()
            if is_real(array) and path in after and np.array_equal(after[path], array)
        ]
        ones = [np.ones_like(out, float) for out in as_tuple(outputs)]
        model.backward(*_as_arguments(ones, outputs))
        if not self.names and not self._names_given:
            attributes = [name for name in vars(model) if f"self.{name}" in constant]
            self.names = [n for n in attributes if _read_gradient(model, n) is not None]
            if not self.names:
                raise TypeError(
                    f"{self.name}: no parameters found, expected .params and .grads, attributes W "
                    "and dW, or parameters=('W', ...) in the call, () for none"
                )
        known = {f"self{place}" for n in self.names for place in (f".{n}", f".params[{n!r}]")}
        self.overlooked = [
            f"{path} changes the output and has no gradient that is known: name it in parameters="
            for path in constant
            if path not in known and self._matters(path, arguments, as_tuple(outputs))
        ]

    def _matters(self, path: str, arguments: Values, outputs: tuple[Any, ...]) -> bool:
        """Whether the outputs change when an array of the object does."""
        model = copy.deepcopy(self.model)
        array = arrays_in(model, "self")[path]
        if not array.flags.writeable:
            return False
        array += 0.1
        changed = as_tuple(model.forward(*copied(arguments).values()))
        return any(not np.array_equal(a, b) for a, b in zip(changed, outputs, strict=True))

    def parameters(self) -> dict[str, Array]:
        """Return a copy of every parameter."""
        return {name: np.array(_read_parameter(self.model, name)) for name in self.names}

    def cotangent_names(self, count: int) -> list[str]:
        """Return the names of the gradients that backward is given."""
        return [f"the gradient of output {i}" for i in range(count)]

    def run(self, values: Values) -> ForwardPass:
        """Run forward on these arguments with these parameters.

        `backward` may be called once, because it may use up what forward kept.
        """
        model = copy.deepcopy(self.model)
        inputs = copied({name: values[name] for name in self.arguments})
        if _is_of_this_library(model):
            inputs = _load_library_model(model, self.names, values, inputs)
        else:
            for name in self.names:
                _write_parameter(model, name, values[name].copy())
        outputs = model.forward(*inputs.values())

        def backward(douts: Sequence[Array | None]) -> Gradients:
            for held in (_read_gradient(model, name) for name in self.names):
                if isinstance(held, np.ndarray) and held.flags.writeable:
                    held[...] = 0  # for objects that add to it
            made = model.backward(*_as_arguments(douts, outputs))
            flat = () if made is None else made if isinstance(made, tuple | list) else (made,)
            gradients = dict(zip(self.arguments, flat, strict=False))
            return gradients | {name: _read_gradient(model, name) for name in self.names}

        return ForwardPass(as_tuple(outputs), backward, None, inputs)


def callable_name(function: Any) -> str:
    """Return a function's name for errors and reports."""
    while hasattr(function, "func"):  # functools.partial
        function = function.func
    return getattr(function, "__name__", type(function).__name__)


def argument_names(function: Callable[..., Any], count: int) -> list[str]:
    """Return the names of a function's first arguments, "argument 2" for one without a name."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        parameters = ()  # type: ignore[assignment]  # a builtin without a signature
    names = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return [*names, *(f"argument {i}" for i in range(len(names), count))][:count]


def _has_parameters(model: Any) -> bool:
    """Whether an object keeps its parameters as this library's layers do."""
    return isinstance(getattr(model, "parameters", None), Parameters)


def _is_of_this_library(model: Any) -> bool:
    """Whether an object is a layer, a model or a loss of this library, or derived from one."""
    return _has_parameters(model) or isinstance(model, Loss)


def _as_arguments(douts: Sequence[Array | None], outputs: Any) -> tuple[Any, ...]:
    """Return the gradients as backward takes them: one argument for each output."""
    return tuple(regroup(douts, outputs if isinstance(outputs, tuple | list) else (outputs,)))


def _load_library_model(model: Any, names: Sequence[str], values: Values, inputs: Values) -> Values:
    """Write the parameters to a model of this library, and return the inputs in its dtype."""
    real = [value for value in (*map(values.get, names), *inputs.values()) if is_real(value)]
    dtype = np.result_type(*real)
    if names:
        model.parameters.to(dtype)
    for name in names:
        model.parameters.values[name][...] = values[name]
    return {n: v.astype(dtype) if is_real(v) else v for n, v in inputs.items()}


def _listed_parameters(model: Any) -> list[str]:
    """Return the names of the parameters that an object lists. Attributes are found later."""
    if _has_parameters(model):
        return list(model.parameters.shapes)
    if isinstance(getattr(model, "params", None), dict):
        return [name for name, value in model.params.items() if is_real(value)]
    return []


def _read_parameter(model: Any, name: str) -> Any:
    if _has_parameters(model):
        return model.parameters.values[name]
    if isinstance(getattr(model, "params", None), dict):
        return model.params[name]
    return getattr(model, name)


def _write_parameter(model: Any, name: str, value: Array) -> None:
    if isinstance(getattr(model, "params", None), dict):
        model.params[name] = value
    else:
        setattr(model, name, value)


def _read_gradient(model: Any, name: str) -> Any:
    """Return a parameter's gradient, or None if there is none."""
    if _has_parameters(model):
        return model.parameters.grads[name]
    grads = getattr(model, "grads", None)
    if isinstance(grads, dict):
        return next((grads[p + name] for p in ("", *PREFIXES) if p + name in grads), None)
    return next((getattr(model, p + name) for p in PREFIXES if hasattr(model, p + name)), None)
