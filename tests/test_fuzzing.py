"""Thousands of mutated files a format: one exception type, no long time, no memory."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from tests.fuzzing import FORMATS, Fuzzer, fuzz

MEMORY = Path("/dev/shm")  # noqa: S108 (only the parent of a folder of its own)

OWN = ("checkpoint", "recall", "record", "config")


@pytest.mark.parametrize("name", FORMATS)
def test_any_input_is_read_or_refused_in_one_line(name: str) -> None:
    inputs = 20_000 if name in OWN else 3_000  # those of others take half a millisecond or more
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        fuzzer = Fuzzer(name, Path(folder), together=20)
        fuzz(fuzzer, inputs, seed=0)
    assert fuzzer.refused > inputs // 20
    assert fuzzer.accepted > inputs // 200
