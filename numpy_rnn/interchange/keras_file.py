"""Keras's files: ``.keras``, and HDF5 of whole models or of weights alone, of Keras 1 to 3.

A chain of layers becomes a Sequential, batch first, and every other network a Graph. Which layers
there are is in the file's config; without one it is guessed from names and shapes.
``load(path, layers=...)`` chooses layers by name, in order, or is a dict that corrects their
config, with Keras's names for the settings.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from numpy_rnn.functional.types import Array
from numpy_rnn.interchange.contents import Contents, UnsupportedError, open_zip, read_bytes
from numpy_rnn.interchange.graph import Graph
from numpy_rnn.interchange.hdf5 import SPARE, File, open_hdf5
from numpy_rnn.interchange.keras_layers import Chain, Entry, guess_class, snake_case
from numpy_rnn.interchange.onnx_file import Reader
from numpy_rnn.interchange.onnx_write import Writer
from numpy_rnn.interchange.protobuf import encode
from numpy_rnn.reading import damaged_file_errors, parse_json

FORMAT = "a Keras file"
ROOTS = ("layers", "_layer_checkpoint_dependencies")  # of Keras 3's weights, and of late Keras 2's
MASKS = ("NotEqual", "Any")  # what Keras 3 makes masks with, beside the chain
MERGES = {"Add": "Add", "Multiply": "Mul", "Maximum": "Max", "Minimum": "Min", "Average": "Mean"}
POOLS = {"GlobalAveragePooling1D": "ReduceMean", "GlobalMaxPooling1D": "ReduceMax"}
CHOSEN = ("use_causal_mask", "return_attention_scores")
WINDOWS = {"Conv1D": "Conv", "MaxPooling1D": "MaxPool", "AveragePooling1D": "AveragePool"}


class Network(NamedTuple):
    """The layers of a file, and how they are connected if the file says so."""

    entries: list[Entry]  # those of a chain in order
    sources: Mapping[str, list[str]] = {}  # names of the layers that each one reads
    outputs: tuple[str, ...] = ()
    reason: str = ""  # why it cannot be built

    @property
    def is_chain(self) -> bool:
        """Whether each layer reads the one before it, as far as the file says."""
        names = [entry.name for entry in self.entries]
        before = [names[max(0, i - 1) : i] for i in range(len(names))]
        known = [self.sources.get(name, it) for name, it in zip(names, before, strict=True)]
        return known == before and self.outputs in ((), tuple(names[-1:]))


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
            whole = _with_variables(_connected(config), file)
        else:
            whole, version = _read_hdf5(file, size)

    def build(layers: Iterable[str] | Mapping[str, Mapping[str, Any]] | None = None) -> Any:
        network = whole if layers is None else Network(_choose(whole.entries, layers))
        with damaged_file_errors(path, FORMAT, UnsupportedError):
            return _build(network, version)

    return Contents(
        "keras",
        {f"{e.name}.{i}": array for e in whole.entries for i, array in enumerate(e.weights)},
        [
            f"{e.name}: {e.class_name}({str([a.shape for a in e.weights])[1:-1]})"
            for e in whole.entries
        ],
        build,
        [f"written by Keras {version}", *filter(None, [whole.reason])],
        {"keras_version": version, "config": {e.name: dict(e.config) for e in whole.entries}},
    )


def _build(network: Network, version: str) -> Any:
    """Return the Sequential or the Graph. UnsupportedError names what has no counterpart."""
    arrays = [array for entry in network.entries for array in entry.weights]
    writer, chain = Writer(np.result_type(np.float32, *arrays), states=False), Chain(version)
    entries = [
        e._replace(weights=[a.astype(writer.dtype) for a in e.weights]) for e in network.entries
    ]
    reasons = [network.reason]
    if network.is_chain and not network.reason:
        for entry in entries:
            chain.add(entry)
        if not chain.unsupported:
            return chain.model()
        reasons = chain.unsupported
    has_input = any(entry.class_name == "InputLayer" for entry in entries)
    if has_input and network.outputs and not network.reason:
        graph = _to_graph(network._replace(entries=entries), writer, version)
        if not writer.unsupported:
            return graph
        reasons = writer.unsupported
    raise UnsupportedError(f"there is no counterpart here for: {'; '.join(reasons)}")


def _choose(
    entries: list[Entry], layers: Iterable[str] | Mapping[str, Mapping[str, Any]]
) -> list[Entry]:
    known = {entry.name: entry for entry in entries}
    configs = layers if isinstance(layers, Mapping) else {name: {} for name in layers}
    if unknown := [name for name in configs if name not in known]:
        raise ValueError(f"layers has {unknown}, expected names out of {list(known)}")
    return [known[n]._replace(config={**known[n].config, **c}) for n, c in configs.items()]


def _read_hdf5(file: File, size: int) -> tuple[Network, str]:
    """Return the network of an HDF5 file, and Keras's version."""
    root = "" if file.texts("", "layer_names") else "model_weights"
    names = file.texts(root, "layer_names")
    if names is None:
        arrays = next(filter(None, map(file.arrays, ROOTS)), None)
        if arrays is None:
            raise ValueError("it has neither layer_names nor layers")
        groups = sorted({path.split("/")[0] for path in arrays})
        entries = [guess_class(name, _in_order(arrays, name), name) for name in groups]
        order = f"the order of the layers, expected layers=[...] with names out of {groups}"
        return Network(entries, reason=order if len(groups) > 1 else ""), "3"
    arrays, paths = file.arrays(root), dict[str, list[str]]()
    for name in names:
        listed = file.texts(f"{root}/{name}".strip("/"), "weight_names") or []
        paths[name] = [f"{name}/{path}" for path in listed]
    weights = {name: [arrays[path] for path in paths[name]] for name in names}
    version = (file.texts(root, "keras_version") or file.texts("", "keras_version") or ["1"])[0]
    config = file.texts("", "model_config")
    if config is None:
        return Network([guess_class(n, weights[n], (paths[n] or [""])[0]) for n in names]), version
    network = _connected(parse_json(config[0], size))
    entries = [e._replace(weights=weights.get(e.name, [])) for e in network.entries]
    return network._replace(entries=entries), version


def _with_variables(network: Network, file: File) -> Network:
    """Return the network with the variables that Keras 3 numbers for each class."""
    arrays: dict[str, Array] = {}
    for root in ROOTS:
        arrays |= file.arrays(root)
    seen: Counter[str] = Counter()
    found = []
    for entry in network.entries:
        group = snake_case(entry.class_name)
        name = f"{group}_{seen[group]}" if seen[group] else group
        seen[group] += 1
        found.append(entry._replace(weights=_in_order(arrays, name)))
    return network._replace(entries=found)


def _in_order(arrays: Mapping[str, Array], group: str) -> list[Array]:
    """Return the variables below a group, the forward direction's first."""
    paths = [path.rsplit("/", 1) for path in arrays if path.startswith(f"{group}/")]
    ordered = sorted(paths, key=lambda path: ("backward" in path[0], path[0], int(path[1])))
    return [arrays["/".join(path)] for path in ordered]


def _connected(config: dict[str, Any]) -> Network:
    """Return the network that a model's config describes."""
    inner = config["config"]
    listed = inner if isinstance(inner, list) else inner["layers"]  # Keras 1 has a list
    entries: dict[str, Entry] = {}
    for item in listed:
        name = item.get("name") or item["config"].get("name") or f"layer_{len(entries)}"
        entries[name] = Entry(name, item["class_name"], item["config"], [])
    if config["class_name"] == "Sequential":
        shape = next(iter(entries.values())).config.get("batch_input_shape")
        if shape:  # before TensorFlow 2.3 the first layer had it
            start = Entry("input", "InputLayer", {"batch_input_shape": shape}, [])
            entries = {start.name: start, **entries}
        order = list(entries)
        sources = {name: order[max(0, i - 1) : i] for i, name in enumerate(order)}
        return Network(list(entries.values()), sources, tuple(order[-1:]))
    sources = {item["name"]: _tensors(item["inbound_nodes"]) for item in listed}
    outputs = _tensors(inner["output_layers"])
    twice = [f"{i['name']}, which is used twice" for i in listed if len(i["inbound_nodes"]) > 1]
    # Options of Attention's call. A scan of the text finds them in each version's form.
    calls = {i["name"]: json.dumps(i["inbound_nodes"]) for i in listed}
    chosen = [f"{n} with {o}" for n, c in calls.items() for o in CHOSEN if f'"{o}": true' in c]
    order = [outputs[0]]
    while (name := next(iter(sources[order[0]]), order[0])) not in order:
        order.insert(0, name)
    beside = {entry.class_name for name, entry in entries.items() if name not in order}
    found = [entries[name] for name in (order if beside <= {*MASKS} else entries)]
    return Network(found, sources, tuple(outputs), "; ".join([*twice, *chosen]))


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


def _to_graph(network: Network, writer: Writer, version: str) -> Graph:
    """Return a network as a Graph: each layer is the nodes that ONNX has for our counterpart."""
    values: dict[str, str] = {}  # what each layer gives
    for entry in network.entries:  # each after those that it reads
        read = network.sources[entry.name]
        if entry.class_name == "InputLayer":
            readers = [e for e in network.entries if entry.name in network.sources[e.name]]
            tokens = any(e.class_name == "Embedding" for e in readers)
            _add_input(writer, entry, tokens=tokens)
        else:
            _add(writer, entry, [values[name] for name in read], version)
        values[entry.name] = writer.x
    for n, name in enumerate(network.outputs[1:], start=1):
        writer.node("Identity", [values[name]], [f"y{n}"])
        writer.outputs.append(writer.value(f"y{n}", []))
    writer.x = values[network.outputs[0]]
    return Reader(Path(), encode("Model", writer.model())).graph()


def _add(writer: Writer, entry: Entry, given: list[str], version: str) -> None:
    writer.x = given[0] if given else ""
    writer.axes = ["batch", "time", 0]  # a Graph needs none of its outputs
    if len(given) > 1 and entry.class_name == "Concatenate":
        writer.x = writer.node("Concat", given, axis=int(entry.config.get("axis", -1)))
    elif len(given) > 1 and entry.class_name in MERGES:
        writer.x = writer.node(MERGES[entry.class_name], given)
    elif len(given) > 1 and entry.class_name == "Attention":
        _attend(writer, entry, *given)
    elif len(given) != 1:
        writer.unsupported.append(f"{entry.name}, which has {len(given)} inputs")
    elif entry.class_name in WINDOWS:
        _slide(writer, entry)
        if entry.config.get("activation", "linear") != "linear":
            _add(writer, entry.as_class("Activation", entry.config), [writer.x], version)
    elif not _without_weights(writer, entry):
        chain = Chain(version)
        chain.add(entry)
        writer.unsupported += chain.unsupported
        if chain.masks:
            writer.unsupported.append(f"{entry.name}, whose mask a Graph does not have")
        elif chain.layers and not chain.unsupported:
            writer.layer(chain.model(), entry.name)


def _attend(writer: Writer, entry: Entry, query: str, value: str, key: str = "") -> None:
    """Add dot-product attention of (B, T, D) arrays: softmax(query key^T) value."""
    if entry.config.get("use_scale") or entry.config.get("score_mode", "dot") != "dot":
        writer.unsupported.append(f"{entry.name} with a scale, or a score_mode that is not 'dot'")
    key_T = writer.node("Transpose", [key or value], perm=[0, 2, 1])
    scores = writer.node("MatMul", [query, key_T])
    writer.x = writer.node("MatMul", [writer.node("Softmax", [scores], axis=-1), value])


def _add_input(writer: Writer, entry: Entry, *, tokens: bool) -> None:
    shape = entry.config.get("batch_shape") or entry.config["batch_input_shape"]
    axes = ["batch", *[n or f"axis{i}" for i, n in enumerate(shape[1:], 1)]]
    if len(shape) > 2 or tokens:
        axes[1] = "time"
    writer.x = entry.name
    writer.inputs.append(writer.value(entry.name, axes, tokens=tokens))


def _slide(writer: Writer, entry: Entry) -> None:
    """Add a convolution or a pool over time. ONNX has time last and kernels as (F, D, K)."""
    config, tensors = entry.config, list[str]()
    names = {"kernel_size": "kernel_shape", "pool_size": "kernel_shape", "strides": "strides"}
    names |= {"dilation_rate": "dilations"}
    options: dict[str, Any] = {
        names[n]: [*map(int, np.ravel(v))] for n, v in config.items() if n in names
    }
    if config.get("data_format", "channels_last") != "channels_last":
        writer.unsupported.append(f"{entry.name} with data_format {config['data_format']}")
    if entry.weights:
        kernel, *bias = entry.weights
        options["group"] = int(config.get("groups", 1))
        tensors = [writer.tensor(f"{entry.name}.kernel", kernel.transpose(2, 1, 0))]
        tensors += [writer.tensor(f"{entry.name}.bias", b) for b in bias]
    if config["padding"] == "causal":
        options["pads"] = [(options["kernel_shape"][0] - 1) * options["dilations"][0], 0]
    else:
        options["auto_pad"] = {"same": "SAME_UPPER", "valid": "VALID"}[config["padding"]]
    time_last = writer.node("Transpose", [writer.x], perm=[0, 2, 1])
    y = writer.node(WINDOWS[entry.class_name], [time_last, *tensors], **options)
    writer.x = writer.node("Transpose", [y], perm=[0, 2, 1])


def _without_weights(writer: Writer, entry: Entry) -> bool:
    """Add a layer without weights, if it is one."""
    config, name = entry.config, f"{entry.name}.sizes"
    if entry.class_name in POOLS:
        axes = [2 if config.get("data_format") == "channels_first" else 1]
        keep = int(bool(config.get("keepdims")))
        writer.x = writer.node(POOLS[entry.class_name], [writer.x], axes=axes, keepdims=keep)
    elif entry.class_name == "RepeatVector":
        steps = writer.node("Unsqueeze", [writer.x, writer.tensor(f"{entry.name}.axis", [1])])
        writer.x = writer.node("Tile", [steps, writer.tensor(name, [1, int(config["n"]), 1])])
    elif entry.class_name in ("Flatten", "Reshape"):
        target = [-1] if entry.class_name == "Flatten" else [*map(int, config["target_shape"])]
        writer.x = writer.node("Reshape", [writer.x, writer.tensor(name, [0, *target])])
    elif entry.class_name == "Permute":
        writer.x = writer.node("Transpose", [writer.x], perm=[0, *map(int, config["dims"])])
    elif entry.class_name == "ZeroPadding1D":
        before, after = map(int, np.broadcast_to(config["padding"], 2))
        writer.x = writer.node("Pad", [writer.x, writer.tensor(name, [0, before, 0, 0, after, 0])])
    elif entry.class_name == "Softmax":
        writer.x = writer.node("Softmax", [writer.x], axis=int(config.get("axis", -1)))
    elif entry.class_name == "Rescaling":
        for op, option in (("Mul", "scale"), ("Add", "offset")):
            number = np.asarray(config[option], writer.dtype)
            writer.x = writer.node(op, [writer.x, writer.tensor(f"{entry.name}.{option}", number)])
    else:
        return False
    return True
