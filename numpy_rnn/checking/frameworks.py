"""Functions of PyTorch and JAX with a backward pass written by hand, as forward/backward pairs.

``torch.autograd.Function``, ``torch.nn.Module`` and functions that return tensors; and
``jax.custom_vjp``. Neither library is imported unless such a function was handed in.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from numpy_rnn.checking.nested import as_leaves, as_tuple, map_tree
from numpy_rnn.checking.target import callable_name

Pair = tuple[Callable[..., Any], Callable[..., Any], str]


def framework_pair(target: Any) -> Pair | None:
    """Return a function of PyTorch or JAX as a pair of arrays with a name, or None."""
    torch = sys.modules.get("torch")
    passes = [getattr(target, name, None) for name in ("forward", "backward")]
    if isinstance(target, type) and all(map(inspect.isfunction, passes)):
        parameters = [*inspect.signature(target.forward).parameters.values()]  # type: ignore[attr-defined]
        is_torchs = torch is not None and issubclass(target, torch.autograd.Function)
        if parameters and parameters[0].name == "ctx" and not is_torchs:
            return _pair(target, target.__name__, _run_with_context, parameters[1:])
    if torch is not None:
        owner: Any = getattr(target, "__self__", target)
        if isinstance(owner, type) and issubclass(owner, torch.autograd.Function):
            custom: Any = owner
            parameters = list(inspect.signature(custom.forward).parameters.values())
            parameters = parameters[parameters[0].name == "ctx" :]
            pair = _pair(custom.apply, custom.__name__, _run_torch, parameters)
            names = inspect.unwrap(custom.backward).__code__.co_names
            if "needs_input_grad" in names:  # it may be wrong where others are not wanted
                alone = functools.partial(_run_torch, alone=True)
                pair[0].alone = _pair(custom.apply, "", alone)[0]  # type: ignore[attr-defined]
            return pair
        uses_torch = any(value is torch for value in _values_of(target))
        if isinstance(target, torch.nn.Module) or uses_torch:
            return _pair(target, callable_name(target), _run_torch)
    jax: Any = sys.modules.get("jax")
    if jax is not None and (
        type(target).__module__.startswith("jax")
        or any(isinstance(value, jax.custom_vjp) for value in _values_of(target))
    ):
        return _pair(target, callable_name(target), _run_jax)
    return None


def _values_of(function: Any) -> list[Any]:
    """Return the values from outside that a function uses by name."""
    used = inspect.getclosurevars(function)[:2] if inspect.isfunction(function) else ()
    return [value for names in used for value in names.values()]


def _pair(
    function: Any, name: str, run: Any, parameters: list[inspect.Parameter] | None = None
) -> Pair:
    """Return a pair whose cache is the backward pass, which `run` returns beside the outputs."""

    def forward(*arguments: Any) -> Any:
        return run(function, arguments)

    def backward(*sent: Any) -> Any:
        *douts, pull = sent
        return pull(douts)

    # So that arguments have the function's names in a report.
    if parameters is None:
        called = getattr(function, "forward", function)
        parameters = list(inspect.signature(called).parameters.values())
    forward.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # inspect reads it
    return forward, backward, name


class _Context:
    """What a function in the style of ``torch.autograd.Function`` keeps its values in."""

    def save_for_backward(self, *values: Any) -> None:
        """Keep values under the names that such functions read them by."""
        self.saved_tensors = self.saved_values = self.saved = values


def _run_with_context(function: Any, arguments: Any) -> tuple[Any, Callable[[Any], Any]]:
    context = _Context()
    made = function.forward(context, *arguments)
    return made, lambda douts: function.backward(context, *douts)


def _run_torch(
    function: Any, arguments: Any, *, alone: bool = False
) -> tuple[Any, Callable[[Any], Any]]:
    """Run a function of PyTorch; `alone` asks for the gradient of one argument at a time."""
    import torch  # noqa: PLC0415 (only if such a function was handed in)

    def to_tensor(value: Any) -> Any:
        if not isinstance(value, np.ndarray):
            return value
        return torch.from_numpy(value).requires_grad_(value.dtype.kind == "f")

    def to_array(value: Any) -> Any:
        return frozen(value).resolve_conj().numpy() if hasattr(value, "detach") else value

    def frozen(value: Any) -> Any:
        return value.detach() if hasattr(value, "detach") else value

    if isinstance(function, torch.nn.Module):
        function.double()
    tensors = map_tree(arguments, to_tensor)
    made = function(*tensors)

    def pull(douts: Any) -> Any:
        wanted = [t for t in as_leaves(tensors) if getattr(t, "requires_grad", False)]
        gradients = {} if alone else gradients_of(made, wanted, douts)
        for t in wanted if alone else ():
            others = {id(v): frozen(v) for v in as_leaves(tensors) if v is not t}
            called = map_tree(tensors, lambda v, o=others: o.get(id(v), v))  # type: ignore[misc]
            gradients |= gradients_of(function(*called), [t], douts)
        return map_tree(tensors, lambda t: gradients.get(id(t)))

    def gradients_of(made: Any, wanted: list[Any], douts: Any) -> dict[int, Any]:
        pairs = zip(as_leaves(made), as_leaves(douts), strict=True)
        linked = [(out, torch.as_tensor(dout)) for out, dout in pairs if out.requires_grad]
        found: Any = torch.autograd.grad(
            [out for out, _ in linked],
            wanted,
            [dout for _, dout in linked],
            allow_unused=True,
            retain_graph=True,
        )
        return {
            id(t): np.zeros(t.shape) if g is None else to_array(g)
            for t, g in zip(wanted, found, strict=True)
        }

    return as_tuple(map_tree(made, to_array)), pull


def _run_jax(function: Any, arguments: Any) -> tuple[Any, Callable[[Any], Any]]:
    import jax  # noqa: PLC0415 (only if such a function was handed in)

    fixed = {i % len(arguments) for i in getattr(function, "nondiff_argnums", ())}

    def of_others(*others: Any) -> Any:
        left = iter(others)
        return function(*(a if i in fixed else next(left) for i, a in enumerate(arguments)))

    with _in_float64(jax), jax.disable_jit():  # compiling anew would take longer than running
        if any(map(np.iscomplexobj, as_leaves(arguments))):
            made, pullback = function(*arguments), None
        else:
            others = [a for i, a in enumerate(arguments) if i not in fixed]
            made, pullback = jax.vjp(of_others, *others)

    def pull(douts: Any) -> Any:
        assert pullback is not None  # noqa: S101 (backward is never complex)
        with _in_float64(jax), jax.disable_jit():
            found = pullback(jax.tree.unflatten(jax.tree.structure(made), as_leaves(douts)))
        kept = (g if np.asarray(g).dtype.kind == "f" else None for g in as_leaves(found))
        gradients = iter([None if g is None else np.asarray(g) for g in kept])
        return tuple(
            map_tree(a, (lambda _: None) if i in fixed else (lambda _: next(gradients)))
            for i, a in enumerate(arguments)
        )

    return as_tuple(map_tree(made, np.asarray)), pull


@contextlib.contextmanager
def _in_float64(jax: Any) -> Iterator[None]:
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    try:
        yield
    finally:
        jax.config.update("jax_enable_x64", before)
