"""The table of formats: which module reads a file, decided by its content and not its suffix."""

from __future__ import annotations

import warnings
from importlib import import_module
from os import PathLike
from pathlib import Path
from typing import Any

from numpy_rnn.files import open_regular
from numpy_rnn.interchange.contents import Contents, UnsupportedError, naming_unsupported, reading
from numpy_rnn.layers.base import Layer
from numpy_rnn.reading import DamagedFileError

HEAD = 4096  # bytes that `recognise` is given

# Name of the format to the module that reads and writes it, in the order in which they are asked.
# A module has ``recognise(head, path) -> bool``, ``read(path) -> Contents``, and ``write(model,
# path)`` unless it only reads. One of several formats has ``write_FORMAT(model, path)``.
FORMATS: dict[str, str] = {
    **dict.fromkeys(("safetensors", "torch", "npz", "pickle"), "arrays"),
    "onnx": "onnx_file",
    "audio-json": "audio_json",
    "keras": "keras_file",
}
# Options that change training alone, by the formats that have no place for them.
FOR_TRAINING = {"onnx": ("padding_idx", "dropout", "p"), "keras": ("padding_idx",)}
SUFFIXES = dict.fromkeys((".pt", ".pth"), "torch") | dict.fromkeys((".pkl", ".pickle"), "pickle")
SUFFIXES |= {f".{name}": name for name in ("safetensors", "npz", "onnx", "keras")}
SUFFIXES |= {".h5": "keras"}


def read(path: str | PathLike[str]) -> Contents:
    """Read a model file of any known format, without building a model.

    An OSError says that the file cannot be read, a DamagedFileError or UnsupportedError that its
    content is of no known format, is damaged, or has no counterpart here.

    Examples
    --------
    >>> import tempfile
    >>> from numpy_rnn import GRU
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(GRU(3, 4), f"{folder}/gru.npz")
    ...     contents = read(f"{folder}/gru.npz")
    >>> contents.format, contents.architecture
    ('npz', ['-: GRU(3, 4)'])
    """
    path = Path(path)
    with open_regular(path) as file:
        head = file.read(HEAD)
    for name in dict.fromkeys(FORMATS.values()):
        module = import_module(f"numpy_rnn.interchange.{name}")
        if module.recognise(head, path):
            with reading(path, module.FORMAT):
                contents: Contents = module.read(path)
            return contents
    raise DamagedFileError(f"{str(path)!r} has none of the known formats: {', '.join(FORMATS)}")


def load(path: str | PathLike[str], **options: Any) -> Any:
    """Read a model file of any known format and build its model, in evaluation mode.

    Parameters
    ----------
    path : str or path
        The file. Its content decides its format, not its suffix.
    **options
        What the file does not say. For PyTorch's names these are `dtype`, `nonlinearity` (of an
        RNN), `batch_first`, `reset_after` (of a GRU) and `layers`, the order of the layers: a list
        of names, and of layers without parameters between them.

    Returns
    -------
    model : Layer or Graph
        Errors are those of :func:`read`; a TypeError or ValueError names a wrong option.

    Examples
    --------
    >>> import tempfile
    >>> from numpy_rnn import GRU
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(GRU(3, 4), f"{folder}/gru.pt")  # torch.load reads it
    ...     load(f"{folder}/gru.pt", batch_first=True)
    GRU(3, 4, batch_first=True)
    """
    contents = read(path)
    with naming_unsupported(Path(path)):
        return contents.build(**options)


def save(model: Layer, path: str | PathLike[str], format: str | None = None) -> None:  # noqa: A002 (the plain word)
    """Write a model to a file of the given format, or of that of the name's suffix.

    A warning names what the format does not hold, such as activations in a state_dict. It has to be
    given again to :func:`load`. An UnsupportedError names the layers and options that the format
    lacks, a ValueError an unknown format. After an error an old file is unchanged.

    Examples
    --------
    >>> from numpy_rnn import GRU
    >>> save(GRU(3, 4), "gru.unknown")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ValueError: format is '.unknown', expected ...
    """
    suffix = Path(path).suffix
    name = SUFFIXES.get(suffix, suffix) if format is None else format
    if name not in FORMATS:
        expected = f"one of {', '.join(FORMATS)}"
        raise ValueError(f"format is {name!r}, expected {expected}, or a suffix that has one")
    module = import_module(f"numpy_rnn.interchange.{FORMATS[name]}")
    write = getattr(module, f"write_{name}", getattr(module, "write", None))
    if write is None:
        raise ValueError(f"format {name!r} can be read and not written")
    with naming_unsupported(Path(path)):
        if not isinstance(model, Layer):
            raise UnsupportedError(f"{model!r} is no chain of layers: it can only be run")
        missing = list(write(model, Path(path)) or [])
    missing += _lost(model, name)
    if missing:
        parts = "; ".join(missing)
        warnings.warn(f"{str(path)!r}: format {name!r} does not hold: {parts}", stacklevel=2)


def _lost(model: Layer, name: str) -> list[str]:
    """Return what a format does not hold because it is neither a layer nor an option of results."""
    shapes, lost, left = model.parameters.shapes, [], [model]
    if name not in ("safetensors", "torch"):
        lost += [f"{tied} is tied" for tied in model.parameters.values if tied not in shapes]
    while left:
        layer = left.pop()
        left += getattr(layer, "layers", {}).values()
        options = {n: getattr(layer, n, None) for n in FOR_TRAINING.get(name, ())}
        set_ = [n for n, v in options.items() if v or (v == 0 and n == "padding_idx")]
        lost += [f"{n}={options[n]} of {layer!r}" for n in set_]
    return lost + ["the vocabulary"] * (model.vocabulary is not None and name != "safetensors")
