"""Vocabulary: text to token ids and back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numpy_rnn.apps import Vocabulary


@settings(max_examples=30)  # a code point beyond the first planes needs a table of megabytes
@given(st.text(min_size=1))
def test_decoding_reverses_encoding(text: str) -> None:
    vocabulary = Vocabulary.from_text(text)
    tokens = vocabulary.encode(text)
    assert vocabulary.decode(tokens) == text
    assert len(vocabulary) == len(set(text)) > tokens.max()
    assert list(vocabulary.characters) == sorted(set(text))


@settings(max_examples=30)
@given(st.text(min_size=1), st.text(min_size=1))
def test_a_missing_character_is_named(known: str, text: str) -> None:
    missing = [i for i, character in enumerate(text) if character not in known]
    if not missing:
        assert len(Vocabulary.from_text(known).encode(text)) == len(text)
        return
    with pytest.raises(ValueError, match="expected one of the vocabulary's") as caught:
        Vocabulary.from_text(known).encode(text, "--prompt")
    position = missing[0]
    assert str(caught.value).startswith(f"--prompt has {text[position]!r} at position {position}, ")


def test_token_ids_have_the_smallest_dtype() -> None:
    for count, dtype in (
        (255, np.uint8),
        (256, np.uint16),
    ):  # one more id marks a missing character
        vocabulary = Vocabulary("".join(map(chr, range(0x100, 0x100 + count))))
        assert vocabulary.encode("\u0100").dtype == dtype


def test_characters_that_make_no_vocabulary() -> None:
    with pytest.raises(ValueError, match="vocabulary is empty"):
        Vocabulary("")
    with pytest.raises(TypeError, match=r"characters is \{.*\}, expected a str"):
        Vocabulary({"a"})  # type: ignore[arg-type]  # wrong on purpose
    with pytest.raises(ValueError, match="vocabulary is not valid text at position 1, expected"):
        Vocabulary("a\ud800")
    with pytest.raises(ValueError, match="vocabulary has 'a' twice, at positions 1 and 3, expec"):
        Vocabulary("baca")
