"""Keras's files: ``.keras``, and HDF5 of whole models or of weights alone, of Keras 1 to 3.

A chain of layers becomes a Sequential, batch first, and every other network a Graph. Which layers
there are is in the file's config; without one it is guessed from names and shapes.
``load(path, config=...)`` corrects the config of layers, with Keras's names for the settings, and
keeps the rest. ``layers=`` chooses layers by name, in order.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np

from numpy_rnn.functional.types import Array
from numpy_rnn.interchange.contents import Contents, UnsupportedError, open_zip, read_bytes
from numpy_rnn.interchange.keras.chain import Chain
from numpy_rnn.interchange.keras.entries import (
    CLASSES,
    RECURRENT,
    Call,
    Entry,
    Version,
    renamed,
    today,
    with_todays_names,
)
from numpy_rnn.interchange.keras.graph import to_graph
from numpy_rnn.interchange.keras.hdf5 import File, open_hdf5
from numpy_rnn.interchange.keras.network import Find, Network, chain_of, connected, line
from numpy_rnn.layers import Sequential
from numpy_rnn.reading import damaged_file_errors, parse_json

FORMAT = "a Keras file"
ADVICE = {  # by whether the file has a config
    True: "an ONNX file of it, or config={name: {'class_name': ...}}, a layer that is known here",
    False: "layers=[...] in their order, and config={name: {'class_name': ...}}, as weights alone "
    "tell neither the classes of layers, nor their order, nor branches",
}
KERAS_1 = r"_([WUb](_\w)?|gamma|beta|running_\w+)(:0)?$"  # ends of the names of weights
LATE = ("backward", "output", "value", "key")  # folders after "forward" and "query", the last first
# Layers by the numbers of axes of their weights, and what is in the layer's name or those of them.
PLAIN: list[tuple[list[int], str, str]] = [
    ([2], "/kernel|^dense", "Dense"),
    ([2, 1], r"/kernel|^dense|_W(:0)?\b|/vars/0\b", "Dense"),
    ([2], "/embeddings|^embedding", "Embedding"),
    ([1, 1, 1, 1], "", "BatchNormalization"),
    ([1, 1], "layer_?norm", "LayerNormalization"),
    ([], "^(input|dropout)", "InputLayer"),
]
ROOTS = ("layers", "_layer_checkpoint_dependencies")  # of Keras 3's weights, and of late Keras 2's


def read(path: Path) -> Contents:
    """Read a file of Keras. See :func:`numpy_rnn.interchange.read`."""
    data = read_bytes(path)
    size, version, config = len(data), "", {}
    if data.startswith(b"PK"):
        with open_zip(data) as archive:
            texts = [archive.read(name) for name in ("config.json", "metadata.json")]
            data = archive.read("model.weights.h5")
        config, about = (parse_json(text, size, renamed) for text in texts)
        version = str(about.get("keras_version", "3"))
    with open_hdf5(data) as file:
        if not version:
            whole, version = _read_hdf5(file, size)
        elif "layers" in config["config"]:
            whole = connected(config, _search(config, file))
        else:  # a class of its own, whose order of layers is code
            whole = _guessed(file)
    return _contents(path, whole, version)


def _contents(path: Path, whole: Network, version: str) -> Contents:
    known, guessed = any("name" in entry.config for entry in whole.entries), {}

    def build(
        layers: Iterable[str] | None = None, config: Mapping[str, Mapping[str, Any]] | None = None
    ) -> Any:
        network = _corrected(whole, layers, config or {})
        with damaged_file_errors(path, FORMAT, UnsupportedError):
            try:
                return _build(network, Version(version))
            except UnsupportedError as error:
                reason = f"there is no counterpart here for: {error}"
            except ValueError as error:
                if known and layers is None and config is None:
                    raise  # the file is damaged
                reason = str(error)
            raise UnsupportedError(f"{reason}; expected {ADVICE[known]}")

    notes = [f"written by Keras {version}"]
    if not known:
        notes.append("activations and return_sequences are not in a file of weights alone")
        guessed["config"] = "default activations, every step"
    stateful = [e.name for e in whole.entries if e.config.get("stateful")]
    notes += [f"{name} is stateful: give its state to the next call" for name in stateful]
    named = [(e.name, e) for e in whole.entries]
    if chain_of(whole.calls, whole.outputs) is None:
        named = [(str(call), call.entry) for call in whole.calls]
    return Contents(
        "keras",
        {f"{e.name}.{i}": array for e in whole.entries for i, array in enumerate(e.weights)},
        [f"{n}: {e.class_name}({str([a.shape for a in e.weights])[1:-1]})" for n, e in named],
        build,
        [*notes, *whole.reasons],
        {"keras_version": version, "config": {e.name: dict(e.config) for e in whole.entries}},
        guessed,
    )


def _build(network: Network, version: Version) -> Any:
    """Return the Sequential or the Graph. UnsupportedError names what has no counterpart."""
    if network.reasons:
        raise UnsupportedError("; ".join(network.reasons))
    dtype = np.result_type(np.float32, *[a for e in network.entries for a in e.weights])
    calls = today(network.calls, dtype)
    if chain := chain_of(calls, network.outputs):
        try:
            return _sequential(chain, version)
        except UnsupportedError:  # a Graph has more layers, or names all that it has not
            pass
    return to_graph(calls, network.outputs, dtype, version)


def _sequential(calls: Iterable[Call], version: Version) -> Sequential:
    chain, model = Chain(version), ""
    for call in calls:
        inside = call.entry.name.rpartition("/")[0]
        if chain.masked and chain.rank != 2 and model != inside:
            raise UnsupportedError(f"a mask that enters or leaves {model or call.entry.name}")
        model = inside
        chain.add(call.entry)
    return chain.model()


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
        own = with_todays_names(config.get(entry.name, {}))
        kind = own.get("class_name", entry.class_name)
        settings = {**entry.config, **own}
        return entry._replace(class_name=CLASSES.get(kind, kind), config=settings)

    if layers is None:
        calls = [call._replace(entry=correct(call.entry)) for call in network.calls]
        return network._replace(calls=calls)
    entries = {entry.name: correct(entry) for entry in network.entries}
    return line([entries[name] for name in chosen])


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
        guessed = [_guess_class(n, [arrays[p] for p in found], found) for n, found in paths.items()]
        return line(guessed), version
    settings = parse_json(config[0], size, renamed)
    return connected(settings, _Names(arrays, paths).find), version


def _guessed(file: File) -> Network:
    """Return the layers in a file of Keras 3's weights, each a group of variables."""
    arrays = file.arrays("")
    if all(path.startswith(ROOTS) for path in arrays):
        arrays = {path.split("/", 1)[1]: array for path, array in arrays.items()}
    inside = r"/?(\b(cell|forward_layer|backward_layer|layer|vars)/.*)"
    groups = sorted({re.sub(inside, "", path) for path in arrays} - {""})
    if not groups:
        raise ValueError("it has neither layer_names nor layers")
    paths = {name: [path for path in arrays if path.startswith(f"{name}/")] for name in groups}
    network = line([_guess_class(n, _variables(arrays, n), found) for n, found in paths.items()])
    reason = f"{groups}, whose order the file does not have"
    return network._replace(reasons=[reason] if len(groups) > 1 else [])


def _search(config: dict[str, Any], file: File) -> Find:
    """Return a search for Keras 3's weights. A layer of several models has them in one of these."""
    variables = file.arrays(ROOTS[0]) | file.arrays(ROOTS[1])  # of late Keras 2
    variables = {path.replace(ROOTS[1], ROOTS[0]): array for path, array in variables.items()}
    known: dict[tuple[str, str], list[Array]] = {}

    def search(name: str, group: str) -> list[Array]:
        key = name.rpartition("/")[2], re.sub(r"_\d+$", "", group.rpartition("/")[2])
        known[key] = _variables(variables, group) or known.get(key, [])
        return known[key]

    connected(config, search)
    return search


def _guess_class(name: str, weights: Sequence[Array], names: Sequence[str]) -> Entry:
    """Return an entry for weights without a config. Their names tell what their shapes do not."""
    ranks, text = [w.ndim for w in weights], " ".join([name, *names])
    both = "backward" in text
    count = len(weights) // (1 + both)
    state = weights[1].shape if ranks[1:2] == [2] else (1, 0)
    known = {gates: kind for kind, (_, _, gates, _) in RECURRENT.items()}
    kind = {9: "GRU", 12: "LSTM"}.get(count) or known.get(state[1] // max(state[0], 1))
    if kind and count in (2, 3, 9, 12) and re.search(r"recurrent_kernel|cell/|_U(_|\b)", text):
        config: dict[str, Any] = {"return_sequences": True}
        if not both:
            return Entry(name, kind, config, weights)
        inner = {"layer": {"class_name": kind, "config": config}}
        return Entry(name, "Bidirectional", inner, weights)
    kinds = [kind for form, end, kind in PLAIN if form == ranks and re.search(end, text)]
    return Entry(name, [*kinds, "unknown"][0], {}, weights)


def _variables(arrays: Mapping[str, Array], group: str) -> list[Array]:
    """Return the variables below a group of Keras 3, in the order in which a layer has them."""
    paths = [path.rsplit("/", 1) for path in arrays if path.startswith(f"{group}/")]

    def place(path: list[str]) -> tuple[Any, ...]:
        folders = path[0][len(group) :]
        return [f"/{part}_" in folders for part in LATE], path[0], int(path[1])

    return [arrays["/".join(path)] for path in sorted(paths, key=place)]


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
