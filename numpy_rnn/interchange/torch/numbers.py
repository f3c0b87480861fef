"""The arrays of a state_dict as the numbers that PyTorch computes with."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from numpy_rnn.functional.types import Array

SCALE = re.compile(r"(.*)[._](scale|zero_point)s?")
# Weights of a loss, and AWD-LSTM's second name of its embedding.
NOT_USED = re.compile(
    r"(^|[._])((loss|criterion)\w*\.(pos_)?|encoder_dp\.emb\.)weight$", re.IGNORECASE
)
NORM = re.compile(r"parametrizations\.(\w+)\.original([01])$")
WRAPPERS = {"module", "_orig_mod"}  # of DataParallel and torch.compile


def floating(
    arrays: Mapping[str, Array], stored: Mapping[str, str]
) -> tuple[dict[str, Array], list[str]]:
    """Return the floating-point arrays, with scaled integers as what they stand for, and notes."""
    notes = list[str]()
    kinds, scales = dict(stored), dict[str, dict[str, Array]]()
    for name, array in arrays.items():
        if (match := SCALE.fullmatch(name)) and _is_whole(arrays.get(match[1])):
            scales.setdefault(match[1], {})[match[2]] = array
    found: dict[str, Array] = {}
    ignored: list[str] = []
    for name, array in arrays.items():
        match = SCALE.fullmatch(name)
        if match and _is_whole(arrays.get(match[1])):
            continue
        if array.dtype.kind in "iu" and "scale" in (given := scales.get(name, {})):
            found[name] = dequantise(array, given["scale"], given.get("zero_point", 0))
            kinds[name] = "quantised"
        elif NOT_USED.search(name) or (array.dtype.kind in "iub" and array.size == 1):
            ignored.append(name)
        elif array.dtype.kind == "f" and array.dtype.itemsize < 4:
            kinds[name], found[name] = array.dtype.name, array.astype(np.float32)
        else:  # Whole numbers that are no counter have no layer, so they are refused.
            found[name] = array
    for kind in dict.fromkeys(kinds.values()):
        names = ", ".join(name for name in kinds if kinds[name] == kind)
        notes.append(f"{kind}, read as float32: {names}")
    if ignored:
        notes.append(f"not floating-point or of a loss, left out: {', '.join(ignored)}")
    return found, notes


def _is_whole(array: Array | None) -> bool:
    return array is not None and array.dtype.kind in "iu"


def dequantise(q: Array, scale: Any, zero_point: Any, axis: Any = 0) -> Array:
    """Return (q - zero_point) scale, with one of each, or one for each index of an axis."""
    form = [-1 if n == int(axis) else 1 for n in range(q.ndim)]
    zero_point, scale = (
        np.asarray(v, np.float64).reshape(
            np.shape(v) if np.ndim(v) == q.ndim else form if np.size(v) > 1 else ()
        )
        for v in (zero_point, scale)
    )
    return np.asarray((q - zero_point) * scale, np.float32)


def computed(arrays: Mapping[str, Array]) -> dict[str, Array]:
    """Return the arrays, with the weights that weight dropout and weight_norm have in parts."""
    named = {
        re.sub(NORM, lambda match: f"{match[1]}_{'gv'[int(match[2])]}", name): array
        for name, array in arrays.items()
    }
    raw = {unwrapped(name.removesuffix("_raw")) for name in named if name.endswith("_raw")}
    found: dict[str, Array] = {}
    for name, array in named.items():
        g, v = (named.get(f"{name[:-2]}_{letter}") for letter in "gv")
        if name[-2:] in ("_g", "_v") and g is not None and v is not None and _scales(g, v):
            axes = tuple(n for n in range(v.ndim) if g.ndim == 0 or g.shape[n] == 1)
            norm = np.sqrt(np.square(v).sum(axes, keepdims=True))
            found[name[:-2]] = v * (g / np.maximum(norm, np.finfo(v.dtype).tiny))
        elif name.endswith("_raw"):
            found[name.removesuffix("_raw")] = array
        elif unwrapped(name) not in raw:
            found[name] = array
    return found


def _scales(g: Array, v: Array) -> bool:
    pairs = zip(g.shape, v.shape, strict=False)
    return g.ndim in (0, v.ndim) and all(a in (1, b) for a, b in pairs)


def unwrapped(name: str) -> str:
    """Return a name without those of wrappers."""
    return ".".join(part for part in name.split(".") if part not in WRAPPERS)
