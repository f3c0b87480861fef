"""A model's config as the network that it describes."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from typing import Any

from numpy_rnn.functional.types import Array
from numpy_rnn.interchange.contents import UnsupportedError
from numpy_rnn.interchange.keras.entries import MODES, Entry, snake_case
from numpy_rnn.interchange.keras.network import Network, Reference, Uses, ordered

FIRST = ("inputs", "sequences", "sequence", "query", "value", "key")  # arguments of calls, in order
Find = Callable[[str, str], list[Array]]  # a layer's weights by its name, or by Keras 3's group


def connected(config: dict[str, Any], find: Find, name: str = "", group: str = "") -> Network:
    """Return the network that a model's config describes, with the layers of models inside it."""
    inner = config["config"]
    listed = inner if isinstance(inner, list) else inner.get("layers")  # Keras 1 has a list
    if config["class_name"] == "Merge" or listed is None:
        raise UnsupportedError(f"a model of class {config['class_name']}, of Keras 1")
    entries: dict[str, Entry | Network] = {}
    seen: Counter[str] = Counter()  # of each class, by which Keras 3 names the weights
    for item in listed:
        settings, kind = item["config"], item["class_name"]
        own = settings if isinstance(settings, dict) else {}
        if kind == "Merge" and "layers" not in own:  # of Keras 1
            kind, settings = MODES.get(own["mode"], kind), {**own, "axis": own.get("concat_axis")}
        short = item.get("name") or own.get("name") or f"layer_{len(entries)}"
        place = snake_case(kind.rpartition(".")[2])
        seen[place] += 1
        place = f"{group}{place}_{seen[place] - 1}".removesuffix("_0")
        inside = settings["layer"] if kind == "TimeDistributed" else item
        if isinstance(inside["config"], list) or "layers" in inside["config"]:
            place = f"{place}/layers/" if inside is item else f"{place}/layer/layers/"
            model = connected(inside, find, f"{name}{short}/", place)
            entries[short] = model._replace(each_step=inside is not item)
        else:
            entries[short] = Entry(f"{name}{short}", kind, settings, find(f"{name}{short}", place))
    models = {short for short, entry in entries.items() if isinstance(entry, Network)}
    if config["class_name"] != "Sequential":
        uses: Uses = {
            (item["name"], n): _parse_call(node)
            for item in listed
            for n, node in enumerate(item["inbound_nodes"] or [([],)])
        }
        starts, ends = (
            _tensors([v for _, v in sorted(at.items())] if isinstance(at, dict) else at)
            for at in (inner["input_layers"], inner["output_layers"])
        )
        if isinstance(next(filter(None, (i["inbound_nodes"] for i in listed)), [0])[0], dict):
            # Keras 3 counts the call that made a model, but here alone.
            others = ("Sequential", "TimeDistributed")
            made = {i["name"] for i in listed if i["class_name"] not in others} & models
            ends = [(at, n - (at in made), which) for at, n, which in ends]
        return ordered(entries, uses, starts, ends)
    first = next(iter(entries.values()))
    if not (isinstance(first, Entry) and first.class_name == "InputLayer"):
        shape = first.config.get("batch_input_shape") if isinstance(first, Entry) else None
        start = Entry(f"{name}input", "InputLayer", {"batch_input_shape": shape}, [])
        entries = {"": start, **entries}
    order = [(short, 0, 0) for short in entries]
    uses = {at[:2]: (order[max(0, n - 1) : n], {}, []) for n, at in enumerate(order)}
    return ordered(entries, uses, order[:1], order[-1:])


def find_shared(config: dict[str, Any], find: Find) -> Find:
    """Return a search that also finds a layer of several models, which is saved in one of them."""
    known: dict[tuple[str, str], list[Array]] = {}

    def search(name: str, group: str) -> list[Array]:
        key = name.rpartition("/")[2], re.sub(r"_\d+$", "", group.rpartition("/")[2])
        known[key] = find(name, group) or known.get(key, [])
        return known[key]

    connected(config, search)
    return search


def with_custom_names(config: Any) -> Any:
    """Return a config in which classes that are not Keras's have another name than Keras's."""
    left = [config]
    while left:
        value = left.pop()
        inside = value.values() if isinstance(value, dict) else value
        left += [v for v in inside if isinstance(v, dict | list)]
        if isinstance(value, dict) and value.get("registered_name") and "module" in value:
            module = str(value["module"] or "custom")
            if not module.startswith(("keras", "builtins")):
                value["class_name"] = f"{module}.{value['class_name']}"
    return config


def _parse_call(node: Any) -> tuple[list[Reference], dict[str, Any], list[Reference]]:
    """Return what a call of a layer reads, its other arguments, and its masks."""
    if isinstance(node, dict):  # of Keras 3
        args, options = node["args"], dict(node["kwargs"])
    else:
        parts = node if node and not isinstance(node[0], str) else [node]
        args, options = [part[:3] for part in parts], {}
        for part in parts:
            options |= part[3] if len(part) > 3 else {}
    masks = [name for name in options if name.endswith("mask")]
    named = sorted(set(options) - set(masks), key=lambda n: (n not in FIRST, *map(n.__ne__, FIRST)))
    read = _tensors([args, *[options[name] for name in named]])
    return read, options | {"args": args}, _tensors([options[name] for name in masks])


def _tensors(value: Any) -> list[Reference]:
    """Return the outputs of layers that a part of a config refers to."""
    if isinstance(value, dict):
        inside = [value["keras_history"]] if "keras_history" in value else [*value.values()]
        return [reference for v in inside for reference in _tensors(v)]
    if not isinstance(value, list):
        return []
    if len(value) > 2 and isinstance(value[0], str) and isinstance(value[1], int) and value[1] >= 0:
        return [(value[0], value[1], value[2])]
    return [reference for v in value for reference in _tensors(v)]
