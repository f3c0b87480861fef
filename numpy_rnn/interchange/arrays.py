"""Files of weights under PyTorch's names: of PyTorch, of safetensors, of NumPy, and pickles."""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np

from numpy_rnn.arguments import NO_DEFAULT
from numpy_rnn.files import write_atomically
from numpy_rnn.functional.types import Array
from numpy_rnn.interchange.contents import Contents, UnsupportedError, open_zip, read_bytes
from numpy_rnn.interchange.torch import file as torch_file
from numpy_rnn.interchange.torch.file import read_tree
from numpy_rnn.interchange.torch.state_dict import StateDict
from numpy_rnn.interchange.torch.tree import Found, find_weights
from numpy_rnn.interchange.torch.unpickle import Machine, PickledArray
from numpy_rnn.layers import GRU, LSTM, RNN, Embedding, LayerNorm, Linear, Sequential
from numpy_rnn.layers.base import MODEL_ENTRY, MODEL_FILE, Layer
from numpy_rnn.layers.model_file import read_model
from numpy_rnn.reading import damaged_file_errors
from numpy_rnn.safetensors import BFLOAT16, open_safetensors

NPY_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}
# The layers with parameters that PyTorch has. Of their options: those that PyTorch lacks, and those
# that names and shapes tell or that change no result.
TORCH = (RNN, LSTM, GRU, Linear, Embedding, LayerNorm)
OURS = {"reset_after", "reverse", "merge", "activations", "clip", "input_forget"}
TOLD = {"num_layers", "bias", "bidirectional", "proj_size", "recompute"}


def read(path: Path, form: str) -> Contents:
    """Read a file of one of these formats. See :func:`numpy_rnn.interchange.read`."""
    if form == "safetensors":
        return _read_safetensors(path)
    data = read_bytes(path)
    found = find_weights(_parse_npz(data) if form == "npz" else read_tree(data))
    return StateDict(found).contents(form, found.settings)


def _parse_npz(data: bytes) -> Any:
    """Return what is in a file of ``np.savez`` or ``np.save``."""
    if not data.startswith(b"PK"):
        return parse_npy(data)
    with open_zip(data) as archive:
        entries = archive.infolist()
        return {e.filename.removesuffix(".npy"): parse_npy(archive.read(e)) for e in entries}


def _read_safetensors(path: Path) -> Contents:
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


def write(model: Layer, path: Path, form: str) -> list[str]:
    """Write the weights of a model, and return what the format does not hold."""
    if form == "safetensors":
        model.save(path)
        return []
    lacks = [*_not_held(model)]
    if foreign := dict.fromkeys(text for is_ours, text in lacks if is_ours):
        raise UnsupportedError(f"PyTorch has no {', '.join(foreign)}")
    if not model.parameters.shapes:
        raise UnsupportedError(f"{model!r} has no weights, so its state_dict is empty")
    writers: dict[str, Callable[[Any], None]] = {
        "torch": partial(torch_file.write, arrays=model.parameters.values),
        "pickle": partial(pickle.dump, model.state_dict(), protocol=4),
        "npz": partial(_write_npz, arrays=model.state_dict()),
    }
    write_atomically(path, writers[form])
    return [text for _, text in lacks]


def _write_npz(file: Any, arrays: Mapping[str, Array]) -> None:
    with ZipFile(file, "w") as archive:  # np.savez of NumPy 2.0 leaves it open on a full disk
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
                np.lib.format.write_array(entry, array, allow_pickle=False)


def _not_held(model: Layer, name: str = "") -> Iterator[tuple[bool, str]]:
    """Yield what a state_dict does not hold, in words, and whether PyTorch lacks it altogether."""
    kind, prefix = type(model).__name__, f"{name}: " if name else ""
    if type(model) is Sequential:
        for inner, layer in model.layers.items():
            yield from _not_held(layer, f"{name}.{inner}".lstrip("."))
    elif type(model) in TORCH and model.parameters.shapes:
        for option, default in model._arguments().items():
            value = getattr(model, option, default)
            if value == default or default is NO_DEFAULT or option in TOLD:
                continue
            ours = option in OURS or (option == "nonlinearity" and value not in ("tanh", "relu"))
            owner = kind if ours or not name else name
            yield ours, f"{owner} with {option}={value!r}"
    elif isinstance(model, Sequential) or model.parameters.shapes:
        yield True, kind
    else:
        yield False, f"{prefix}{model!r}"
