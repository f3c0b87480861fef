"""The weights in what a program saved: a dict of dicts, or a whole pickled module.

Programs save a state_dict, or several things by name: weights, the optimiser's state, settings.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from numpy_rnn.functional.types import Array
from numpy_rnn.interchange.contents import UnsupportedError
from numpy_rnn.interchange.unpickle import Instance

MAX_VISITS = 20_000
MAX_DEPTH = 40
INNER = ("_parameters", "_buffers", "_modules")  # attributes of a module, not parts of its names
# Names of the weights. With "state" in it there are other things beside them.
WEIGHTS = ("state_dict", "model_state_dict", "model_state", "model", "net", "network", "weights")
PLAIN = (str, int, float, bool, type(None))


@dataclass
class Found:
    """Arrays by name, names that share memory, what is unusual, and the plain settings.

    `modules` are the attributes of the modules by name, if whole modules were saved.
    """

    arrays: dict[str, Array] = field(default_factory=dict)
    tied: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)
    modules: dict[str, Instance] = field(default_factory=dict)


def find_weights(tree: Any) -> Found:
    """Return the weights in a tree, with the names that PyTorch gives them.

    Of several sets with the same names, such as running means of the weights, one is taken. Sets
    with other names are parts of one model.
    """
    notes: list[str] = []
    settings: dict[str, Any] = {}
    for _ in range(MAX_DEPTH):
        items = children(tree)
        settings |= {str(name): v for name, v in items.items() if isinstance(v, PLAIN)}
        sets = {
            name: [inner.replace("module.", "") for inner, v in walk(value) if hasattr(v, "array")]
            for name, value in items.items()
            if isinstance(name, str) and not hasattr(value, "array")
        }
        sets = {name: names for name, names in sets.items() if names}
        if (
            not sets
            or isinstance(tree, Instance)
            or any(hasattr(v, "array") for v in items.values())
        ):
            break
        known = [name for name in WEIGHTS if name in sets]
        copies = all(names == next(iter(sets.values())) for names in sets.values())
        if not copies and not (known and "state" in known[0]):
            break
        chosen = [*known, *sets][0]
        if len(sets) > 1:
            others = ", ".join(repr(name) for name in sets if name != chosen)
            notes.append(f"the weights are those of {chosen!r}; left out: {others}")
        tree = items[chosen]
    found = Found(notes=notes, settings=settings)
    places: dict[Any, str] = {}
    for name, value in walk(tree):
        if isinstance(value, Instance):
            found.modules[name] = value
        if not hasattr(value, "array"):
            continue
        array = found.arrays[name or "array"] = value.array()
        place = getattr(value, "place", id(value))
        if place in places and array.ndim:
            found.tied[name] = places[place]
        places.setdefault(place, name)
    if not found.arrays:
        raise UnsupportedError(f"it holds {_kind(tree)} without arrays, expected a state_dict")
    return found


def children(value: Any) -> dict[Any, Any]:
    """Return what is inside a dict, an object or an array of one object, by name."""
    if isinstance(value, Instance):
        inner = {n: v for key in INNER for n, v in (value.state.get(key) or {}).items()}
        return inner or value.state
    if isinstance(getattr(value, "value", None), dict):
        return children(value.value)
    return value if isinstance(value, dict) else {}


def walk(tree: Any) -> Iterator[tuple[str, Any]]:
    """Yield name and value of everything in the tree, in its order, but not an optimiser's."""
    left: list[tuple[str, Any, int]] = [("", tree, 0)]
    for _ in range(MAX_VISITS):
        if not left:
            return
        prefix, value, depth = left.pop()
        inside = children(value)
        if not inside or isinstance(value, Instance):
            yield prefix, value
        if depth < MAX_DEPTH and not _is_optimizer(value):
            found = [
                (f"{prefix}.{name}" if prefix else name, inner, depth + 1)
                for name, inner in inside.items()
                if isinstance(name, str)
            ]
            left += reversed(found)
    raise ValueError("it is nested too deeply")


def find_optimizer(tree: Any) -> Any:
    """Return the state_dict of the only optimiser in a tree."""
    found: list[Any] = []
    left = [(tree, 0)]
    for _ in range(MAX_VISITS):
        if not left:
            break
        value, depth = left.pop()
        if _is_optimizer(value):
            found.append(value)
        elif depth < MAX_DEPTH:
            inner = value if isinstance(value, list) else children(value).values()
            left += [(item, depth + 1) for item in inner]
    if len(found) != 1:
        raise UnsupportedError(f"it holds {len(found)} states of optimisers, expected one")
    return found[0]


def _is_optimizer(value: Any) -> bool:
    return isinstance(value, dict) and "param_groups" in value


def _kind(value: Any) -> str:
    kind = value.kind if isinstance(value, Instance) else type(value).__name__
    return f"a {kind.rpartition('.')[2]}"
