"""Where the parameters of an object are, and their gradients after backward.

A parameter may be anywhere in the object, under any of these:

    this library's      layer.parameters.values["weight"] and .grads
    two containers      .params and .grads, .parameters and .gradients, .p and .g: dicts or lists
    attributes          .W and .dW, .grad_W, .W_grad; a parameter object's .value and .grad
    what is returned    backward returns {"dW": ...}, or dx and then a gradient for each parameter
    what is updated     backward changes W by the learning rate times its gradient

A parameter is its memory: an array that two objects share is one parameter.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

import numpy as np

from numpy_rnn.checking.nested import (
    Path,
    arrays_of,
    as_leaves,
    gradient_keys,
    parts_of,
    path_text,
    walk,
)
from numpy_rnn.checking.target import is_real, positional
from numpy_rnn.functional.types import Array
from numpy_rnn.parameters import Parameters

# Attributes with a name for what belongs to them.
PARTNERS: dict[str, tuple[str, ...]] = {
    "params": ("grads", "gradients", "dparams"),
    "parameters": ("gradients", "grads", "derivatives"),
    "weights": ("gradients", "grads", "dweights", "weight_gradients"),
    "_params": ("_grads", "_gradients"),
    "p": ("g", "grad", "dp"),
    "value": ("grad", "gradient"),
    "data": ("grad", "gradient"),
    "val": ("grad",),
    "v": ("d", "g"),
}
NUMBERS = (float, np.float32, np.float64)
GRADIENT_WORDS = ("grad", "deriv", "delta", "nabla")


class Parameter(NamedTuple):
    """Where a parameter is in an object, and where its gradient is after backward."""

    path: Path
    # A place in the object, or in what backward returns: a position, or "by name". "updated" if
    # backward changes the parameter instead.
    gradient: Path | int | Literal["by name", "updated"]


def follow(model: Any, path: Path) -> Any:
    """Return the part of an object at a path, or None."""
    try:
        for kind, key in path:
            model = model[key] if kind == "item" else getattr(model, key)
            model = model() if kind == "call" else model
    except (AttributeError, KeyError, IndexError, TypeError):
        return None
    return model


def find_parameters(model: Any) -> list[Parameter]:
    """Return the parameters of an object whose backward has run, one for each memory."""
    unique: list[tuple[Parameter, Array]] = []
    shown = list(_shown(model))
    for parameter in sorted(shown, key=lambda p: len(p.path)):
        array = follow(model, parameter.path)
        if not any(np.shares_memory(array, other) for _, other in unique):
            unique.append((parameter, array))
    return [p for p in shown if any(p is parameter for parameter, _ in unique)]


def gradients_that_differ(model: Any) -> list[str]:
    """Return where one object has two gradients of a parameter, if both are written."""
    found, first = list[str](), dict[Any, Any]()
    parameter: Any
    for parameter in sorted(_shown(model), key=lambda p: len(p.path)):
        owner = parameter.path
        while owner[-1][0] == "item":
            owner = owner[:-1]
        # Steps that share their weights have a gradient each, and are objects of their own.
        key = owner[:-1], id(follow(model, parameter.path))
        other = first.setdefault(key, parameter)
        a, b = (follow(model, p.gradient) for p in (other, parameter))
        if np.shape(a) == np.shape(b) and np.any(a) and np.any(b) and not np.array_equal(a, b):
            paths = other.path, other.gradient, parameter.gradient
            texts = [f"self{path_text(path)}" for path in paths]
            found.append("{} has two gradients that differ, {} and {}".format(*texts))
    return found


def _shown(model: Any) -> Iterator[Any]:
    """Yield every place of a parameter that an object shows, with one of its gradient."""
    for path, node in walk(model):
        if isinstance(node, Parameters):
            for name in node.shapes:
                places = ((*path, ("attr", a), ("item", name)) for a in ("values", "grads"))
                yield Parameter(*places)
            continue
        for step, value, partner_step, partner in _pairs(node):
            for inner, array in arrays_of(value).items():
                place = _place_of_gradient(partner, inner)
                if is_real(array) and place is not None:
                    yield Parameter((*path, step, *inner), (*path, partner_step, *place))


def _pairs(node: Any) -> Iterator[tuple[Any, Any, Any, Any]]:
    """Return the parts of a node that have a partner for their gradients."""
    parts = {step[1]: (step, part) for step, part in parts_of(node) if isinstance(step[1], str)}
    if not isinstance(node, dict | list | tuple):
        for name in ("parameters", "gradients", "params", "grads"):
            made = getattr(node, name, None)
            if name not in parts and inspect.ismethod(made) and positional(made) == []:
                parts[name] = (("call", name), made())
            elif name not in parts and isinstance(getattr(type(node), name, None), property):
                parts[name] = (("attr", name), made)
    for name, (step, part) in parts.items():
        for other in (*PARTNERS.get(name, ()), *gradient_keys(name)):
            if other in parts and other != name:
                same = isinstance(part, dict) == isinstance(parts[other][1], dict)
                if isinstance(part, dict | list | tuple | np.ndarray) and same:
                    yield step, part, *parts[other]
                    break


def _place_of_gradient(partner: Any, path: Path) -> Path | None:
    """Return the path of a parameter's gradient among the gradients, or None if it has none."""
    place: Path = ()
    for kind, key in path:
        names = (key, *gradient_keys(key)) if isinstance(key, str) else (key,)
        steps = [(*place, (kind, name)) for name in names]
        place = next((p for p in steps if follow(partner, p) is not None), ())
        if not place:
            return None
    held = follow(partner, place)
    if isinstance(held, list) and held and all(isinstance(part, NUMBERS) for part in held):
        return place
    return None if held is None or isinstance(held, dict | list | tuple) else place


def numbers_of(model: Any) -> dict[Path, Any]:
    """Return the attributes of an object and of its parts, by path."""
    parts = [(path, node) for path, node in walk(model) if hasattr(node, "__dict__")]
    return {(*path, ("attr", n)): v for path, node in parts for n, v in vars(node).items()}


def numbers_with_gradients(before: dict[Path, Any], after: dict[Path, Any]) -> list[str]:
    """Return which numbers of an object have a gradient that its backward made.

    `before` and `after` are from :func:`numbers_of`.
    """
    found = []
    for path, value in before.items():
        numbers = as_leaves(value)
        keys = gradient_keys(str(path[-1][1]))
        places = [(*path[:-1], ("attr", key)) for key in keys if type(value) is not dict]
        made = any(place in after and after[place] is not before.get(place) for place in places)
        if made and numbers and all(type(n) in NUMBERS for n in numbers) and after[path] == value:
            text = f"self{path_text(path)}"
            kind = "a list of numbers" if isinstance(value, list) else "a number"
            found.append(f"{text} is {kind} with a gradient, expected an array: np.array({text})")
    return found


def gradient_beside(path: Path, shape: tuple[int, ...], made: dict[Path, Array]) -> Path | None:
    """Return which of the arrays that backward made has a name that says it is the gradient."""
    name, length = str(path[-1][1]).lower(), len(path) - 1
    text = {p: path_text(p).lower() for p, array in made.items() if array.shape == shape}
    fits = [p for p, t in text.items() if any(word in t for word in GRADIENT_WORDS)]
    named = [p for p in fits if name in re.split("[^a-z0-9]+", text[p])]
    near = [p for p in named if p[:length] == path[:length]]
    found = near or named or fits
    return found[0] if len(found) == 1 else None


def short_name(path: Path) -> str:
    """Return a name: ``W`` of ``params['W']`` and of ``parameters.values['W']``."""
    if len(path) == 3 and path[1] == ("attr", "values"):
        return str(path[-1][1])
    if len(path) == 2 and path[0][1] in PARTNERS and path[1][0] == "item":
        return path[1][1] if isinstance(path[1][1], str) else path_text(path).removeprefix(".")
    if len(path) > 1 and path[-1][1] in PARTNERS:  # a parameter object's array
        path = path[:-1]
    return path_text(path).removeprefix(".")
