"""Damaged and made-up files: ``load`` raises one line that names the file, or loads it exactly."""

from __future__ import annotations

import io
import itertools
import json
import random
import re
import struct
import sys
import tracemalloc
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest

from benchmarks.damage import (
    cut_out,
    flip,
    flip_in_directory,
    flip_in_header,
    flip_letters_of,
    repacked,
    swap,
    truncate,
)
from numpy_rnn.apps.recall import Experiment, load, parameter_shapes, run, save
from numpy_rnn.layers import Sequential

T = TypeVar("T")
SMALL = Experiment(text="abc", characters="abc<>", hidden_size=3, epochs=1)


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "good.npz"
    save(path, run(SMALL))
    return path


def entries(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def pack(path: Path, members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> None:
    """Write a valid zip, with the right checksums, that contains these bytes."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data)


def npy(array: object) -> bytes:
    file = io.BytesIO()
    np.save(file, np.asarray(array))
    return file.getvalue()


def settings(**changed: object) -> bytes:
    return npy(json.dumps({"text": "abc", "characters": "abc<>", "hidden_size": 3} | changed))


def refused(path: Path, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        load(path)
    assert str(caught.value).startswith(f"{str(path)!r} is not a saved recall: ")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


def test_one_changed_byte_in_a_header_does_not_make_numpy_read_less(good: Path) -> None:
    data = good.read_bytes()
    places = [match.start() for match in re.finditer(b"<f4", data)]
    assert len(places) == 6
    for place in places:
        good.write_bytes(data[:place] + b"<f2" + data[place + 3 :])
        refused(good, "bytes, not float16 of")


MANY = "".join(map(chr, range(0x4E00, 0x9000)))
MADE_UP: list[tuple[str, dict[str, bytes], str]] = [
    ("float16", {"i2o.bias": npy(np.zeros(5, np.float16))}, "'i2o.bias' is float16 of shape"),
    ("float64", {"rnn.bias_hh_l0": npy(np.zeros(3))}, "is float64 of shape"),
    ("integers", {"i2o.bias": npy(np.zeros(5, np.int32))}, "is int32 of shape"),
    ("shape", {"i2o.weight": npy(np.zeros((3, 5), np.float32))}, "expected float32 of"),
    ("nan", {"i2o.bias": npy(np.full(5, np.nan, np.float32))}, "'i2o.bias' has numbers that"),
    ("no npy", {"i2o.bias": b"x" * 148}, "magic string"),
    ("unexpected", {"more": npy(np.zeros(1))}, "'more' is unexpected"),
    ("too long", {"i2o.bias": npy(np.zeros(5, np.float32)) + b"more"}, "has 24 bytes, not"),
    ("no settings", {"experiment": b""}, "magic string"),
    ("settings of bytes", {"experiment": npy(b"{}")}, r"'experiment' is \|S2 of \(\), not a text"),
    ("pickle", {"experiment": npy(np.zeros(1)).replace(b"<f8", b"|O ")}, "not"),
    ("no JSON", {"experiment": npy("{")}, "Expecting property name"),
    ("no object", {"experiment": npy("[]")}, "'experiment' is not a JSON object"),
    ("deep JSON", {"experiment": npy("[" * 100_000)}, "recursion"),
    ("unknown", {"experiment": settings(hidden_sise=3)}, "hidden_sise"),
    ("seed 1.5", {"experiment": settings(seed=1.5)}, "seed is 1.5, expected a whole number"),
    ("seed NaN", {"experiment": settings(seed=float("nan"))}, "seed is nan"),
    ("bool", {"experiment": settings(hidden_size=True)}, "hidden_size is True"),
    ("lr", {"experiment": settings(lr=10**400)}, "lr is inf"),
    ("dtype", {"experiment": settings(dtype="f4,(")}, "dtype is|not"),
    ("dtype list", {"experiment": settings(dtype=["f4"])}, "dtype is"),
    ("float64 claimed", {"experiment": settings(dtype="float64")}, "expected float64"),
    ("lacking", {"experiment": settings(characters=MANY)}, "text has 'a' at position 0"),
    ("long", {"experiment": settings(**{MANY: 1})}, "unexpected keyword argument .*[.]{3}$"),
    ("30000", {"experiment": settings(hidden_size=30_000)}, "expected float32 of shape"),
    ("10**18", {"experiment": settings(hidden_size=10**18)}, "hidden_size is 1000000000000000000"),
]


@pytest.mark.parametrize(
    ("members", "message"), [row[1:] for row in MADE_UP], ids=[row[0] for row in MADE_UP]
)
def test_a_made_up_file_is_refused_without_using_memory(
    good: Path, members: dict[str, bytes], message: str
) -> None:
    pack(good, entries(good) | {f"{name}.npy": data for name, data in members.items()})
    tracemalloc.start()
    try:
        refused(good, message)
        assert tracemalloc.get_traced_memory()[1] < 20e6
    finally:
        tracemalloc.stop()


def test_sizes_that_are_only_claimed_are_not_allocated(good: Path) -> None:
    wide = parameter_shapes(replace(SMALL, hidden_size=30_000))
    assert wide["rnn.weight_hh_l0"] == (30_000, 30_000)
    wide["rnn.weight_hh_l0"] = (3, 3)  # the only array that is smaller than the settings claim
    arrays = {f"{name}.npy": npy(np.zeros(shape, "f4")) for name, shape in wide.items()}
    pack(good, arrays | {"experiment.npy": settings(hidden_size=30_000)})
    data = bytearray(good.read_bytes())
    name = b"rnn.weight_hh_l0.npy"
    central = data.rindex(name) - 46  # header in the zip's directory; the sizes are at 20 and 24
    assert data[central : central + 4] == b"PK\1\2"
    struct.pack_into("<II", data, central + 20, 3_600_000_128, 3_600_000_128)
    good.write_bytes(data)
    tracemalloc.start()
    try:
        refused(good, "'rnn.weight_hh_l0.npy' claims 3600000128 bytes of a file of")
        assert tracemalloc.get_traced_memory()[1] < 20e6
    finally:
        tracemalloc.stop()


def test_a_claimed_size_beyond_the_file_is_not_read(good: Path) -> None:
    data = bytearray(good.read_bytes())
    central = data.rindex(b"experiment.npy") - 46
    struct.pack_into("<II", data, central + 20, 4_000_000_000, 4_000_000_000)
    good.write_bytes(data)
    refused(good, "claims 4000000000 bytes of a file of")


def test_other_kinds_of_files_are_refused(good: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.npz"
    members = entries(good)
    without = {name: data for name, data in members.items() if name != "i2o.bias.npy"}
    for write, message in (
        (lambda: bad.write_bytes(b""), "not a zip file"),
        (lambda: bad.write_bytes(b"no zip"), "not a zip file"),
        (lambda: bad.write_bytes(good.read_bytes()[:1000]), "not a zip file"),
        (lambda: np.savez(bad, a=np.zeros(3)), "'experiment' is missing"),
        (lambda: np.savez(bad, experiment=np.array("{}")), "'rnn.weight_ih_l0' is missing"),
        (lambda: pack(bad, without), "'i2o.bias' is missing"),
        (lambda: pack(bad, members, zipfile.ZIP_DEFLATED), "is compressed"),
        (lambda: pack(bad, members, zipfile.ZIP_LZMA), "is compressed"),
        (lambda: pack(bad, {"experiment": members["experiment.npy"]} | members), "of one name"),
    ):
        write()
        refused(bad, message)


def test_an_encrypted_entry_is_refused(good: Path) -> None:
    data = bytearray(good.read_bytes())
    name = b"experiment.npy"
    data[data.index(name) - 30 + 6] |= 1  # the flag in the header of the entry ...
    data[data.rindex(name) - 46 + 8] |= 1  # ... and in the header in the directory
    good.write_bytes(data)
    refused(good, "encrypted")


def test_the_other_byte_order_gives_the_same_numbers(good: Path) -> None:
    _, model = load(good)
    with np.load(good) as file:
        swapped = {
            f"{name}.npy": npy(file[name].astype(file[name].dtype.newbyteorder("S")))
            for name in file.files
        }
    pack(good, swapped)
    assert load(good)[1].parameters.data.tobytes() == model.parameters.data.tobytes()


def test_a_file_that_cannot_be_read_is_an_oserror(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no\.npz"):
        load(tmp_path / "no.npz")
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


IN_PLACE = [flip, flip_in_directory, truncate, cut_out]
REPACKED = [repacked(swap), repacked(flip_in_header), repacked(flip_letters_of("experiment.npy"))]


@pytest.mark.filterwarnings("default")  # NumPy warns of odd headers; a user may see that too
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
