"""Text files to token ids: chunks that cut characters in two, and files that are not text."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numpy_rnn.apps.vocabulary import Vocabulary, check_encoding, read_tokens


@settings(deadline=None)
@given(
    text=st.text(min_size=1).filter(lambda text: text[0] != "\ufeff"),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32", "utf-16-le", "utf-7"]),
    chunk=st.integers(1, 9),
)
def test_the_tokens_do_not_depend_on_the_chunks(
    tmp_path_factory: pytest.TempPathFactory, text: str, encoding: str, chunk: int
) -> None:
    path = tmp_path_factory.mktemp("text") / "text.txt"
    path.write_bytes(text.encode(encoding))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("numpy_rnn.apps.vocabulary.CHUNK", chunk)
        read = read_tokens(path, encoding=encoding)
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
            read_tokens(path, encoding="utf-8")


TEXT = "\u4f60h\xe9llo\r\n"


@pytest.mark.parametrize("mark", ["utf-8", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
def test_a_byte_order_mark_tells_the_encoding_and_is_no_character(
    tmp_path: Path, mark: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "text.txt"
    path.write_bytes(f"\ufeff{TEXT}".encode(mark))
    monkeypatch.setattr("numpy_rnn.apps.vocabulary.CHUNK", 1)
    for encoding in (None, mark):
        read = read_tokens(path, encoding=encoding)
        assert read.vocabulary.decode(read.tokens) == TEXT
    path.write_bytes("\ufeff".encode(mark))
    for vocabulary in (None, read.vocabulary):
        with pytest.raises(ValueError, match=r"text\.txt' is empty, expected a text"):
            read_tokens(path, vocabulary)


@pytest.mark.parametrize("data", [b"a\0", "abc".encode("utf-16-be"), b"\x7fELF\x02\0"])
def test_a_text_with_a_nul_needs_an_encoding(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "text.txt"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"has a NUL character .* expected its encoding"):
        read_tokens(path)
    assert len(read_tokens(path, encoding="latin-1").tokens) == len(data)


@pytest.mark.parametrize(
    "name", ["hex", "zip", "undefined", "", "no such", "a\0b", "\xe9", "9" * 99]
)
def test_what_is_no_encoding_of_text(name: str) -> None:
    with pytest.raises(ValueError, match=r"Settings: encoding is .*, expected an encoding such as"):
        check_encoding("Settings", "encoding", name)


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
