"""A text file as numbers on disk: it may be larger than memory.

The file is read twice, a piece at a time: once for its characters, once to encode them. The
numbers go to a temporary file that has no name, and are memory-mapped: only those that are looked
at are read, and the system may forget them again.
"""

from __future__ import annotations

import codecs
import hashlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from numpy_rnn.apps.vocabulary import Vocabulary
from numpy_rnn.files import naming
from numpy_rnn.functional.types import Array

PIECE = 1 << 20  # bytes


class Symbols(NamedTuple):
    """A text as numbers.

    Attributes
    ----------
    numbers : (N,) array of unsigned int
        Memory-mapped.
    vocabulary : Vocabulary
        What they stand for.
    digest : str
        SHA-256 of the file, to know it again.
    """

    numbers: Array
    vocabulary: Vocabulary
    digest: str


def read_symbols(
    path: Path, vocabulary: Vocabulary | None = None, folder: Path | None = None
) -> Symbols:
    """Encode a text file.

    Parameters
    ----------
    path : Path
        A file in UTF-8. Line ends stay as they are.
    vocabulary : Vocabulary, optional
        What the numbers stand for; the file's own characters if left out.
    folder : Path, optional
        Where the numbers are kept while they are used; the system's for temporary files if left
        out, which may be in memory.

    Returns
    -------
    symbols : Symbols

    Raises
    ------
    OSError
        If the file cannot be read, or the numbers not written.
    ValueError
        If the file is empty, is not UTF-8 or has a character that `vocabulary` lacks; it says
        where.
    """
    if vocabulary is None:
        characters: set[str] = set()
        for _, text in _pieces(path):
            characters.update(text)
        if not characters:
            raise ValueError(f"{str(path)!r} is empty, expected a text")
        vocabulary = Vocabulary(characters)
    digest = hashlib.sha256()
    count = 0
    folder = Path(tempfile.gettempdir()) if folder is None else folder
    with naming(folder), tempfile.TemporaryFile(dir=folder) as file:
        for data, text in _pieces(path):
            try:
                numbers = vocabulary.encode(text, repr(str(path)))
            except ValueError:
                raise ValueError(_unknown(path, text, vocabulary, count)) from None
            file.write(numbers.tobytes())
            digest.update(data)
            count += len(text)
        if not count:
            raise ValueError(f"{str(path)!r} is empty, expected a text")
        file.flush()
        mapped = np.memmap(file, vocabulary.dtype, "r", shape=(count,))
    return Symbols(mapped, vocabulary, digest.hexdigest())


def _pieces(path: Path) -> Iterator[tuple[bytes, str]]:
    """Yield the bytes of a file and the characters that they complete."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    read = 0
    with path.open("rb") as file:
        while True:
            data = file.read(PIECE)
            waiting = len(decoder.getstate()[0])  # bytes of a character that is not complete
            try:
                text = decoder.decode(data, final=not data)
            except UnicodeDecodeError as error:
                place = read - waiting + error.start
                byte = error.object[error.start]
                raise ValueError(
                    f"{str(path)!r} is not UTF-8: byte {place} is 0x{byte:02x} ({error.reason})"
                ) from None
            if not data:
                return
            read += len(data)
            yield data, text


def _unknown(path: Path, text: str, vocabulary: Vocabulary, before: int) -> str:
    known = set(vocabulary.characters)
    position = next(i for i, character in enumerate(text) if character not in known)
    return (
        f"{str(path)!r} has {text[position]!r} at position {before + position}, "
        f"expected one of the vocabulary's {len(vocabulary)} characters"
    )
