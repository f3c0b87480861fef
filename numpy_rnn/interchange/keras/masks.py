"""Masks in a Graph: which layers make, read, pass and drop them."""

from __future__ import annotations

import numpy as np

from numpy_rnn.interchange.keras.entries import STEPWISE, WITHOUT_EFFECT, Call, Entry, is_loop
from numpy_rnn.interchange.keras.merges import ATTENTION, ones_of, where
from numpy_rnn.interchange.keras.nodes import POOLS, WINDOWS
from numpy_rnn.interchange.onnx.protobuf import NUMBERS
from numpy_rnn.interchange.onnx.write import Writer

PASSING = (*STEPWISE, "SpatialDropout1D", "ReLU", "LeakyReLU", "ELU", *WITHOUT_EFFECT)
JOINING = ("Add", "Subtract", "Average", "Concatenate")  # which compute the same with masks
# What drops a mask in Keras 3, as functions do. The mean is one of the steps that are not masked.
DROPPING = {*WINDOWS, *POOLS, "Flatten", "RepeatVector", "Reshape", "Permute", "ZeroPadding1D"}
MEAN = "GlobalAveragePooling1D"
DROPPING -= {MEAN}


def mask_of(
    writer: Writer, call: Call, read: list[str], given: list[str], version: str
) -> tuple[str, Entry, list[str]]:
    """Return the mask that a layer makes or gets, the layer without it, and what it then reads."""
    entry, name, first = call.entry, call.name, next(filter(None, given), "")
    kind, config = entry.class_name, entry.config
    makes = kind == "Masking" or (kind == "Embedding" and config.get("mask_zero"))
    passed = _passed(call, given, version) if first else ""
    if passed is None or (first and makes) or ("#" in name and (first or makes)):
        writer.unsupported.append(f"{name}, whose mask a Graph does not have")
    elif kind in ATTENTION and first:
        return passed, entry.as_class(kind, {**config, "masks": given}), read
    elif kind == MEAN and first:
        count = writer.node("ReduceSum", [ones_of(writer, first)], axes=[1], keepdims=1)
        part = writer.node("Div", [where(writer, first, 2, read[0]), count])
        return "", entry.as_class("Sum", {"axis": 1, "keepdims": config.get("keepdims")}), [part]
    elif kind == "Masking":
        equal = writer.node("Equal", [*read, float(config.get("mask_value", 0))])
        mask = writer.node("ReduceMax", [writer.node("Not", [equal])], axes=[-1], keepdims=0)
        kept = writer.node("Mul", [*read, ones_of(writer, mask)])
        return mask, entry.as_class("Activation", {}), [kept]
    elif makes:
        tokens = writer.node("Cast", read, to=NUMBERS[np.dtype(np.int64)])
        mask = writer.node("Not", [writer.node("Equal", [tokens, 0])])
        return mask, entry.as_class(kind, {**config, "mask_zero": False}), read
    return passed or "", entry, read


def _passed(call: Call, given: list[str], version: str) -> str | None:
    """Return the mask behind a layer that gets masks, "" if it drops them, None if unknown."""
    kind, config, first = call.entry.class_name, call.entry.config, next(filter(None, given))
    one = {*given} <= {first, ""}
    function = "name" in config and "trainable" not in config and kind != "SpatialDropout1D"
    if kind == "Dot" or (version[:1] == "3" and (function or kind in DROPPING)):
        return ""
    if kind == MEAN:
        return None if config.get("data_format") == "channels_first" else ""
    if kind in ATTENTION:
        return given[0] if call.mask is None else None
    if kind in JOINING and "" in given:  # Keras 2 keeps the mask of the others
        return "" if version[:1] == "3" and _joins_features(call.entry) else None
    inner = config["layer"]["class_name"] if kind == "TimeDistributed" else kind
    passes = is_loop(kind) or inner in (*PASSING, *JOINING)
    return first if one and passes and _joins_features(call.entry) else None


def _joins_features(entry: Entry) -> bool:
    return entry.class_name != "Concatenate" or entry.config.get("axis", -1) in (-1, 2)
