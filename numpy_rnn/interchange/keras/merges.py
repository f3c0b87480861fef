"""Layers and functions of several inputs as nodes of ONNX: sums, products and attention."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Any

import numpy as np

from numpy_rnn.interchange.keras.entries import Call, Entry
from numpy_rnn.interchange.onnx.protobuf import NUMBERS
from numpy_rnn.interchange.onnx.write import Writer

MERGES = {"Add": "Add", "Multiply": "Mul", "Maximum": "Max", "Minimum": "Min", "Average": "Mean"}
MERGES |= {"Subtract": "Sub", "Concatenate": "Concat"}
ATTENTION = ("Attention", "AdditiveAttention")
CHOSEN = ("use_causal_mask", "causal", "return_attention_scores", "use_gate", "sliding_window")


def join(writer: Writer, call: Call, given: list[str]) -> str:
    """Add a layer or a function of several inputs. Return its output, or "" if it is none."""
    entry, args = call.entry, call.options.get("args") or [[]]
    kind, options = entry.class_name, {**call.options, **entry.config}
    chosen = [name for name in CHOSEN if options.get(name) and "ttention" in kind]
    writer.unsupported += [f"{entry.name} with {name}" for name in chosen]
    # A function has its arguments one by one, a layer in a list.
    if kind in MERGES and (entry.config.get("is_function") or not isinstance(args[0], list)):
        given = _operands(call, given)
    elif kind in MERGES and kind != "Concatenate":
        given = _with_equal_ranks(writer, entry, given)
    if len(given) < 2 or kind not in JOINED:
        return ""
    return JOINED[kind](writer, entry, *given)


def _operands(call: Call, given: list[str]) -> list[Any]:
    """Return the operands of a function: names, and numbers."""
    options, left = call.options, iter(given)
    parts = [*options.get("args", ()), *([options["y"]] if "y" in options else [])]
    parts = [p[2] if isinstance(p, list) and p[:1] == ["_CONSTANT_VALUE"] else p for p in parts]
    if any(isinstance(p, list) and not isinstance(p[0], str) for p in parts):
        return given  # of concat, which has a list
    return [float(p) if isinstance(p, int | float) else next(left, "") for p in parts]


def _with_equal_ranks(writer: Writer, entry: Entry, given: list[str]) -> list[str]:
    """Add axes of size 1 after the first one, as Keras does, until all have the same number."""
    ranks = entry.config["ranks"]
    if None in ranks:
        writer.unsupported.append(f"{entry.name} of arrays with unknown numbers of axes")
        return given
    axes = [[*range(1, 1 + max(ranks) - rank)] for rank in ranks]
    pairs = zip(given, axes, strict=True)
    return [writer.node("Unsqueeze", [x, more]) if more else x for x, more in pairs]


def _merge(writer: Writer, entry: Entry, *given: str) -> str:
    op = MERGES[entry.class_name]
    if op == "Concat":
        return writer.node(op, [*given], axis=int(entry.config.get("axis", -1)))
    if op in ("Add", "Mul", "Sub"):  # which have two inputs in ONNX
        return reduce(lambda x, y: writer.node(op, [x, y]), given)
    return writer.node(op, [*given])


def take_steps_apart(writer: Writer, _: Entry, y: str, x: str) -> str:
    """Give `y` the batch and the steps that `x` has."""
    sizes = [writer.node("Shape", [x], end=2), writer.node("Shape", [y], start=1)]
    return writer.node("Reshape", [y, writer.node("Concat", sizes, axis=0)])


def _dot(writer: Writer, entry: Entry, x: str, y: str) -> str:
    """Add products of (B, D) or (B, T, D) arrays along one axis of each."""
    ranks = entry.config["ranks"]
    if not {*ranks} <= {2, 3}:
        writer.unsupported.append(f"{entry.name} of arrays with {ranks} axes")
        return x
    given = np.broadcast_to(entry.config.get("axes", 0), 2)
    axes = [int(n) % rank for n, rank in zip(given, ranks, strict=True)]
    if entry.config.get("normalize"):
        norms = [writer.node("ReduceL2", [v], axes=[n]) for v, n in zip((x, y), axes, strict=True)]
        norms = [writer.node("Max", [norm, 1e-12]) for norm in norms]
        x, y = (writer.node("Div", [*pair]) for pair in zip((x, y), norms, strict=True))
    kept = [name[: rank - 1] for name, rank in zip(("bt", "bs"), ranks, strict=True)]
    read = [f"{name[:n]}d{name[n:]}" for name, n in zip(kept, axes, strict=True)]
    z = writer.node("Einsum", [x, y], equation=f"{','.join(read)}->{kept[0]}{kept[1][1:]}")
    return writer.node("Unsqueeze", [z, [1]]) if ranks == [2, 2] else z


def _attend(writer: Writer, entry: Entry, query: str, value: str, key: str = "") -> str:
    """Add attention of (B, T, D) arrays: softmax(scores of query and key) value.

    The scores are dot products, or sums of tanh(query + key).
    """
    additive, weights = entry.class_name == "AdditiveAttention", [*entry.weights]
    scale = weights.pop(0) if entry.config.get("use_scale", additive) else 1.0
    if not additive and entry.config.get("score_mode", "dot") == "dot":
        key_T = writer.node("Transpose", [key or value], perm=[0, 2, 1])
        scores = writer.node("Mul", [writer.node("MatMul", [query, key_T]), scale])
    else:
        sides = ([query, [2]], [key or value, [1]])
        z = writer.node("Add", [writer.node("Unsqueeze", side) for side in sides])
        z = writer.node("Tanh", [z if additive else writer.node("Mul", [z, scale])])
        z = writer.node("Mul", [z, scale]) if additive else z
        scores = writer.node("ReduceSum", [z, [-1]], keepdims=0)
        scores = writer.node("Mul", [scores, *weights]) if weights else scores
    of_query, of_value = entry.config.get("masks", ("", ""))[:2]
    if of_value:
        scores = where(writer, of_value, 1, scores, writer.node("Sub", [scores, 1e9]))
    y = writer.node("MatMul", [writer.node("Softmax", [scores], axis=-1), value])
    return where(writer, of_query, 2, y) if of_query else y


def ones_of(writer: Writer, mask: str) -> str:
    """Return a mask (B, T) as numbers, 1 where it is True, with an axis of size 1 at the end."""
    return writer.node("Cast", [writer.node("Unsqueeze", [mask, [-1]])], to=NUMBERS[writer.dtype])


def where(writer: Writer, mask: str, axis: int, x: str, other: Any = 0.0) -> str:
    """Return `x` where a mask (B, T), with one more axis, is True, and else zeros or another."""
    return writer.node("Where", [writer.node("Unsqueeze", [mask, [axis]]), x, other])


def _attend_with_heads(writer: Writer, entry: Entry, query: str, value: str, key: str = "") -> str:
    """Add attention of (B, T, D) arrays, with projections to heads and back."""
    config, weights = entry.config, iter(entry.weights)
    if config.get("attention_axes") not in (None, [1]):
        writer.unsupported.append(f"{entry.name} with attention_axes {config['attention_axes']}")

    def project(x: str, equation: str) -> str:
        y = writer.node("Einsum", [x, next(weights)], equation=equation)
        return writer.node("Add", [y, next(weights)]) if config.get("use_bias", True) else y

    q, k, v = (project(x, "btd,dnh->btnh") for x in (query, key or value, value))
    scores = writer.node("Einsum", [q, k], equation="bqnh,bknh->bnqk")
    scores = writer.node("Mul", [scores, float(config["key_dim"]) ** -0.5])
    scores = writer.node("Softmax", [scores], axis=-1)
    heads = writer.node("Einsum", [scores, v], equation="bnqk,bknh->bqnh")
    return project(heads, "btnh,nhd->btd")


JOINED: dict[str, Callable[..., str]] = {"Dot": _dot, "MultiHeadAttention": _attend_with_heads}
JOINED |= dict.fromkeys(MERGES, _merge)
JOINED |= {"ApartSteps": take_steps_apart, "Attention": _attend, "AdditiveAttention": _attend}
