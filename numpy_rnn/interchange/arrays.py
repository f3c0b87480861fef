"""Files of weights under PyTorch's names: of PyTorch, of safetensors, of NumPy, and pickles."""

from __future__ import annotations

import math
import pickle
import re
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np

from numpy_rnn.files import open_regular, write_atomically
from numpy_rnn.interchange import torch_file
from numpy_rnn.interchange.contents import Contents
from numpy_rnn.interchange.state_dict import StateDict, check_for_torch
from numpy_rnn.interchange.torch_file import MAGIC_PICKLE, open_zip, read_tree
from numpy_rnn.interchange.tree import Found, find_weights
from numpy_rnn.interchange.unpickle import Machine, PickledArray
from numpy_rnn.layers.base import MODEL_ENTRY, MODEL_FILE, Layer
from numpy_rnn.layers.model_file import read_model
from numpy_rnn.reading import checked_size, damaged_file_errors
from numpy_rnn.safetensors import BFLOAT16, OLDER_VERSION, is_older, open_safetensors

FORMAT = "a file of weights"
HEADS = {  # how a file begins
    "safetensors": rb".{4}\0{4}\{",
    "torch": re.escape(MAGIC_PICKLE) + rb"|.{257}ustar",
    "npz": rb"\x93NUMPY",
    # A dict, a list or an object, of protocol 2 to 5, 1 or 0.
    "pickle": rb"\x80[\2-\5]|[}\]]q|\([dlScNI(]|c[\w.]+\n[\w.]+\n",
}
ENTRIES = {"torch": "/data.pkl", "npz": ".npy"}  # how names of entries in a zip end
NPY_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


def recognise(head: bytes, path: Path) -> bool:
    """Whether it is a file of one of the formats."""
    return _format(head, path) is not None


def _format(head: bytes, path: Path) -> str | None:
    if not head.startswith(b"PK"):
        return next((n for n, begin in HEADS.items() if re.match(begin, head, re.DOTALL)), None)
    with suppress(Exception), ZipFile(path) as archive:
        names = archive.namelist()
        return next((n for n, e in ENTRIES.items() if any(x.endswith(e) for x in names)), None)
    return None


def read(path: Path) -> Contents:
    """Read a model of this package, or the weights in a file."""
    with open_regular(path) as file:
        form = _format(file.read(4096), path) or ""
    if form == "safetensors":
        return _read_safetensors(path)
    data = read_bytes(path)
    found = find_weights(_npz_tree(data) if form == "npz" else read_tree(data))
    return StateDict(found.arrays, ordered=True, found=found).contents(form, found.settings)


def read_bytes(path: Path) -> bytes:
    """Return a file of a size within the budget."""
    with open_regular(path) as file:
        return file.read(checked_size(file))


def _read_safetensors(path: Path) -> Contents:
    with open_safetensors(path, "a file of safetensors") as file:
        if MODEL_ENTRY not in file.metadata:
            found = Found({name: file.read(name) for name in file.entries})
            half = [name for name, entry in file.entries.items() if entry.code == BFLOAT16]
            found.stored = dict.fromkeys(half, "bfloat16")
            # The library sorts by dtype and name, so that the order tells nothing.
            ordered = list(found.arrays) != sorted(found.arrays)
            state = StateDict(found.arrays, ordered=ordered, found=found)
            return state.contents("safetensors", dict(file.metadata))
        with damaged_file_errors(path, MODEL_FILE):
            settings, model = file.settings(MODEL_ENTRY), read_model(file)
    parts = getattr(model, "layers", {"-": model})
    lines = [f"{name}: {layer!r}" for name, layer in parts.items()]
    return Contents("safetensors", model.state_dict(), lines, lambda: model, [], settings)


def _npz_tree(data: bytes) -> Any:
    if not data.startswith(b"PK"):
        return parse_npy(data)
    with open_zip(data) as archive:
        entries = archive.infolist()
        if is_older(data[:4], b"".join(e.filename.encode() for e in entries)):
            raise ValueError(OLDER_VERSION)
        return {e.filename.removesuffix(".npy"): parse_npy(archive.read(e)) for e in entries}


def parse_npy(data: bytes) -> PickledArray:
    """Return the array in the bytes of a .npy file, or the object in it."""
    file = BytesIO(data)
    version = np.lib.format.read_magic(file)
    if version not in NPY_HEADERS:
        raise ValueError(f"it has a .npy of version {version}")
    shape, fortran_order, dtype = NPY_HEADERS[version](file)
    if dtype.hasobject:
        return PickledArray(value=getattr(Machine(file).run(), "value", None))
    start = file.tell()
    if len(data) - start != math.prod(shape) * dtype.itemsize:
        raise ValueError(f"it has an array of {len(data) - start} bytes, not {dtype} of {shape}")
    flat = np.frombuffer(data, dtype, offset=start)
    return PickledArray(value=flat.reshape(shape, order="F" if fortran_order else "C"))


def write_safetensors(model: Layer, path: Path) -> None:
    """Write the file of :meth:`Layer.save`, whose weights have PyTorch's names."""
    model.save(path)


def write_torch(model: Layer, path: Path) -> list[str]:
    """Write the state_dict of a model, as ``torch.save`` does."""
    return _write(model, path, partial(torch_file.write, arrays=model.parameters.values))


def write_pickle(model: Layer, path: Path) -> list[str]:
    """Write the state_dict of a model: a pickled dict of arrays."""
    return _write(model, path, partial(pickle.dump, model.state_dict(), protocol=4))


def write_npz(model: Layer, path: Path) -> list[str]:
    """Write the state_dict of a model, as ``np.savez`` does."""

    def write(file: Any) -> None:
        with ZipFile(file, "w") as archive:  # np.savez of NumPy 2.0 leaves it open on a full disk
            for name, array in model.state_dict().items():
                with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
                    np.lib.format.write_array(entry, array, allow_pickle=False)

    return _write(model, path, write)


def _write(model: Layer, path: Path, write: Callable[[Any], None]) -> list[str]:
    missing = check_for_torch(model)
    write_atomically(path, write)
    return missing
