"""Characters and their token ids: a vocabulary, and the encoding of a text file.

The file may be larger than memory. It is read twice, a chunk at a time: first for its vocabulary,
then to encode it. The token ids go to a temporary file without a name, which is memory-mapped. The
operating system loads the parts that are used, and may drop them again.
"""

from __future__ import annotations

import codecs
import hashlib
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from numpy_rnn.arguments import check_kind
from numpy_rnn.files import naming, open_regular
from numpy_rnn.functional.types import Array

CHUNK = 1 << 20  # bytes of a file
MARKS = {  # byte-order marks; that of UTF-16 is the beginning of that of UTF-32
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


class Vocabulary:
    """The characters that a model knows. The token id of a character is its position.

    Parameters
    ----------
    characters : str
        At least one, and each once. A lone surrogate is an error, because no text contains one.

    Examples
    --------
    >>> vocabulary = Vocabulary("abc<>")
    >>> vocabulary.encode("cab")
    array([2, 0, 1], dtype=uint8)
    >>> vocabulary.decode([2, 0, 1])
    'cab'
    """

    def __init__(self, characters: str) -> None:
        check_kind("Vocabulary", "characters", characters, str)
        if not characters:
            raise ValueError("vocabulary is empty, expected at least one character")
        check_text("vocabulary", characters)
        self.characters = characters
        codes = _code_points(characters)
        # One entry for each code point up to the largest. V marks a character that is missing.
        self._ids = np.full(int(codes.max()) + 2, len(self), self.dtype)
        self._ids[codes] = np.arange(len(self))
        overwritten = np.flatnonzero(self._ids[codes] != np.arange(len(self)))
        if len(overwritten):
            first = int(overwritten[0])
            raise ValueError(
                f"vocabulary has {characters[first]!r} twice, at positions {first} and "
                f"{self._ids[codes[first]]}, expected each character once"
            )

    @classmethod
    def from_text(cls, text: Iterable[str]) -> Vocabulary:
        """Return the vocabulary of a text: its characters in the order of their code points.

        Examples
        --------
        >>> Vocabulary.from_text("banana").characters
        'abn'
        """
        return cls("".join(sorted(set(text))))

    def __len__(self) -> int:
        return len(self.characters)

    def __repr__(self) -> str:
        return f"Vocabulary({self.characters!r})"

    @property
    def dtype(self) -> np.dtype[np.unsignedinteger]:
        """The smallest integers that hold 0 to V: 1, 2 or 4 bytes each."""
        return np.min_scalar_type(len(self))

    @property
    def start(self) -> int:
        """Id of the start token of the recall experiment: the last but one."""
        return len(self) - 2

    @property
    def end(self) -> int:
        """Id of the end token of the recall experiment: the last."""
        return len(self) - 1

    def encode(self, text: str, where: str = "text", offset: int = 0) -> Array:
        """Return the token id of each character, (N,), in the vocabulary's dtype.

        A character that the vocabulary lacks is a ValueError. It names the text by `where`, and the
        position, counted from `offset` for a text that comes in chunks.
        """
        tokens: Array = self._ids[np.minimum(_code_points(text), len(self._ids) - 1)]
        missing = tokens == len(self)
        if missing.any():
            check_text(where, text)
            position = int(missing.argmax())
            raise ValueError(
                f"{where} has {text[position]!r} at position {offset + position}, "
                f"expected one of the vocabulary's {len(self)} characters"
            )
        return tokens

    def decode(self, tokens: Iterable[int]) -> str:
        """Return the text of these token ids, each 0 to V - 1."""
        text = []
        for position, token in enumerate(tokens):
            if not 0 <= token < len(self):
                raise ValueError(
                    f"token is {token} at position {position}, expected 0 to {len(self) - 1}"
                )
            text.append(self.characters[token])
        return "".join(text)


def check_text(where: str, text: str) -> None:
    """Raise ValueError if a text has a lone surrogate: half a pair, or a byte that is not UTF-8."""
    codes = _code_points(text)
    surrogate = (codes >= 0xD800) & (codes <= 0xDFFF)
    if surrogate.any():
        position = int(surrogate.argmax())
        raise ValueError(f"{where} is not valid text at position {position}, expected UTF-8")


def _code_points(text: str) -> Array:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)


class TokenizedText(NamedTuple):
    """The token ids of a text file."""

    tokens: Array  # (N,) unsigned integers, memory-mapped
    vocabulary: Vocabulary
    sha256: str  # hash of the file, by which a changed file is recognised


def read_tokens(
    path: Path,
    vocabulary: Vocabulary | None = None,
    folder: Path | None = None,
    encoding: str | None = None,
) -> TokenizedText:
    """Encode a text file, with a vocabulary or with that of its own characters.

    `folder` is for the temporary file; the system's own may be in memory. Without an `encoding`, it
    is that of the byte-order mark, or else UTF-8, and a NUL character is an error. A file that is
    empty, is not in the encoding or has a character that `vocabulary` lacks is a ValueError, which
    names the place. The byte-order mark is no part of the text. Line ends are not converted.

    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "text.txt")
    ...     _ = path.write_text("banana", encoding="utf-8")
    ...     text = read_tokens(path)
    >>> text.tokens.tolist(), text.vocabulary
    ([1, 0, 2, 0, 2, 0], Vocabulary('abn'))
    """
    if vocabulary is None:
        characters: set[str] = set()
        for _, text in _chunks(path, encoding):
            characters.update(text)
        vocabulary = Vocabulary.from_text(characters)
    sha256 = hashlib.sha256()
    count = 0
    folder = Path(tempfile.gettempdir()) if folder is None else folder
    with naming(folder), tempfile.TemporaryFile(dir=folder) as file:
        for data, text in _chunks(path, encoding):
            file.write(vocabulary.encode(text, repr(str(path)), count).tobytes())
            sha256.update(data)
            count += len(text)
        file.flush()
        tokens = np.memmap(file, vocabulary.dtype, "r", shape=(count,))
    return TokenizedText(tokens, vocabulary, sha256.hexdigest())


def check_encoding(where: str, name: str, value: str) -> str:
    """Return the name of an encoding of text that Python knows, or raise ValueError."""
    try:
        known = codecs.lookup(value)
        known.incrementaldecoder(), "".encode(value)  # not all can read in chunks, or are of text
    except (LookupError, ValueError, TypeError):
        raise ValueError(
            f"{where}: {name} is {value!r}, expected an encoding such as utf-16 or latin-1"
        ) from None
    return known.name


def _chunks(path: Path, encoding: str | None) -> Iterator[tuple[bytes, str]]:
    """Yield the bytes of each chunk of a file and the characters that are complete with it."""
    read, file_name, is_empty = 0, repr(str(path)), True
    with naming(path), open_regular(path) as file:
        data = file.read(max(CHUNK, 4))  # a byte-order mark is whole
        name = encoding or next((MARKS[m] for m in MARKS if data.startswith(m)), "utf-8")
        decoder = codecs.getincrementaldecoder(name)()
        other = "expected its encoding to be given (--encoding)"
        while True:
            incomplete = len(decoder.getstate()[0])  # bytes of a character cut by the last chunk
            try:
                text = decoder.decode(data, final=not data)
            except UnicodeDecodeError as error:
                position = read - incomplete + error.start
                byte = error.object[error.start]
                raise ValueError(
                    f"{file_name} is not {name.upper()}: byte {position} is 0x{byte:02x} "
                    f"({error.reason}), {other}"
                ) from None
            except UnicodeError as error:
                raise ValueError(f"{file_name} is not {name.upper()}: {error}, {other}") from None
            if not encoding and "\0" in text:
                where = f"after byte {read}" if read else "near its beginning"
                raise ValueError(
                    f"{file_name} has a NUL character {where}: a binary file, or UTF-16, {other}"
                )
            text = text if read else text.removeprefix("\ufeff")
            is_empty = is_empty and not text
            yield data, text
            if not data and is_empty:
                raise ValueError(f"{file_name} is empty, expected a text")
            if not data:
                return
            read += len(data)
            data = file.read(CHUNK)
