"""Encode a text file, which may be larger than memory.

The file is read twice, a chunk at a time: first for its vocabulary, then to encode it. The token
ids go to a temporary file without a name, which is memory-mapped. The operating system loads the
parts that are used, and may drop them again.
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

CHUNK = 1 << 20  # bytes


class TokenizedText(NamedTuple):
    """The token ids of a text file.

    Attributes
    ----------
    tokens : (N,) array of unsigned int
        Memory-mapped.
    vocabulary : Vocabulary
        Characters of the token ids.
    sha256 : str
        Hash of the file, by which a changed file is recognised.
    """

    tokens: Array
    vocabulary: Vocabulary
    sha256: str


def read_tokens(
    path: Path, vocabulary: Vocabulary | None = None, folder: Path | None = None
) -> TokenizedText:
    """Encode a text file.

    Parameters
    ----------
    path : Path
        A file in UTF-8. Line ends are not converted.
    vocabulary : Vocabulary, optional
        Vocabulary to encode with; default: the characters of the file.
    folder : Path, optional
        Folder of the temporary file. Default: the system's, which may be in memory.

    Returns
    -------
    text : TokenizedText

    Raises
    ------
    OSError
        If the file cannot be read, or the temporary file not written.
    ValueError
        If the file is empty, is not UTF-8 or has a character that `vocabulary` lacks. The message
        says where.

    Examples
    --------
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "text.txt")
    ...     _ = path.write_text("banana", encoding="utf-8")
    ...     text = read_tokens(path)
    >>> text.tokens.tolist(), text.vocabulary
    ([1, 0, 2, 0, 2, 0], Vocabulary('abn'))
    """
    if vocabulary is None:
        characters: set[str] = set()
        for _, text in _chunks(path):
            characters.update(text)
        if not characters:
            raise ValueError(f"{str(path)!r} is empty, expected a text")
        vocabulary = Vocabulary.from_text(characters)
    sha256 = hashlib.sha256()
    count = 0
    folder = Path(tempfile.gettempdir()) if folder is None else folder
    with naming(folder), tempfile.TemporaryFile(dir=folder) as file:
        for data, text in _chunks(path):
            file.write(vocabulary.encode(text, repr(str(path)), count).tobytes())
            sha256.update(data)
            count += len(text)
        if not count:
            raise ValueError(f"{str(path)!r} is empty, expected a text")
        file.flush()
        tokens = np.memmap(file, vocabulary.dtype, "r", shape=(count,))
    return TokenizedText(tokens, vocabulary, sha256.hexdigest())


def _chunks(path: Path) -> Iterator[tuple[bytes, str]]:
    """Yield the bytes of each chunk of a file and the characters that are complete with it."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    read = 0
    with path.open("rb") as file:
        while True:
            data = file.read(CHUNK)
            incomplete = len(decoder.getstate()[0])  # bytes of a character cut by the last chunk
            try:
                text = decoder.decode(data, final=not data)
            except UnicodeDecodeError as error:
                position = read - incomplete + error.start
                byte = error.object[error.start]
                raise ValueError(
                    f"{str(path)!r} is not UTF-8: byte {position} is 0x{byte:02x} ({error.reason})"
                ) from None
            if not data:
                return
            read += len(data)
            yield data, text
