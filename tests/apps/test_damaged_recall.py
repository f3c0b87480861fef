"""Damaged and made-up files: ``load`` raises one line that names the file, or loads it exactly."""

from __future__ import annotations

import itertools
import json
import math
import random
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest

from benchmarks.damage import (
    claim_more,
    cut_out,
    flip,
    flip_in_header,
    flip_letters_of,
    repacked,
    swap,
    truncate,
)
from numpy_rnn.apps.recall import Experiment, load, run, save
from numpy_rnn.layers import Sequential
from numpy_rnn.safetensors import write
from tests.mutations import file_of, parts_of, settings_in

T = TypeVar("T")
SMALL = Experiment(text="abc", characters="abc<>", hidden_size=3, epochs=1)


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "good.safetensors"
    save(path, run(SMALL))
    return path


def settings(**changed: object) -> str:
    return json.dumps({"text": "abc", "characters": "abc<>", "hidden_size": 3} | changed)


def refused(path: Path, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        load(path)
    assert str(caught.value).startswith(f"{str(path)!r} is not a saved recall: ")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


MANY = "".join(map(chr, range(0x4E00, 0x9000)))
ARRAYS: list[tuple[str, str, Any, str]] = [
    ("float16", "i2o.bias", np.zeros(5, np.float16), "'i2o.bias' is float16 of shape"),
    ("float64", "rnn.bias_hh_l0", np.zeros(3), "is float64 of shape"),
    ("integers", "i2o.bias", np.zeros(5, np.int32), "is int32 of shape"),
    ("shape", "i2o.weight", np.zeros((3, 5), np.float32), "expected float32 of"),
    ("nan", "i2o.bias", np.full(5, np.nan, np.float32), "'i2o.bias' has numbers that"),
    ("unexpected", "more", np.zeros(1), "'more' is unexpected"),
    ("missing", "i2o.bias", None, "parameters are 20 numbers, expected at most 15"),
]
SETTINGS: list[tuple[str, str, str]] = [
    ("no JSON", "{", "Expecting property name"),
    ("no object", "[]", "'recall' is not a JSON object"),
    ("deep JSON", "[" * 100_000, "recursion"),
    ("unknown", settings(hidden_sise=3), "hidden_sise"),
    ("seed 1.5", settings(seed=1.5), "seed is 1.5, expected a whole number"),
    ("seed NaN", settings(seed=float("nan")), "seed is nan"),
    ("bool", settings(hidden_size=True), "hidden_size is True"),
    ("lr", settings(lr=10**400), "lr is an int"),
    ("dtype", settings(dtype="f4,("), "dtype is|not"),
    ("dtype list", settings(dtype=["f4"]), "dtype is"),
    ("float64 claimed", settings(dtype="float64"), "its model is not the one of its settings"),
    ("lacking", settings(characters=MANY), "text has 'a' at position 0"),
    ("long", settings(**{MANY: 1}), "unexpected keyword argument .*[.]{3}$"),
    ("30000", settings(hidden_size=30_000), "parameters are [0-9]{9} numbers, expected at most"),
    ("10**18", settings(hidden_size=10**18), "hidden_size is 1000000000000000000"),
]


def cheaply_refused(path: Path, message: str) -> None:
    tracemalloc.start()
    try:
        refused(path, message)
        assert tracemalloc.get_traced_memory()[1] < 20e6
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("name", "array", "message"), [row[1:] for row in ARRAYS], ids=[row[0] for row in ARRAYS]
)
def test_another_array_is_refused(good: Path, name: str, array: Any, message: str) -> None:
    arrays = load(good)[1].state_dict() | {name: array}
    if array is None:
        del arrays[name]
    data = good.read_bytes()
    write(good, {name: settings_in(data, name) for name in ("numpy_rnn", "recall")}, arrays)
    cheaply_refused(good, message)


@pytest.mark.parametrize(
    ("text", "message"), [row[1:] for row in SETTINGS], ids=[row[0] for row in SETTINGS]
)
def test_made_up_settings_are_refused_without_using_memory(
    good: Path, text: str, message: str
) -> None:
    header, body = parts_of(good.read_bytes())
    header["__metadata__"]["recall"] = text
    good.write_bytes(file_of(header, body))
    cheaply_refused(good, message)


def test_one_changed_byte_of_a_dtype_does_not_make_numpy_read_less(good: Path) -> None:
    header, body = parts_of(good.read_bytes())
    for name in header.keys() - {"__metadata__"}:
        changed = header | {name: header[name] | {"dtype": "F16"}}
        good.write_bytes(file_of(changed, body))
        refused(good, f"{name!r} has bytes .*: F16 of")


def test_sizes_that_are_only_claimed_are_not_allocated(good: Path) -> None:
    header, _ = parts_of(good.read_bytes())
    shapes = {name: entry["shape"] for name, entry in header.items() if "shape" in entry}
    wide = {name: [30_000 if n == 3 else n for n in shape] for name, shape in shapes.items()}
    header["__metadata__"]["recall"] = settings(hidden_size=30_000)
    stop = 0
    for name, shape in wide.items():
        start, stop = stop, stop + 4 * math.prod(shape)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [start, stop]}
    good.write_bytes(file_of(header, b""))
    cheaply_refused(good, "its arrays end at byte 3[0-9]{9} of a file of")


def test_other_kinds_of_files_are_refused(good: Path, tmp_path: Path) -> None:
    bad, data = tmp_path / "bad.safetensors", good.read_bytes()
    model = load(good)[1]
    recall = settings_in(data, "recall")
    for write_bad, message in (
        (lambda: bad.write_bytes(b""), "its header claims 0 bytes of a file of 0"),
        (lambda: bad.write_bytes(b"no safetensors"), "its header claims"),
        (lambda: bad.write_bytes(data[:-10]), "its arrays end at byte"),
        (lambda: bad.write_bytes(data[:-1] + bytes([data[-1] ^ 1])), "its checksum is not that"),
        (lambda: model.save(bad), "'recall' is missing"),
        (lambda: write(bad, {"recall": recall}, {}), "'numpy_rnn' is missing"),
    ):
        write_bad()
        refused(bad, message)


def test_a_file_that_cannot_be_read_is_an_oserror(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no\.safetensors"):
        load(tmp_path / "no.safetensors")
    with pytest.raises(IsADirectoryError):
        load(tmp_path)


def unless_refused(path: Path) -> tuple[Experiment, Sequential] | None:
    """Load a file, or return None if it is refused in one line. Any other error is a failure."""
    try:
        return load(path)
    except ValueError as error:
        message = str(error)
    assert message.startswith(f"{str(path)!r} is not a saved recall: ")
    return None


def cost(work: Callable[[], T]) -> tuple[T, int, int]:
    """Return the result of a function, its number of calls and returns, and its memory in bytes.

    Neither number depends on the speed of the machine.
    """
    calls = itertools.count()
    tracemalloc.start()
    sys.setprofile(lambda *_: next(calls) and None)
    try:
        result = work()
    finally:
        sys.setprofile(None)
        memory = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return result, next(calls), memory


IN_PLACE = [flip, flip_in_header, truncate, cut_out]
REPACKED = [repacked(swap), repacked(claim_more), repacked(flip_letters_of("recall"))]


def test_mutations_are_refused_or_harmless(good: Path) -> None:
    rng = random.Random(0)  # noqa: S311 (not a secret)
    data, (experiment, model) = good.read_bytes(), load(good)
    weights = model.parameters.data.tobytes()
    refusals, most_calls, most_memory = 0, 0, 0
    for i in range(350):  # for more see tests/test_fuzzing.py
        mutate = (IN_PLACE + REPACKED)[i % 7]
        good.write_bytes(mutate(data, rng))
        loaded, calls, memory = cost(lambda: unless_refused(good))
        most_calls, most_memory = max(most_calls, calls), max(most_memory, memory)
        refusals += loaded is None
        # No change of a number passes the checksum.
        if loaded is not None and mutate in IN_PLACE:
            assert loaded[0] == experiment
            assert loaded[1].parameters.data.tobytes() == weights
    assert refusals > 175
    # A sound file takes 3,000 calls and 40 kB. A first load also compiles patterns and imports.
    assert 1000 < most_calls < 100_000
    assert 10_000 < most_memory < 1_000_000
