"""Read and write .safetensors files. Every size a file claims is validated before memory is used.

A file is the length of its header in eight bytes, the header, and the arrays without a gap. The
header is JSON: for each array its dtype, its shape and the first and last offset of its bytes, and
under ``__metadata__`` texts by name. All numbers are little-endian, arrays are in C order. Here the
settings are JSON in one of the texts. The interface is that of :mod:`numpy_rnn.npz`.

Source: the specification in the documentation of the ``safetensors`` library, version 0.7.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from numpy_rnn.files import open_regular, write_atomically
from numpy_rnn.functional.types import Array
from numpy_rnn.npz import ArrayLayout, FileFormat, checked_size, damaged_file_errors

MAX_HEADER = 100_000_000  # bytes; the specification's limit
MAX_VALUES = 200_000  # in the header, which is read as Python objects
MAX_AXES = 32
METADATA = "__metadata__"
BFLOAT16 = "BF16"  # NumPy has no such type: it is read as float32, of which it is the upper half
DTYPES: dict[str, np.dtype[Any]] = {BFLOAT16: np.dtype("<u2"), "BOOL": np.dtype("?")}
for _letter in "FIU":
    for _bytes in (8, 4, 2, 1)[: 3 if _letter == "F" else 4]:
        DTYPES[f"{_letter}{8 * _bytes}"] = np.dtype(f"<{_letter.lower()}{_bytes}")
CODES = {dtype: code for code, dtype in DTYPES.items() if code != BFLOAT16}


class Entry(NamedTuple):
    """The place of an array in a file, from the beginning of the arrays, in bytes."""

    code: str  # a key of DTYPES
    shape: tuple[int, ...]
    start: int
    stop: int


def bfloat16_to_float32(halves: Array) -> Array:
    """Return the float32 numbers whose upper 16 bits are these unsigned integers.

    Examples
    --------
    >>> bfloat16_to_float32(np.array([0x3F80, 0xC000], np.uint16))
    array([ 1., -2.], dtype=float32)
    """
    return (halves.astype(np.uint32) << 16).view(np.float32)


def write(
    path: Path, file_format: FileFormat, settings: Mapping[str, Any], arrays: Mapping[str, Array]
) -> None:
    """Write settings, which are values for JSON, and arrays: completely or not at all.

    The same settings and arrays give the same bytes.

    Raises
    ------
    TypeError, ValueError
        If a value or a dtype has no place in the file.
    OSError
        If the file cannot be written; an old file is unchanged.
    """
    header: dict[str, Any] = {METADATA: {file_format.settings_entry: json.dumps(dict(settings))}}
    chosen: list[Array] = []
    start = 0
    # The widest first, so that each array is aligned. The order is kept otherwise.
    for name, array in sorted(arrays.items(), key=lambda item: -item[1].dtype.itemsize):
        code = CODES.get(array.dtype.newbyteorder("<"))
        if code is None or name == METADATA:
            raise TypeError(f"array {name!r} is {array.dtype}, expected one of {list(DTYPES)}")
        stop = start + array.nbytes
        header[name] = {"dtype": code, "shape": array.shape, "data_offsets": (start, stop)}
        chosen.append(np.ascontiguousarray(array, DTYPES[code]))
        start = stop
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)

    def write_parts(file: BinaryIO) -> None:
        file.write(struct.pack("<Q", len(text)) + text)
        for array in chosen:
            file.write(array.reshape(-1).view(np.uint8).data)

    write_atomically(path, write_parts)


class Reader:
    """The settings of an open file, and its arrays on demand.

    Attributes
    ----------
    metadata : dict of str to str
        All texts of the header.
    settings : dict
        The settings of the format; empty for a format without.
    entries : dict of str to Entry
        The arrays, in the order of their bytes.
    """

    def __init__(self, file: BinaryIO, size: int, settings_entry: str = "") -> None:
        self._file = file
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > min(size - 8, MAX_HEADER):
            raise ValueError(f"its header claims {length} bytes of a file of {size}")
        text = file.read(length)
        if text[:1] != b"{" or text.count(b",") > MAX_VALUES:
            raise ValueError(f"its header is not a JSON object of at most {MAX_VALUES} values")
        header = json.loads(text.decode(), object_pairs_hook=_unique)
        self._start, self.metadata = 8 + length, header.pop(METADATA, {})
        if not _is_texts(self.metadata):
            raise ValueError(f"its {METADATA} is not an object of texts")
        found = {name: _entry(name, value) for name, value in header.items()}
        self.entries = dict(sorted(found.items(), key=lambda item: item[1][2:]))
        end = 0
        for name, entry in self.entries.items():
            if entry.start != end:
                raise ValueError(f"{name!r} begins at byte {entry.start}, expected {end}")
            end = entry.stop
        if self._start + end != size:
            raise ValueError(f"its arrays end at byte {self._start + end} of a file of {size}")
        self.settings: dict[str, Any] = {}
        if settings_entry:
            if settings_entry not in self.metadata:
                raise ValueError(f"{settings_entry!r} is missing")
            self.settings = json.loads(self.metadata[settings_entry])
            if not isinstance(self.settings, dict):
                raise ValueError(f"{settings_entry!r} is not a JSON object")

    def read(self, name: str) -> Array:
        """Return an array: a new one, that can be written to. BF16 is read as float32."""
        code, shape, start, stop = self.entries[name]
        data = bytearray(stop - start)
        self._file.seek(self._start + start)
        if self._file.readinto(data) != len(data):  # type: ignore[attr-defined]  # a file has it
            raise ValueError(f"{name!r} ends early")
        if code == "BOOL":
            return np.frombuffer(data, np.uint8).astype(bool).reshape(shape)
        array: Array = np.frombuffer(data, DTYPES[code]).reshape(shape)
        return bfloat16_to_float32(array) if code == BFLOAT16 else array

    def read_arrays(self, layout: ArrayLayout) -> dict[str, Array]:
        """Return all arrays, if the file has exactly those of `layout` and they are finite.

        No memory is allocated before all names and sizes agree.
        """
        wrong = [f"{name!r} is missing" for name in layout if name not in self.entries]
        wrong += [f"{name!r} is unexpected" for name in self.entries if name not in layout]
        for name, (shape, dtype) in layout.items():
            code, expected = CODES.get(np.dtype(dtype).newbyteorder("<")), self.entries.get(name)
            if expected is not None and (code, tuple(shape)) != expected[:2]:
                wrong.append(
                    f"{name!r} is {expected.code} of {expected.shape}, expected {code} of {shape}"
                )
        if wrong:
            raise ValueError("; ".join(wrong))
        arrays = {name: self.read(name) for name in layout}
        for name, array in arrays.items():
            if not np.isfinite(array).all():
                raise ValueError(f"{name!r} has numbers that are not finite")
        return arrays


@contextmanager
def open_safetensors(path: Path | str, file_format: FileFormat) -> Iterator[Reader]:
    """Open a .safetensors file and read its header.

    The settings are those that :func:`write` wrote; with an empty name of their entry there are
    none. Whatever is wrong with the content, and any exception in the ``with`` block, becomes a
    DamagedFileError. An OSError says that the file cannot be read.

    Examples
    --------
    >>> import tempfile
    >>> weights = FileFormat("a file of weights", settings_entry="about")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write(Path(folder, "w"), weights, {"size": 2}, {"w": np.ones(2)})
    ...     with open_safetensors(Path(folder, "w"), weights) as file:
    ...         file.read_arrays({"w": ((file.settings["size"],), np.dtype("float64"))})
    {'w': array([1., 1.])}
    """
    path = Path(path)
    with damaged_file_errors(path, file_format), open_regular(path) as file:
        yield Reader(file, checked_size(file), file_format.settings_entry)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON object as a dict, if each name occurs once."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("its header has two entries of one name")
    return found


def _is_texts(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(text, str) for text in value.values())


def _entry(name: str, value: Any) -> Entry:
    """Return an array's entry of the header, if its dtype, shape and offsets agree."""
    if not isinstance(value, dict) or set(value) != {"dtype", "shape", "data_offsets"}:
        raise ValueError(f"{name!r} is not described by dtype, shape and data_offsets")
    code, shape, offsets = value["dtype"], value["shape"], value["data_offsets"]
    if not isinstance(code, str) or code not in DTYPES:
        raise ValueError(f"{name!r} has dtype {code!r}, expected one of {', '.join(DTYPES)}")
    for what, sizes, most in (("shape", shape, MAX_AXES), ("data_offsets", offsets, 2)):
        if not isinstance(sizes, list) or len(sizes) > most:
            raise ValueError(f"{name!r}: {what} is not a list of at most {most} numbers")
        if any(type(size) is not int or not 0 <= size < 1 << 63 for size in sizes):
            raise ValueError(f"{name!r}: {what} has {sizes}, expected whole numbers from 0")
    expected = math.prod(shape) * DTYPES[code].itemsize
    if len(offsets) != 2 or offsets[1] - offsets[0] != expected:
        raise ValueError(f"{name!r} has bytes {offsets}, expected {expected}: {code} of {shape}")
    return Entry(code, tuple(shape), *offsets)
