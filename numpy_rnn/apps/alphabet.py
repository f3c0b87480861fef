"""Characters to numbers and back."""

from __future__ import annotations

import numpy as np

from numpy_rnn.functional.types import Array


class Alphabet:
    """The characters a model knows, each one a place in a one-hot row.

    The last two are the start and the end symbol, as in the notebook: a text becomes
    ``start, character, ..., character, end``. The start symbol gives the first character an
    input to be predicted from; the end symbol gives the last one something to predict.

    Parameters
    ----------
    characters : str
        Each character once; at least one before the last two.

    Raises
    ------
    ValueError
        If there are fewer than three characters, or one twice, or one that is no character.
    """

    def __init__(self, characters: str) -> None:
        if len(characters) < 3:
            raise ValueError(
                f"alphabet has {len(characters)} characters, expected at least 3: "
                "the last two are the start and the end symbol"
            )
        self.characters = characters
        self.index: dict[str, int] = {}
        for position, character in enumerate(characters):
            _check_character("alphabet", character, position)
            if character in self.index:
                raise ValueError(
                    f"alphabet has {character!r} twice, at positions {self.index[character]} "
                    f"and {position}, expected each character once"
                )
            self.index[character] = position

    def __len__(self) -> int:
        return len(self.characters)

    @property
    def start(self) -> int:
        """The start symbol's place: index -2."""
        return len(self) - 2

    @property
    def end(self) -> int:
        """The end symbol's place: index -1."""
        return len(self) - 1

    def encode(self, text: str) -> Array:
        """Return the places of a text's characters.

        Parameters
        ----------
        text : str
            At least one character.

        Returns
        -------
        symbols : (N,) array of int

        Raises
        ------
        ValueError
            If the text is empty, or naming the first character that the alphabet lacks.
        """
        if not text:
            raise ValueError("text is empty, expected at least one character")
        for position, character in enumerate(text):
            _check_character("text", character, position)
            if character not in self.index:
                raise ValueError(
                    f"text has {character!r} at position {position}, "
                    f"expected one of the alphabet's {self.characters!r}"
                )
        return np.array([self.index[character] for character in text])

    def decode(self, symbols: Array) -> str:
        """Return the characters at these places.

        Parameters
        ----------
        symbols : (N,) array of int

        Returns
        -------
        text : str

        Raises
        ------
        ValueError
            If a symbol is no place in the alphabet.
        """
        for position, symbol in enumerate(symbols):
            if not 0 <= symbol < len(self):
                raise ValueError(
                    f"symbol is {symbol} at position {position}, expected 0 to {len(self) - 1}"
                )
        return "".join(self.characters[symbol] for symbol in symbols)

    def grown_for(self, text: str) -> Alphabet:
        """Return an alphabet that also has the text's characters.

        New ones go in front of the start and end symbols, in the order of the text.

        Raises
        ------
        ValueError
            If one of the text's is no character.
        """
        for position, character in enumerate(text):
            _check_character("text", character, position)
        new = dict.fromkeys(character for character in text if character not in self.index)
        return Alphabet(self.characters[:-2] + "".join(new) + self.characters[-2:])


def _check_character(name: str, character: str, position: int) -> None:
    if "\ud800" <= character <= "\udfff":  # half of a pair, or a byte that was not UTF-8
        raise ValueError(f"{name} is not valid text at position {position}, expected UTF-8")
