"""The table of formats: which module reads a file, decided by its content and not its suffix."""

from __future__ import annotations

from importlib import import_module
from os import PathLike
from pathlib import Path
from typing import Any

from numpy_rnn.interchange.contents import Contents
from numpy_rnn.layers.base import Layer

HEAD = 4096  # bytes that `recognise` is given

# Name of the format to the module that reads and writes it, in the order in which they are asked.
# A module has ``recognise(head, path) -> bool`` (cheap: it looks at the first bytes, and at the
# names in a zip), ``read(path) -> Contents``, and ``write(model, path)`` unless it only reads.
FORMATS: dict[str, str] = {"onnx": "onnx_file"}


def read(path: str | PathLike[str]) -> Contents:
    """Read a model file of any known format, without building a model."""
    path = Path(path)
    with path.open("rb") as file:
        head = file.read(HEAD)
    for name in FORMATS.values():
        module = import_module(f"numpy_rnn.interchange.{name}")
        if module.recognise(head, path):
            contents: Contents = module.read(path)
            return contents
    raise ValueError(f"'{path}' has none of the known formats: {', '.join(FORMATS)}")


def load(path: str | PathLike[str], **options: Any) -> Any:
    """Read a model file of any known format and build its model."""
    return read(path).build(**options)


def save(model: Layer, path: str | PathLike[str], format: str) -> None:  # noqa: A002 (the plain word)
    """Write a model to a file of the given format."""
    import_module(f"numpy_rnn.interchange.{FORMATS[format]}").write(model, Path(path))
