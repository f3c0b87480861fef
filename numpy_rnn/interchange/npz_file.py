"""NumPy's .npz files of arrays under PyTorch's names, and its .npy files of one dict."""

from __future__ import annotations

import math
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np

from numpy_rnn.files import write_atomically
from numpy_rnn.functional.types import Array
from numpy_rnn.interchange.contents import Contents, UnsupportedError, reading
from numpy_rnn.interchange.state_dict import StateDict, check_for_torch
from numpy_rnn.interchange.torch_file import MAX_UNPACKED, read_bytes
from numpy_rnn.interchange.tree import find_weights
from numpy_rnn.interchange.unpickle import Machine
from numpy_rnn.layers.base import Layer

MAGIC = b"\x93NUMPY"
HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


class Holder:
    """An array of a file, or the object that an array of one object holds."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def array(self) -> Array:
        """Return the array."""
        if not isinstance(self.value, np.ndarray):
            raise UnsupportedError("it has an array of objects, expected numbers")
        return self.value


def recognise(head: bytes, path: Path) -> bool:
    """Whether it is a .npy, or a zip of such files."""
    if not head.startswith(b"PK"):
        return head.startswith(MAGIC)
    try:
        with ZipFile(path) as archive:
            return any(name.endswith(".npy") for name in archive.namelist()[:1000])
    except Exception:
        return False


def read(path: Path) -> Contents:
    """Read the weights in a file."""
    with reading(path, "a file of NumPy arrays"):
        data = read_bytes(path)
        if data.startswith(MAGIC):
            tree: Any = parse(data)
        else:
            with ZipFile(BytesIO(data)) as archive:
                if sum(info.file_size for info in archive.infolist()) > MAX_UNPACKED:
                    raise ValueError(f"its arrays claim more than {MAX_UNPACKED} bytes")
                tree = {
                    info.filename.removesuffix(".npy"): parse(archive.read(info))
                    for info in archive.infolist()
                }
        found = find_weights(tree)
        state = StateDict(found.arrays, ordered=True, found=found)
        return state.contents("npz", found.settings)


def parse(data: bytes) -> Holder:
    """Return the array in the bytes of a .npy file, or the object in it."""
    file = BytesIO(data)
    version = np.lib.format.read_magic(file)
    if version not in HEADERS:
        raise ValueError(f"it has a .npy of version {version}")
    shape, fortran_order, dtype = HEADERS[version](file)
    start = file.tell()
    if dtype.hasobject:
        return Holder(getattr(Machine(data, position=start).run(), "value", None))
    if len(data) - start != math.prod(shape) * dtype.itemsize:
        raise ValueError(f"it has an array of {len(data) - start} bytes, not {dtype} of {shape}")
    flat = np.frombuffer(data, dtype, offset=start)
    return Holder(flat.reshape(shape, order="F" if fortran_order else "C"))


def write(model: Layer, path: Path) -> None:
    """Write the state_dict of a model, as ``np.savez`` does."""
    check_for_torch(model)
    arrays: dict[str, Any] = model.state_dict()
    write_atomically(path, lambda file: np.savez(file, **arrays))
