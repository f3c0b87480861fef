"""The weights in what a program saved: a dict of dicts, or a whole pickled module.

Programs save a state_dict, or several things by name: weights, the optimiser's state, settings.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from numpy_rnn.functional.types import Array
from numpy_rnn.interchange.contents import UnsupportedError
from numpy_rnn.interchange.torch.packed import Packed, name_parts, unpack_names
from numpy_rnn.interchange.torch.unpickle import Instance

MAX_VISITS = 20_000
MAX_DEPTH = 40
INNER = ("_parameters", "_buffers", "_modules")  # attributes of a module, not parts of its names
# Names of the weights. With "state" in it there are other things beside them.
WEIGHTS = ("state_dict", "model_state_dict", "model_state", "model", "net", "network", "weights")
COPY = re.compile(r"(^|_)(ema|target|teacher|shadow)(_|$)")  # of the network beside it
MOMENT = re.compile(r"best|last|latest|old|init|avg|average|swa")  # of the training of one network
PACKED = "_packed_params"  # a name of a weight and its bias
PLAIN = (str, int, float, bool, type(None))


@dataclass
class Found:
    """Arrays by name, what else was found with them, and what is unusual."""

    arrays: dict[str, Array] = field(default_factory=dict)
    tied: dict[str, str] = field(default_factory=dict)  # to the name of the same memory
    stored: dict[str, str] = field(default_factory=dict)  # as what, if not as it is read
    notes: list[str] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)
    modules: dict[str, Instance] = field(default_factory=dict)  # if whole modules were saved
    apart: list[str] = field(default_factory=list)  # names of whole networks beside each other


def find_weights(tree: Any) -> Found:
    """Return the weights in a tree, with the names that PyTorch gives them.

    Of several sets with the same names, such as running means of the weights, one is taken. Sets
    with other names are parts of one model.
    """
    found = Found()
    if isinstance(tree, list | tuple):
        tree = {str(n): value for n, value in enumerate(tree)}
    if "StructuredToParameterName@@" in children(tree):
        raise UnsupportedError("it is of PaddlePaddle: transpose Linear weights, use np.savez")
    for _ in range(MAX_DEPTH):
        items = {name: v for name, v in children(tree).items() if isinstance(name, str)}
        found.settings |= {name: v for name, v in items.items() if isinstance(v, PLAIN)}
        sets = {
            name: [inner.replace("module.", "") for inner, v in walk(value) if hasattr(v, "array")]
            for name, value in items.items()
        }
        nested = any(names not in ([], [""]) for names in sets.values())
        if nested and not isinstance(tree, Instance):
            # A best loss or a generator's state is a bare array beside the weights.
            tree = items = {n: v for n, v in items.items() if sets[n] != [""] or _is_weight(v)}
        sets = {name: names for name, names in sets.items() if names and name in items}
        known = [name for name in WEIGHTS if name in sets]
        same = all(names == next(iter(sets.values())) for names in sets.values())
        alone = same or (known and "state" in known[0])
        packed = any(isinstance(value, Packed) for value in items.values())
        whole = packed or isinstance(tree, Instance) or [""] in sets.values()
        if not sets or not alone or whole:
            break
        chosen = [*known, *sets][0]
        copies = [name for name in sets if COPY.search(name) or MOMENT.search(name)]
        if len(sets) > 1 and not (known or copies):
            names = sets[chosen]
            found.apart = [*sets] if any("." in name for name in names) else []
            break
        if len(sets) > 1:
            others = ", ".join(repr(name) for name in sets if name != chosen)
            found.notes.append(f"the weights are those of {chosen!r}; left out: {others}")
        tree = items[chosen]
    _collect(tree, found)
    if not found.arrays:
        kind = tree.kind if isinstance(tree, Instance) else type(tree).__name__
        if kind.startswith("__torch__"):
            raise UnsupportedError(
                "it is a frozen or quantised TorchScript module, whose weights have no names; "
                "save it before torch.jit.freeze or quantize_dynamic, or export it to ONNX"
            )
        kind = kind.rpartition(".")[2]
        raise UnsupportedError(f"it holds a {kind} without arrays, expected a state_dict")
    return found


def _collect(tree: Any, found: Found) -> None:
    """Add the arrays and the modules in a tree, and what is unusual about them."""
    if isinstance(tree, Instance):
        what = "TorchScript module" if tree.kind.startswith("__torch__") else "pickled module"
        found.notes.append(
            f"a whole {what}, {tree.kind.rpartition('.')[2]}: its weights are read, and its code "
            "is not; compare one output, and give layers= or batch_first= if it differs"
        )
    places: dict[Any, str] = {}
    for name, value in walk(tree):
        if isinstance(value, Instance):
            found.modules[name] = value
        if hasattr(value, "array"):
            array = found.arrays[name or "array"] = value.array()
            first = places.setdefault(getattr(value, "place", id(value)), name)
            if first != name and array.ndim:
                found.tied[name] = first
            if stored := getattr(value, "stored", ""):
                found.stored[name] = stored
    renamed = unpack_names(found.arrays, found.modules)
    arrays, stored = found.arrays.items(), found.stored.items()
    found.arrays = {new: a for old, a in arrays if (new := renamed.get(old, old))}
    found.stored = {new: kind for old, kind in stored if (new := renamed.get(old, old))}


def find_optimizer(tree: Any) -> Any:
    """Return the state_dict of the only optimiser in a tree."""
    found = [value for _, value in walk(tree, keys=str | int) if _is_optimizer(value)]
    if len(found) != 1:
        raise UnsupportedError(f"it holds {len(found)} states of optimisers, expected one")
    return found[0]


def children(value: Any) -> dict[Any, Any]:
    """Return what is inside a dict, a list, an object or an array of one object, by name."""
    if isinstance(value, Instance):
        inner = {n: v for key in INNER for n, v in (value.state.get(key) or {}).items()}
        return inner or value.state
    if isinstance(value, list):
        return dict(enumerate(value))
    value = getattr(value, "value", value)
    if not isinstance(value, dict):
        return {}
    pairs = [n for n, v in value.items() if isinstance(v, tuple) and str(n).endswith(PACKED)]
    return value | {n: name_parts(value[n]) for n in pairs}


def walk(tree: Any, keys: Any = str) -> Iterator[tuple[str, Any]]:
    """Yield name and value of all that has nothing inside, of objects, and of optimisers' states.

    The order is that of the tree. Keys of other types are passed over.
    """
    left: list[tuple[str, Any, int]] = [("", tree, 0)]
    for _ in range(MAX_VISITS):
        if not left:
            return
        prefix, value, depth = left.pop()
        inside = {} if _is_optimizer(value) or depth == MAX_DEPTH else children(value)
        if not inside or isinstance(value, Instance):
            yield prefix, value
        for name in reversed([name for name in inside if isinstance(name, keys)]):
            whole = f"{prefix}.{name}" if prefix else str(name)
            left.append((whole, inside[name], depth + 1))
    raise ValueError("it is nested too deeply")


def _is_weight(value: Any) -> bool:
    with suppress(UnsupportedError):  # an array of objects
        array: Array = value.array()
        return array.ndim > 0 and array.dtype.kind == "f"
    return False


def _is_optimizer(value: Any) -> bool:
    return isinstance(value, dict) and "param_groups" in value
