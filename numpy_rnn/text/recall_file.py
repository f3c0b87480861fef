"""The file of a recall: settings and weights, and nothing in it is believed unchecked.

It is what ``np.savez`` writes: a zip, not compressed, of one ``.npy`` for each array; the
settings are JSON in an array of one string. The zip has a checksum of each entry, which holds
only if the entry is read to its end, and NumPy stops where the entry's own header says. So
entries are read whole here; and because a size that is claimed costs memory, each one has to
agree with the settings and with the size of the file before it is read.
"""

from __future__ import annotations

import errno
import json
import math
import os
from collections.abc import Callable, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, TypeVar
from zipfile import ZIP_STORED, ZipFile, ZipInfo

import numpy as np

from numpy_rnn.files import write_atomically
from numpy_rnn.functional.types import Array

SETTINGS = "experiment"
HEADER = 10_000  # bytes; NumPy's own limit for the header of a .npy
LONGEST = 300  # characters of a message: it may quote what the file says

T = TypeVar("T")
Layout = tuple[Mapping[str, tuple[int, ...]], np.dtype[Any]]  # name to shape, and the dtype


def write(path: Path, settings: Mapping[str, Any], arrays: Mapping[str, Array]) -> None:
    """Write settings and arrays to a ``.npz`` file, completely or not at all.

    Parameters
    ----------
    path : Path
        Where; an existing file is replaced.
    settings : mapping
        What JSON can say.
    arrays : mapping of str to array
        Stored under their names.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    entries: dict[str, Any] = {**arrays, SETTINGS: np.array(json.dumps(dict(settings)))}

    def savez(file: BinaryIO) -> None:
        np.savez(file, **entries)

    write_atomically(path, savez)


def read(
    path: Path, expect: Callable[[dict[str, Any]], tuple[T, Layout]]
) -> tuple[T, dict[str, Array]]:
    """Read what :func:`write` wrote, if all of it is as expected.

    Parameters
    ----------
    path : Path
        The file.
    expect : callable
        Is given the settings. Returns what it makes of them, and the arrays that belong to
        them: names, shapes and dtype. May raise whatever it likes.

    Returns
    -------
    made : Any
        What `expect` made of the settings.
    arrays : dict of str to array
        Finite numbers, in the shapes and the dtype expected.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        In one line that names the file, for whatever is wrong with what it says.
    """
    with path.open("rb") as file:
        try:
            size = os.fstat(file.fileno()).st_size
            with ZipFile(file) as archive:
                return _read(archive, size, expect)
        # All of it is one answer to the question whether this is such a file: zipfile, json
        # and NumPy raise a dozen types between them for bytes that nobody has written.
        except Exception as error:
            if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
                raise  # the disk's; EINVAL is a seek to where the file says
            reason = " ".join(str(error).split()) or type(error).__name__
            if len(reason) > LONGEST:
                reason = f"{reason[:LONGEST]}..."
            raise ValueError(f"{str(path)!r} is not a saved recall: {reason}") from None


def _read(
    archive: ZipFile, size: int, expect: Callable[[dict[str, Any]], tuple[T, Layout]]
) -> tuple[T, dict[str, Array]]:
    infos = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
    if len(infos) != len(archive.infolist()):
        raise ValueError("it has two entries of one name")
    if SETTINGS not in infos:
        raise ValueError(f"{SETTINGS!r} is missing")
    settings = json.loads(_string(_entry(archive, infos.pop(SETTINGS), size)))
    if not isinstance(settings, dict):
        raise ValueError(f"{SETTINGS!r} is not a JSON object")  # noqa: TRY004 (the file's value)
    made, (shapes, dtype) = expect(settings)
    wrong = [f"{name!r} is missing" for name in shapes if name not in infos]
    wrong += [f"{name!r} is unexpected" for name in infos if name not in shapes]
    for name, shape in shapes.items():
        expected = math.prod(shape) * dtype.itemsize
        if name in infos and not expected < infos[name].file_size <= expected + HEADER:
            wrong.append(
                f"{name!r} has {infos[name].file_size} bytes, expected {dtype} of shape {shape}, "
                f"{expected} bytes and a header"
            )
    if wrong:
        raise ValueError("; ".join(wrong))
    arrays = {
        name: _numbers(name, _entry(archive, infos[name], size), shape, dtype)
        for name, shape in shapes.items()
    }
    return made, arrays


def _entry(archive: ZipFile, info: ZipInfo, size: int) -> bytes:
    """Return an entry's bytes, which are not more than the file's, with a correct checksum."""
    if info.compress_type != ZIP_STORED or info.compress_size != info.file_size:
        raise ValueError(f"{info.filename!r} is compressed, expected it as it is")
    if info.file_size > size:
        raise ValueError(f"{info.filename!r} claims {info.file_size} bytes of a file of {size}")
    return archive.read(info)


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


def _string(data: bytes) -> str:
    array = _array(data)
    if array.dtype.kind != "U" or array.shape != ():
        raise ValueError(f"{SETTINGS!r} is {array.dtype} of shape {array.shape}, expected a text")
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
