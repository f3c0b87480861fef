"""Objects whose forward remembers what their backward needs, in the forms that people write.

A parameter is an array that forward leaves unchanged and backward makes a gradient for. Where both
may be is in ``parameters.py``.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from numpy_rnn.checking.losses import times_gradient
from numpy_rnn.checking.nested import (
    Arguments,
    FormError,
    Gradients,
    Path,
    Values,
    arrays_of,
    as_gradient,
    as_leaves,
    as_tuple,
    copy_with,
    fits,
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
    gradients_that_differ,
    numbers_of,
    numbers_with_gradients,
    short_name,
)
from numpy_rnn.checking.target import RATES, Target, copied, is_real, of_real
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
OUTPUTS = ("output", "outputs", "out", "activations", "a", "y")


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
        self._states: set[Path] = set()  # where a first forward has left arrays that it made
        self._look_inside()
        for name in parameters or ():
            if not hasattr(model, name):
                raise FormError(f"{self.name}: there is no {name!r}, expected an attribute's name")

    def _look_inside(self) -> None:
        parts = list(walk(self.model))  # no pass changes the object, only copies of it
        self.code = tuple(node for _, node in parts if hasattr(node, "__dict__"))
        self._arrays = [node for _, node in parts if isinstance(node, np.ndarray)]
        self._libraries = [path for path, node in parts if isinstance(node, Parameters)]

    def discover(self, values: Values) -> None:
        """Find, once, the parameters, and arrays that change the output and have no gradient."""
        if self._discovered:
            return
        model = self._moved()
        before = {path: array.copy() for path, array in arrays_of(model).items() if is_real(array)}
        forward, backward = self._passes(model)
        made, cache = self._outputs(forward, copied(values))
        outputs = as_tuple(made)
        kept = {path: array.copy() for path, array in arrays_of(model).items()}
        constant = [p for p, old in before.items() if p in kept and np.array_equal(kept[p], old)]
        # Not ones: where the outputs have a fixed sum, as of a softmax, nothing would come back.
        uneven = [np.cos(np.arange(o.size).reshape(o.shape)).astype(o.dtype) for o in outputs]
        numbers = numbers_of(model)
        returned = self._returned(backward, made, cache, uneven, copied(values))
        found = self._present(model, values)
        if found is None:
            self.discover(values)
            return
        self._discovered, self.found = True, found
        known = [follow(self.model, p.path) for p in self.found.values()]
        originals = arrays_of(self.model)
        left = [
            path
            for path in constant
            if originals[path].size
            and path not in self._states
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
        now = {path: array for path in left if (array := follow(model, path)) is not None}
        moved = {path for path, array in now.items() if not np.array_equal(array, before[path])}
        positions = list(range(len(extra)))
        for path in list(left):
            name, shape = str(path[-1][1]), originals[path].shape
            alike = [i for i in positions if np.shape(extra[i]) == shape]
            gradient: Any = None
            if {*gradient_keys(name), name} & set(named):
                gradient = "by name"
            elif alike:
                gradient = alike[0]
                positions.remove(gradient)
            elif path not in moved:
                gradient = gradient_beside(path, shape, fresh)
                fresh.pop(gradient, None)
            if moved and gradient is None:  # where others are updated, by zero
                gradient = "updated"
                self.linear = False
            if gradient is not None:
                self.found[path_text(path).removeprefix(".")] = Parameter(path, gradient)
                left.remove(path)
        self.overlooked = self._without_gradient(left)
        self.overlooked += numbers_with_gradients(numbers, numbers_of(model))
        self.overlooked += gradients_that_differ(model)

    def _without_gradient(self, left: list[Path]) -> list[str]:
        """Return what is to be said of arrays that matter and have no gradient that is known."""
        texts = [f"self{path_text(path)}" for path in left]
        if self._named is not None:
            self.remarks |= {f"fixed, because parameters= leaves it out: {t}": None for t in texts}
            return []
        if left and not self.found:
            raise FormError(
                f"{self.name}: no parameters found, expected .params and .grads, attributes W and "
                "dW, or parameters=('W', ...) in the call, () for none"
            )
        return [
            f"{text} changes the output and has no gradient: use parameters= or allow='unchecked'"
            for text in texts
        ]

    def _present(self, model: Any, values: Values) -> dict[str, Parameter] | None:
        """Return the parameters that an object shows after backward.

        None if forward makes them: from then on, the object is one that has run forward once.
        """
        others = {
            n: (v / 2 if is_real(v) else np.flip(v)) if isinstance(v, np.ndarray) else v
            for n, v in values.items()
        }
        runs = [copy_with(self.model, self._arrays, ()) for _ in range(2)]
        for run, inputs in zip(runs, (values, others), strict=True):
            self._outputs(self._passes(run)[0], copied(inputs))

        def stays(path: Path, *models: Any) -> bool:
            first, *rest = (follow(m, path) for m in models)
            return is_real(first) and all(np.array_equal(first, other) for other in rest)

        shown = find_parameters(model)
        before = arrays_of(self.model)
        new = {path for path in arrays_of(runs[0]) if path not in before}
        made = {p.path for p in shown if follow(self.model, p.path) is None}
        made |= {path for path in new if isinstance(path[-1][1], str)}
        made = {path for path in made if stays(path, *runs)}  # a state follows the inputs
        if self._states or not any(follow(runs[0], path).any() for path in made):
            return {
                short_name(p.path): p
                for p in shown
                if p.path not in self._states and stays(p.path, self.model, runs[0])
                if self._named is None or p.path[0][1] in self._named
            }
        self.model, self._states = runs[0], new - made
        self.remarks["forward makes the parameters: the object has run it once before"] = None
        self._look_inside()
        return None

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
            return all(fits(t, p, values) for t, p in zip(trees, parts, strict=True))

        count = len(trees)
        plain = all(isinstance(t, str) and is_real(values[t]) for t in trees)
        if plain and len(flat) > count and not fit(flat[:count]) and fit(flat[-count:]):
            flat = flat[-count:] + flat[:-count]  # the arguments come last
        if self.methods[1] is None and not (plain and len(flat) >= count and fit(flat[:count])):
            return [], as_leaves(flat), {}  # a loss has the gradients of parameters
        if plain and len(flat) < count and not fit(flat + [None] * (count - len(flat))):
            flat = self.arguments.in_order(flat, values) or flat
        rest = flat[count:]
        named = {k: g for part in rest if isinstance(part, dict) for k, g in part.items()}
        return flat[:count], as_leaves([p for p in rest if not isinstance(p, dict)]), named

    def _moved(self) -> Any:
        """Return a copy of the object with all its arrays moved: weights of zero hide others."""
        model, rng = copy_with(self.model, self._arrays, ()), np.random.default_rng(0)
        for array in arrays_of(model).values() if not self._libraries else ():
            if is_real(array) and array.flags.writeable:
                # Not all by the same amount, which a softmax would not show.
                array[...] += 0.1 * rng.uniform(0.5, 1.5, array.shape)
        return model

    def _matters(self, path: Path, values: Values, outputs: tuple[Any, ...]) -> bool:
        """Whether the outputs change when an array of the object does."""
        model = self._moved()
        array = follow(model, path)
        if not array.flags.writeable:
            return False
        array += 0.1 * np.random.default_rng(0).uniform(0.5, 1.5, array.shape)
        changed = as_tuple(self._outputs(self._passes(model)[0], copied(values))[0])
        return any(not np.array_equal(a, b) for a, b in zip(changed, outputs, strict=True))

    def _outputs(self, forward: Any, inputs: Values) -> tuple[Any, Any]:
        """Return what forward returns or keeps, and the cache: what a loss returns besides."""

        @functools.wraps(forward)
        def run(*arguments: Any) -> Any:
            made = forward(*arguments)
            if self.methods[1]:  # nothing is returned and the output kept
                kept = (getattr(forward.__self__, name, None) for name in OUTPUTS)
                return next((k for k in kept if k is not None), None) if made is None else made
            several = isinstance(made, tuple) and len(made) > 2 and not isinstance(made[1], dict)
            return (made[0], made[1:]) if several else made

        return super()._outputs(run, inputs)

    @property
    def is_updated(self) -> bool:
        """Whether backward updates a parameter: the update may depend on those before."""
        return any(p.gradient == "updated" for p in self.found.values())

    def run_before(self, values: Values, douts: list[Array]) -> bool:
        """Run both passes once more before all others, if the outputs show that it matters."""
        unchanged, outputs = self.model, self.run(values).outputs
        inputs = copied({name: values[name] for name in self.arguments.values})
        self.model, inputs = self._model(values, inputs)
        forward, backward = self._passes(self.model)
        self._returned(backward, *self._outputs(forward, inputs), douts, inputs)
        self._look_inside()
        if not all(map(np.array_equal, outputs, self.run(values).outputs)):
            return True
        self.model = unchanged
        self._look_inside()
        return False

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
            held = self._held(self.model, parameter)
            if np.iscomplexobj(values[name]) and isinstance(held, np.ndarray):
                replaced.append((held, np.zeros(held.shape, complex)))  # for += in a loss
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
        for name, value in values.items() if returned is None else ():  # kept on the object
            kept: list[Any] = [getattr(model, key, None) for key in gradient_keys(name)]
            alike = (k for k in kept if is_real(k) and np.shape(k) == np.shape(value))
            found[name] = next(alike, None)
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
            elif name not in found or (held is not None and self.methods[1]):
                found[name] = held
        return found

    def _held(self, model: Any, parameter: Parameter) -> Any:
        """Return the gradient that an object holds for a parameter, or None."""
        path = parameter.gradient
        return as_gradient(follow(model, path)) if isinstance(path, tuple) else None

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
