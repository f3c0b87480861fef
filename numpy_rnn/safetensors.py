"""Read and write .safetensors files. Every size a file claims is validated before memory is used.

A file is the length of its header in eight bytes, the header, and the arrays without a gap. The
header is JSON: for each array its dtype, its shape and the first and last offset of its bytes, and
under ``__metadata__`` texts by name. All numbers are little-endian, arrays are in C order. Here
settings are JSON in these texts, and the first text is a checksum of all bytes after it. Other
programs keep neither its place nor the blank before it, so a file that they rewrite has none.

Model files, checkpoints, saved recalls, states and the records of a memory search are such files.

Source: the specification in the documentation of the ``safetensors`` library, version 0.7.
"""

from __future__ import annotations

import json
import math
import struct
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from numpy_rnn.files import open_regular, write_atomically
from numpy_rnn.functional.types import Array
from numpy_rnn.reading import checked_size, damaged_file_errors, parse_json
from numpy_rnn.text import wrong_names

MAX_HEADER = 100_000_000  # bytes; the specification's limit
MAX_ARRAYS = 50_000  # each costs a kilobyte as Python objects
MAX_AXES = 32
CHUNK = 1 << 16  # bytes that are read at a time for the checksum
METADATA = "__metadata__"
CHECKED = b'{"__metadata__": {"crc32": "'  # how a header with a checksum begins
NO_CHECKSUM = b"00000000"
BFLOAT16 = "BF16"  # NumPy has no such type: it is read as float32, of which it is the upper half
DTYPES: dict[str, np.dtype[Any]] = {BFLOAT16: np.dtype("<u2"), "BOOL": np.dtype("?")}
for _letter in "FIU":
    for _bytes in (8, 4, 2, 1)[: 3 if _letter == "F" else 4]:
        DTYPES[f"{_letter}{8 * _bytes}"] = np.dtype(f"<{_letter.lower()}{_bytes}")
CODES = {dtype: code for code, dtype in DTYPES.items() if code != BFLOAT16}


ArrayLayout = Mapping[str, tuple[tuple[int, ...], np.dtype[Any]]]  # name to shape and dtype


class Entry(NamedTuple):
    """The place of an array in a file, from the beginning of the arrays, in bytes."""

    code: str  # a key of DTYPES
    shape: tuple[int, ...]
    start: int
    stop: int


def bfloat16_to_float32(halves: Array) -> Array:
    """Return the float32 numbers whose upper 16 bits are these unsigned integers."""
    return (halves.astype(np.uint32) << 16).view(np.float32)


def write(
    path: Path, settings: Mapping[str, Mapping[str, Any]], arrays: Mapping[str, Array]
) -> None:
    """Write settings, which are values for JSON by entry, and arrays: completely or not at all.

    The same settings and arrays give the same bytes. A TypeError or ValueError says that a value or
    a dtype has no place in the file. After an OSError an old file is unchanged.
    """
    texts = {name: json.dumps(dict(values), allow_nan=False) for name, values in settings.items()}
    header: dict[str, Any] = {METADATA: {"crc32": NO_CHECKSUM.decode(), **texts}}
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
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    rest = text[len(CHECKED + NO_CHECKSUM) :]
    parts = [array.reshape(-1).view(np.uint8).data for array in chosen]
    checksum = zlib.crc32(rest)
    for part in parts:
        checksum = zlib.crc32(part, checksum)
    start_of_file = struct.pack("<Q", len(text)) + CHECKED + b"%08x" % checksum + rest
    write_atomically(path, lambda file: file.writelines([start_of_file, *parts]))


class Reader:
    """The texts of an open file's header as `metadata`, and `entries`: its arrays, in order."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file, self._size = file, size
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > min(size - 8, MAX_HEADER):
            raise ValueError(f"its header claims {length} bytes of a file of {size}")
        text = file.read(length)
        if text[:1] != b"{" or text.count(b'"dtype"') > MAX_ARRAYS:
            raise ValueError(f"its header is not a JSON object of at most {MAX_ARRAYS} arrays")
        header = parse_json(text.decode(), size, _unique)
        self._start, self.metadata = 8 + length, header.pop(METADATA, {})
        texts = self.metadata.values() if isinstance(self.metadata, dict) else [None]
        if not all(isinstance(text, str) for text in texts):
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
        if text.startswith(CHECKED):
            first = len(CHECKED + NO_CHECKSUM)
            checksum = zlib.crc32(text[first:])
            while chunk := file.read(CHUNK):
                checksum = zlib.crc32(chunk, checksum)
            if b"%08x" % checksum != text[len(CHECKED) : first]:
                raise ValueError("its checksum is not that of its content")

    def settings(self, entry: str) -> dict[str, Any]:
        """Return the settings under this name."""
        if entry not in self.metadata:
            raise ValueError(f"{entry!r} is missing")
        settings = parse_json(self.metadata[entry], self._size)
        if not isinstance(settings, dict):
            raise ValueError(f"{entry!r} is not a JSON object")  # noqa: TRY004 (the file's value)
        return settings

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

    def read_arrays(self, layout: ArrayLayout, beside: str = "") -> dict[str, Array]:
        """Return the arrays of `layout`, if the file has exactly those and they are finite.

        It may have others whose names begin with `beside`. No memory is allocated before all names
        and sizes agree.
        """
        names = [n for n in self.entries if n in layout or not (beside and n.startswith(beside))]
        wrong = wrong_names(names, layout)
        for name, (shape, dtype) in layout.items():
            entry = self.entries.get(name)
            found = entry and (entry.shape, DTYPES[entry.code], entry.code == BFLOAT16)
            if found and found != (tuple(shape), np.dtype(dtype).newbyteorder("<"), False):
                wrong.append(
                    f"{name!r} is {found[1]} of shape {found[0]}, expected {dtype} of shape {shape}"
                )
        if wrong:
            raise ValueError("; ".join(wrong))
        arrays = {name: self.read(name) for name in layout}
        for name, array in arrays.items():
            if not np.isfinite(array).all():
                raise ValueError(f"{name!r} has numbers that are not finite")
        return arrays


@contextmanager
def open_safetensors(path: Path | str, description: str) -> Iterator[Reader]:
    """Open a .safetensors file and read its header.

    The file stays open between the settings and the arrays, so they belong together even if the
    file is replaced. Whatever is wrong with the content, and any exception in the ``with`` block,
    becomes a DamagedFileError. An OSError says that the file cannot be read.
    """
    path = Path(path)
    with damaged_file_errors(path, description), open_regular(path) as file:
        yield Reader(file, checked_size(file))


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON object as a dict, if each name occurs once."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("its header has two entries of one name")
    return found


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
