"""Thousands of mutated files a format: one exception type, no long time, no memory."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from tests.fuzzing import FORMATS, Fuzzer, fuzz

INPUTS = 20_000  # of each format
MEMORY = Path("/dev/shm")  # noqa: S108 (only the parent of a folder of its own)


@pytest.mark.parametrize("name", FORMATS)
def test_any_input_is_read_or_refused_in_one_line(name: str) -> None:
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        fuzzer = Fuzzer(name, Path(folder), together=20)
        fuzz(fuzzer, INPUTS, seed=0)
    assert fuzzer.refused > INPUTS // 20
    assert fuzzer.accepted > INPUTS // 200
