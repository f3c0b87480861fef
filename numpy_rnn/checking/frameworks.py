"""Functions of PyTorch and JAX with a backward pass written by hand, as targets.

``torch.autograd.Function``, ``torch.nn.Module`` and functions that return tensors; and
``jax.custom_vjp``. Neither library is imported unless such a function was handed in.
"""

from __future__ import annotations

import inspect
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from numpy_rnn.checking.target import (
    Arguments,
    ForwardPass,
    Gradients,
    Values,
    as_tuple,
    callable_name,
    copied,
    is_real,
    map_tree,
    quiet,
    regroup,
)
from numpy_rnn.functional.types import Array


def framework_target(target: Any) -> FrameworkTarget | None:
    """Return a function of PyTorch or JAX as a target, or None for anything else."""
    torch = sys.modules.get("torch")
    if torch is not None:
        owner: Any = getattr(target, "__self__", target)
        if isinstance(owner, type) and issubclass(owner, torch.autograd.Function):
            custom: Any = owner
            names = list(inspect.signature(custom.forward).parameters)
            names = names[1:] if names[:1] == ["ctx"] else names
            return TorchTarget(custom.apply, custom.__name__, names)
        uses_torch = inspect.isfunction(target) and any(
            value is torch for value in _names(target).values()
        )
        if isinstance(target, torch.nn.Module) or uses_torch:
            return TorchTarget(target, callable_name(target))
    if sys.modules.get("jax") is not None and type(target).__module__.startswith("jax"):
        return JaxTarget(target, callable_name(target))
    return None


def _names(function: Any) -> dict[str, Any]:
    """Return the global and enclosed names that a function uses."""
    used = {n: function.__globals__.get(n) for n in function.__code__.co_names}
    cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
    return used | {n: c.cell_contents for n, c in cells}


class FrameworkTarget(ABC):
    """What both have in common: arrays become tensors, outputs become arrays."""

    repeatable = linear = True
    arguments: Arguments

    def __init__(
        self, function: Callable[..., Any], name: str, names: Sequence[str] | None = None
    ) -> None:
        self.function, self.name = function, name
        self.remarks: dict[str, None] = {}
        called = getattr(function, "forward", function)
        # So that arguments have the function's names in a report.
        if names is None:
            self.__signature__ = inspect.signature(called)
        else:
            kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
            self.__signature__ = inspect.Signature([inspect.Parameter(n, kind) for n in names])

    def bind(self, arguments: Arguments) -> FrameworkTarget:
        """Return the target with its arguments."""
        self.arguments = arguments
        return self

    def __call__(self, *arguments: Any) -> Any:
        """Stand for the function where names of arguments are looked up."""
        return self.function(*arguments)

    def code(self) -> tuple[Any, ...]:
        """Return no functions: arrays of these libraries follow the dtype."""
        return ()

    def cotangent_names(self, count: int) -> list[str]:
        """Return the names of the gradients that backward is given."""
        return [f"the gradient of output {i}" for i in range(count)]

    def run(self, values: Values) -> ForwardPass:
        """Run forward on these values."""
        inputs = copied(values)
        with quiet(self, reseed=True):
            made, backward = self.trace(inputs)
        outputs = as_tuple(map_tree(made, self.to_array))

        def backward_of_arrays(douts: Sequence[Array | None]) -> Gradients:
            given = [n for n, v in inputs.items() if is_real(v)]
            found = backward(regroup(douts, made), given)
            return {n: None if g is None else self.to_array(g) for n, g in found.items()}

        return ForwardPass(outputs, backward_of_arrays, None, inputs, len(outputs))

    @abstractmethod
    def trace(self, inputs: Values) -> tuple[Any, Callable[[Any, list[str]], Gradients]]:
        """Return the outputs and the backward pass."""

    def to_array(self, value: Any) -> Any:
        """Return a tensor as an array."""
        return np.asarray(value)


class TorchTarget(FrameworkTarget):
    """A function of tensors."""

    def trace(self, inputs: Values) -> tuple[Any, Callable[[Any, list[str]], Gradients]]:
        """Run the function, with gradients where the inputs are real."""
        import torch  # noqa: PLC0415 (only if such a function was handed in)

        tensors = {
            n: torch.from_numpy(v).requires_grad_(v.dtype.kind == "f")
            if isinstance(v, np.ndarray)
            else v
            for n, v in inputs.items()
        }
        function: Any = self.function
        if isinstance(function, torch.nn.Module):
            function.double()
        made = self.function(*self.arguments.build(tensors))

        def backward(douts: Any, names: list[str]) -> Gradients:
            pairs = zip(as_leaves(made), as_leaves(douts), strict=True)
            linked = [(out, torch.as_tensor(d)) for out, d in pairs if out.requires_grad]
            found: Any = torch.autograd.grad(
                [out for out, _ in linked],
                [tensors[n] for n in names],
                [d for _, d in linked],
                allow_unused=True,
                retain_graph=True,
            )
            return {
                n: np.zeros(inputs[n].shape) if g is None else g
                for n, g in zip(names, found, strict=True)
            }

        return made, backward

    def to_array(self, value: Any) -> Any:
        """Return a tensor as an array."""
        return value.detach().resolve_conj().numpy() if hasattr(value, "detach") else value


class JaxTarget(FrameworkTarget):
    """A function with ``jax.custom_vjp``, in float64."""

    def trace(self, inputs: Values) -> tuple[Any, Callable[[Any, list[str]], Gradients]]:
        """Run the function and keep what its backward needs."""
        import jax  # noqa: PLC0415 (only if such a function was handed in)

        before = jax.config.jax_enable_x64
        jax.config.update("jax_enable_x64", True)
        try:
            if any(np.iscomplexobj(v) for v in inputs.values()):
                made = self.function(*self.arguments.build(inputs))
                return map_tree(made, np.asarray), lambda _douts, _names: {}
            made, pullback = jax.vjp(self.function, *self.arguments.build(inputs))
        finally:
            jax.config.update("jax_enable_x64", before)

        def backward(douts: Any, names: list[str]) -> Gradients:
            jax.config.update("jax_enable_x64", True)
            try:
                found = pullback(douts)
            finally:
                jax.config.update("jax_enable_x64", before)
            return {n: g for n, g in self.arguments.read(found, self.name).items() if n in names}

        return map_tree(made, np.asarray), backward


def as_leaves(value: Any) -> list[Any]:
    """Return the parts of nested tuples and lists."""
    if isinstance(value, list | tuple):
        return [leaf for part in value for leaf in as_leaves(part)]
    return [value]
