"""Masks in a Graph: which layers make, read, pass and drop them."""

from __future__ import annotations

import numpy as np

from numpy_rnn.interchange.keras.entries import STEPWISE, WITHOUT_EFFECT, Call, Entry, is_loop
from numpy_rnn.interchange.keras.merges import ATTENTION, where
from numpy_rnn.interchange.keras.nodes import POOLS, WINDOWS
from numpy_rnn.interchange.onnx.protobuf import NUMBERS
from numpy_rnn.interchange.onnx.write import Writer

PASSING = (*STEPWISE, "SpatialDropout1D", "ReLU", "LeakyReLU", "ELU", *WITHOUT_EFFECT)
JOINING = ("Add", "Subtract", "Average", "Concatenate")  # which compute the same with masks
# What drops a mask in Keras 3, as functions do. The mean is one of the steps that are not masked.
DROPPING = {*WINDOWS, *POOLS, "Flatten", "RepeatVector", "Reshape", "Permute", "ZeroPadding1D"}
MEAN = "GlobalAveragePooling1D"


def mask_of(
    writer: Writer, call: Call, read: list[str], given: list[str], version: str
) -> tuple[str, Entry, list[str]]:
    """Return the mask that a layer makes or gets, the layer without it, and what it then reads."""
    entry, name = call.entry, call.name
    kind, config, masks = entry.class_name, entry.config, [*{*given} - {""}]
    makes = kind == "Masking" or (kind == "Embedding" and bool(config.get("mask_zero")))
    function = "name" in config and "trainable" not in config
    drops = (function or kind in DROPPING - {MEAN}) and version[:1] == "3"
    if not _is_known(call, given, version, makes=makes, drops=drops):
        writer.unsupported.append(f"{name}, whose mask a Graph does not have")
    elif kind in ATTENTION and masks:
        return given[0], entry.as_class(kind, {**config, "masks": given}), read
    elif kind == MEAN and masks:
        kept = writer.node("Cast", masks, to=NUMBERS[writer.dtype])
        count = writer.node("ReduceSum", [kept], axes=[1], keepdims=1)
        count = writer.node("Unsqueeze", [count, [2]])
        part = writer.node("Div", [where(writer, masks[0], 2, read[0]), count])
        return "", entry.as_class("Sum", {"axis": 1, "keepdims": config.get("keepdims")}), [part]
    if kind == "Masking":
        differs = writer.node("Equal", [*read, float(config.get("mask_value", 0))])
        differs = writer.node("Not", [differs])
        differs = writer.node("Cast", [differs], to=NUMBERS[writer.dtype])
        steps = writer.node("ReduceMax", [differs], axes=[-1], keepdims=1)
        mask = writer.node(
            "Cast", [writer.node("Squeeze", [steps, [-1]])], to=NUMBERS[np.dtype(bool)]
        )
        return mask, entry.as_class("Activation", {}), [writer.node("Mul", [*read, steps])]
    if makes:
        tokens = writer.node("Cast", read, to=NUMBERS[np.dtype(np.int64)])
        mask = writer.node("Equal", [tokens, 0])
        entry = entry.as_class(kind, {**config, "mask_zero": False})
        return writer.node("Not", [mask]), entry, read
    lost = drops or kind == "Dot" or (kind in JOINING and "" in given)
    return "" if lost or not masks else masks[0], entry, read


def _is_known(call: Call, given: list[str], version: str, *, makes: bool, drops: bool) -> bool:
    """Return whether it is known here what becomes of the masks that a layer gets."""
    kind, config, masks = call.entry.class_name, call.entry.config, {*given} - {""}
    if "#" in call.name:
        return not (masks or makes)
    if not masks or drops or kind == "Dot":
        return True
    if kind in JOINING:
        # One mask of all inputs stays. If one of them has none, Keras 3 drops it, and 2 does not.
        in_time = kind == "Concatenate" and config.get("axis", -1) not in (-1, 2)
        return not in_time and (version[:1] == "3" if "" in given else len(masks) == 1)
    if kind in ATTENTION:
        return call.mask is None
    inner = config["layer"]["class_name"] if kind == "TimeDistributed" else kind
    passes = len(masks) == 1 and (kind == MEAN or is_loop(kind) or inner in PASSING)
    return bool(passes) and not makes and config.get("data_format") != "channels_first"
