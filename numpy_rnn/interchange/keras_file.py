"""Keras's files: ``.keras``, and HDF5 of whole models or of weights alone, of Keras 1 to 3.

A chain of layers becomes a Sequential, batch first, and every other network a Graph. Which layers
there are is in the file's config; without one it is guessed from names and shapes.
``load(path, layers=...)`` chooses layers by name, in order, or is a dict that corrects their
config, with Keras's names for the settings.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from numpy_rnn.functional.types import Array
from numpy_rnn.interchange.contents import Contents, UnsupportedError, open_zip, read_bytes
from numpy_rnn.interchange.hdf5 import SPARE, File, open_hdf5
from numpy_rnn.interchange.keras_graph import to_graph
from numpy_rnn.interchange.keras_layers import Call, Chain, Entry, guess_class, snake_case
from numpy_rnn.reading import damaged_file_errors, parse_json

FORMAT = "a Keras file"
ROOTS = ("layers", "_layer_checkpoint_dependencies")  # of Keras 3's weights, and of late Keras 2's
MASKS = ("NotEqual", "Any", "InputLayer")  # what Keras 3 makes masks with, beside the chain
FIRST = ("inputs", "sequences", "sequence", "query", "value", "key")  # arguments of calls, in order
MAX_CALLS = 10_000  # of layers, once models inside models are taken apart
Value = tuple[str, int]  # the name of a call, and which of its outputs
Reference = tuple[str, int, int]  # of a config: layer, which call of it, which output
Uses = dict[tuple[str, int], tuple[list[Reference], dict[str, Any], list[Reference]]]
Find = Callable[[str, str], list[Array]]  # a layer's weights by its name, or by Keras 3's group


class Network(NamedTuple):
    """The layers of a file, and how they are connected if the file says so."""

    entries: list[Entry]
    calls: Sequence[Call] = ()  # each after those that it reads; none if that is not known
    inputs: Sequence[Value] = ()
    outputs: Sequence[Value] = ()
    reason: str = ""  # why it cannot be built
    each_step: bool = False  # whether its batch is all steps of the whole batch

    @property
    def is_chain(self) -> bool:
        """Whether each layer reads the one before it."""
        ends = [(call.name, 0) for call in self.calls]
        read = [list(call.given) for call in self.calls]
        return read == [ends[max(0, i - 1) : i] for i in range(len(ends))] and (
            list(self.outputs) == ends[-1:]
        )


def read(path: Path) -> Contents:
    """Read a file of Keras. See :func:`numpy_rnn.interchange.read`."""
    data = read_bytes(path)
    size, version, config = len(data), "", {}
    if data.startswith(b"PK"):
        with open_zip(data, 4 * size + SPARE) as archive:
            texts = [archive.read(name) for name in ("config.json", "metadata.json")]
            data = archive.read("model.weights.h5")
        config, about = (parse_json(text, size) for text in texts)
        version = str(about.get("keras_version", "3"))
    with open_hdf5(data) as file:
        if version and "layers" in config["config"]:
            whole = _connected(config, partial(_in_order, _variables(file)))
        elif version:  # a class of its own, whose order of layers is code
            whole = _guessed(file)
        else:
            whole, version = _read_hdf5(file, size)

    def build(layers: Iterable[str] | Mapping[str, Mapping[str, Any]] | None = None) -> Any:
        network = whole if layers is None else _line(_choose(whole.entries, layers))
        with damaged_file_errors(path, FORMAT, UnsupportedError):
            return _build(network, version)

    named = [(e.name, e) for e in whole.entries]
    if not whole.is_chain:
        reads = [
            ", ".join([f"{n}.{i}".removesuffix(".0") for n, i in c.given]) for c in whole.calls
        ]
        named = [
            (f"{c.name} of {r}".removesuffix(" of "), c.entry)
            for c, r in zip(whole.calls, reads, strict=True)
        ]
    return Contents(
        "keras",
        {f"{e.name}.{i}": array for e in whole.entries for i, array in enumerate(e.weights)},
        [f"{n}: {e.class_name}({str([a.shape for a in e.weights])[1:-1]})" for n, e in named],
        build,
        [f"written by Keras {version}", *filter(None, [whole.reason])],
        {"keras_version": version, "config": {e.name: dict(e.config) for e in whole.entries}},
    )


def _build(network: Network, version: str) -> Any:
    """Return the Sequential or the Graph. UnsupportedError names what has no counterpart."""
    others, chain = _foreign_masks(network.calls), Chain(version)
    reason = network.reason or (f"a mask of {others[0]} that no layer makes" if others else "")
    trained = [call.name for call in network.calls if _is_training(call.options)]
    reason = reason or (f"{trained[0]}, called with training=True" if trained else "")
    network = network._replace(reason=reason)
    dtype = np.result_type(np.float32, *[a for e in network.entries for a in e.weights])
    calls = [
        call._replace(
            entry=call.entry._replace(weights=[a.astype(dtype) for a in call.entry.weights])
        )
        for call in network.calls
    ]
    if network.is_chain and not reason:
        model = ""
        for call in calls:
            if chain.masks and not chain.ended and model != call.entry.name.rpartition("/")[0]:
                chain.unsupported.append(f"a mask that enters or leaves {model or call.entry.name}")
            model = call.entry.name.rpartition("/")[0]
            chain.add(call.entry)
        reason = "; ".join(chain.unsupported)
        if not reason:
            return chain.model()
    if not network.reason:
        try:
            return to_graph(calls, network.outputs, dtype, version)
        except UnsupportedError as error:
            reason = str(error)
    raise UnsupportedError(f"there is no counterpart here for: {reason}")


def _is_training(options: Mapping[str, Any]) -> bool:
    return True in (options.get("training"), *(a is True for a in options.get("args", ())))


def _foreign_masks(calls: Iterable[Call]) -> list[str]:
    """Return the calls that are given another mask than the ones that layers make."""
    made: set[Any] = set()
    for call in calls:
        config, kind = call.entry.config, call.entry.class_name
        if kind == "Masking" or (kind == "Embedding" and config.get("mask_zero")):
            made |= {(value, float(config.get("mask_value", 0))) for value in call.given}
    return [call.name for call in calls if call.mask and call.mask not in made]


def _choose(
    entries: list[Entry], layers: Iterable[str] | Mapping[str, Mapping[str, Any]]
) -> list[Entry]:
    known = {entry.name: entry for entry in entries}
    configs = layers if isinstance(layers, Mapping) else {name: {} for name in layers}
    if unknown := [name for name in configs if name not in known]:
        raise ValueError(f"layers has {unknown}, expected names out of {list(known)}")
    return [known[n]._replace(config={**known[n].config, **c}) for n, c in configs.items()]


def _line(entries: Iterable[Entry]) -> Network:
    """Return a network in which each layer reads the one before it."""
    found = {entry.name: entry for entry in entries}
    layers = [{"class_name": e.class_name, "config": {"name": n}} for n, e in found.items()]
    network = _connected(
        {"class_name": "Sequential", "config": layers}, lambda name, _: [*found[name].weights]
    )
    calls = [c._replace(entry=found.get(c.entry.name, c.entry)) for c in network.calls]
    return network._replace(entries=[*found.values()], calls=calls)


def _read_hdf5(file: File, size: int) -> tuple[Network, str]:
    """Return the network of an HDF5 file, and Keras's version."""
    root = "" if file.texts("", "layer_names") else "model_weights"
    names = file.texts(root, "layer_names")
    if names is None:
        return _guessed(file), "3"
    arrays, paths = file.arrays(root), dict[str, list[str]]()
    for name in names:
        listed = file.texts(f"{root}/{name}".strip("/"), "weight_names") or []
        paths[name] = [f"{name}/{path}" for path in listed]
    version = (file.texts(root, "keras_version") or file.texts("", "keras_version") or ["1"])[0]

    def find(name: str, _: str = "") -> list[Array]:
        outer, *inside = name.split("/")  # a model's layers inside have all their weights in it
        found = paths.get(outer, [])
        return [arrays[p] for p in found if not inside or f"/{inside[-1]}/" in p[len(outer) :]]

    config = file.texts("", "model_config")
    if config is None:
        return _line([guess_class(n, find(n), (paths[n] or [""])[0]) for n in names]), version
    return _connected(parse_json(config[0], size), find), version


def _guessed(file: File) -> Network:
    """Return the layers in a file of Keras 3's weights, each a group of variables."""
    arrays = file.arrays("")
    if all(path.startswith(ROOTS) for path in arrays):
        arrays = {path.split("/", 1)[1]: array for path, array in arrays.items()}
    inside = r"/?(\b(cell|forward_layer|backward_layer|layer|vars)/.*)"
    groups = sorted({re.sub(inside, "", path) for path in arrays} - {""})
    if not groups:
        raise ValueError("it has neither layer_names nor layers")
    entries = [guess_class(name, _in_order(arrays, "", name), name) for name in groups]
    order = f"the order of the layers, expected layers=[...] with names out of {groups}"
    return _line(entries)._replace(reason=order if len(groups) > 1 else "")


def _variables(file: File) -> dict[str, Array]:
    """Return the arrays of Keras 3's layers, and of late Keras 2's, by the same paths."""
    arrays: dict[str, Array] = {}
    for root in ROOTS:
        arrays |= file.arrays(root)
    return {path.replace(ROOTS[1], ROOTS[0]): array for path, array in arrays.items()}


def _in_order(arrays: Mapping[str, Array], name: str, group: str) -> list[Array]:  # noqa: ARG001 (other files tell by the name)
    """Return the variables below a group, the forward direction's and attention's first."""
    paths = [path.rsplit("/", 1) for path in arrays if path.startswith(f"{group}/")]
    late = ("key", "value", "output", "backward")  # after "query" and "forward"

    def place(path: list[str]) -> tuple[Any, ...]:
        below = path[0][len(group) :]
        return [f"/{part}_" in below for part in late][::-1], path[0], int(path[1])

    return [arrays["/".join(path)] for path in sorted(paths, key=place)]


def _connected(config: dict[str, Any], find: Find, name: str = "", group: str = "") -> Network:
    """Return the network that a model's config describes, with the layers of models inside it."""
    inner = config["config"]
    listed = inner if isinstance(inner, list) else inner["layers"]  # Keras 1 has a list
    _name_custom(listed)
    entries: dict[str, Entry | Network] = {}
    seen: Counter[str] = Counter()  # of each class, by which Keras 3 names the weights
    for item in listed:
        settings, kind = item["config"], item["class_name"]
        own = settings if isinstance(settings, dict) else {}
        short = item.get("name") or own.get("name") or f"layer_{len(entries)}"
        place = snake_case(kind.rpartition(".")[2])
        seen[place] += 1
        place = f"{group}{place}_{seen[place] - 1}".removesuffix("_0")
        inside = settings["layer"] if kind == "TimeDistributed" else item
        if isinstance(inside["config"], list) or "layers" in inside["config"]:
            place = f"{place}/layers/" if inside is item else f"{place}/layer/layers/"
            model = _connected(inside, find, f"{name}{short}/", place)
            entries[short] = model._replace(each_step=inside is not item)
        else:
            weights = find(f"{name}{short}", place)
            shape = (item.get("build_config") or {}).get("input_shape")
            known = {**settings, "build_shape": shape} if shape else settings
            entries[short] = Entry(f"{name}{short}", kind, known, weights)
    models = {short for short, entry in entries.items() if isinstance(entry, Network)}
    if config["class_name"] != "Sequential":
        uses: Uses = {
            (item["name"], n): _parse_call(node)
            for item in listed
            for n, node in enumerate(item["inbound_nodes"] or [([],)])
        }
        starts, ends = (_tensors(inner[f"{end}_layers"]) for end in ("input", "output"))
        if isinstance(next(filter(None, (i["inbound_nodes"] for i in listed)), [0])[0], dict):
            # Keras 3 counts the call that made a model, but here alone.
            others = ("Sequential", "TimeDistributed")
            made = {i["name"] for i in listed if i["class_name"] not in others} & models
            ends = [(at, n - (at in made), which) for at, n, which in ends]
        return _ordered(entries, uses, starts, ends)
    first = next(iter(entries.values()))
    if not (isinstance(first, Entry) and first.class_name == "InputLayer"):
        shape = first.config.get("batch_input_shape") if isinstance(first, Entry) else None
        start = Entry(f"{name}input", "InputLayer", {"batch_input_shape": shape}, [])
        entries = {"": start, **entries}
    order = [(short, 0, 0) for short in entries]
    uses = {at[:2]: (order[max(0, n - 1) : n], {}, []) for n, at in enumerate(order)}
    return _ordered(entries, uses, order[:1], order[-1:])


def _name_custom(config: Any) -> None:
    """Give the classes in a config that are not Keras's another name than Keras's."""
    left = [config]
    while left:
        value = left.pop()
        inside = value.values() if isinstance(value, dict) else value
        left += [v for v in inside if isinstance(v, dict | list)]
        if isinstance(value, dict) and value.get("registered_name") and "module" in value:
            module = str(value["module"])
            if not module.startswith(("keras", "builtins")):
                value["class_name"] = f"{module}.{value['class_name']}"


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
        if "keras_history" in value:
            return [tuple(value["keras_history"])]
        return [reference for v in value.values() for reference in _tensors(v)]
    if not isinstance(value, list):
        return []
    if len(value) > 2 and isinstance(value[0], str) and isinstance(value[1], int) and value[1] >= 0:
        return [(value[0], value[1], value[2])]
    return [reference for v in value for reference in _tensors(v)]


def _ordered(  # noqa: C901 (one search, and what it needs)
    entries: Mapping[str, Entry | Network],
    uses: Uses,
    inputs: list[Reference],
    outputs: list[Reference],
) -> Network:
    """Return a network with each call after those that it reads, and models taken apart."""
    counts, last = Counter(name for name, _ in uses), Counter[str]()
    for name, n, _ in [*outputs, *[r for read, _, _ in uses.values() for r in read]]:
        last[name] = max(last[name], n)
    calls, values = list[Call](), dict[tuple[str, int], Any]()

    def use(reference: Reference) -> tuple[str, int]:
        # Keras 2 may count the call that made a model, which is not listed.
        name, n, _ = reference
        made = isinstance(entries[name], Network)
        return name, n - max(0, last[name] + 1 - counts[name]) if made else n

    def value(reference: Reference) -> Value:
        made = values[use(reference)]
        return made[reference[2]] if isinstance(made, list) else (made, reference[2])

    def mask(references: list[Reference]) -> tuple[Any, ...] | None:
        at, numbers = _compared(references, entries, uses)
        return numbers and (value(at) if use(at) in values else "", *numbers)

    pending, begun = [use(r) for r in [*inputs, *outputs][::-1]], set[tuple[str, int]]()
    while pending:
        at = pending[-1]
        if at in values:
            pending.pop()
            continue
        read, options, masks = uses[at]
        if missing := [where for where in map(use, read) if where not in values]:
            if at in begun:
                raise ValueError(f"{at[0]} reads its own output")
            begun.add(at)
            pending += missing
            continue
        given, inside = [value(r) for r in read], entries[at[0]]
        if isinstance(inside, Entry):
            name = f"{inside.name}:{at[1]}".removesuffix(":0")
            calls.append(Call(name, inside, given, options, mask(masks)))
            values[at] = name
            continue
        more, values[at] = _taken_apart(inside, given, f"#{at[1]}")
        trains = {"training": True} if _is_training(options) else {}
        calls += [
            call._replace(mask=mask(masks) or call.mask, options={**call.options, **trains})
            for call in more
        ]
        if len(calls) > MAX_CALLS:
            raise ValueError(f"it has {len(calls)} calls of layers, expected at most {MAX_CALLS}")
    return _network(entries, calls, [value(r) for r in inputs], [value(r) for r in outputs])


def _compared(
    references: list[Reference], entries: Mapping[str, Entry | Network], uses: Uses
) -> tuple[Any, tuple[float, ...] | None]:
    """Return what Keras 3 compares with which numbers for a mask; None if there is no mask."""
    if not references:
        return None, None
    at, numbers = references[0], list[float]()
    for _ in MASKS:
        if getattr(entries[at[0]], "class_name", "") in MASKS[:2]:
            read, options, _ = uses[at[:2]]
            numbers += [float(n) for n in options["args"][1:] if isinstance(n, int | float)]
            at = read[0]
    return at, tuple(numbers) or (np.nan,)


def _network(
    entries: Mapping[str, Entry | Network],
    calls: list[Call],
    inputs: list[Value],
    outputs: list[Value],
) -> Network:
    found = {id(call.entry) for call in calls}
    layers = [e for e in entries.values() if isinstance(e, Entry)]
    models = [e for e in entries.values() if isinstance(e, Network)]
    beside = [e.name for e in layers if id(e) not in found and e.class_name not in MASKS]
    reasons = [f"a mask of {', '.join(beside)}"] * bool(beside)
    reasons += [model.reason for model in models if model.reason]
    every = layers + [e for model in models for e in model.entries]
    return Network(every, calls, inputs, outputs, "; ".join(reasons))


def _taken_apart(model: Network, given: list[Value], end: str) -> tuple[list[Call], list[Value]]:
    """Return the calls of a model that is called, and its outputs. `end` makes the names unique."""
    begin = dict(zip(model.inputs, given, strict=True))
    name = f"{model.inputs[0][0]}{end}"
    if model.each_step:
        begin = {model.inputs[0]: (name, 0)}

    def value(v: Value) -> Value:
        return begin.get(v) or (f"{v[0]}{end}", v[1])

    calls = [
        call._replace(
            name=f"{call.name}{end}",
            given=[*map(value, call.given)],
            mask=call.mask and (value(call.mask[0]), *call.mask[1:]),
        )
        for call in model.calls
        if call.entry.class_name != "InputLayer"
    ]
    outputs = [*map(value, model.outputs)]
    if model.each_step:
        parts = [Entry(name, kind, {}, []) for kind in ("JoinedSteps", "ApartSteps")]
        joined, apart = Call(name, parts[0], given), f"{name}.apart"
        return [joined, *calls, Call(apart, parts[1], [*outputs, *given])], [(apart, 0)]
    return calls, outputs
