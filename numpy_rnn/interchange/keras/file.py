"""Keras's files: ``.keras``, and HDF5 of whole models or of weights alone, of Keras 1 to 3.

A chain of layers becomes a Sequential, batch first, and every other network a Graph. Which layers
there are is in the file's config; without one it is guessed from names and shapes.
``load(path, config=...)`` corrects the config of layers, with Keras's names for the settings, and
keeps the rest. ``layers=`` chooses layers by name, in order.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np

from numpy_rnn.functional.types import Array
from numpy_rnn.interchange.contents import Contents, UnsupportedError, open_zip, read_bytes
from numpy_rnn.interchange.keras.config import connected, find_shared, with_custom_names
from numpy_rnn.interchange.keras.entries import Call, Entry, guess_class
from numpy_rnn.interchange.keras.graph import to_graph
from numpy_rnn.interchange.keras.hdf5 import File, open_hdf5
from numpy_rnn.interchange.keras.layers import Chain
from numpy_rnn.interchange.keras.network import Network, is_training
from numpy_rnn.interchange.keras.ranks import with_ranks
from numpy_rnn.reading import damaged_file_errors, parse_json

FORMAT = "a Keras file"
KERAS_1 = r"_([WUb](_\w)?|gamma|beta|running_\w+)(:0)?$"  # ends of the names of weights
ADVICE = {  # by whether the file has a config
    True: "an ONNX file of it, or config={name: {'class_name': ...}}, a layer that is known here",
    False: "layers=[...] in their order, and config={name: {'class_name': ...}}, as weights alone "
    "tell neither the classes of layers, nor their order, nor branches",
}
ROOTS = ("layers", "_layer_checkpoint_dependencies")  # of Keras 3's weights, and of late Keras 2's


def read(path: Path) -> Contents:
    """Read a file of Keras. See :func:`numpy_rnn.interchange.read`."""
    data = read_bytes(path)
    size, version, config = len(data), "", {}
    if data.startswith(b"PK"):
        with open_zip(data) as archive:
            texts = [archive.read(name) for name in ("config.json", "metadata.json")]
            data = archive.read("model.weights.h5")
        config, about = (with_custom_names(parse_json(text, size)) for text in texts)
        version = str(about.get("keras_version", "3"))
    with open_hdf5(data) as file:
        if version and "layers" in config["config"]:
            whole = connected(config, find_shared(config, partial(_in_order, _variables(file))))
        elif version:  # a class of its own, whose order of layers is code
            whole = _guessed(file)
        else:
            whole, version = _read_hdf5(file, size)

    known, guessed = any("name" in entry.config for entry in whole.entries), {}

    def build(
        layers: Iterable[str] | None = None, config: Mapping[str, Mapping[str, Any]] | None = None
    ) -> Any:
        network = _corrected(whole, layers, config or {})
        with damaged_file_errors(path, FORMAT, UnsupportedError):
            try:
                return _build(network, version)
            except ValueError as error:
                as_saved = known and layers is None and config is None
                if as_saved and not isinstance(error, UnsupportedError):
                    raise  # the file is damaged
                raise UnsupportedError(f"{error}; expected {ADVICE[known]}") from None

    notes = [f"written by Keras {version}"]
    if not known:
        notes.append("activations and return_sequences are not in a file of weights alone")
        guessed["config"] = "default activations, every step"
    stateful = [e.name for e in whole.entries if e.config.get("stateful")]
    notes += [f"{name} is stateful: give its state to the next call" for name in stateful]
    named = [(e.name, e) for e in whole.entries]
    if not whole.is_chain:
        named = [(str(call), call.entry) for call in whole.calls]
    return Contents(
        "keras",
        {f"{e.name}.{i}": array for e in whole.entries for i, array in enumerate(e.weights)},
        [f"{n}: {e.class_name}({str([a.shape for a in e.weights])[1:-1]})" for n, e in named],
        build,
        [*notes, *filter(None, [whole.reason])],
        {"keras_version": version, "config": {e.name: dict(e.config) for e in whole.entries}},
        guessed,
    )


def _build(network: Network, version: str) -> Any:
    """Return the Sequential or the Graph. UnsupportedError names what has no counterpart."""
    reasons, chain = [network.reason] * bool(network.reason), Chain(version)
    reasons += [f"a mask of {name} that no layer makes" for name in _foreign_masks(network.calls)]
    trained = [call.name for call in network.calls if is_training(call.options)]
    reasons += [f"{name}, called with training=True" for name in trained]
    dtype = np.result_type(np.float32, *[a for e in network.entries for a in e.weights])
    calls = with_ranks(network.calls, dtype)
    if network.is_chain and not reasons:
        model = ""
        for call in calls:
            if chain.masked and not chain.ended and model != call.entry.name.rpartition("/")[0]:
                chain.unsupported.append(f"a mask that enters or leaves {model or call.entry.name}")
            model = call.entry.name.rpartition("/")[0]
            chain.add(call.entry)
        if not chain.unsupported:
            return chain.model()
    try:
        if not reasons:
            return to_graph(calls, network.outputs, dtype, version)
    except UnsupportedError as error:
        reasons = [str(error)]
    raise UnsupportedError(f"there is no counterpart here for: {reasons[0]}")


def _foreign_masks(calls: Iterable[Call]) -> list[str]:
    """Return the calls that are given another mask than the ones that layers make."""
    made: set[Any] = set()
    for call in calls:
        config, kind = call.entry.config, call.entry.class_name
        if kind == "Masking" or (kind == "Embedding" and config.get("mask_zero")):
            made |= {(value, float(config.get("mask_value", 0))) for value in call.given}
    return [call.name for call in calls if call.mask and call.mask not in made]


def _corrected(network: Network, layers: Iterable[str] | None, config: Any) -> Network:
    """Return the network, or the chosen layers as a line, with what the user gives."""
    if not isinstance(config, Mapping) or not all(isinstance(v, Mapping) for v in config.values()):
        raise TypeError(f"config is {config!r}, expected a dict of each layer's settings")
    if isinstance(layers, Mapping):
        raise TypeError("layers is a dict, expected a list of names, and settings in config")
    chosen, known = list(layers or ()), [entry.name for entry in network.entries]
    if unknown := [name for name in [*chosen, *config] if name not in known]:
        raise ValueError(f"layers or config has {unknown}, expected names out of {known}")

    def correct(entry: Entry) -> Entry:
        own = config.get(entry.name, {})
        kind = own.get("class_name", entry.class_name)
        return entry._replace(class_name=kind, config={**entry.config, **own})

    entries = [*map(correct, network.entries)]
    if layers is not None:
        return _line(entry for name in chosen for entry in entries if entry.name == name)
    calls = [call._replace(entry=correct(call.entry)) for call in network.calls]
    return network._replace(entries=entries, calls=calls)


def _line(entries: Iterable[Entry]) -> Network:
    """Return a network in which each layer reads the one before it."""
    found = {entry.name: entry for entry in entries}
    layers = [{"class_name": e.class_name, "config": {"name": n}} for n, e in found.items()]
    network = connected(
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
    if file.texts(root, "backend") == ["theano"]:  # whose convolutions reverse the kernel
        arrays = {path: np.flip(a, tuple(range(a.ndim - 2))) for path, a in arrays.items()}
    config = file.texts("", "model_config")
    if config is None:
        guessed = [guess_class(n, [arrays[p] for p in found], found) for n, found in paths.items()]
        return _line(guessed), version
    settings = with_custom_names(parse_json(config[0], size))
    return connected(settings, _Names(arrays, paths).find), version


class _Names:
    """The weights in a file by the names of layers. A model has those of all layers in it.

    There, a name of Keras 1 is "name_W", and TensorFlow numbers names of a second model. A model
    without a name, as in Keras 1, is told by its place.
    """

    def __init__(self, arrays: Mapping[str, Array], paths: Mapping[str, list[str]]) -> None:
        self.arrays, self.paths = arrays, paths
        self.models = {f"layer_{n}": name for n, name in enumerate(paths)} | {n: n for n in paths}
        self.inside = [defaultdict[tuple[str, str], list[str]](list) for _ in range(3)]
        for model, path in [(model, path) for model, below in paths.items() for path in below]:
            *folders, last = path[len(model) + 1 :].split("/")
            for name in dict.fromkeys(folders):
                self.inside[0][model, name].append(path)
                self.inside[1][model, re.sub(r"_\d+$", "", name)].append(path)
            self.inside[2][model, re.sub(KERAS_1, "", last)].append(path)

    def find(self, name: str, _: str = "") -> list[Array]:
        """Return the weights of a layer, which may be in a model."""
        found, last = self.paths.get(name, []), name.rpartition("/")[2]
        begins = accumulate(name.split("/")[:-1], "{}/{}".format)
        model = next((self.models[begin] for begin in begins if begin in self.models), "")
        for inside in self.inside:
            found = found or inside.get((model, last), [])
        return [self.arrays[path] for path in found]


def _guessed(file: File) -> Network:
    """Return the layers in a file of Keras 3's weights, each a group of variables."""
    arrays = file.arrays("")
    if all(path.startswith(ROOTS) for path in arrays):
        arrays = {path.split("/", 1)[1]: array for path, array in arrays.items()}
    inside = r"/?(\b(cell|forward_layer|backward_layer|layer|vars)/.*)"
    groups = sorted({re.sub(inside, "", path) for path in arrays} - {""})
    if not groups:
        raise ValueError("it has neither layer_names nor layers")
    below = {name: [path for path in arrays if path.startswith(f"{name}/")] for name in groups}
    entries = [guess_class(n, _in_order(arrays, "", n), paths) for n, paths in below.items()]
    order = f"{groups}, whose order the file does not have"
    return _line(entries)._replace(reason=order if len(groups) > 1 else "")


def _variables(file: File) -> dict[str, Array]:
    """Return the arrays of Keras 3's layers, and of late Keras 2's, by the same paths."""
    arrays = file.arrays(ROOTS[0]) | file.arrays(ROOTS[1])
    return {path.replace(ROOTS[1], ROOTS[0]): array for path, array in arrays.items()}


def _in_order(arrays: Mapping[str, Array], name: str, group: str) -> list[Array]:  # noqa: ARG001 (other files tell by the name)
    """Return the variables below a group, the forward direction's and attention's first."""
    paths = [path.rsplit("/", 1) for path in arrays if path.startswith(f"{group}/")]
    late = ("key", "value", "output", "backward")  # after "query" and "forward"

    def place(path: list[str]) -> tuple[Any, ...]:
        below = path[0][len(group) :]
        return [f"/{part}_" in below for part in late][::-1], path[0], int(path[1])

    return [arrays["/".join(path)] for path in sorted(paths, key=place)]
