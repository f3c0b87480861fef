"""The characters of a language model, each one a number."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from numpy_rnn.functional.types import Array


class Vocabulary:
    """The characters of a text, in the order of their code points.

    Parameters
    ----------
    characters : iterable of str
        In any order; repetitions are left out.

    Attributes
    ----------
    characters : str
        Each character once; its place is its number.

    Raises
    ------
    ValueError
        If there is no character, or one that is none.
    """

    def __init__(self, characters: Iterable[str]) -> None:
        self.characters = "".join(sorted(set(characters)))
        if not self.characters:
            raise ValueError("vocabulary is empty, expected at least one character")
        self._codes = _codes(self.characters)  # ascending
        if ((self._codes >= 0xD800) & (self._codes <= 0xDFFF)).any():
            raise ValueError("vocabulary has half of a surrogate pair, expected characters")
        # One number for each code point up to the largest; V stands for "none of ours".
        self._numbers = np.full(int(self._codes[-1]) + 2, len(self), self.dtype)
        self._numbers[self._codes] = np.arange(len(self))

    def __len__(self) -> int:
        return len(self.characters)

    @property
    def dtype(self) -> np.dtype[np.unsignedinteger]:
        """The smallest integers that hold the numbers 0 to V: 1, 2 or 4 bytes each."""
        return np.min_scalar_type(len(self))

    def encode(self, text: str, where: str = "text") -> Array:
        """Return the number of each character.

        Parameters
        ----------
        text : str
        where : str
            What the text is, for the message.

        Returns
        -------
        symbols : (N,) array of unsigned int

        Raises
        ------
        ValueError
            Naming the first character that the vocabulary lacks.
        """
        codes = np.minimum(_codes(text), len(self._numbers) - 1)
        symbols: Array = self._numbers[codes]
        unknown = symbols == len(self)
        if unknown.any():
            position = int(unknown.argmax())
            raise ValueError(
                f"{where} has {text[position]!r} at position {position}, "
                f"expected one of the vocabulary's {len(self)} characters"
            )
        return symbols

    def decode(self, symbols: Iterable[int]) -> str:
        """Return the characters of these numbers."""
        return "".join(self.characters[symbol] for symbol in symbols)


def _codes(text: str) -> Array:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
