"""The protobuf wire format, the messages of ONNX that are read and written, tensors as arrays.

They are read by hand and not by the `onnx` package. That installs nothing, executes nothing, and
bounds depth and memory before anything is built. A message is a dict of the fields in `SCHEMA`;
every other field is skipped. Source: protobuf.dev/programming-guides/encoding and onnx.proto.
"""

from __future__ import annotations

import math
import struct
from pathlib import Path
from typing import Any

import numpy as np

from numpy_rnn.functional.types import Array
from numpy_rnn.interchange.contents import UnsupportedError
from numpy_rnn.safetensors import bfloat16_to_float32

MAX_DEPTH = 64  # messages inside each other: a branch inside a branch takes four
MAX_FIELDS = 400_000  # read or listed in SCHEMA, for each message; at most 160 bytes each here
MAX_VARINTS = 1 << 20  # of a list of integers of one byte each, which take 16 bytes here

# Message to fields: number, name, kind. A star is a list, a capital letter a message.
SCHEMA = {
    "Model": "1 ir_version int, 2 producer_name string, 7 graph Graph, 8 opset_import *Opset, "
    "25 functions *Function",
    "Function": "1 name string, 4 input *string, 5 output *string, 7 node *Node, "
    "9 opset_import *Opset, 10 domain string, 11 attribute_proto *Attribute, 13 overload string",
    "Opset": "1 domain string, 2 version int",
    "Graph": "1 node *Node, 2 name string, 5 initializer *Tensor, 11 input *Value, "
    "12 output *Value, 15 sparse_initializer *bytes",
    "Node": "1 input *string, 2 output *string, 3 name string, 4 op_type string, "
    "5 attribute *Attribute, 7 domain string, 8 overload string",
    "Attribute": "1 name string, 2 f float, 3 i int, 4 s string, 5 t Tensor, 6 g Graph, "
    "7 floats *float, 8 ints *int, 9 strings *string, 20 type int, 21 ref_attr_name string",
    "Tensor": "1 dims *int, 2 data_type int, 4 float_data *float, 5 int32_data *int, "
    "7 int64_data *int, 8 name string, 9 raw_data bytes, 10 double_data *double, "
    "11 uint64_data *int, 13 external_data *Entry, 14 data_location int",
    "Entry": "1 key string, 2 value string",
    "Value": "1 name string, 2 type Type",
    "Type": "1 tensor_type TensorType",
    "TensorType": "1 elem_type int, 2 shape Shape",
    "Shape": "1 dim *Dim",
    "Dim": "1 dim_value int, 2 dim_param string",
}
MESSAGES: dict[str, dict[int, tuple[str, str]]] = {
    message: {int(n): (name, kind) for n, name, kind in map(str.split, fields.split(", "))}
    for message, fields in SCHEMA.items()
}
# Kind to wire type, format and default. All others are wire type 2: a length, and so many bytes.
WIRE = {"int": (0, "<q", 0), "double": (1, "<d", 0.0), "float": (5, "<f", 0.0)}
DEFAULTS = {"string": "", "bytes": b""} | {kind: entry[2] for kind, entry in WIRE.items()}
FIXED = {1: 8, 5: 4}  # wire type to bytes
# Type of an attribute to the field that has its value.
FIELDS = {1: "f", 2: "i", 3: "s", 4: "t", 5: "g", 6: "floats", 7: "ints", 8: "strings"}
BFLOAT16 = 16
# Element type to dtype. A bfloat16 is the upper half of a float32, which is the array.
CODES = {1: "<f4", 2: "u1", 3: "i1", 4: "<u2", 5: "<i2", 6: "<i4", 7: "<i8", 9: "?", 10: "<f2"}
CODES |= {11: "<f8", 12: "<u4", 13: "<u8", BFLOAT16: "<u2"}
DTYPES: dict[int, np.dtype[Any]] = {number: np.dtype(code) for number, code in CODES.items()}
NUMBERS = {dtype: number for number, dtype in reversed(DTYPES.items())}


class Decoder:
    """A reader of one file, which counts the fields that it has read."""

    def __init__(self) -> None:
        self.fields = 0

    def read(self, data: memoryview, message: str, depth: int = 0) -> dict[str, Any]:
        """Return a message as a dict with every field that `SCHEMA` lists.

        Bytes are views into `data`; lists of numbers are arrays. ValueError for damaged data.
        """
        if depth > MAX_DEPTH:
            raise ValueError(f"messages are nested deeper than {MAX_DEPTH}")
        fields, at = MESSAGES[message], 0
        self._count(len(fields))
        read: dict[str, Any] = {
            n: [] if k[0] == "*" else DEFAULTS.get(k) for n, k in fields.values()
        }
        while at < len(data):
            key, at = _varint(data, at)
            number, wire, value = key >> 3, key & 7, 0
            if wire == 0:
                value, at = _varint(data, at)
            else:
                size, at = _varint(data, at) if wire == 2 else (FIXED.get(wire, len(data) + 1), at)
                at += size
            if at > len(data):
                raise ValueError(f"a field of {message} has wire type {wire} or is cut off")
            self._count(1)
            if number in fields:
                name, kind = fields[number]
                field = self._value(value if wire == 0 else data[at - size : at], wire, kind, depth)
                if kind[0] == "*":
                    read[name].append(field)
                else:
                    read[name] = field
        for name, kind in fields.values():
            if kind[1:] in WIRE:
                read[name] = np.concatenate(read[name]) if read[name] else np.empty(0, np.int64)
        return read

    def _count(self, fields: int) -> None:
        self.fields += fields
        if self.fields > MAX_FIELDS:
            raise ValueError(f"it has more than {MAX_FIELDS} fields")

    def _value(self, data: Any, wire: int, kind: str, depth: int) -> Any:
        """Return a field's value; the numbers of a list are an array."""
        many, kind = kind[0] == "*", kind.removeprefix("*")
        expected, form, _ = WIRE.get(kind, (2, "", None))
        if wire != expected and not (many and wire == 2):
            raise ValueError(f"a field of kind {kind} has wire type {wire}")
        if kind in WIRE:
            if wire == 0:
                signed = data - (1 << 64) if data >> 63 else data
                return np.array([signed], form) if many else signed
            numbers = _packed(data) if kind == "int" else np.frombuffer(data, form)
            return numbers if many else numbers[0].item()
        if kind == "string":
            return bytes(data).decode()
        return data if kind == "bytes" else self.read(data, kind, depth + 1)


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    """Return the unsigned integer of up to 64 bits at a position, and the position after it."""
    value = shift = 0
    while at < len(data) and shift < 70:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value & (1 << 64) - 1, at
        shift += 7
    raise ValueError("an integer is cut off or longer than 10 bytes")


def _packed(data: memoryview) -> Any:
    """Return a packed list of integers as an int64 array."""
    values, at = list[int](), 0
    while at < len(data):
        value, at = _varint(data, at)
        values.append(value)
        if len(values) > MAX_VARINTS:
            raise ValueError(f"a list has more than {MAX_VARINTS} integers, expected raw_data")
    return np.array(values, np.uint64).view(np.int64)


def encode(message: str, values: dict[str, Any]) -> bytes:
    """Return a message's bytes. Fields are written in the order of their numbers."""
    out = bytearray()
    for number, (name, kind) in MESSAGES[message].items():
        one, given = kind.removeprefix("*"), values.get(name, ())
        for value in given if one != kind or name not in values else [given]:
            wire, form, _ = WIRE.get(one, (2, "", None))
            out += _encode_varint(number << 3 | wire)
            if one == "int":
                out += _encode_varint(int(value) & (1 << 64) - 1)
            elif form:
                out += struct.pack(form, value)
            else:
                data = value.encode() if one == "string" else value
                data = data if isinstance(data, bytes) else encode(one, value)
                out += _encode_varint(len(data)) + data
    return bytes(out)


def _encode_varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


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
    array_type(number)  # it names an element type that is none here
    dtype = DTYPES[number]
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
        flat = bfloat16_to_float32(flat)
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
    if outside:
        raise ValueError(f"external data is {location!r}, expected a file inside the folder")
    if not target.is_file():
        raise UnsupportedError(f"its numbers are in {location!r}, expected that file beside it")
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
