"""Objects whose forward remembers what their backward needs, in the forms that people write.

A parameter is an array that forward leaves unchanged and backward makes a gradient for. Where both
may be is in ``parameters.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
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
    regroup,
    scaled,
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
    CACHES,
    ForwardPass,
    copied,
    is_real,
    of_real,
    positional,
    quiet,
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
RATES = ("lr", "learning_rate", "eta", "alpha", "learn_rate", "step_size")


class ObjectTarget:
    """An object with forward and backward. Each run uses a copy, so it is left as it was."""

    repeatable = False

    def __init__(
        self,
        model: Any,
        arguments: Arguments,
        parameters: Sequence[str] | None = None,
        methods: tuple[str, str | None] = METHODS[0],
    ) -> None:
        self.model, self.arguments, self.methods = model, arguments, methods
        library = isinstance(getattr(model, "parameters", None), Parameters)
        self.name = repr(model) if library else type(model).__name__
        self.remarks: dict[str, None] = {}
        self.overlooked: list[str] = []
        self.found: dict[str, Parameter] = {}
        self._named, self._discovered = parameters, False
        parts = list(walk(model))  # no pass changes the object, only copies of it
        self.code = tuple(node for _, node in parts if hasattr(node, "__dict__"))
        self._arrays = [node for _, node in parts if isinstance(node, np.ndarray)]
        self._libraries = [path for path, node in parts if isinstance(node, Parameters)]
        self.backward = getattr(model, methods[1] or methods[0])
        self._takes = positional(self.backward) if methods[1] else []
        self.linear = methods[1] is None or self._takes is None or bool(self._takes)
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
        result = self._forward(model, copied(values))
        kept = {path: array.copy() for path, array in arrays_of(model).items()}
        constant = [p for p, old in before.items() if p in kept and np.array_equal(kept[p], old)]
        returned = self._call_backward(model, result, [np.ones_like(o) for o in result[1]])
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
            and self._matters(path, values, result[1])
        ]
        used = {p.gradient for p in self.found.values()}
        made = {
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
                gradient = gradient_beside(path, shape, made)
                made.pop(gradient, None)
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
        changed = self._forward(model, copied(values))[1]
        return any(not np.array_equal(a, b) for a, b in zip(changed, outputs, strict=True))

    def parameters(self) -> dict[str, Array]:
        """Return a copy of every parameter."""
        return {name: np.array(follow(self.model, p.path)) for name, p in self.found.items()}

    def _copy_with(self, values: Values, inputs: Values) -> tuple[Any, Values]:
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

    def run(self, values: Values) -> ForwardPass:
        """Run forward on these arguments with these parameters.

        `backward` may be called once, because it may use up what forward kept.
        """
        inputs = copied({name: values[name] for name in self.arguments.values})
        model, inputs = self._copy_with(values, inputs)
        result = self._forward(model, inputs)

        def backward(douts: Sequence[Array | None]) -> Gradients:
            before = {n: np.array(follow(model, p.path)) for n, p in self.found.items()}
            returned = self._call_backward(model, result, douts)
            ignores = self._takes == [] and self.methods[1] is not None
            scale = float(np.asarray(douts[0]).reshape(-1)[0]) if ignores else 1.0
            return self._read(model, returned, before, values, scale)

        return ForwardPass(result[1], backward, None, inputs, self._received(result))

    def _forward(self, model: Any, inputs: Values) -> tuple[Any, tuple[Array, ...], Any]:
        """Return what forward returned, its outputs, and the cache or gradients beside them."""
        with quiet(self, reseed=True):
            made = getattr(model, self.methods[0])(*self.arguments.build(inputs))
        beside = None
        takes_cache = any(p.name.lower() in CACHES for p in self._takes or ())
        if isinstance(made, tuple) and len(made) > 1 and (takes_cache or self.methods[1] is None):
            made, beside = made[0] if len(made) == 2 else made[:-1], made[-1]
        return made, as_tuple(made), beside

    def _received(self, result: tuple[Any, tuple[Array, ...], Any]) -> int:
        made, outputs, _ = result
        if self._takes is None or not isinstance(made, tuple) or not self._takes:
            return len(outputs)
        room = [p for p in self._takes if p.name.lower() not in (*CACHES, *RATES)]
        return len(as_tuple(made[: len(room)]))

    def _call_backward(
        self, model: Any, result: tuple[Any, tuple[Array, ...], Any], douts: Sequence[Any]
    ) -> Any:
        made, outputs, beside = result
        name = self.methods[1]
        if name is None:
            return scaled(beside, douts[0])
        sent = regroup(douts, made)
        arguments = list(sent) if isinstance(made, tuple) else [sent]
        if self._takes is not None:
            queue, arguments = arguments, []
            for p in self._takes:
                if p.name.lower() in CACHES:
                    arguments.append(beside)
                elif p.name.lower() in RATES:
                    arguments.append(1.0)
                elif queue:
                    arguments.append(queue.pop(0))
                elif p.default is p.empty:
                    raise FormError(
                        f"{self.name}: backward expects {p.name!r} besides the gradients of its "
                        f"{len(outputs)} outputs, expected one gradient for each output"
                    )
        with quiet(self, reseed=False):
            return getattr(model, name)(*arguments)

    def _read(
        self, model: Any, returned: Any, before: Values, values: Values, scale: float
    ) -> Gradients:
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
            if not np.array_equal(before[name], now):
                self.remarks["backward updates the parameters"] = None
            if isinstance(gradient, int):
                found[name] = extra[gradient]
            elif gradient == "updated":
                given = any(p.name in RATES for p in self._takes or ())
                found[name] = (before[name] - now) / (1.0 if given else self._rate(model))
            elif held is not None or name not in found:
                found[name] = held
        return found if scale == 1 else scaled(found, scale)

    def _held(self, model: Any, parameter: Parameter) -> Any:
        """Return the gradient that an object holds for a parameter, or None."""
        path = parameter.gradient
        return follow(model, path) if isinstance(path, tuple) else None

    def _rate(self, model: Any) -> float:
        for _, node in walk(model):
            for name in RATES:
                if isinstance(getattr(node, name, None), float):
                    return float(getattr(node, name))
        raise FormError(
            f"{self.name}: backward updates the parameters and keeps no gradient, expected an "
            f"attribute or argument {RATES[0]!r} or {RATES[1]!r} with the learning rate"
        )
