"""Tensors of ONNX as arrays: every encoding, and data in a file beside the model."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from numpy_rnn.functional.types import Array
from numpy_rnn.interchange.contents import UnsupportedError

BFLOAT16 = 16
# Element type to dtype. A bfloat16 is the upper half of a float32, which is the array.
CODES = {1: "<f4", 2: "u1", 3: "i1", 4: "<u2", 5: "<i2", 6: "<i4", 7: "<i8", 9: "?", 10: "<f2"}
CODES |= {11: "<f8", 12: "<u4", 13: "<u8", BFLOAT16: "<u2"}
DTYPES: dict[int, np.dtype[Any]] = {number: np.dtype(code) for number, code in CODES.items()}
NUMBERS = {dtype: number for number, dtype in reversed(DTYPES.items())}


def array_type(number: int) -> np.dtype[Any]:
    """Return the dtype of the arrays for an element type. UnsupportedError names another one."""
    if number not in DTYPES:
        raise UnsupportedError(f"element type {number}, expected one of {sorted(DTYPES)}")
    return np.dtype("<f4") if number == BFLOAT16 else DTYPES[number]


def to_array(tensor: dict[str, Any], folder: Path) -> Array:
    """Return a tensor's numbers, as a view of the file where the encoding allows it.

    `folder` is the model's; external data cannot be outside it. ValueError if sizes disagree.
    """
    number = tensor["data_type"]
    result, dtype = array_type(number), DTYPES[number]
    shape = tuple(int(n) for n in tensor["dims"])
    if any(n < 0 or n > 1 << 48 for n in shape):
        raise ValueError(f"it has shape {shape}")
    count, raw = math.prod(shape), tensor["raw_data"]
    typed = {1: "float_data", 7: "int64_data", 11: "double_data"}
    typed |= dict.fromkeys((12, 13), "uint64_data")
    data = tensor[typed.get(number, "int32_data")]
    if tensor["data_location"] == 1:
        flat = _external(tensor["external_data"], folder, count, dtype)
    elif len(raw) or not len(data):
        if len(raw) != count * dtype.itemsize:
            raise ValueError(f"raw_data has {len(raw)} bytes, expected {dtype} of {shape}")
        flat = np.frombuffer(raw, dtype)
        flat = flat if flat.flags.aligned else flat.copy()  # BLAS needs it
    elif len(data) != count:
        raise ValueError(f"it has {len(data)} numbers, expected {shape}")
    elif number in (10, BFLOAT16):  # int32_data holds the bits
        flat = data.astype(np.uint16).view(dtype)
    else:
        flat = data.astype(dtype, copy=False)
    if number == BFLOAT16:
        flat = (flat.astype(np.uint32) << 16).view(result)
    return flat.reshape(shape)


def _external(
    entries: list[dict[str, Any]], folder: Path, count: int, dtype: np.dtype[Any]
) -> Array:
    """Return numbers of a file in the model's folder, mapped into memory and not read."""
    values = {entry["key"]: entry["value"] for entry in entries}
    location = values.get("location", "")
    path, root = Path(location), folder.resolve()
    target = (root / path).resolve()
    outside = not location or path.is_absolute() or ".." in path.parts
    outside = outside or bool(set(location) & set("\\:\0")) or not target.is_relative_to(root)
    if outside or not target.is_file():
        raise ValueError(f"external data is {location!r}, expected a file inside the folder")
    needed, size = count * dtype.itemsize, target.stat().st_size
    offset, length = int(values.get("offset") or 0), int(values.get("length") or needed)
    if length != needed or not 0 <= offset <= size - length:
        raise ValueError(
            f"{location!r} has {size} bytes, expected {needed} of {length} at {offset}"
        )
    return np.memmap(target, dtype, "r", offset, (count,)) if count else np.empty(0, dtype)


def from_array(name: str, array: Array) -> dict[str, Any]:
    """Return an array as a Tensor message."""
    little = np.asarray(array, array.dtype.newbyteorder("<"))
    fields = {"dims": array.shape, "data_type": NUMBERS[little.dtype]}
    return fields | {"name": name, "raw_data": little.tobytes()}
