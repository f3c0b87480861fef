"""Files of weights under PyTorch's names: of PyTorch, of safetensors, of NumPy, and pickles."""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np

from numpy_rnn.files import write_atomically
from numpy_rnn.interchange import torch_file
from numpy_rnn.interchange.contents import Contents, open_zip, read_bytes
from numpy_rnn.interchange.state_dict import StateDict, check_for_torch
from numpy_rnn.interchange.torch_file import MAX_UNPACKED, read_tree
from numpy_rnn.interchange.tree import Found, find_weights
from numpy_rnn.interchange.unpickle import Machine, PickledArray
from numpy_rnn.layers.base import MODEL_ENTRY, MODEL_FILE, Layer
from numpy_rnn.layers.model_file import read_model
from numpy_rnn.reading import damaged_file_errors
from numpy_rnn.safetensors import BFLOAT16, open_safetensors

NPY_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


def read_torch(path: Path) -> Contents:
    """Read a file of PyTorch."""
    return _read(read_tree(read_bytes(path)), "torch")


def read_pickle(path: Path) -> Contents:
    """Read a pickle of arrays."""
    return _read(read_tree(read_bytes(path)), "pickle")


def read_npz(path: Path) -> Contents:
    """Read a file of ``np.savez`` or ``np.save``."""
    data = read_bytes(path)
    if not data.startswith(b"PK"):
        return _read(parse_npy(data), "npz")
    with open_zip(data, MAX_UNPACKED) as archive:
        entries = archive.infolist()
        tree = {e.filename.removesuffix(".npy"): parse_npy(archive.read(e)) for e in entries}
    return _read(tree, "npz")


def _read(tree: Any, form: str) -> Contents:
    found = find_weights(tree)
    return StateDict(found).contents(form, found.settings)


def read_safetensors(path: Path) -> Contents:
    """Read a model of this package, or the weights in a file."""
    with open_safetensors(path, "a file of safetensors") as file:
        if MODEL_ENTRY not in file.metadata:
            found = Found({name: file.read(name) for name in file.entries})
            half = [name for name, entry in file.entries.items() if entry.code == BFLOAT16]
            found.stored = dict.fromkeys(half, "bfloat16")
            # The library sorts by dtype and name, so that the order tells nothing.
            ordered = list(found.arrays) != sorted(found.arrays)
            state = StateDict(found, ordered=ordered)
            return state.contents("safetensors", dict(file.metadata))
        with damaged_file_errors(path, MODEL_FILE):
            settings, model = file.settings(MODEL_ENTRY), read_model(file)
    parts = getattr(model, "layers", {"-": model})
    lines = [f"{name}: {layer!r}" for name, layer in parts.items()]
    return Contents("safetensors", model.state_dict(), lines, lambda: model, [], settings)


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
