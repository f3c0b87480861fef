"""Read and write .npz files. Every size a file claims is validated before memory is allocated.

A file is what ``np.savez`` writes: an uncompressed zip with one ``.npy`` entry for each array. The
settings are JSON, in an array of one string. The zip has a checksum for each entry, but it is only
verified if the entry is read to its end, and NumPy stops where the entry's own header says. So
entries are read whole here. Before that, the shapes and dtypes in all headers must be the expected
ones, and the sizes must agree with them and with the size of the file.
"""

from __future__ import annotations

import errno
import json
import math
import os
import re
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from numpy_rnn.files import open_regular, write_atomically
from numpy_rnn.functional.types import Array
from numpy_rnn.stored_zip import read_directory, start_of
from numpy_rnn.text import strip_control_characters

MAX_NPY_HEADER = 10_000  # bytes; NumPy's own limit for the header of a .npy
NPY_HEADER = re.compile(  # as NumPy writes it; anything else is not a plain array
    rb"\{'descr': '([<>|=][a-zA-Z]\d{1,10})', 'fortran_order': (True|False), "
    rb"'shape': \(((?:\d{1,19},|\d{1,19}(?:, \d{1,19})+)?)\), \} *\n"
)
BUDGET = 1 << 32  # bytes; far above any network that is trained with NumPy
SETTINGS_BUDGET = 1 << 26  # bytes
SPARSE = 1 << 24  # bytes; a larger file must have at least half of its bytes on the disk
MAX_REASON = 300  # characters of a message, which may quote the file

ArrayLayout = Mapping[str, tuple[tuple[int, ...], np.dtype[Any]]]  # name to shape and dtype


class DamagedFileError(ValueError):
    """A file does not hold what it should. The message names the file and the reason.

    Examples
    --------
    >>> with damaged_file_errors(Path("a.npz"), FileFormat("a checkpoint", "about")):
    ...     raise KeyError("seed")
    Traceback (most recent call last):
    numpy_rnn.npz.DamagedFileError: 'a.npz' is not a checkpoint: 'seed'
    """


class FileFormat(NamedTuple):
    """A description of the file for messages, and the name of the entry with its settings."""

    description: str
    settings_entry: str


def write(
    path: Path, file_format: FileFormat, settings: Mapping[str, Any], arrays: Mapping[str, Array]
) -> None:
    """Write settings, which are values for JSON, and arrays: completely or not at all."""
    text = np.array(json.dumps(dict(settings)))
    entries: dict[str, Any] = {**arrays, file_format.settings_entry: text}
    write_atomically(path, lambda file: np.savez(file, **entries))


class NpyHeader(NamedTuple):
    """The header of an array: what it is, and how many bytes are before its numbers."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fortran_order: bool
    length: int


def parse_npy_header(name: str, data: bytes, size: int) -> NpyHeader:
    """Return the header of a .npy of `size` bytes, which begins with `data`.

    A ValueError says that it is no plain array, or is longer or shorter than its header claims.
    """
    if not data.startswith(b"\x93NUMPY\1\0"):
        raise ValueError(f"{name!r} is not a .npy of version 1.0: its magic string is another one")
    match = NPY_HEADER.fullmatch(data, 10, 10 + int.from_bytes(data[8:10], "little"))
    if match is None:
        raise ValueError(f"{name!r} does not begin with the header of a plain array")
    dtype = np.dtype(match[1].decode())
    shape = tuple(int(number) for number in match[3].split(b",") if number)
    if size - match.end() != math.prod(shape) * dtype.itemsize:
        raise ValueError(f"{name!r} has {size - match.end()} bytes, not {dtype} of {shape}")
    return NpyHeader(shape, dtype, match[2] == b"True", match.end())


class Reader:
    """The settings of an open file, and its arrays on demand. :func:`open_npz` returns it.

    Attributes
    ----------
    settings : dict
        The settings.
    """

    def __init__(self, file: BinaryIO, file_size: int, settings_entry: str) -> None:
        self._file = file
        directory = read_directory(file, file_size)
        self._entries = {name.removesuffix(".npy"): (name, e) for name, e in directory.items()}
        if len(self._entries) != len(directory):
            raise ValueError("it has two entries of one name")
        if settings_entry not in self._entries:
            raise ValueError(f"{settings_entry!r} is missing")
        size = self._entries[settings_entry][1].size
        if size > SETTINGS_BUDGET:
            raise ValueError(
                f"{settings_entry!r} claims {size} bytes, expected at most {SETTINGS_BUDGET}"
            )
        text = self._header(settings_entry)
        if text.dtype.kind != "U" or text.shape != ():
            raise ValueError(f"{settings_entry!r} is {text.dtype} of {text.shape}, not a text")
        content = decode_text(self._read(settings_entry, text))
        del self._entries[settings_entry]
        self.settings: dict[str, Any] = parse_json(content, file_size)
        if not isinstance(self.settings, dict):
            raise ValueError(f"{settings_entry!r} is not a JSON object")  # noqa: TRY004 (the file's value)

    @cached_property
    def headers(self) -> dict[str, NpyHeader]:
        """What the entries besides the settings are, by name."""
        return {name: self._header(name) for name in self._entries}

    def check_layout(self, layout: ArrayLayout) -> None:
        """Raise ValueError unless the file has exactly the arrays of `layout`. None is read."""
        wrong = [f"{name!r} is missing" for name in layout if name not in self.headers]
        wrong += [f"{name!r} is unexpected" for name in self.headers if name not in layout]
        for name, (shape, dtype) in layout.items():
            header = self.headers.get(name)
            # A machine of the other byte order writes the same numbers in its own order.
            if header and (header.shape, header.dtype.newbyteorder("=")) != (shape, dtype):
                wrong.append(
                    f"{name!r} is {header.dtype} of shape {header.shape}, "
                    f"expected {dtype} of shape {shape}"
                )
        if wrong:
            raise ValueError("; ".join(wrong))

    def read_arrays(self, layout: ArrayLayout) -> dict[str, Array]:
        """Return all arrays, if the file has exactly those of `layout` and they are finite.

        No memory is allocated before all names, shapes and dtypes agree.
        """
        self.check_layout(layout)
        arrays: dict[str, Array] = {}
        for name, (_, dtype) in layout.items():
            array = self._read(name, self.headers[name]).astype(dtype, copy=False)
            if not np.isfinite(array).all():
                raise ValueError(f"{name!r} has numbers that are not finite")
            arrays[name] = array
        return arrays

    def _header(self, name: str) -> NpyHeader:
        full_name, entry = self._entries[name]
        start_of(self._file, full_name, entry)
        data = self._file.read(min(entry.size, MAX_NPY_HEADER))
        return parse_npy_header(name, data, entry.size)

    def _read(self, name: str, header: NpyHeader) -> Array:
        """Return the array of an entry, after its checksum is verified."""
        full_name, entry = self._entries[name]
        start_of(self._file, full_name, entry)
        data = self._file.read(entry.size)
        if len(data) != entry.size or zlib.crc32(data) != entry.crc:
            raise ValueError(f"Bad CRC-32 of {name!r}")
        flat = np.frombuffer(data, header.dtype, offset=header.length)
        return np.reshape(flat, header.shape, order="F" if header.fortran_order else "C")


def decode_text(array: Array) -> str:
    """Return the text in an array of one string, which ends before NULs.

    NumPy's own conversion would make a str of numbers beyond the last code point. Python then
    allocates gigabytes, or fails with a SystemError.
    """
    data = array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
    return data.decode("utf-32-le").rstrip("\0")


def parse_json(text: str | bytes, file_size: int) -> Any:
    """Return the value of a JSON text, unless it would take far more memory than its file.

    Five million empty lists fit into 15 MB of JSON, and take 300 MB as Python objects.

    >>> parse_json("[1, 2]", file_size=6)
    [1, 2]
    """
    content = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    values = sum(content.count(mark) for mark in b"[{,")
    if 80 * values > 4 * file_size + (1 << 25):
        raise ValueError(f"it has {values} values of JSON in {file_size} bytes, expected fewer")
    return json.loads(text)


@contextmanager
def open_npz(path: Path | str, file_format: FileFormat) -> Iterator[Reader]:
    """Open a file that :func:`write` wrote, and read its settings.

    The file stays open between the settings and the arrays, so they belong together even if the
    file is replaced. Whatever is wrong with the content, and any exception in the ``with`` block,
    becomes a DamagedFileError. An OSError says that the file cannot be read.

    Examples
    --------
    >>> import tempfile
    >>> weights = FileFormat("a file of weights", settings_entry="about")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write(Path(folder, "w.npz"), weights, {"size": 2}, {"w": np.ones(2)})
    ...     with open_npz(Path(folder, "w.npz"), weights) as file:
    ...         file.read_arrays({"w": ((file.settings["size"],), np.dtype("float64"))})
    {'w': array([1., 1.])}
    """
    path = Path(path)
    with damaged_file_errors(path, file_format), open_regular(path) as file:
        yield Reader(file, checked_size(file), file_format.settings_entry)


def checked_size(file: BinaryIO) -> int:
    """Return the size of an open file, which has to be within the budget and on the disk."""
    size = os.fstat(file.fileno()).st_size
    if size > BUDGET:
        raise ValueError(f"it has {size} bytes, expected at most {BUDGET}")
    if size > SPARSE and _bytes_on_disk(file.fileno(), size) < size // 2:
        raise ValueError(f"it is sparse: most of its {size} bytes are not on the disk")
    return size


def _bytes_on_disk(handle: int, size: int) -> int:
    """Return how many bytes of a file are not in holes, as far as the system tells."""
    if not hasattr(os, "SEEK_HOLE"):
        return size
    end = found = 0
    while end < size:
        try:
            start = os.lseek(handle, end, os.SEEK_DATA)
            end = os.lseek(handle, start, os.SEEK_HOLE)
        except OSError as error:  # ENXIO: only a hole is left
            return found if error.errno == errno.ENXIO else size
        found += end - start
    return found


@contextmanager
def damaged_file_errors(path: Path, file_format: FileFormat) -> Iterator[None]:
    """Turn any exception about the content of a file into one DamagedFileError.

    For arbitrary bytes, parsers and the constructors that receive the settings raise a dozen
    types between them, RecursionError included. An OSError is the disk's and a MemoryError of
    NumPy is the machine's: both pass.
    """
    try:
        yield
    except DamagedFileError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            error.filename = error.filename or str(path)
            raise  # EINVAL is a seek to a position that the file claims
        if isinstance(error, MemoryError) and type(error) is not MemoryError:
            raise  # NumPy has a type of its own; a bare MemoryError may be a parser's
        reason = " ".join(strip_control_characters(str(error)).split()) or type(error).__name__
        if len(reason) > MAX_REASON:
            reason = f"{reason[:MAX_REASON]}..."
        message = f"{str(path)!r} is not {file_format.description}: {reason}"
        raise DamagedFileError(message) from None
