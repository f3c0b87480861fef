"""HDF5 files that are damaged or hostile: nothing outside is read, and no memory is taken."""

from __future__ import annotations

import struct
import sys
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from numpy_rnn import LSTM, Sequential
from numpy_rnn.interchange import UnsupportedError, load, read, save
from numpy_rnn.reading import DamagedFileError
from tests.interchange.keras.files import (
    legacy,
    lstm_and_dense,
    seeds,
)


def soft_link(group: Any) -> None:
    group.file["copy"] = np.zeros((3, 2))
    group["kernel:0"] = h5py.SoftLink("/copy")


def external_link(group: Any) -> None:
    group["kernel:0"] = h5py.ExternalLink("/etc/passwd", "/")


def external_storage(group: Any) -> None:
    group.create_dataset("kernel:0", (3, 2), "f8", external=[("/etc/passwd", 0, 48)])


def virtual(group: Any) -> None:
    layout = h5py.VirtualLayout((3, 2), "f8")
    layout[:] = h5py.VirtualSource("/etc/passwd", "x", (3, 2))
    group.create_virtual_dataset("kernel:0", layout)


def huge(group: Any) -> None:
    group.create_dataset("kernel:0", (1 << 40, 2), "f4")  # without numbers in the file


def huge_chunks(group: Any) -> None:
    group.create_dataset("kernel:0", (3, 2), "f8", chunks=(1 << 16, 1 << 10), maxshape=(None, None))


def compressed(group: Any) -> None:
    group.create_dataset("kernel:0", data=np.zeros((3, 2)), compression="gzip")


def texts(group: Any) -> None:
    group.create_dataset("kernel:0", data=np.array(["a", "b"], object), dtype=h5py.string_dtype())


def integers(group: Any) -> None:
    group["kernel:0"] = np.ones((3, 2), int)


def a_group(group: Any) -> None:
    group.create_group("kernel:0")


def a_cycle(group: Any) -> None:
    group["kernel:0"] = group.file["/"]


HOSTILE = [soft_link, external_link, external_storage, virtual, huge, huge_chunks, compressed]
HOSTILE += [texts, integers, a_group, a_cycle]


@pytest.mark.parametrize("change", HOSTILE)
def test_what_leads_elsewhere_or_takes_memory_is_refused(change: Any, tmp_path: Path) -> None:
    (tmp_path / "m.h5").write_bytes(legacy(lstm_and_dense(), "2.4.0"))
    with h5py.File(tmp_path / "m.h5", "a") as file:
        group = file["model_weights/dense/dense"]
        del group["kernel:0"]
        change(group)
    with pytest.raises((DamagedFileError, UnsupportedError), match=r"m\.h5"):
        load(tmp_path / "m.h5")


def test_a_damaged_zip(tmp_path: Path) -> None:
    path = tmp_path / "m.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", "[" * 100_000)
        archive.writestr("metadata.json", "{}")
        archive.writestr("model.weights.h5", bytes(1 << 27))
    with pytest.raises(DamagedFileError, match="entries claim 134317730 bytes"):
        load(path)


def test_attributes_are_texts(tmp_path: Path) -> None:
    (tmp_path / "m.h5").write_bytes(seeds()[0])
    with h5py.File(tmp_path / "m.h5", "a") as file:
        file["model_weights"].attrs["keras_version"] = 2
    with pytest.raises(DamagedFileError, match="'keras_version' is not text"):
        read(tmp_path / "m.h5")


@pytest.mark.parametrize(("number", "size"), [(0, 0), (0, 8), (1, 1 << 40), (1, (1 << 64) - 16)])
def test_a_heap_of_texts_in_which_hdf5_would_search_for_ever(
    number: int, size: int, tmp_path: Path
) -> None:
    data = bytearray(seeds()[0])
    struct.pack_into("<H6xQ", data, data.index(b"GCOL") + 16, number, size)
    (tmp_path / "m.h5").write_bytes(data)
    with pytest.raises(DamagedFileError, match=f"a part of the heap at .* claims {size} bytes"):
        load(tmp_path / "m.h5")


@pytest.mark.parametrize("end", [b"\0", b"\x10"])  # of the attribute's name
def test_a_text_takes_no_more_memory_than_the_file_has(end: bytes, tmp_path: Path) -> None:
    save(Sequential(LSTM(2, 3, batch_first=True, rng=0)), tmp_path / "m.h5")
    data = bytearray((tmp_path / "m.h5").read_bytes())
    at = data.index(b"layer_names\0")
    data[at + 11 : at + 12] = end
    assert struct.unpack_from("<I", data, at + 64) == (len("lstm"),)  # after a type and a shape
    struct.pack_into("<I", data, at + 64, 1 << 30)
    (tmp_path / "m.h5").write_bytes(data)
    with pytest.raises(DamagedFileError, match="the texts of 'layer_names' claim more than the"):
        read(tmp_path / "m.h5")


def test_a_heap_of_texts_is_inside_the_file(tmp_path: Path) -> None:
    data = bytearray(seeds()[0])
    struct.pack_into("<Q", data, data.index(b"GCOL") + 8, 1 << 30)
    (tmp_path / "m.h5").write_bytes(data)
    with pytest.raises(DamagedFileError, match=r"heap at .* claims more than the file holds"):
        read(tmp_path / "m.h5")


@pytest.mark.parametrize("suffix", [".h5", ".keras"])
def test_without_h5py_the_extra_is_named_and_not_the_file(
    suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(Sequential(LSTM(2, 3, batch_first=True, rng=0)), tmp_path / f"m{suffix}")
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(ImportError, match="need h5py, the extra keras: pip install h5py"):
        load(tmp_path / f"m{suffix}")
