"""Networks of Keras that are no chain, as a Graph: each layer becomes nodes of ONNX."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np

from numpy_rnn.interchange.contents import UnsupportedError
from numpy_rnn.interchange.graph import Graph, Node
from numpy_rnn.interchange.keras_layers import RECURRENT, STEPWISE, Call, Chain, Entry, is_stepwise
from numpy_rnn.interchange.onnx_file import Reader
from numpy_rnn.interchange.onnx_write import Writer
from numpy_rnn.interchange.protobuf import NUMBERS, encode
from numpy_rnn.layers.wrappers import Flip

MERGES = {"Add": "Add", "Multiply": "Mul", "Maximum": "Max", "Minimum": "Min", "Average": "Mean"}
MERGES |= {"Subtract": "Sub", "Concatenate": "Concat"}
POOLS = {"GlobalAveragePooling": "ReduceMean", "GlobalMaxPooling": "ReduceMax"}
POOLS = {f"{name}{n}D": op for name, op in POOLS.items() for n in (1, 2)}
REDUCTIONS = {"Sum": "ReduceSum", "Mean": "ReduceMean", "Max": "ReduceMax", "Min": "ReduceMin"}
CHOSEN = ("use_causal_mask", "return_attention_scores", "use_gate", "sliding_window")
WINDOWS = {"Conv": "Conv", "MaxPooling": "MaxPool", "AveragePooling": "AveragePool"}
WINDOWS = {f"{name}{n}D": op for name, op in WINDOWS.items() for n in (1, 2)}
OF_RECURRENCE = {*RECURRENT, *[f"CuDNN{kind}" for kind in RECURRENT], "Bidirectional", "RNN"}
FUNCTIONS = {  # of TensorFlow, that Keras 2 made layers of
    "__operators__.add": "Add",
    "math.add": "Add",
    "math.multiply": "Multiply",
    "math.subtract": "Subtract",
    "concat": "Concatenate",
    "math.reduce_sum": "Sum",
    "math.reduce_mean": "Mean",
    "math.reduce_max": "Max",
    "nn.softmax": "Softmax",
}
FUNCTIONS |= {
    f"{part}.{name}": name for part in ("nn", "math") for name in ("tanh", "sigmoid", "relu")
}
PASSING = ("SpatialDropout1D", "GaussianNoise", "GaussianDropout", "ReLU", "LeakyReLU", "ELU")
SLICES = ("GetItem", "SlicingOpLambda")  # of Keras 3 and 2
OPERATORS = {"selu": "Selu", "exponential": "Exp"}  # which the writer of ONNX files has not
FAR = 2**31 - 1  # beyond the end of any axis


def to_graph(
    calls: Sequence[Call], outputs: Sequence[tuple[str, int]], dtype: np.dtype[Any], version: str
) -> Graph:
    """Return a network as a Graph. UnsupportedError names what has no counterpart."""
    writer, values = Writer(dtype, states=False), dict[tuple[str, int], str]()
    embedded = {c.given[0] for c in calls if c.entry.class_name == "Embedding" and c.given}
    masks: dict[tuple[str, int], str] = {}  # (B, T), of values that have one
    for call in calls:
        read = [values.get(v, "") for v in call.given]
        mask, entry, read = _mask(writer, call, read, [masks.get(v, "") for v in call.given])
        if call.mask and not mask:
            writer.unsupported.append(
                f"{call.name}, whose mask is not that of the layers before it"
            )
        # Keras 3 gives no mask to a layer with initial states, unless its call names one.
        used = mask if call.mask or version[:1] != "3" or len(read) == 1 else ""
        if entry.class_name == "InputLayer":
            read = [_add_input(writer, call, tokens=(call.name, 0) in embedded)]
        else:
            read = _add(writer, call._replace(entry=entry), read, version, used)
        values |= {(call.name, n): x for n, x in enumerate(read)}
        inner = entry.config["layer"]["config"] if _is_loop(call) == 2 else entry.config
        if mask and (not _is_loop(call) or inner.get("return_sequences")):
            masks[call.name, 0] = mask
    if writer.unsupported:
        raise UnsupportedError("; ".join(writer.unsupported))
    names = [f"{call}.{n}".removesuffix(".0") for call, n in outputs]
    taken = [d["name"] for d in writer.inputs + writer.tensors]
    taken += [name for node in writer.nodes for name in node["output"]]
    if doubled := [name for name, count in Counter(taken).items() if count > 1]:
        raise UnsupportedError(f"{doubled[0]}, which is the name of two things")
    # The writer's own last node is left out, because it names one output, and that "y".
    graph = Reader(Path(), encode("Model", writer.model())).graph()
    ends = [name if name not in taken else f"{name}_out" for name in names]
    nodes = [Node(e, "Identity", (values[v],), (e,)) for e, v in zip(ends, outputs, strict=True)]
    return Graph(graph.nodes[:-1] + tuple(nodes), graph.inputs, ends, graph.constants)


def _is_loop(call: Call) -> int:
    """Return 1 for a recurrent layer, 2 for two directions, else 0."""
    return (call.entry.class_name in OF_RECURRENCE) + (call.entry.class_name == "Bidirectional")


def _mask(
    writer: Writer, call: Call, read: list[str], given: list[str]
) -> tuple[str, Entry, list[str]]:
    """Return the mask that a layer makes or gets, the layer without it, and what it then reads."""
    entry, name = call.entry, call.name
    kind, config = entry.class_name, entry.config
    mask = next(filter(None, given), "")
    makes = kind == "Masking" or (kind == "Embedding" and config.get("mask_zero"))
    inner = config["layer"]["class_name"] if kind == "TimeDistributed" else kind
    passes = _is_loop(call) or inner in STEPWISE or inner in PASSING
    several = len([*filter(None, given)]) > 1
    if (mask and (makes or several or not passes)) or ("#" in name and (mask or makes)):
        writer.unsupported.append(f"{name}, whose mask a Graph does not have")
    if kind == "Masking":
        value = writer.tensor(f"{name}.masked", float(config.get("mask_value", 0)))
        differs = writer.node("Not", [writer.node("Equal", [*read, value])])
        differs = writer.node("Cast", [differs], to=NUMBERS[writer.dtype])
        steps = writer.node("ReduceMax", [differs], axes=[-1], keepdims=1)
        mask = writer.node("Squeeze", [steps, writer.tensor(f"{name}.last", [-1])])
        mask = writer.node("Cast", [mask], to=NUMBERS[np.dtype(bool)])
        return mask, entry.as_class("Activation", {}), [writer.node("Mul", [*read, steps])]
    if makes:
        tokens = writer.node("Cast", read, to=NUMBERS[np.dtype(np.int64)])
        mask = writer.node("Equal", [tokens, writer.tensor(f"{name}.masked", 0)])
        return (
            writer.node("Not", [mask]),
            entry.as_class(kind, {**config, "mask_zero": False}),
            read,
        )
    return mask, entry, read


def _add_input(writer: Writer, call: Call, *, tokens: bool) -> str:
    config = call.entry.config
    shape = config.get("batch_shape") or config.get("batch_input_shape")
    if shape is None:
        writer.inputs.append({"name": call.name})
        return call.name
    axes = ["batch", *[n or f"axis{i}" for i, n in enumerate(shape[1:], 1)]]
    if len(shape) > 2 or tokens:
        axes[1:2] = ["time"]
    writer.inputs.append(writer.value(call.name, axes, tokens=tokens))
    return call.name


def _add(writer: Writer, call: Call, given: list[str], version: str, mask: str = "") -> list[str]:
    """Add the nodes of a layer, and return the names of what it gives."""
    entry, config = call.entry._replace(name=call.name), call.entry.config
    if entry.class_name == "TimeDistributed":
        entry = entry.as_class(config["layer"]["class_name"], config["layer"]["config"])
        call = call._replace(entry=entry)
        if not is_stepwise(config["layer"]):
            joined = _join_steps(writer, call.name, given[0])
            y = _add(writer, call, [joined], version)[0]
            return [_take_steps_apart(writer, entry, y, given[0])]
    if entry.class_name == "TFOpLambda":
        name = FUNCTIONS.get(config["function"], config["function"])
        kind = "Activation" if name.islower() and "." not in name else name
        entry = entry.as_class(kind, {"activation": name, **call.options})
    options = {**call.options, **config}
    chosen = [name for name in CHOSEN if options.get(name) and "ttention" in entry.class_name]
    writer.unsupported += [f"{entry.name} with {name}" for name in chosen]
    kind, config = entry.class_name, entry.config
    if kind in OF_RECURRENCE:
        return _add_recurrent(writer, entry, given, version, mask)
    listed = [*call.options.get("args", ()), None][0]  # a function has its arguments one by one
    listed = [v for v in listed if isinstance(v, dict)] if isinstance(listed, list) else []
    ranks = {len(v["config"].get("shape", ())) for v in listed}
    if len(ranks) > 1 and kind != "Concatenate":  # Keras adds axes after the first one
        writer.unsupported.append(f"{entry.name} ({kind}) of arrays with {sorted(ranks)} axes")
    if len(given) > 1 and kind in MERGES:
        return [_merge(writer, entry, given)]
    if len(given) > 1 and kind in PRODUCTS:
        return [PRODUCTS[kind](writer, entry, *given)]
    if len(given) != 1:
        writer.unsupported.append(f"{entry.name} ({kind}), which has {len(given)} inputs")
    elif kind in SLICES:
        return [_slice(writer, call, given[0])]
    else:
        writer.x = given[0]
        _add_layer(writer, entry, version)
    return [writer.x]


def _merge(writer: Writer, entry: Entry, given: list[str]) -> str:
    op = MERGES[entry.class_name]
    if op == "Concat":
        return writer.node(op, given, axis=int(entry.config.get("axis", -1)))
    if op in ("Add", "Mul", "Sub"):  # which have two inputs in ONNX
        return reduce(lambda x, y: writer.node(op, [x, y]), given)
    return writer.node(op, given)


def _add_layer(writer: Writer, entry: Entry, version: str) -> None:
    """Add a layer of one input and one output."""
    config, activation = entry.config, entry.config.get("activation")
    if isinstance(activation, dict):
        activation = activation.get("config")
    after = entry.class_name in WINDOWS or (entry.class_name == "Dense" and activation == "gelu")
    if entry.class_name in WINDOWS:
        _slide(writer, entry)
    elif entry.class_name == "Activation" and activation == "gelu":
        writer.x = writer.node("Gelu", [writer.x])
    elif not _add_plain(writer, entry):
        _add_chain(
            writer,
            entry._replace(config={**config, "activation": None} if after else config),
            version,
        )
    if after and activation is not None:
        _add_layer(writer, entry.as_class("Activation", config)._replace(weights=[]), version)


def _add_chain(writer: Writer, entry: Entry, version: str, *, states: bool = False) -> None:
    """Add what is a layer of this package, or several ones."""
    chain = Chain(version, states=states)
    chain.add(entry)
    writer.unsupported += chain.unsupported
    if chain.masks:
        writer.unsupported.append(f"{entry.name}, whose mask a Graph does not have")
    if chain.unsupported:
        return
    writer.axes = ["batch", "time", 0]  # a Graph needs none of its outputs
    if entry.class_name == "Embedding":
        writer.x = writer.node("Cast", [writer.x], to=7)  # to int64
    for n, layer in enumerate(chain.layers):
        name, *constants = getattr(layer, "_spec", [""])
        if name == "silu":
            writer.x = writer.node("Mul", [writer.x, writer.node("Sigmoid", [writer.x])])
        elif name == "hard_tanh":
            ends = [writer.tensor(f"{entry.name}.{n}.{c}", c) for c in constants]
            writer.x = writer.node("Clip", [writer.x, *ends])
        elif isinstance(layer, Flip):
            ends = [writer.tensor(f"{entry.name}.{n}.{m}", [m]) for m in (FAR, -FAR, 1, -1)]
            writer.x = writer.node("Slice", [writer.x, *ends])
        elif name in OPERATORS:
            writer.x = writer.node(OPERATORS[name], [writer.x])
        else:
            writer.layer(layer, f"{entry.name}.{n}")


def _add_recurrent(
    writer: Writer, entry: Entry, given: list[str], version: str, mask: str
) -> list[str]:
    """Add a recurrent layer. Its states are inputs and outputs, the forward direction's first."""
    ways, name = 2 if entry.class_name == "Bidirectional" else 1, entry.name
    inner = entry.config["layer"]["config"] if ways == 2 else entry.config
    writer.x, *states = given or [""]
    zero = writer.tensor(f"{name}.zero", [0])
    count = len(states) // ways
    rows = [[writer.node("Unsqueeze", [s, zero]) for s in states[n::count]] for n in range(count)]
    writer.initial = [r[0] if ways == 1 else writer.node("Concat", r, axis=0) for r in rows]
    writer.mask = writer.node("Transpose", [mask], perm=[1, 0]) if mask else ""
    before = len(writer.nodes)
    _add_chain(writer, entry, version, states=True)
    if mask and ways == 2 and inner.get("return_sequences"):  # the directions repeat other steps
        steps = writer.node("Unsqueeze", [mask, writer.tensor(f"{name}.features", [2])])
        steps = writer.node("Cast", [steps], to=NUMBERS[writer.dtype])
        writer.x = writer.node("Mul", [writer.x, steps])
    writer.initial, writer.mask, found = [], "", [writer.x]
    if len(writer.nodes) == before:  # it has no counterpart
        return found
    if count * ways != len(states) or count not in (0, len(writer.final)):
        raise ValueError(f"{name} has {len(states)} initial states")
    if inner.get("return_state"):
        for way in range(ways):
            place = writer.tensor(f"{name}.{way}", way)
            found += [writer.node("Gather", [final, place], axis=0) for final in writer.final]
    return found


def _join_steps(writer: Writer, name: str, x: str) -> str:
    """Make all steps of the whole batch a batch."""
    one, rest = writer.tensor(f"{name}.each", [-1]), writer.node("Shape", [x], start=2)
    return writer.node("Reshape", [x, writer.node("Concat", [one, rest], axis=0)])


def _take_steps_apart(writer: Writer, _: Entry, y: str, x: str) -> str:
    """Give `y` the batch and the steps that `x` has."""
    sizes = [writer.node("Shape", [x], end=2), writer.node("Shape", [y], start=1)]
    return writer.node("Reshape", [y, writer.node("Concat", sizes, axis=0)])


def _dot(writer: Writer, entry: Entry, x: str, y: str) -> str:
    """Add products of (B, T, D) arrays along one axis of each."""
    axes = [int(n) for n in np.broadcast_to(entry.config.get("axes", 0), 2)]
    if sorted(axes) not in ([1, 2], [2, 2]) or entry.config.get("normalize"):  # or (B, D) arrays
        writer.unsupported.append(f"{entry.name} with axes {axes}, or with normalize")
    x = x if axes[0] == 2 else writer.node("Transpose", [x], perm=[0, 2, 1])
    y = y if axes[1] == 1 else writer.node("Transpose", [y], perm=[0, 2, 1])
    return writer.node("MatMul", [x, y])


def _attend(writer: Writer, entry: Entry, query: str, value: str, key: str = "") -> str:
    """Add attention of (B, T, D) arrays: softmax(scores of query and key) value.

    The scores are dot products, or sums of tanh(query + key).
    """
    name, additive = entry.name, entry.class_name == "AdditiveAttention"
    weights = [writer.tensor(f"{name}.{n}", w) for n, w in enumerate(entry.weights)]
    scale = weights.pop(0) if entry.config.get("use_scale", additive) else ""
    if not additive and entry.config.get("score_mode", "dot") == "dot":
        key_T = writer.node("Transpose", [key or value], perm=[0, 2, 1])
        scores = writer.node("MatMul", [query, key_T])
        scores = writer.node("Mul", [scores, scale]) if scale else scores
    else:
        axes = [writer.tensor(f"{name}.axis{n}", [n]) for n in (2, 1, -1)]
        sides = zip([query, key or value], axes, strict=False)
        z = writer.node("Add", [writer.node("Unsqueeze", [*side]) for side in sides])
        z = writer.node("Mul", [z, scale]) if scale and not additive else z
        z = writer.node("Tanh", [z])
        z = writer.node("Mul", [z, scale]) if scale and additive else z
        scores = writer.node("ReduceSum", [z, axes[2]], keepdims=0)
        scores = writer.node("Mul", [scores, *weights]) if weights else scores
    return writer.node("MatMul", [writer.node("Softmax", [scores], axis=-1), value])


def _attend_with_heads(writer: Writer, entry: Entry, query: str, value: str, key: str = "") -> str:
    """Add attention of (B, T, D) arrays, with projections to heads and back."""
    config, names = entry.config, iter([f"{entry.name}.{n}" for n in range(9)])
    weights = iter([writer.tensor(next(names), w) for w in entry.weights])
    if config.get("attention_axes") not in (None, [1]):
        writer.unsupported.append(f"{entry.name} with attention_axes {config['attention_axes']}")

    def project(x: str, equation: str) -> str:
        y = writer.node("Einsum", [x, next(weights)], equation=equation)
        return writer.node("Add", [y, next(weights)]) if config.get("use_bias", True) else y

    q, k, v = (project(x, "btd,dnh->btnh") for x in (query, key or value, value))
    scale = writer.tensor(next(names), float(config["key_dim"]) ** -0.5)
    scores = writer.node("Einsum", [q, k], equation="bqnh,bknh->bnqk")
    scores = writer.node("Softmax", [writer.node("Mul", [scores, scale])], axis=-1)
    heads = writer.node("Einsum", [scores, v], equation="bnqk,bknh->bqnh")
    return project(heads, "btnh,nhd->btd")


PRODUCTS: dict[str, Callable[..., str]] = {"Dot": _dot, "MultiHeadAttention": _attend_with_heads}
PRODUCTS |= {"ApartSteps": _take_steps_apart, "Attention": _attend, "AdditiveAttention": _attend}


def _slice(writer: Writer, call: Call, x: str) -> str:
    """Add what ``x[:, -1]`` and the like are."""
    key = call.options.get("slice_spec", [*call.options.get("args", ()), None, None][1])
    key, axis = key if isinstance(key, list) else [key], 0
    bounds, dropped = list[tuple[int, ...]](), list[int]()
    for part in key:
        if type(part) is int:
            bounds.append((axis, part, part + 1 or FAR, 1))
            dropped.append(axis)
        elif isinstance(part, dict) and part.get("class_name") == "__ellipsis__":
            axis -= len(key)
        elif isinstance(part, dict) and "start" in (at := part.get("config", part)):
            step = at["step"] or 1
            ends = (0, FAR) if step > 0 else (FAR, -FAR)
            start, stop = (
                end if n is None else n
                for n, end in zip((at["start"], at["stop"]), ends, strict=True)
            )
            bounds.append((axis, start, stop, step))
        else:
            writer.unsupported.append(f"{call.entry.name} ({call.entry.class_name}) by {part!r}")
        axis += 1
    axes, *rest = [
        writer.tensor(f"{call.name}.{n}", [*numbers])
        for n, numbers in enumerate(zip(*bounds, strict=True))
    ] or [""]
    x = writer.node("Slice", [x, *rest[:2], axes, *rest[2:]]) if rest else x
    return writer.node("Squeeze", [x, writer.tensor(f"{call.name}.dropped", dropped)])


def _slide(writer: Writer, entry: Entry) -> None:
    """Add a convolution or a pool over time or an image. ONNX has the channels before that."""
    config, tensors = entry.config, list[str]()
    names = {"kernel_size": "kernel_shape", "pool_size": "kernel_shape", "strides": "strides"}
    names |= {"dilation_rate": "dilations"}
    ndim = int(entry.class_name[-2])
    options: dict[str, Any] = {
        names[n]: [*map(int, np.broadcast_to(v, ndim))] for n, v in config.items() if n in names
    }
    if config.get("data_format", "channels_last") != "channels_last":
        writer.unsupported.append(f"{entry.name} with data_format {config['data_format']}")
    if entry.weights:
        kernel, *bias = entry.weights
        options["group"] = int(config.get("groups", 1))
        kernel = kernel.transpose(ndim + 1, ndim, *range(ndim))
        tensors = [writer.tensor(f"{entry.name}.{n}", w) for n, w in enumerate([kernel, *bias])]
    if config["padding"] == "causal":
        options["pads"] = [(options["kernel_shape"][0] - 1) * options["dilations"][0], 0]
    else:
        options["auto_pad"] = {"same": "SAME_UPPER", "valid": "VALID"}[config["padding"]]
    x = writer.node("Transpose", [writer.x], perm=[0, ndim + 1, *range(1, ndim + 1)])
    y = writer.node(WINDOWS[entry.class_name], [x, *tensors], **options)
    writer.x = writer.node("Transpose", [y], perm=[0, *range(2, ndim + 2), 1])


def _add_plain(writer: Writer, entry: Entry) -> bool:  # noqa: C901, PLR0912 (one case for each kind of layer)
    """Add a layer that no layer of this package is, if it is one of these."""
    config, name = entry.config, f"{entry.name}.sizes"
    if entry.class_name in POOLS:
        first = 2 if config.get("data_format") == "channels_first" else 1
        axes = [first + n for n in range(int(entry.class_name[-2]))]
        keep = int(bool(config.get("keepdims")))
        writer.x = writer.node(POOLS[entry.class_name], [writer.x], axes=axes, keepdims=keep)
    elif entry.class_name in REDUCTIONS and config.get("axis") is not None:
        axes, keep = [*map(int, np.ravel(config["axis"]))], int(bool(config.get("keepdims")))
        writer.x = writer.node(REDUCTIONS[entry.class_name], [writer.x], axes=axes, keepdims=keep)
    elif entry.class_name == "RepeatVector":
        steps = writer.node("Unsqueeze", [writer.x, writer.tensor(f"{entry.name}.axis", [1])])
        writer.x = writer.node("Tile", [steps, writer.tensor(name, [1, int(config["n"]), 1])])
    elif entry.class_name == "Flatten" or "target_shape" in config:
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
    elif entry.class_name == "BatchNormalization" and config.get("axis") in (1, [1]):
        _normalise_axis_1(writer, entry)
    elif entry.class_name == "JoinedSteps":
        writer.x = _join_steps(writer, entry.name, writer.x)
    elif entry.class_name == "PReLU":
        slope = [writer.tensor(f"{entry.name}.slope", *entry.weights)]
        writer.x = writer.node("PRelu", [writer.x, *slope])
    else:
        return False
    return True


def _normalise_axis_1(writer: Writer, entry: Entry) -> None:
    config, arrays, size = entry.config, [*entry.weights], len(entry.weights[-1])
    scale = arrays.pop(0) if config.get("scale", True) else np.ones(size)
    shift = arrays.pop(0) if config.get("center", True) else np.zeros(size)
    named = enumerate([scale, shift, *arrays])
    inputs = [writer.tensor(f"{entry.name}.{n}", array) for n, array in named]
    epsilon = float(config.get("epsilon", 1e-3))
    writer.x = writer.node("BatchNormalization", [writer.x, *inputs], epsilon=epsilon)
