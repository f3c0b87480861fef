"""Vocabulary: the characters that a model knows, and their token ids."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from numpy_rnn.functional.types import Array


class Vocabulary:
    """The characters that a model knows; the token id of a character is its position.

    Parameters
    ----------
    characters : str
        Each character once.

    Raises
    ------
    ValueError
        If there is no character, or one twice, or a lone surrogate, which no text contains.
    TypeError
        If the characters are no str.

    Examples
    --------
    >>> vocabulary = Vocabulary("abc<>")
    >>> vocabulary.encode("cab")
    array([2, 0, 1], dtype=uint8)
    >>> vocabulary.decode([2, 0, 1])
    'cab'
    """

    def __init__(self, characters: str) -> None:
        if not isinstance(characters, str):
            kind = type(characters).__name__
            raise TypeError(f"Vocabulary: characters is a {kind}, expected a str")
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
        """Return the token id of each character.

        Parameters
        ----------
        text : str
            N characters of the vocabulary.
        where : str
            Name of the text in an error message.
        offset : int
            Position of the text's first character there, for a text that comes in chunks.

        Returns
        -------
        tokens : (N,) array of unsigned int
            Of the vocabulary's dtype.

        Raises
        ------
        ValueError
            If the vocabulary lacks a character; the message names the first one.
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
        """Return the text of these token ids.

        Parameters
        ----------
        tokens : iterable of int
            Each 0 to V - 1.

        Returns
        -------
        text : str

        Raises
        ------
        ValueError
            If a token id is out of range.
        """
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
