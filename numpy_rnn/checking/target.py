"""One view of everything that has gradients to check.

A pair, an object and a function all become a Target: named values in, outputs out, and a
`backward` that claims the gradient of sum(dout * out) for each value. Objects are in
``objects.py``, functions of PyTorch and JAX in ``frameworks.py``; ``check.py`` tells them apart.
"""

from __future__ import annotations

import copy
import inspect
import traceback
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from numpy_rnn.checking.capture import quiet
from numpy_rnn.checking.nested import (
    Arguments,
    FormError,
    Gradients,
    Values,
    as_tuple,
    regroup,
    scaled,
)
from numpy_rnn.checking.traced import line_of_user, stand_ins, traced
from numpy_rnn.functional.types import Array

CACHES = ("cache", "caches", "ctx", "saved", "tape", "memory", "residuals", "res", "context")
NUMBERS = (np.ndarray, np.generic, float)
RATES = ("lr", "learning_rate", "eta", "alpha", "learn_rate", "step_size")


class ForwardPass(NamedTuple):
    """The result of one forward pass."""

    outputs: tuple[Array, ...]
    backward: Callable[[Sequence[Array]], Gradients]
    cache: Any  # what backward must not change; None if it is out of sight
    inputs: Values  # the copies that forward was called with, to see whether it changed them
    received: int  # how many of the outputs backward takes a gradient for


class Point(NamedTuple):
    """Where gradients are compared: a target, its values, the gradient of each output."""

    target: Target
    values: Values
    douts: list[Array]

    def outputs_with(self, changed: Values, *, use_stand_ins: bool = False) -> tuple[Array, ...]:
        """Return the outputs with other arrays for some of the values."""
        if not any(map(np.iscomplexobj, changed.values())):
            return self.target.run(self.values | changed).outputs
        values = of_real(lambda v: v.astype(complex), self.values | changed)  # float32 too
        if not use_stand_ins:
            return self.target.run(values).outputs
        with stand_ins(*self.target.code):
            return self.target.run({n: traced(v) for n, v in values.items()}).outputs

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


def of_real(function: Callable[[Array], Any], values: Values) -> Values:
    """Return values with a function of each one that can have a gradient."""
    return {name: function(v) if is_real(v) else v for name, v in values.items()}


def largest(*arrays: Any) -> float:
    """Return the largest absolute value in arrays, 0 if there is none."""
    return max((float(np.abs(array).max(initial=0.0)) for array in arrays), default=0.0)


WRITABLE = (np.ndarray, list, dict, set, np.random.Generator, np.random.RandomState)


def copied(values: Values) -> Values:
    """Return copies of what may be written to: arrays, lists, dictionaries, generators."""
    return {name: _copied(value) for name, value in values.items()}


def _copied(value: Any) -> Any:
    if type(value) is np.ndarray and value.dtype.kind != "O":
        return value.copy("K")  # as deepcopy does, in a third of the time
    return copy.deepcopy(value) if isinstance(value, WRITABLE) else value


def positional(function: Callable[..., Any]) -> list[inspect.Parameter] | None:
    """Return a function's positional parameters, or None if it takes any number or says none."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return None
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return None
    return [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]


class Target:
    """A forward/backward pair that obeys the mirror rule, as check_gradients describes it.

    The parameters of backward say what each is for: gradients of outputs, a cache, a learning rate.
    Without `is_pair`, forward returns a cache only if backward takes it by name.
    """

    repeatable = True  # whether backward may be called twice after one forward

    def __init__(
        self,
        forward: Callable[..., Any],
        backward: Callable[..., Any],
        arguments: Arguments,
        name: str = "",
        *,
        is_pair: bool = True,
    ) -> None:
        self.forward, self.backward, self.arguments = forward, backward, arguments
        self.name = name or callable_name(forward).removesuffix("_forward")
        self.remarks: dict[str, None] = {}  # what the passes were seen to do, for the report
        self.code: tuple[Any, ...] = forward, backward  # whose modules get complex buffers
        self._given, takes = positional(forward), positional(backward)
        if is_pair and takes is not None:
            takes = [p for p in takes if p.default is p.empty]
        names = [p.name.lower() for p in takes or ()]
        caches = [i for i, name in enumerate(names) if name in CACHES]
        last = 0 if 0 in caches else (caches or [len(names) - 1])[-1]
        self._takes, self._is_pair = takes, is_pair
        self._cache = last if is_pair or caches else None  # its position
        self._in_closure = False  # whether the functions share a cache that they do not return
        self._rates = () if is_pair else RATES
        room = [i for i, n in enumerate(names) if i != self._cache and n not in self._rates]
        self._room = None if takes is None else len(room)
        self.linear = self._room != 0  # whether backward takes a gradient, so that it can be scaled

    def run(self, values: Values) -> ForwardPass:
        """Run forward on these values.

        An object's `backward` may be called once, because it may use up what forward kept.
        """
        inputs = copied({name: values[name] for name in self.arguments.values})
        model, inputs = self._model(values, inputs)
        forward, backward = self._passes(model)
        outputs, cache = self._outputs(forward, inputs)

        def claimed(douts: Sequence[Array]) -> Gradients:
            if self._in_closure:  # where the last forward pass is, so this one again
                self._outputs(forward, inputs)
            returned = self._returned(backward, outputs, cache, douts, inputs)
            found = self._read(model, returned, values)
            return found if self._room != 0 else scaled(found, np.squeeze(douts[0]))

        flat = as_tuple(outputs)
        some = isinstance(outputs, tuple) and self._room
        received = len(as_tuple(outputs[: self._room])) if some else len(flat)
        return ForwardPass(flat, claimed, cache if self._is_pair else None, inputs, received)

    def _model(self, _: Values, inputs: Values) -> tuple[Any, Values]:
        """Return the object that is run, if it is one, and its inputs."""
        return None, inputs

    def _passes(self, _: Any) -> tuple[Callable[..., Any], Callable[..., Any]]:
        return self.forward, self.backward

    def _read(self, _: Any, returned: Any, values: Values) -> Gradients:
        """Return the gradients by name, from what backward returned."""
        if self._room == 0 and isinstance(returned, np.ndarray):  # of the first argument alone
            returned = (returned, *[None] * (len(self.arguments.trees) - 1))
        return self.arguments.read(returned, self.name, values)

    def _outputs(self, forward: Callable[..., Any], inputs: Values) -> tuple[Any, Any]:
        """Return what forward returns, and the cache."""
        room, count = self._given, len(self.arguments.trees)
        if room is not None and not sum(p.default is p.empty for p in room) <= count <= len(room):
            taken = f"{callable_name(forward)} takes ({', '.join(p.name for p in room)})"
            raise FormError(f"{self.name}: {taken}, expected a shape for each, got {count}")
        with quiet(self.remarks, reseed=True):
            made = forward(*self.arguments.build(inputs))
        if self._cache is not None and isinstance(made, tuple) and len(made) > 1:
            return made[0] if len(made) == 2 else made[:-1], made[-1]
        if self._is_pair:
            self._find_closure(made)
        return made, None

    def _find_closure(self, made: Any) -> None:
        """Take a pair whose forward returns no cache for one that keeps it, or raise."""
        takes = [p.name.lower() not in CACHES for p in self._takes or ()]
        if self._takes is None or len(takes) > 1 or not all(takes) or not isinstance(made, NUMBERS):
            raise FormError(
                f"{self.name}: forward returned a {type(made).__name__}, "
                "expected a pair: outputs and a cache"
            )
        self._is_pair, self._cache, self._room = False, None, len(takes)
        self._in_closure, self.linear = True, bool(takes)

    def _returned(
        self,
        backward: Callable[..., Any],
        outputs: Any,
        cache: Any,
        douts: Sequence[Array],
        inputs: Values,
    ) -> Any:
        """Return what backward returns for the gradients of the outputs.

        If it takes more than those, an argument with the name of one of forward's is that one.
        """
        sent = regroup(douts, outputs)
        queue = list(sent) if isinstance(outputs, tuple) else [sent]
        arguments: list[Any] = []
        given = dict(zip(self.arguments.names, self.arguments.build(inputs), strict=True))
        known = given if (self._room or 0) > len(queue) else {}
        if self._takes is None:  # any number
            arguments = [*queue, cache] if self._is_pair else queue
        for position, p in enumerate(self._takes or ()):
            if position == self._cache:
                arguments.append(cache)
            elif p.name.lower() in self._rates:
                arguments.append(1.0)
            elif p.name in known:
                arguments.append(known[p.name])
            elif queue:
                arguments.append(queue.pop(0))
            elif p.default is p.empty:
                raise FormError(
                    f"{self.name}: backward expects {p.name!r} besides the gradients of its "
                    f"{len(douts)} outputs, expected one gradient for each output, a cache and "
                    f"arguments of forward by name ({', '.join(given)}); if the loss is in "
                    "backward, check a function that returns (loss, gradients)"
                )
        with quiet(self.remarks, reseed=False):
            return backward(*arguments)


def callable_name(function: Any) -> str:
    """Return a function's name for errors and reports."""
    while hasattr(function, "func"):  # functools.partial
        function = function.func
    return getattr(function, "__name__", type(function).__name__)


def argument_names(function: Callable[..., Any], count: int) -> list[str]:
    """Return the names of a function's first arguments, "argument 2" for one without a name."""
    names = [p.name for p in positional(function) or ()]
    return [*names, *(f"argument {i}" for i in range(len(names), count))][:count]


def in_one_line(error: Exception, doing: str) -> FormError:
    """Return an error of the code under test as one line: what was called, what came."""
    if isinstance(error, FormError):
        return error
    line = line_of_user(traceback.extract_tb(error.__traceback__))
    text = " ".join(str(error).split())
    return FormError(f"{doing}: {type(error).__name__}: {text} ({line})")
