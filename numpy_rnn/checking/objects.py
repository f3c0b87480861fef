"""Objects whose forward remembers what their backward needs, in the forms that people write.

A parameter is an array that forward leaves unchanged and backward makes a gradient for. Where both
may be is in ``parameters.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from numpy_rnn.checking.nested import (
    Arguments,
    FormError,
    Gradients,
    Path,
    Values,
    arrays_of,
    as_leaves,
    as_tuple,
    copy_with,
    gradient_keys,
    match_gradient,
    path_text,
    walk,
)
from numpy_rnn.checking.parameters import (
    Parameter,
    find_parameters,
    follow,
    gradient_beside,
    short_name,
)
from numpy_rnn.checking.target import (
    RATES,
    Target,
    copied,
    is_real,
    of_real,
    times_gradient,
)
from numpy_rnn.functional.types import Array
from numpy_rnn.layers import Loss
from numpy_rnn.parameters import Parameters

METHODS: tuple[tuple[str, str | None], ...] = (
    ("forward", "backward"),
    ("forward_pass", "backward_pass"),
    ("fprop", "bprop"),
    ("forward", "backprop"),
    ("feedforward", "backprop"),
    ("forward_propagation", "backward_propagation"),
    ("forward_prop", "backward_prop"),
    ("__call__", "backward"),
    ("loss", None),
)


class ObjectTarget(Target):
    """An object with forward and backward. Each run uses a copy, so it is left as it was."""

    repeatable = False

    def __init__(
        self,
        model: Any,
        arguments: Arguments,
        parameters: Sequence[str] | None = None,
        methods: tuple[str, str | None] = METHODS[0],
    ) -> None:
        library = isinstance(getattr(model, "parameters", None), Parameters)
        name = repr(model) if library else type(model).__name__
        self.model, self.methods = model, methods
        super().__init__(*self._passes(model), arguments, name, is_pair=methods[1] is None)
        self.overlooked: list[str] = []
        self.found: dict[str, Parameter] = {}
        self._named, self._discovered = parameters, False
        parts = list(walk(model))  # no pass changes the object, only copies of it
        self.code = tuple(node for _, node in parts if hasattr(node, "__dict__"))
        self._arrays = [node for _, node in parts if isinstance(node, np.ndarray)]
        self._libraries = [path for path, node in parts if isinstance(node, Parameters)]
        for name in parameters or ():
            if not hasattr(model, name):
                raise FormError(f"{self.name}: there is no {name!r}, expected an attribute's name")

    def discover(self, values: Values) -> None:
        """Find, once, the parameters, and arrays that change the output and have no gradient."""
        if self._discovered:
            return
        self._discovered = True
        model = copy_with(self.model, self._arrays, ())
        before = {path: array.copy() for path, array in arrays_of(model).items() if is_real(array)}
        forward, backward = self._passes(model)
        made, cache = self._outputs(forward, copied(values))
        outputs = as_tuple(made)
        kept = {path: array.copy() for path, array in arrays_of(model).items()}
        constant = [p for p, old in before.items() if p in kept and np.array_equal(kept[p], old)]
        returned = self._returned(backward, made, cache, [np.ones_like(o) for o in outputs])
        self.found = {
            short_name(p.path): p
            for p in find_parameters(model)
            if is_real(follow(self.model, p.path))
            if self._named is None or p.path[0][1] in self._named
        }
        known = [follow(self.model, p.path) for p in self.found.values()]
        originals = arrays_of(self.model)
        left = [
            path
            for path in constant
            if originals[path].size
            and not any(np.shares_memory(originals[path], k) for k in known)
            and self._matters(path, values, outputs)
        ]
        used = {p.gradient for p in self.found.values()}
        fresh = {
            path: array
            for path, array in arrays_of(model).items()
            if path not in used and (path not in kept or not np.array_equal(array, kept[path]))
        }
        _, extra, named = self._sorted(returned, values)
        positions = list(range(len(extra)))
        for path in list(left):
            name, now, shape = str(path[-1][1]), follow(model, path), originals[path].shape
            fits = [i for i in positions if np.shape(extra[i]) == shape]
            gradient: Any = None
            if {*gradient_keys(name), name} & set(named):
                gradient = "by name"
            elif fits:
                gradient = fits[0]
                positions.remove(gradient)
            elif now is not None and not np.array_equal(now, before[path]):
                gradient = "updated"
                self.linear = False
            else:
                gradient = gradient_beside(path, shape, fresh)
                fresh.pop(gradient, None)
            if gradient is not None:
                self.found[path_text(path).removeprefix(".")] = Parameter(path, gradient)
                left.remove(path)
        if self._named is None and not self.found and left:
            raise FormError(
                f"{self.name}: no parameters found, expected .params and .grads, attributes W and "
                "dW, or parameters=('W', ...) in the call, () for none"
            )
        self.overlooked = [
            f"self{path_text(path)} changes the output and has no gradient that is known: "
            "name it in parameters="
            for path in left
        ]

    def _sorted(self, returned: Any, values: Values) -> tuple[list[Any], list[Any], dict[Any, Any]]:
        """Return what backward returned: for each argument, other arrays, and those by name."""
        if isinstance(returned, dict):
            return [], [], returned
        trees = self.arguments.trees
        several = isinstance(returned, tuple) or (
            isinstance(returned, list) and len(returned) == len(trees) > 1
        )
        flat = list(returned) if several else [returned]

        def fit(parts: list[Any]) -> bool:
            pairs = zip(trees, parts, strict=True)
            return all(isinstance(p, np.ndarray) and p.shape == values[t].shape for t, p in pairs)

        count = len(trees)
        plain = all(isinstance(t, str) and is_real(values[t]) for t in trees)
        if plain and len(flat) > count and not fit(flat[:count]) and fit(flat[-count:]):
            flat = flat[-count:] + flat[:-count]  # the arguments come last
        rest = flat[count:]
        named = {k: g for part in rest if isinstance(part, dict) for k, g in part.items()}
        return flat[:count], as_leaves([p for p in rest if not isinstance(p, dict)]), named

    def _matters(self, path: Path, values: Values, outputs: tuple[Any, ...]) -> bool:
        """Whether the outputs change when an array of the object does."""
        model = copy_with(self.model, self._arrays, ())
        array = follow(model, path)
        if not array.flags.writeable:
            return False
        array += 0.1
        changed = as_tuple(self._outputs(self._passes(model)[0], copied(values))[0])
        return any(not np.array_equal(a, b) for a, b in zip(changed, outputs, strict=True))

    def parameters(self) -> dict[str, Array]:
        """Return a copy of every parameter."""
        return {name: np.array(follow(self.model, p.path)) for name, p in self.found.items()}

    def _model(self, values: Values, inputs: Values) -> tuple[Any, Values]:
        """Return a copy of the object with other parameters, and the inputs in their dtype."""
        library: list[tuple[Path, Array]] = []
        replaced: list[tuple[Array, Array]] = []
        for name, parameter in self.found.items():
            if isinstance(follow(self.model, parameter.path[:-2]), Parameters):
                library.append((parameter.path, values[name]))
            else:
                replaced.append((follow(self.model, parameter.path), values[name].copy()))
        model = copy_with(self.model, self._arrays, replaced)
        libraries = [follow(model, path) for path in self._libraries]
        if libraries or isinstance(model, Loss):
            real = [v for v in (*values.values(), *inputs.values()) if is_real(v)]
            dtype = np.result_type(*real)
            for node in libraries:
                node.to(dtype) if node.dtype != dtype else None
            for path, value in library:
                follow(model, path)[...] = value
            inputs = of_real(lambda v: v.astype(dtype), inputs)
        for parameter in self.found.values():
            held = self._held(model, parameter)
            if isinstance(held, np.ndarray) and held.flags.writeable:
                held[...] = 0  # for objects that add to it
        return model, inputs

    def _passes(self, model: Any) -> tuple[Callable[..., Any], Callable[..., Any]]:
        """Return the methods of an object that are its forward and its backward."""
        forward, backward = self.methods
        return getattr(model, forward), getattr(model, backward) if backward else times_gradient

    def _read(self, model: Any, returned: Any, values: Values) -> Gradients:
        """Return the gradients by name, from what backward returned and from the object."""
        found: Gradients = {}
        own, extra, named = self._sorted(returned, values)
        for tree, gradient in zip(self.arguments.trees, own, strict=False):
            match_gradient(tree, gradient, {}, found)
        for name in [*(() if own else self.arguments.values), *self.found] if named else ():
            match_gradient(name, named, named, found)
        for name, parameter in self.found.items():
            path, gradient = parameter
            now, held = follow(model, path), self._held(model, parameter)
            if not np.array_equal(values[name], now):
                self.remarks["backward updates the parameters"] = None
            if isinstance(gradient, int):
                found[name] = extra[gradient]
            elif gradient == "updated":
                found[name] = (values[name] - now) / self._rate(model)
            elif held is not None or name not in found:
                found[name] = held
        return found

    def _held(self, model: Any, parameter: Parameter) -> Any:
        """Return the gradient that an object holds for a parameter, or None."""
        path = parameter.gradient
        return follow(model, path) if isinstance(path, tuple) else None

    def _rate(self, model: Any) -> float:
        if any(p.name in RATES for p in self._takes or ()):
            return 1.0  # as it was given
        for _, node in walk(model):
            for name in RATES:
                if isinstance(getattr(node, name, None), float):
                    return float(getattr(node, name))
        raise FormError(
            f"{self.name}: backward updates the parameters and keeps no gradient, expected an "
            f"attribute or argument {RATES[0]!r} or {RATES[1]!r} with the learning rate"
        )
