"""Files of arrays in the format of safetensors: beside the library, and damaged ones."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st

from numpy_rnn import safetensors as ours
from numpy_rnn.reading import DamagedFileError

WEIGHTS = "a file of weights"
DTYPES = [dtype for code, dtype in ours.DTYPES.items() if code != ours.BFLOAT16]


def write_raw(path: Path, header: Any, data: bytes = b"") -> Path:
    """A file with this header, which is JSON unless it is bytes."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return path


def entry(shape: list[Any], start: int, stop: int, dtype: Any = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, stop]}


@given(st.data())
def test_both_programs_read_what_either_wrote(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("w") / "w"
    shapes = st.lists(st.integers(0, 3), max_size=3)
    named = st.dictionaries(
        st.text(min_size=1, max_size=5), st.tuples(shapes, st.sampled_from(DTYPES))
    )
    rng = np.random.default_rng(0)
    arrays = {
        name: rng.integers(0, 2 if dtype.kind == "b" else 100, shape).astype(dtype)
        for name, (shape, dtype) in data.draw(named).items()
        if name != ours.METADATA
    }
    layout = {name: (array.shape, array.dtype) for name, array in arrays.items()}
    ours.write(path, {"about": {"size": 3}}, arrays)
    theirs = safetensors.numpy.load_file(path)
    with ours.open_safetensors(path, WEIGHTS) as file:
        again = file.read_arrays(layout)
        assert file.settings("about") == {"size": 3}
    safetensors.numpy.save_file(arrays, path, {"note": "x"})
    with ours.open_safetensors(path, WEIGHTS) as file:
        from_theirs = file.read_arrays(layout)
        assert file.metadata == {"note": "x"}
    for got in (theirs, again, from_theirs):
        assert set(got) == set(arrays)
        for name, array in arrays.items():
            assert (got[name].dtype, got[name].shape) == (array.dtype, array.shape)
            assert got[name].tobytes() == array.tobytes()


def test_the_same_arrays_are_the_same_bytes_and_each_is_aligned(tmp_path: Path) -> None:
    arrays: dict[str, Any] = {
        "a": np.ones(3, np.int8),
        "b": np.ones((2, 2)),
        "c": np.ones(3, np.float32),
    }
    for name in ("1", "2"):
        ours.write(tmp_path / name, {"about": {}}, arrays)
    data = (tmp_path / "1").read_bytes()
    assert data == (tmp_path / "2").read_bytes()
    assert int.from_bytes(data[:8], "little") % 8 == 0
    with ours.open_safetensors(tmp_path / "1", WEIGHTS) as file:
        for e in file.entries.values():
            assert e.start % ours.DTYPES[e.code].itemsize == 0


def test_half_precision_is_read(tmp_path: Path) -> None:
    bfloat = np.array([1.5, -0.25, 3e38, np.inf], np.float32)
    halves = (bfloat.view(np.uint32) >> 16).astype("<u2")
    header = {"b": entry([4], 0, 8, "BF16"), "h": entry([1], 8, 10, "F16")}
    path = write_raw(tmp_path / "w", header, halves.tobytes() + np.float16(0.1).tobytes())
    with ours.open_safetensors(path, WEIGHTS) as file:
        np.testing.assert_array_equal(file.read("b"), (halves.astype("u4") << 16).view("<f4"))
        assert file.read("h") == np.float16(0.1)


@pytest.mark.parametrize("array", [np.ones(2, complex), np.array("text"), np.array([None])])
def test_a_dtype_without_a_code_is_refused(tmp_path: Path, array: Any) -> None:
    with pytest.raises(TypeError, match=r"array 'a' is .*, expected one of"):
        ours.write(tmp_path / "w", {"about": {}}, {"a": array})
    assert not list(tmp_path.iterdir())


OK = entry([1], 0, 4)


@pytest.mark.parametrize(
    ("header", "data", "message"),
    [
        (b"[]", b"", "not a JSON object"),
        (b"{" + b'"a":{' * 5000, b"", "recursion|Expecting"),
        (b'{"a":' + b"[" * 100_000, b"", "recursion|Expecting"),
        (b"{\xff}", b"", "decode"),
        (b'{"a":1,"a":2}', b"", "two entries of one name"),
        (b"{" + b"," * 500_000, b"", "500001 values of JSON in 500009 bytes, expected fewer"),
        (b"{" + b'"dtype"' * 50_001, b"", "at most 50000 arrays"),
        ({"a": entry([1], 0, 4)}, b"12345", "end at byte .* of a file of"),
        ({"a": entry([1], 0, 4)}, b"123", "end at byte .* of a file of"),
        ({"a": entry([1], 1, 5)}, b"12345", "begins at byte 1, expected 0"),
        ({"a": OK, "b": entry([1], 8, 12)}, b"1" * 12, "'b' begins at byte 8, expected 4"),
        ({"a": OK, "b": entry([1], 0, 4)}, b"1234", "'b' begins at byte 0, expected 4"),
        ({"a": entry([2], 0, 4)}, b"1234", "expected 8: F32"),
        ({"a": entry([1 << 62, 1 << 62], 0, 4)}, b"1234", "expected"),
        ({"a": entry([0, 1 << 63], 0, 0)}, b"", "expected whole numbers"),
        ({"a": entry([-1], 0, 4)}, b"1234", "expected whole numbers"),
        ({"a": entry([True], 0, 4)}, b"1234", "expected whole numbers"),
        ({"a": entry([1.0], 0, 4)}, b"1234", "expected whole numbers"),
        ({"a": entry([1] * 33, 0, 4)}, b"1234", "at most 32"),
        ({"a": entry([1], 4, 0)}, b"1234", "expected 4"),
        ({"a": entry([1], 0, 4, "F8_E4M3")}, b"1234", "has dtype 'F8_E4M3', expected one of"),
        ({"a": entry([1], 0, 4, ["F32"])}, b"1234", "has dtype"),
        ({"a": OK | {"more": 1}}, b"1234", "not described by"),
        ({"a": 3}, b"", "not described by"),
        ({"__metadata__": {"n": 3}}, b"", "not an object of texts"),
        ({"__metadata__": []}, b"", "not an object of texts"),
    ],
)
def test_a_damaged_file_is_one_error(
    tmp_path: Path, header: Any, data: bytes, message: str
) -> None:
    path = write_raw(tmp_path / "w", header, data)
    with (
        pytest.raises(DamagedFileError, match=message) as raised,
        ours.open_safetensors(path, WEIGHTS),
    ):
        pass
    assert str(raised.value).startswith(f"{str(path)!r} is not a file of weights: ")
    assert len(str(raised.value)) < 500


@pytest.mark.parametrize("length", [100_000_001, 1 << 63, 20])
def test_a_header_longer_than_the_file_is_not_read(tmp_path: Path, length: int) -> None:
    (tmp_path / "w").write_bytes(struct.pack("<Q", length) + b"{}")
    with (
        pytest.raises(DamagedFileError, match=f"claims {length} bytes of a file of 10"),
        ours.open_safetensors(tmp_path / "w", WEIGHTS),
    ):
        pass


def test_a_layout_that_differs_is_named(tmp_path: Path) -> None:
    ours.write(tmp_path / "w", {"about": {}}, {"a": np.ones(2), "b": np.array([np.nan])})
    float64 = np.dtype("float64")
    with (
        pytest.raises(
            DamagedFileError, match=r"'c' is missing; 'b' is unexpected; 'a' is float64 of shape"
        ),
        ours.open_safetensors(tmp_path / "w", WEIGHTS) as file,
    ):
        file.read_arrays({"a": ((3,), float64), "c": ((1,), float64)})
    with (
        pytest.raises(DamagedFileError, match="'b' has numbers that are not finite"),
        ours.open_safetensors(tmp_path / "w", WEIGHTS) as file,
    ):
        file.read_arrays({"a": ((2,), float64), "b": ((1,), float64)})
