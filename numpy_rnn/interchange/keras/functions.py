"""Layers and functions of Keras as functions of NumPy arrays, for networks that are no chain."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial, reduce
from typing import Any

import numpy as np

from numpy_rnn import layers
from numpy_rnn.functional.activations import make_activation
from numpy_rnn.functional.types import Array
from numpy_rnn.interchange.keras.chain import Chain, affine, recurrent_layers
from numpy_rnn.interchange.keras.entries import REDUCTIONS, Entry, Version, refused
from numpy_rnn.interchange.onnx.math import Gelu
from numpy_rnn.interchange.onnx.windows import check_memory, check_padding
from numpy_rnn.layers.validate import check_tokens

Function = Callable[..., Any]


def softmax(x: Array, axis: int = -1) -> Array:
    """Return exp(x) / sum(exp(x)) along an axis."""
    e = np.exp(x - x.max(axis, keepdims=True))
    return np.asarray(e / e.sum(axis, keepdims=True))


MERGES = {"Add": np.add, "Subtract": np.subtract, "Multiply": np.multiply, "Average": np.add}
MERGES |= {"Maximum": np.maximum, "Minimum": np.minimum}
OF_ONE: dict[str, Function] = {"Absolute": np.abs, "Negative": np.negative}
OF_ONE |= {
    "ConvertToTensor": np.array,
    "Exp": np.exp,
    "Log": np.log,
    "Sqrt": np.sqrt,
    "Tanh": np.tanh,
}
OF_TWO: dict[str, Function] = {"NotEqual": np.not_equal, "LogicalOr": np.logical_or}
OF_AXIS: dict[str, Function] = {"Any": np.any, "ExpandDims": np.expand_dims, "Softmax": softmax}
ATTENTION = ("Attention", "AdditiveAttention")
SEVERAL = (*MERGES, *OF_TWO, *ATTENTION, "Concatenate", "Dot", "MultiHeadAttention", "ApartSteps")
CHOSEN = ("use_causal_mask", "causal", "return_attention_scores", "use_gate", "sliding_window")
POOLS: dict[str, Function] = {f"GlobalMaxPooling{n}D": np.max for n in (1, 2)}
POOLS |= {f"GlobalAveragePooling{n}D": np.mean for n in (1, 2)}
MEAN = "GlobalAveragePooling1D"  # of the steps that are not masked
FEW_ROWS = 16  # of an input, for which a stepper is faster than a pass over the sequence


def function_of(entry: Entry, count: int, version: Version) -> Function:  # noqa: C901, PLR0911, PLR0912 (one case for each kind of layer)
    """Return a layer as a function of `count` arrays. UnsupportedError names what it is if not.

    What uses masks has them before that, with None where there is none: a recurrent layer and a
    mean over time one, attention those of query and value.
    """
    config, kind = entry.config, entry.class_name
    axis, keep = config.get("axis", -1), bool(config.get("keepdims"))
    if not entry.ways and (count > 1) != (kind in SEVERAL):
        raise refused(entry, f"{count} inputs")
    if chosen := [n for n in CHOSEN if "ttention" in kind and config.get(n)]:
        raise refused(entry, ", ".join(chosen))
    match kind:
        case _ if entry.ways:
            return Recurrent(entry, count - 1, version)
        case _ if kind in OF_ONE or kind in OF_TWO:
            return (OF_ONE | OF_TWO)[kind]
        case _ if kind in MERGES:
            return _merge(entry)
        case _ if kind in OF_AXIS:
            return partial(OF_AXIS[kind], axis=axis)
        case "Concatenate":
            return lambda *given: np.concatenate(given, axis)
        case "Dot":
            return _dot(entry)
        case "MultiHeadAttention":
            return _attention_with_heads(entry)
        case _ if kind in ATTENTION:
            return _attention(entry)
        case "ApartSteps":
            return lambda y, x: y.reshape(*x.shape[:2], *y.shape[1:])
        case "JoinedSteps":
            return lambda x: x.reshape(-1, *x.shape[2:])
        case _ if kind in POOLS:
            first = 2 if config.get("data_format") == "channels_first" else 1
            if kind == MEAN:
                return _mean(first, keep)
            over, pool = (*range(first, first + int(kind[-2])),), POOLS[kind]
            return lambda x: pool(x, over, keepdims=keep)
        case _ if kind in REDUCTIONS:
            given = config.get("axis")
            axes = None if given is None else tuple(map(int, np.ravel(given)))
            reduction: Any = REDUCTIONS[kind]
            return lambda x: reduction(x, axes, keepdims=keep)
        case "Activation" if config.get("activation") == "gelu":
            return Gelu
        case "BatchNormalization" | "Normalization" | "LayerNormalization":
            return _normalisation(entry)
        case "Flatten":
            return lambda x: x.reshape(len(x), -1)
        case "OnesLike" | "ZerosLike" if config.get("dtype") == "bool":
            return lambda x: np.full_like(x, kind == "OnesLike", bool)
        case "MaskOfEmbedding":
            return lambda tokens: np.not_equal(tokens, 0)
        case "MaskOfMasking":
            return lambda x: np.not_equal(x, config.get("mask_value", 0)).any(-1)
        case "Masking":
            value: Any = entry.masked_value
            return lambda x: x * np.not_equal(x, value).any(-1, keepdims=True)
        case "PReLU":
            return lambda x: np.where(x < 0, entry.weights[0] * x, x)
        case "Permute":
            return lambda x: x.transpose(0, *config["dims"])
        case "RepeatVector":
            return lambda x: _repeated(x, int(config["n"]))
        case "Rescaling":
            scale, offset = np.asarray(config["scale"]), np.asarray(config["offset"])
            return lambda x: (x * scale + offset).astype(x.dtype)
        case "Reshape" if "target_shape" in config:
            return lambda x: x.reshape(len(x), *config["target_shape"])
        case "ZeroPadding1D":
            before, after = np.broadcast_to(config["padding"], 2)
            check_padding([before, after])
            return lambda x: np.pad(x, ((0, 0), (before, after), (0, 0)))
        case "GetItem" | "SlicingOpLambda":  # of Keras 3 and 2
            key = config.get("slice_spec", [*config.get("args", ()), None, None][1])
            parts = key if isinstance(key, list) else [key]
            index = tuple([_index(entry, part) for part in parts])
            return lambda x: x[index]
    chain = Chain(version)
    chain.add(entry._replace(config={**config, "mask_zero": False}))
    functions = [_of_layer(layer) for layer in chain.layers]
    return lambda x: reduce(lambda x, function: function(x), functions, x)


def _of_layer(layer: Any) -> Function:
    if isinstance(layer, layers.Linear):
        values = layer.parameters.values
        W_T, b = np.ascontiguousarray(values["weight"].T), values.get("bias", 0)
        return lambda x: x @ W_T + b
    if isinstance(layer, layers.Embedding):
        return lambda x: _rows(layer.parameters.values["weight"], x.astype(np.int64))
    if type(layer) is layers.Softmax:
        return softmax
    if spec := getattr(layer, "_spec", None):
        activation = make_activation(spec)
        return lambda x: activation.value(x, np.empty_like(x))
    function: Function = layer.predict
    return function


def _rows(weight: Array, tokens: Array) -> Array:
    check_tokens("Embedding", "x", tokens, len(weight))
    return weight[tokens]


def _repeated(x: Array, n: int) -> Array:
    check_memory(x.size, n)
    return np.repeat(x[:, None], n, axis=1)


def _index(entry: Entry, part: Any) -> Any:
    if isinstance(part, dict) and part.get("class_name") == "__ellipsis__":
        return ...
    if isinstance(part, dict) and "start" in (at := part.get("config", part)):
        return slice(at["start"], at["stop"], at["step"])
    if type(part) is not int:
        raise refused(entry, f"the index {part!r}")
    return part


def _merge(entry: Entry) -> Function:
    function, is_function = MERGES[entry.class_name], entry.config.get("is_function")

    def merge(*given: Array) -> Any:
        most = max(np.ndim(x) for x in given)
        if not is_function:  # a layer adds axes after the first one
            given = tuple([x.reshape(len(x), *[1] * (most - x.ndim), *x.shape[1:]) for x in given])
        y = reduce(function, given)
        return y / len(given) if entry.class_name == "Average" else y

    return merge


def _mean(axis: int, keep: bool) -> Function:
    """Return the mean over time of the steps that are not masked."""

    def mean(mask: Array | None, x: Array) -> Any:
        if mask is None:
            return x.mean(axis, keepdims=keep)
        some = mask[:, :, None] if axis == 1 else mask[:, None]
        total = np.where(some, x, 0).sum(axis, keepdims=keep)
        return total / some.sum(axis, dtype=x.dtype, keepdims=keep)

    return mean


def _normalisation(entry: Entry) -> Function:
    """Return a normalisation along one axis, by recorded means and variances or its own."""
    config, weights, own = entry.config, [*entry.weights], entry.class_name == "LayerNormalization"
    wrong = config.get("rms_scaling") or config.get("invert")
    axes = np.ravel(config.get("axis", -1))
    one = axes.size == 1 and axes[0] is not None and not (own and axes[0] < -1)
    if wrong or not one or not (own or weights):
        raise refused(entry, f"axis {config.get('axis')}, rms_scaling, invert, or not adapted")
    if own:
        scale = weights.pop(0) if config.get("scale", True) else np.ones(1)
        shift = weights.pop(0) if config.get("center", True) else np.zeros(1)
    else:
        scale, shift = affine(entry)

    def normalise(x: Array) -> Any:
        form = [1] * x.ndim
        form[axes[0]] = -1
        if own and form[-1] == 1:
            raise ValueError(f"axis {axes[0]} of an array of {x.ndim} axes, expected the last one")
        if own:
            x = x - x.mean(-1, keepdims=True)
            x = x / np.sqrt((x * x).mean(-1, keepdims=True) + float(config.get("epsilon", 1e-3)))
        return x * scale.reshape(form).astype(x.dtype) + shift.reshape(form).astype(x.dtype)

    return normalise


def _dot(entry: Entry) -> Function:
    """Return the sums of products of (B, ...) arrays along one axis of each."""
    normalise, given = entry.config.get("normalize"), entry.config.get("axes", 0)

    def dot(*arrays: Array) -> Any:
        names, factors, axes = [], [], np.broadcast_to(given, 2)
        for x, n, letters in zip(arrays, axes, ("btuvw", "bxyz"), strict=True):
            name = [*letters[: x.ndim - 1]]
            name.insert(n % x.ndim, "d")
            names.append("".join(name))
            size = np.linalg.norm(x, axis=n, keepdims=True)
            factors.append(x / np.maximum(size, 1e-12) if normalise else x)
        kept = "".join([*names[0], *names[1][1:]]).replace("d", "")
        z = np.einsum(f"{names[0]},{names[1]}->{kept}", *factors)
        return z[:, None] if z.ndim == 1 else z

    return dot


def _attention(entry: Entry) -> Function:
    """Return attention of (B, T, D) arrays: softmax(scores of query and key) value.

    The scores are dot products, or sums of tanh(query + key).
    """
    additive, weights = entry.class_name == "AdditiveAttention", [*entry.weights]
    scale = weights.pop(0) if entry.config.get("use_scale", additive) else 1.0
    dots = not additive and entry.config.get("score_mode", "dot") == "dot"

    def attend(of_query: Any, of_value: Any, query: Array, value: Array, *keys: Array) -> Any:
        (key,) = keys or (value,)
        if dots:
            scores = scale * (query @ key.swapaxes(1, 2))
        else:
            z = query[:, :, None] + key[:, None]
            z = scale * np.tanh(z) if additive else np.tanh(scale * z)
            scores = z.sum(-1) * (weights[0] if weights else 1.0)
        if of_value is not None:
            scores = np.where(of_value[:, None], scores, scores - 1e9)
        y = softmax(scores) @ value
        return y if of_query is None else np.where(of_query[..., None], y, 0)

    return attend


def _attention_with_heads(entry: Entry) -> Function:
    """Return attention of (B, T, D) arrays, with projections to heads and back."""
    config, step = entry.config, 2 if entry.config.get("use_bias", True) else 1
    if config.get("attention_axes") not in (None, [1]):
        raise refused(entry, f"attention_axes {config['attention_axes']}")
    projections = [entry.weights[n : n + step] for n in range(0, 4 * step, step)]
    scale = float(config["key_dim"]) ** -0.5

    def project(x: Array, n: int, equation: str = "btd,dnh->btnh") -> Any:
        kernel, *bias = projections[n]
        return np.einsum(equation, x, kernel) + (bias[0] if bias else 0)

    def attend(query: Array, value: Array, *keys: Array) -> Any:
        (key,) = keys or (value,)
        q, k, v = (project(x, n) for n, x in enumerate((query, key, value)))
        scores = softmax(np.einsum("bqnh,bknh->bnqk", q, k) * scale)
        return project(np.einsum("bnqk,bknh->bqnh", scores, v), 3, "btnh,nhd->btd")

    return attend


class Recurrent:
    """A recurrent layer as a function of a mask, an input and the states of each direction.

    Each direction is a layer by itself, which reads the steps in its order.
    """

    def __init__(self, entry: Entry, states: int, version: Version) -> None:
        self.layers: list[Any] = recurrent_layers(entry, version, each=True, batch_first=True)
        self.merge, self.config = entry.merge, entry.recurrence
        self.backwards = bool(self.config.get("go_backwards"))
        self.count = len(self.layers[0].state_sizes)  # of the states of a direction
        self.outputs = 1 + self.count * entry.ways * bool(self.config.get("return_state"))
        self.zeros = entry.ways == 2 and not version.repeats  # at masked steps
        self.steppers: list[Any] = []  # faster for one row, and for few numbers
        if self.config.get("time_major"):
            raise refused(entry, "time_major")
        if states not in (0, self.count * entry.ways):
            raise ValueError(f"{entry.name} has {states} initial states")

    def __call__(self, mask: Array | None, x: Array, *states: Array) -> Any:
        """Return the output, and the last states if the layer returns them."""
        ways, found = [], list[Array]()
        for n, layer in enumerate(self.layers):
            back = slice(None, None, -1 if self.backwards or n else 1)
            own = states[n * self.count : (n + 1) * self.count]
            given = tuple([s[None].astype(layer.parameters.dtype) for s in own])
            state = given if len(given) > 1 else given[0] if given else None
            y, final = self._run(n, x[:, back], None if mask is None else mask[:, back], state)
            ways.append(y[:, ::-1] if n else y)
            found += [s[0] for s in (final if isinstance(final, tuple) else (final,))]
        sequences = self.config.get("return_sequences")
        y = _merged(ways if sequences else found[:: self.count], self.merge)
        if mask is not None and sequences and self.zeros:
            y = y * mask[..., None]
        return (y, *found) if self.config.get("return_state") else y

    def _run(self, n: int, x: Array, mask: Array | None, state: Any) -> Any:
        rows, steps = x.shape[:2]
        if mask is not None or not steps or (rows > 1 and rows * steps > FEW_ROWS):
            return self.layers[n].predict(x, state, mask=mask)
        self.steppers = self.steppers or [layer.stepper() for layer in self.layers]
        if steps > 1:
            return self.steppers[n](x, state)
        y, final = self.steppers[n](x[:, 0], state)
        return y[:, None], final


def _merged(ways: Sequence[Array], mode: str) -> Array:
    if len(ways) == 1:
        return ways[0]
    if mode == "concat":
        return np.concatenate(ways, axis=-1)
    return ways[0] * ways[1] if mode == "mul" else (ways[0] + ways[1]) / (2 if mode == "ave" else 1)
