"""Files of settings and arrays, in which nothing is believed unchecked.

A file is what ``np.savez`` writes: a zip, not compressed, of one ``.npy`` for each array; the
settings are JSON in an array of one string. The zip has a checksum of each entry, which holds
only if the entry is read to its end, and NumPy stops where the entry's own header says. So
entries are read whole here; and because a size that is claimed costs memory, each one has to
agree with the settings, with the size of the file and with a budget before it is read.
"""

from __future__ import annotations

import errno
import json
import math
import os
from collections.abc import Callable, Collection, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, TypeVar
from zipfile import ZIP_STORED, ZipFile, ZipInfo

import numpy as np

from numpy_rnn.files import write_atomically
from numpy_rnn.functional.types import Array

HEADER = 10_000  # bytes; NumPy's own limit for the header of a .npy
BUDGET = 1 << 32  # bytes; no network that NumPy trains comes near it
SETTINGS_BUDGET = 1 << 26  # bytes; settings become Python objects, many times their size
LONGEST = 300  # characters of a message: it may quote what the file says

T = TypeVar("T")
Layout = Mapping[str, tuple[tuple[int, ...], np.dtype[Any]]]  # name to shape and dtype


class DamagedFileError(ValueError):
    """A file does not hold what it should; the message names it and says what is wrong."""


class Kind(NamedTuple):
    """What a file is: in words, for messages, and the name of its settings' entry."""

    words: str
    settings: str


def write(path: Path, kind: Kind, settings: Mapping[str, Any], arrays: Mapping[str, Array]) -> None:
    """Write settings and arrays to a ``.npz`` file, completely or not at all.

    Parameters
    ----------
    path : Path
        Where; an existing file is replaced.
    kind : Kind
        What the file is.
    settings : mapping
        What JSON can say.
    arrays : mapping of str to array
        Stored under their names.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    entries: dict[str, Any] = {**arrays, kind.settings: np.array(json.dumps(dict(settings)))}

    def savez(file: BinaryIO) -> None:
        np.savez(file, **entries)

    write_atomically(path, savez)


def read(
    path: Path,
    kind: Kind,
    expect: Callable[[dict[str, Any]], tuple[T, Layout]],
    budget: int = BUDGET,
) -> tuple[T, dict[str, Array]]:
    """Read what :func:`write` wrote, if all of it is as expected.

    Parameters
    ----------
    path : Path
        The file.
    kind : Kind
        What the file should be.
    expect : callable
        Is given the settings. Returns what it makes of them, and the arrays that belong to
        them: names, shapes and dtypes. May raise whatever it likes.
    budget : int
        How many bytes all arrays together may have.

    Returns
    -------
    made : Any
        What `expect` made of the settings.
    arrays : dict of str to array
        Finite numbers, in the shapes and the dtypes expected.

    Raises
    ------
    OSError
        If the file cannot be read.
    DamagedFileError
        In one line that names the file, for whatever is wrong with what it says.
    """
    with path.open("rb") as file, refusing(path, kind):
        size = os.fstat(file.fileno()).st_size
        if size > budget:
            raise ValueError(f"it has {size} bytes, expected at most {budget}")
        with ZipFile(file) as archive:
            return _read(archive, size, kind.settings, expect)


class refusing:  # noqa: N801 (a context manager, read as a verb)
    """Turn whatever goes wrong inside into one DamagedFileError.

    All of it is one answer to the question whether this is such a file: zipfile, json, NumPy
    and whoever makes something of the numbers raise a dozen types between them for bytes that
    nobody has written.

    Parameters
    ----------
    path : Path
        The file, for the message.
    kind : Kind
        What it should be.
    """

    def __init__(self, path: Path, kind: Kind) -> None:
        self.path, self.kind = path, kind

    def __enter__(self) -> None:
        pass

    def __exit__(self, _type: object, error: BaseException | None, _traceback: object) -> None:
        if not isinstance(error, Exception) or isinstance(error, DamagedFileError):
            return
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            return  # the disk's; EINVAL is a seek to where the file says
        reason = " ".join(str(error).split()) or type(error).__name__
        if len(reason) > LONGEST:
            reason = f"{reason[:LONGEST]}..."
        raise DamagedFileError(f"{str(self.path)!r} is not {self.kind.words}: {reason}") from None


def _read(
    archive: ZipFile, size: int, settings_name: str, expect: Callable[..., tuple[T, Layout]]
) -> tuple[T, dict[str, Array]]:
    infos = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
    if len(infos) != len(archive.infolist()):
        raise ValueError("it has two entries of one name")
    if settings_name not in infos:
        raise ValueError(f"{settings_name!r} is missing")
    _check_claims(infos.values(), size)
    if infos[settings_name].file_size > SETTINGS_BUDGET:
        raise ValueError(
            f"{settings_name!r} claims {infos[settings_name].file_size} bytes, "
            f"expected at most {SETTINGS_BUDGET}"
        )
    text = _string(settings_name, archive.read(infos.pop(settings_name)))
    settings = json.loads(text)
    if not isinstance(settings, dict):
        raise ValueError(f"{settings_name!r} is not a JSON object")  # noqa: TRY004 (the file's value)
    made, layout = expect(settings)
    wrong = [f"{name!r} is missing" for name in layout if name not in infos]
    wrong += [f"{name!r} is unexpected" for name in infos if name not in layout]
    for name, (shape, dtype) in layout.items():
        expected = math.prod(shape) * dtype.itemsize
        if name in infos and not expected < infos[name].file_size <= expected + HEADER:
            wrong.append(
                f"{name!r} has {infos[name].file_size} bytes, expected {dtype} of shape {shape}, "
                f"{expected} bytes and a header"
            )
    if wrong:
        raise ValueError("; ".join(wrong))
    return made, {
        name: _numbers(name, archive.read(infos[name]), shape, dtype)
        for name, (shape, dtype) in layout.items()
    }


def _check_claims(infos: Collection[ZipInfo], size: int) -> None:
    """Raise ValueError unless all entries can be in a file of `size` bytes, as they are."""
    for info in infos:
        if info.compress_type != ZIP_STORED or info.compress_size != info.file_size:
            raise ValueError(f"{info.filename!r} is compressed, expected it as it is")
        if info.file_size > size:
            raise ValueError(f"{info.filename!r} claims {info.file_size} bytes of a file of {size}")
    # Entries that overlap could each fit into the file, and a thousand of them not.
    claimed = sum(info.file_size for info in infos)
    if claimed > size:
        raise ValueError(f"its entries claim {claimed} bytes of a file of {size}")


def _array(data: bytes) -> Array:
    """Return the array of a ``.npy`` that ends exactly where its header says."""
    file = BytesIO(data)
    if np.lib.format.read_magic(file) != (1, 0):
        raise ValueError("an entry is no .npy of version 1.0")
    shape, by_columns, dtype = np.lib.format.read_array_header_1_0(file)
    start = file.tell()
    if dtype.hasobject or len(data) - start != math.prod(shape) * dtype.itemsize:
        raise ValueError(f"an entry has {len(data) - start} bytes, not {dtype} of shape {shape}")
    flat = np.frombuffer(data, dtype, offset=start)
    return np.reshape(flat, shape, order="F" if by_columns else "C")


def _string(name: str, data: bytes) -> str:
    array = _array(data)
    if array.dtype.kind != "U" or array.shape != ():
        raise ValueError(f"{name!r} is {array.dtype} of shape {array.shape}, expected a text")
    return str(array[()])


def _numbers(name: str, data: bytes, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    array = _array(data)
    # A machine of the other byte order writes the same numbers in its own.
    if (array.shape, array.dtype.newbyteorder("=")) != (shape, dtype):
        raise ValueError(
            f"{name!r} is {array.dtype} of shape {array.shape}, expected {dtype} of {shape}"
        )
    if not np.isfinite(array).all():
        raise ValueError(f"{name!r} has numbers that are not finite")
    return array
