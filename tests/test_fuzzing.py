"""Thousands of mutated files a format: one exception type, no long time, no memory."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from tests.fuzzing import FORMATS, Fuzzer, fuzz

OWN = ("checkpoint", "recall", "record", "config")
INPUTS = 20_000  # of each format
FEWER = 3_000  # of those of others, where the variable CI is not set: 20,000 take a minute more
MEMORY = Path("/dev/shm")  # noqa: S108 (only the parent of a folder of its own)


@pytest.mark.parametrize("name", FORMATS)
def test_any_input_is_read_or_refused_in_one_line(name: str) -> None:
    inputs = INPUTS if name in OWN or os.environ.get("CI") else FEWER
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        fuzzer = Fuzzer(name, Path(folder), together=20)
        fuzz(fuzzer, inputs, seed=0)
    assert fuzzer.refused > inputs // 20
    assert fuzzer.accepted > inputs // 200
