"""Read and write .npz files. Every size a file claims is validated before memory is allocated.

A file is what ``np.savez`` writes: an uncompressed zip with one ``.npy`` entry for each array. The
settings are JSON, in an array of one string. The zip has a checksum for each entry, but it is only
verified if the entry is read to its end, and NumPy stops where the entry's own header says. So
entries are read whole here. Before an entry is read, its size must agree with the expected shape,
with the size of the file and with a budget.
"""

from __future__ import annotations

import errno
import json
import math
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import ZIP_STORED, ZipFile

import numpy as np

from numpy_rnn.files import write_atomically
from numpy_rnn.functional.types import Array

MAX_NPY_HEADER = 10_000  # bytes; NumPy's own limit for the header of a .npy
BUDGET = 1 << 32  # bytes; far above any network that is trained with NumPy
SETTINGS_BUDGET = 1 << 26  # bytes; as Python objects, settings take many times their size
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


class Reader:
    """The settings of an open file, and its arrays on demand. :func:`open_npz` returns it."""

    def __init__(self, archive: ZipFile, file_size: int, settings_entry: str) -> None:
        self._archive = archive
        self._entries = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
        self._sizes = {name: info.file_size for name, info in self._entries.items()}  # bytes
        self._check_sizes(file_size)
        if settings_entry not in self._sizes:
            raise ValueError(f"{settings_entry!r} is missing")
        size = self._sizes.pop(settings_entry)
        if size > SETTINGS_BUDGET:
            raise ValueError(
                f"{settings_entry!r} claims {size} bytes, expected at most {SETTINGS_BUDGET}"
            )
        text = self._read(settings_entry)
        if text.dtype.kind != "U" or text.shape != ():
            raise ValueError(f"{settings_entry!r} is {text.dtype} of {text.shape}, not a text")
        self.settings: dict[str, Any] = json.loads(str(text[()]))
        if not isinstance(self.settings, dict):
            raise ValueError(f"{settings_entry!r} is not a JSON object")  # noqa: TRY004 (the file's value)

    def read_arrays(self, layout: ArrayLayout) -> dict[str, Array]:
        """Return all arrays, if the file has exactly those of `layout` and they are finite.

        No memory is allocated before all names and sizes agree.
        """
        wrong = [f"{name!r} is missing" for name in layout if name not in self._sizes]
        wrong += [f"{name!r} is unexpected" for name in self._sizes if name not in layout]
        for name, (shape, dtype) in layout.items():
            expected = math.prod(shape) * dtype.itemsize
            if not expected < self._sizes.get(name, expected + 1) <= expected + MAX_NPY_HEADER:
                wrong.append(
                    f"{name!r} has {self._sizes[name]} bytes, expected {dtype} of shape {shape}, "
                    f"{expected} bytes and a header"
                )
        if wrong:
            raise ValueError("; ".join(wrong))
        arrays = {name: self._read(name) for name in layout}
        for name, (shape, dtype) in layout.items():
            array = arrays[name]
            # A machine of the other byte order writes the same numbers in its own order.
            if (array.shape, array.dtype.newbyteorder("=")) != (shape, dtype):
                raise ValueError(
                    f"{name!r} is {array.dtype} of shape {array.shape}, expected {dtype} of {shape}"
                )
            if not np.isfinite(array).all():
                raise ValueError(f"{name!r} has numbers that are not finite")
        return arrays

    def _check_sizes(self, file_size: int) -> None:
        """Raise ValueError unless all entries, uncompressed, fit into the file together."""
        if len(self._entries) != len(self._archive.infolist()):
            raise ValueError("it has two entries of one name")
        for info in self._entries.values():
            if info.compress_type != ZIP_STORED or info.compress_size != info.file_size:
                raise ValueError(f"{info.filename!r} is compressed, expected it uncompressed")
            if info.file_size > file_size:
                raise ValueError(
                    f"{info.filename!r} claims {info.file_size} bytes of a file of {file_size}"
                )
        # Entries that overlap could each fit into the file, so the sum has to fit too.
        claimed = sum(self._sizes.values())
        if claimed > file_size:
            raise ValueError(f"its entries claim {claimed} bytes of a file of {file_size}")

    def _read(self, name: str) -> Array:
        """Return the array of an entry, which must end exactly where its header says."""
        data = self._archive.read(self._entries[name])
        file = BytesIO(data)
        if np.lib.format.read_magic(file) != (1, 0):
            raise ValueError(f"{name!r} is not a .npy of version 1.0")
        shape, fortran_order, dtype = np.lib.format.read_array_header_1_0(file)
        start = file.tell()
        if dtype.hasobject or len(data) - start != math.prod(shape) * dtype.itemsize:
            raise ValueError(f"{name!r} has {len(data) - start} bytes, not {dtype} of {shape}")
        flat = np.frombuffer(data, dtype, offset=start)
        return np.reshape(flat, shape, order="F" if fortran_order else "C")


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
    with damaged_file_errors(path, file_format):
        mode = path.stat().st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):  # open would block, or never end
            raise ValueError("it is not a regular file")
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size > BUDGET:
                raise ValueError(f"it has {size} bytes, expected at most {BUDGET}")
            with ZipFile(file) as archive:
                yield Reader(archive, size, file_format.settings_entry)


@contextmanager
def damaged_file_errors(path: Path, file_format: FileFormat) -> Iterator[None]:
    """Turn any exception about the content of a file into one DamagedFileError.

    For arbitrary bytes, zipfile, json, NumPy and the constructors that receive the
    settings raise a dozen types between them.
    """
    try:
        yield
    except DamagedFileError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise  # the disk's; EINVAL is a seek to a position that the file claims
        reason = " ".join(str(error).split()) or type(error).__name__
        if len(reason) > MAX_REASON:
            reason = f"{reason[:MAX_REASON]}..."
        message = f"{str(path)!r} is not {file_format.description}: {reason}"
        raise DamagedFileError(message) from None
