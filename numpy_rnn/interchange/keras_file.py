"""Keras's files: ``.keras``, and HDF5 of whole models or of weights alone, of Keras 1 to 3.

A chain of layers becomes a Sequential, batch first. Which layers there are is in the file's config;
without one it is guessed from names and shapes. ``load(path, layers=...)`` chooses layers by name,
in order, or is a dict that corrects their config, with Keras's names for the settings.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from numpy_rnn.functional.types import Array
from numpy_rnn.interchange.contents import Contents, UnsupportedError, open_zip, read_bytes
from numpy_rnn.interchange.hdf5 import SPARE, File, open_hdf5
from numpy_rnn.interchange.keras_graph import Topology, to_graph
from numpy_rnn.interchange.keras_layers import Chain, Entry, guess_class, snake_case
from numpy_rnn.reading import damaged_file_errors, parse_json

FORMAT = "a Keras file"
ROOTS = ("layers", "_layer_checkpoint_dependencies")  # of Keras 3's weights, and of late Keras 2's
MODELS = ("Functional", "Model", "Sequential")
MASKS = ("NotEqual", "Any")  # what Keras 3 makes masks with, beside the chain


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
        if version:
            entries, missing, topology = _with_variables(config, file)
        else:
            entries, missing, topology, version = _read_hdf5(file, size)

    def build(layers: Iterable[str] | Mapping[str, Mapping[str, Any]] | None = None) -> Any:
        chosen, reasons = (entries, missing) if layers is None else (_choose(entries, layers), [])
        chain = Chain(version)
        dtype = np.result_type(np.float32, *(array for entry in chosen for array in entry.weights))
        with damaged_file_errors(path, FORMAT):
            for entry in chosen:
                chain.size = None if reasons else chain.size  # they need not follow each other
                chain.add(entry._replace(weights=[a.astype(dtype) for a in entry.weights]))
            reasons = reasons + chain.unsupported
            if not reasons:
                return chain.model()
            if layers is None and topology is not None:
                try:
                    return to_graph(entries, topology, version)
                except UnsupportedError as error:
                    reasons = [str(error)]
        raise UnsupportedError(f"there is no counterpart here for: {'; '.join(reasons)}")

    return Contents(
        "keras",
        {f"{e.name}.{i}": array for e in entries for i, array in enumerate(e.weights)},
        [f"{e.name}: {e.class_name}({str([a.shape for a in e.weights])[1:-1]})" for e in entries],
        build,
        [f"written by Keras {version}", *missing],
        {"keras_version": version, "config": {e.name: dict(e.config) for e in entries}},
    )


def _choose(
    entries: list[Entry], layers: Iterable[str] | Mapping[str, Mapping[str, Any]]
) -> list[Entry]:
    known = {entry.name: entry for entry in entries}
    configs = layers if isinstance(layers, Mapping) else {name: {} for name in layers}
    if unknown := [name for name in configs if name not in known]:
        raise ValueError(f"layers has {unknown}, expected names out of {list(known)}")
    return [known[n]._replace(config={**known[n].config, **c}) for n, c in configs.items()]


def _read_hdf5(file: File, size: int) -> tuple[list[Entry], list[str], Topology | None, str]:
    """Return what :func:`_layers` returns, with weights, and Keras's version."""
    root = "" if file.texts("", "layer_names") else "model_weights"
    names = file.texts(root, "layer_names")
    if names is None:
        arrays = next(filter(None, map(file.arrays, ROOTS)), None)
        if arrays is None:
            raise ValueError("it has neither layer_names nor layers")
        groups = sorted({path.split("/")[0] for path in arrays})
        entries = [guess_class(name, _in_order(arrays, name), name) for name in groups]
        order = f"the order of the layers, expected layers=[...] with names out of {groups}"
        return entries, [order] if len(groups) > 1 else [], None, "3"
    arrays, paths = file.arrays(root), dict[str, list[str]]()
    for name in names:
        listed = file.texts(f"{root}/{name}".strip("/"), "weight_names") or []
        paths[name] = [f"{name}/{path}" for path in listed]
    weights = {name: [arrays[path] for path in paths[name]] for name in names}
    version = (file.texts(root, "keras_version") or file.texts("", "keras_version") or ["1"])[0]
    config = file.texts("", "model_config")
    if config is None:
        guessed = [guess_class(n, weights[n], (paths[n] or [""])[0]) for n in names]
        return guessed, [], None, version
    entries, missing, topology = _layers(parse_json(config[0], size))
    filled = [entry._replace(weights=weights.get(entry.name, [])) for entry in entries]
    return filled, missing, topology, version


def _with_variables(
    config: dict[str, Any], file: File
) -> tuple[list[Entry], list[str], Topology | None]:
    """Return the layers of a config with the variables that Keras 3 numbers for each class."""
    entries, missing, topology = _layers(config)
    arrays: dict[str, Array] = {}
    for root in ROOTS:
        arrays |= file.arrays(root)
    seen: Counter[str] = Counter()
    found = []
    for entry in entries:
        group = snake_case(entry.class_name)
        name = f"{group}_{seen[group]}" if seen[group] else group
        seen[group] += 1
        found.append(entry._replace(weights=_in_order(arrays, name)))
    return found, missing, topology


def _in_order(arrays: Mapping[str, Array], group: str) -> list[Array]:
    """Return the variables below a group, the forward direction's first."""
    paths = [path.rsplit("/", 1) for path in arrays if path.startswith(f"{group}/")]
    ordered = sorted(paths, key=lambda path: ("backward" in path[0], path[0], int(path[1])))
    return [arrays["/".join(path)] for path in ordered]


def _layers(config: dict[str, Any]) -> tuple[list[Entry], list[str], Topology | None]:
    """Return the layers of a model's config in order, and what makes it more than a chain.

    The topology is None if a Graph could not express it either.
    """
    inner = config["config"]
    listed = inner if isinstance(inner, list) else inner["layers"]  # Keras 1 has a list
    entries: dict[str, Entry] = {}
    for item in listed:
        name = item.get("name") or item["config"].get("name") or f"layer_{len(entries)}"
        entries[name] = Entry(name, item["class_name"], item["config"], [])
    shared = list[str]()
    if config["class_name"] == "Sequential":
        shape = next(iter(entries.values())).config.get("batch_input_shape")
        if shape:  # before TensorFlow 2.3 the first layer had it
            start = Entry("input", "InputLayer", {"batch_input_shape": shape}, [])
            entries = {start.name: start, **entries}
        order = list(entries)
        sources = {name: order[max(0, i - 1) : i] for i, name in enumerate(order)}
        outputs = order[-1:]
    else:
        sources = {item["name"]: _tensors(item["inbound_nodes"]) for item in listed}
        outputs = _tensors(inner["output_layers"])
        shared = [item["name"] for item in listed if len(item["inbound_nodes"]) > 1]
        order = [outputs[0]]
        while (name := next(iter(sources[order[0]]), order[0])) not in order:
            order.insert(0, name)
    nested = [f"{n}, a model inside" for n, e in entries.items() if e.class_name in MODELS]
    missing = nested + [f"{len(outputs)} outputs"] * (len(outputs) != 1)
    missing += [f"{n}, which has {len(s)} inputs" for n, s in sources.items() if len(s) > 1]
    beside = [n for n, e in entries.items() if n not in order and e.class_name not in MASKS]
    missing += [f"{n}, which is beside the chain" for n in beside]
    missing += [f"{name}, which is used twice" for name in shared]
    kinds = {entry.class_name for entry in entries.values()}
    graph = not shared and not nested and not kinds & {*MASKS} and "InputLayer" in kinds
    chain = order if not missing else list(entries)
    return [entries[n] for n in chain], missing, Topology(sources, outputs) if graph else None


def _tensors(value: Any) -> list[str]:
    """Return the names of the layers whose outputs a part of a config refers to, but for masks."""
    if isinstance(value, dict):
        if "keras_history" in value:
            return [value["keras_history"][0]]
        return [name for key, v in value.items() if key != "mask" for name in _tensors(v)]
    if not isinstance(value, list):
        return []
    if len(value) > 2 and isinstance(value[0], str) and isinstance(value[1], int):
        return [value[0], *_tensors(value[3:])]
    return [name for v in value for name in _tensors(v)]
