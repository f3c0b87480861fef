"""Contents of a model file: its arrays and settings, and the model that they describe."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZipFile

from numpy_rnn.files import open_regular
from numpy_rnn.functional.types import Array
from numpy_rnn.reading import checked_size, damaged_file_errors, one_line

MAX_REASON = 800  # characters of a message, which may quote the file
MAX_TEXTS = 5  # of the same kind in a message
SPARE = 1 << 26  # bytes that the compressed content of any file may take


class UnsupportedError(ValueError):
    """A good file describes something that has no counterpart here. The message names it.

    Examples
    --------
    >>> from numpy_rnn import MinGRU
    >>> from numpy_rnn.interchange import save
    >>> save(MinGRU(3, 4), "min_gru.pt")
    Traceback (most recent call last):
    numpy_rnn.interchange.contents.UnsupportedError: 'min_gru.pt': PyTorch has no MinGRU
    """


@dataclass(frozen=True)
class Contents:
    """A file that was read and validated, before a model is built from it.

    ``build(**options)`` returns the model: a Layer, or a Graph if the file holds a graph that is
    not a chain of layers. It raises :class:`UnsupportedError`.

    Examples
    --------
    >>> Contents("npz", {}, ["0: GRU(3, 4)"], build=dict).notes
    []
    """

    format: str  # a key of formats.FORMATS
    arrays: Mapping[str, Array]  # the weights, under the file's names and in its layout
    architecture: list[str]  # one line per layer or node: what it is and its sizes
    build: Callable[..., Any]
    notes: list[str] = field(default_factory=list)  # what is unusual, such as half precision
    settings: Mapping[str, Any] = field(default_factory=dict)  # what else there is, as plain values
    guessed: Mapping[str, Any] = field(default_factory=dict)  # options it leaves open, as built


@contextmanager
def reading(path: Path, description: str) -> Iterator[None]:
    """Turn any exception about the content of a file into one error that names the file.

    It is an UnsupportedError if the file is good, and else a DamagedFileError.
    """
    with naming_unsupported(path), damaged_file_errors(path, description, UnsupportedError):
        yield


@contextmanager
def naming_unsupported(path: Path) -> Iterator[None]:
    """Begin the message of an UnsupportedError with the file's name. It is one line."""
    try:
        yield
    except UnsupportedError as error:
        raise UnsupportedError(f"{str(path)!r}: {one_line(str(error), MAX_REASON)}") from None


def first_ones(texts: Sequence[str]) -> list[str]:
    """Return texts for a message, of which the last one counts those that there are more."""
    rest = [f"and {len(texts) - MAX_TEXTS} more"] if len(texts) > MAX_TEXTS else []
    return [*texts[:MAX_TEXTS], *rest]


def read_bytes(path: Path) -> bytes:
    """Return a file of a size within the budget."""
    with open_regular(path) as file:
        return file.read(checked_size(file))


def open_zip(data: bytes) -> ZipFile:
    """Open a zip whose entries are no more than four times as large as the file, and a spare."""
    archive, most = ZipFile(BytesIO(data)), 4 * len(data) + SPARE
    claimed = sum(info.file_size for info in archive.infolist())
    if claimed > most:
        raise ValueError(f"its entries claim {claimed} bytes, expected at most {most}")
    return archive
