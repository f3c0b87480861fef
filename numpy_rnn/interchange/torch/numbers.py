"""The arrays of a state_dict as the numbers that PyTorch computes with."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from numpy_rnn.functional.types import Array

SCALE = re.compile(r"(.*)[._](scale|zero_point)s?")
# Weights of a loss, and AWD-LSTM's second name of its embedding.
NOT_USED = re.compile(
    r"(^|[._])((loss|criterion)\w*\.(pos_)?|encoder_dp\.emb\.)weight$", re.IGNORECASE
)
NEW = r"(.*parametrizations\.\w+\.)"
OF_PARTS = re.compile(r"parametrizations\.(?=\w+\.original)|\.original0?$|_(g|orig)$")
WRAPPERS = {"module", "_orig_mod"}  # of DataParallel and torch.compile


def floating(
    arrays: Mapping[str, Array], stored: Mapping[str, str]
) -> tuple[dict[str, Array], list[str]]:
    """Return the floating-point arrays, with scaled integers as what they stand for, and notes."""
    notes, ignored, found = list[str](), list[str](), dict(arrays)
    kinds, scales = dict(stored), dict[str, dict[str, Array]]()
    whole = {name for name, array in arrays.items() if array.dtype.kind in "iu"}
    for name in arrays:
        if (match := SCALE.fullmatch(name)) and match[1] in whole:
            scales.setdefault(match[1], {})[match[2]] = found.pop(name)
    for name, array in list(found.items()):
        if name in whole and "scale" in (given := scales.get(name, {})):
            found[name] = dequantise(array, given["scale"], given.get("zero_point", 0))
            kinds[name] = "quantised"
        elif NOT_USED.search(name) or (array.dtype.kind in "iub" and array.size == 1):
            ignored.append(name)
            del found[name]  # other whole numbers have no layer, so they are refused
        elif array.dtype.kind == "f" and array.dtype.itemsize < 4:
            kinds[name], found[name] = array.dtype.name, array.astype(np.float32)
    for kind in dict.fromkeys(kinds.values()):
        names = ", ".join(name for name in kinds if kinds[name] == kind)
        notes.append(f"{kind}, read as float32: {names}")
    if ignored:
        notes.append(f"not floating-point or of a loss, left out: {', '.join(ignored)}")
    return found, notes


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
    """Return the arrays, with weights for the parts in which PyTorch's utilities keep them."""
    raw = {unwrapped(name.removesuffix("_raw")) for name in arrays if name.endswith("_raw")}
    whole, used = dict[str, Array](), set[str]()
    for (first, *others), compute in COMPUTED.items():
        for match in filter(None, (re.fullmatch(first, name) for name in arrays)):
            names = [match[0], *map(match.expand, others)]
            parts = [arrays.get(name) for name in names]
            value = None if any(part is None for part in parts) else compute(*parts)
            if value is not None:
                whole[match[0]], used = value, used | {*names}
    found: dict[str, Array] = {}
    for name, array in arrays.items():
        if name in whole:
            found[re.sub(OF_PARTS, "", name)] = whole[name]
        elif name not in used and unwrapped(name) not in raw:
            found[name.removesuffix("_raw")] = array
    return found


def _weight_norm(g: Array, v: Array) -> Array | None:
    pairs = zip(g.shape, v.shape, strict=False)
    if g.ndim not in (0, v.ndim) or any(a not in (1, b) for a, b in pairs):
        return None
    axes = tuple(n for n in range(v.ndim) if g.ndim == 0 or g.shape[n] == 1)
    norm = np.sqrt(np.square(v).sum(axes, keepdims=True))
    return np.asarray(v * (g / np.maximum(norm, np.finfo(v.dtype).tiny)))


def _spectral_norm(W: Array, u: Array, v: Array) -> Array | None:
    sigma = u @ W @ v if u.ndim == v.ndim == 1 and W.shape == u.shape + v.shape else 0
    return np.asarray(W / sigma) if sigma else None


def _pruned(W: Array, mask: Array) -> Array | None:
    return np.asarray(W * mask) if W.shape == mask.shape else None


# Names of the parts of a weight, the first as a pattern, and what the weight is.
COMPUTED: dict[tuple[str, ...], Callable[..., Array | None]] = {
    (r"(.*)_g", r"\1_v"): _weight_norm,
    (rf"{NEW}original0", r"\1original1"): _weight_norm,
    (r"(.*)_orig", r"\1_u", r"\1_v"): _spectral_norm,
    (rf"{NEW}original", r"\g<1>0._u", r"\g<1>0._v"): _spectral_norm,
    (r"(.*)_orig", r"\1_mask"): _pruned,
}


def unwrapped(name: str) -> str:
    """Return a name without those of wrappers."""
    return ".".join(part for part in name.split(".") if part not in WRAPPERS)
