"""Text files to token ids: chunks that cut characters in two, and files that are not text."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numpy_rnn.apps.vocabulary import Vocabulary, read_tokens


@settings(deadline=None)
@given(text=st.text(min_size=1), chunk=st.integers(1, 9))
def test_the_tokens_do_not_depend_on_the_chunks(
    tmp_path_factory: pytest.TempPathFactory, text: str, chunk: int
) -> None:
    path = tmp_path_factory.mktemp("text") / "text.txt"
    path.write_bytes(text.encode("utf-8"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("numpy_rnn.apps.vocabulary.CHUNK", chunk)
        read = read_tokens(path)
    assert read.vocabulary.decode(read.tokens) == text
    assert read.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert isinstance(read.tokens, np.memmap)


@settings(deadline=None)
@given(
    before=st.text(max_size=20),
    wrong=st.sampled_from([b"\xff", b"\xc3", b"\xe2\x82", b"\xed\xa0\x80", b"\x80", b"\xc0\xaf"]),
    after=st.sampled_from(["", "a", "abcdefgh"]),
    chunk=st.integers(1, 9),
)
def test_a_byte_that_is_not_utf8_is_named(
    tmp_path_factory: pytest.TempPathFactory, before: str, wrong: bytes, after: str, chunk: int
) -> None:
    path = tmp_path_factory.mktemp("text") / "text.txt"
    data = before.encode("utf-8") + wrong + after.encode("utf-8")
    path.write_bytes(data)
    with pytest.raises(UnicodeDecodeError) as expected:
        data.decode("utf-8")
    position = expected.value.start
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("numpy_rnn.apps.vocabulary.CHUNK", chunk)
        with pytest.raises(
            ValueError, match=f"is not UTF-8: byte {position} is 0x{data[position]:02x} "
        ):
            read_tokens(path)


def test_a_missing_character_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "text.txt"
    path.write_text("aäbaß", encoding="utf-8")
    monkeypatch.setattr("numpy_rnn.apps.vocabulary.CHUNK", 3)
    with pytest.raises(ValueError, match=r"text.txt' has 'ß' at position 4, expected one of the"):
        read_tokens(path, Vocabulary("abä"))


def test_an_empty_file_and_a_missing_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.txt").touch()
    for vocabulary in (None, Vocabulary("a")):
        with pytest.raises(ValueError, match=r"empty.txt' is empty, expected a text"):
            read_tokens(tmp_path / "empty.txt", vocabulary)
    with pytest.raises(FileNotFoundError):
        read_tokens(tmp_path / "no.txt")


def test_line_ends_are_kept_and_the_temporary_file_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_bytes(b"a\r\nb\n")
    read = read_tokens(path, folder=tmp_path)
    assert read.vocabulary.decode(read.tokens) == "a\r\nb\n"
    assert [name.name for name in tmp_path.iterdir()] == ["text.txt"]
