"""Nested arguments, caches and objects: their parts, and the arrays in them by name.

Arguments may be nested: a dictionary of parameters, a list with an entry for each step. Each array
in them is a value with a name of its own. A gradient has the form of its arguments, or a name.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from numpy_rnn.functional.types import Array
from numpy_rnn.parameters import Parameters

Path = tuple[tuple[str, Any], ...]  # to a part of an object: ("attr", "cell"), ("item", 0)
Values = dict[str, Any]
Gradients = dict[str, Any]
MAX_DEPTH = 8  # of the parts of an object
ATOMS = {np.ndarray, str, int, float, bool, type(None)}  # types whose values have no parts


class FormError(TypeError):
    """Code of a form that cannot be checked, in one line: what was expected and what came."""


def parts_of(node: Any) -> list[tuple[tuple[str, Any], Any]]:
    """Return the parts of a container or an object, each with the step that leads to it."""
    if type(node) in ATOMS:
        return []
    if isinstance(node, dict):
        return [(("item", key), part) for key, part in node.items()]
    names = getattr(node, "_fields", None)
    if isinstance(node, list | tuple) and names is None:
        return [(("item", i), part) for i, part in enumerate(node)]
    plain = isinstance(node, np.ndarray | Parameters | type)
    if plain or inspect.isroutine(node) or inspect.ismodule(node):
        return []
    if names is None:
        slots = [n for c in type(node).__mro__ for n in getattr(c, "__slots__", ())]
        slots = [n for n in slots if not n.startswith("__") and hasattr(node, n)]  # JAX's raises
        names = [*getattr(node, "__dict__", {}), *slots]
    return [(("attr", name), getattr(node, name)) for name in names]


def walk(value: Any) -> Iterator[tuple[Path, Any]]:
    """Yield an object and everything inside it, arrays too, with its path; nothing twice."""
    seen: set[int] = set()
    waiting: list[tuple[Path, Any]] = [((), value)]
    for path, node in waiting:  # which grows
        if isinstance(node, np.ndarray):
            yield path, node
        elif id(node) not in seen and len(path) <= MAX_DEPTH:
            seen.add(id(node))
            yield path, node
            waiting += [((*path, step), part) for step, part in parts_of(node)]


def arrays_of(value: Any) -> dict[Path, Array]:
    """Return every array inside a value, by its path."""
    return {path: part for path, part in walk(value) if isinstance(part, np.ndarray)}


def copy_with(model: Any, arrays: Sequence[Array], replaced: Sequence[tuple[Array, Array]]) -> Any:
    """Return a copy of an object with other arrays for some of its own. Views stay views."""
    groups: dict[int, dict[int, Array]] = {}  # the arrays by their memory
    for array in arrays:
        groups.setdefault(id(_owner(array)), {})[id(array)] = array
    memo: dict[int, Any] = {id(old): new for old, new in replaced}
    for group in groups.values():
        owner = _owner(next(iter(group.values())))
        changed = {key: memo[key] for key in group if key in memo}
        if len(group) > 1 and owner.flags.forc:
            made = owner.astype(np.result_type(owner, *changed.values()))
            made = made.view(type(next(iter(changed.values()), made)))
            memo |= {key: _same_view(array, owner, made) for key, array in group.items()}
            for key, new in changed.items():
                memo[key][...] = new
    return copy.deepcopy(model, memo)


def _owner(array: Array) -> Array:
    """Return the array whose memory this one is a view of, or itself."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


def _same_view(view: Array, owner: Array, new: Array) -> Array:
    """Return the view of `new` that `view` is of `owner`."""
    if view.dtype != owner.dtype:
        return view.copy()
    offset = view.__array_interface__["data"][0] - owner.__array_interface__["data"][0]
    strides = [s // owner.itemsize * new.itemsize for s in view.strides]
    start = new.ravel(order="K")[offset // owner.itemsize :]
    return np.lib.stride_tricks.as_strided(start, view.shape, strides, subok=True)


def path_text(path: Path) -> str:
    """Return a path as it is written in code: ``.cell.W``, ``.layers[0].W``."""
    forms = {"attr": ".{}", "call": ".{}()", "item": "[{!r}]"}
    return "".join(forms[kind].format(key) for kind, key in path)


def as_tuple(outputs: Any) -> tuple[Any, ...]:
    """Return outputs as a flat tuple, whether one, several, or states in nested tuples."""
    return tuple(np.asarray(leaf) for leaf in as_leaves(outputs) if leaf is not None)


def regroup(parts: Sequence[Any], like: Any) -> Any:
    """Return flat parts nested as `like` is: the inverse of :func:`as_tuple`."""
    remaining = iter(parts)
    return map_tree(like, lambda leaf: None if leaf is None else next(remaining))


class Arguments:
    """The arguments of forward: a tree for each, whose leaves are names of values."""

    def __init__(self, given: Mapping[str, Any]) -> None:
        self.values: dict[str, Any] = {}  # what was given, by name
        self.names = list(given)
        self.trees = [self._read(name, what) for name, what in given.items()]

    def _read(self, name: str, what: Any) -> Any:
        if isinstance(what, Mapping):
            taken = self.values
            return {
                k: self._read(k if isinstance(k, str) and k not in taken else f"{name}[{k!r}]", v)
                for k, v in what.items()
            }
        if isinstance(what, list | tuple):
            if all(isinstance(part, int | float) for part in what):
                raise FormError(
                    f"check_gradients: {name} is a {type(what).__name__} of numbers, expected a "
                    "shape such as 'T B D', an array, or a list of these"
                )
            return rebuilt(what, [self._read(f"{name}[{i}]", p) for i, p in enumerate(what)])
        self.values[name] = what
        return name

    def build(self, values: Values) -> list[Any]:
        """Return the arguments with these values."""
        return [map_tree(tree, lambda name: values[name]) for tree in self.trees]

    def read(self, made: Any, target: str, values: Values) -> Gradients:
        """Return the gradients that backward returned, by name of their value."""
        found: Gradients = {}
        if isinstance(made, dict):
            for tree in self.trees:
                match_gradient(tree, made, made, found)
            self._require(found, made, target)
            return found
        parts = list(made) if isinstance(made, tuple | list) else [] if made is None else [made]
        if len(self.trees) == 1 and isinstance(made, list) and len(parts) != 1:
            parts = [made]
        if len(parts) != len(self.trees):
            names = list(self.values)
            real = [n for n in names if self.values[n] is not None]
            if len(parts) not in (len(names), len(real)):
                raise FormError(
                    f"{target}: backward returned {len(parts)} gradients, "
                    f"expected {len(self.trees)}: one for each of {', '.join(self.values)}"
                )
            return dict(zip(names if len(parts) == len(names) else real, parts, strict=True))
        pairs = zip(self.trees, parts, strict=True)
        if any(p is not None and isinstance(t, dict) != isinstance(p, dict) for t, p in pairs):
            ordered = self.in_order(parts, values)  # a dict shows that they are not in order
            if ordered is None:
                kinds = ("dict" if isinstance(p, dict) else str(np.shape(p)) for p in parts)
                raise FormError(
                    f"{target}: backward returned ({', '.join(kinds)}), expected a gradient for "
                    f"each of {', '.join(self.values)}, in this order"
                )
            parts = ordered
        for tree, part in zip(self.trees, parts, strict=True):
            before = dict(found)
            match_gradient(tree, part, {}, found)
            if isinstance(part, dict) and found == before:
                self._require({}, part, target)
        return found

    def _require(self, found: Gradients, made: Mapping[Any, Any], target: str) -> None:
        if made and not found:
            raise FormError(
                f"{target}: backward returned a dict with the keys "
                f"{', '.join(map(repr, made))}, expected names such as "
                f"{', '.join(f'd{name}' for name in list(self.values)[:3])}"
            )

    def in_order(self, parts: Sequence[Any], values: Values) -> list[Any] | None:
        """Return the first part that fits each argument, None for none, if all parts fit one."""
        left, ordered = list(parts), []
        for tree in self.trees:
            place = next((i for i, part in enumerate(left) if fits(tree, part, values)), None)
            ordered.append(None if place is None else left.pop(place))
        return None if left else ordered


def fits(tree: Any, part: Any, values: Values) -> bool:
    """Whether something may be the gradient of an argument, by its shape."""
    if part is None or isinstance(tree, dict) or isinstance(part, dict):
        return part is None or isinstance(tree, dict) is isinstance(part, dict)
    return isinstance(tree, str) and np.shape(as_gradient(part)) == np.shape(values[tree])


def map_tree(tree: Any, function: Callable[[Any], Any]) -> Any:
    """Return a tree with a function of each of its leaves."""
    if isinstance(tree, dict):
        return {key: map_tree(part, function) for key, part in tree.items()}
    if isinstance(tree, list | tuple):
        return rebuilt(tree, [map_tree(part, function) for part in tree])
    return function(tree)


def scaled(gradients: Any, factor: Any) -> Any:
    """Return nested gradients times a factor."""
    return map_tree(gradients, lambda g: None if g is None else np.asarray(g) * factor)


def rebuilt(like: Any, parts: list[Any]) -> Any:
    """Return parts in a list, tuple or named tuple of the same type."""
    return type(like)(*parts) if hasattr(like, "_fields") else type(like)(parts)


def as_leaves(value: Any) -> list[Any]:
    """Return the parts of nested tuples, lists and dicts."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        return [leaf for part in value for leaf in as_leaves(part)]
    return [value]


def gradient_keys(name: str) -> tuple[str, ...]:
    """Return the names under which the gradient of a value may be kept, the likeliest first."""
    short = name.removesuffix("0") if name in ("h0", "c0", "a0") else name.removesuffix("_t")
    keys = (f"d{name}", f"grad_{name}", f"d_{name}", f"{name}_grad", f"g{name}", f"grad{name}")
    rare = (f"g_{name}", f"D{name}", f"nabla_{name}", f"{name}_g", f"{name}_diff", f"delta_{name}")
    return (*keys, *rare, f"d{name.lower()}") + (
        (f"d{short}", f"d{short}_prev", f"d{short}prev") if short != name else ()
    )


def match_gradient(tree: Any, part: Any, table: Mapping[Any, Any], found: Gradients) -> None:
    """Add to `found` the gradients of a tree: of the same form, or under names in a table."""
    if isinstance(tree, dict):
        inner = part if isinstance(part, dict) else {}
        for key, leaf in tree.items():
            match_gradient(
                leaf, inner.get(key, inner if part is not table else None), table or inner, found
            )
    elif isinstance(tree, list | tuple):
        pieces = part if isinstance(part, list | tuple | np.ndarray) else ()
        for i, leaf in enumerate(tree):
            match_gradient(leaf, pieces[i] if i < len(pieces) else None, table, found)
    elif isinstance(part, dict) or (part is None and table):
        key = tree.split("['")[-1].removesuffix("']").split(".")[-1]
        wanted = next((k for k in (*gradient_keys(key), key) if k in table), None)
        if wanted is not None:
            found[tree] = as_gradient(table[wanted])
    else:
        found[tree] = as_gradient(part)


def as_gradient(value: Any) -> Any:
    """Return a gradient as an array: a list is one with an entry for each step."""
    if isinstance(value, list | tuple) and value:
        try:
            return np.stack([np.asarray(part) for part in value])
        except ValueError:
            return value
    return value
