"""PyTorch's files (.pt, .pth) without PyTorch: read in all three layouts, write in the newest.

Since 1.6 a file is a zip of a pickle and one entry for each storage, the memory of tensors. Before
that it is five pickles and the storages one after another, and before 0.1.10 a tar.

Source: ``torch/serialization.py`` and ``torch/_utils.py`` of PyTorch 2.13.
"""

from __future__ import annotations

import math
import pickle
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache, partial
from io import BytesIO
from tarfile import TarFile
from typing import Any, BinaryIO
from zipfile import ZIP_STORED, ZipFile, ZipInfo

import numpy as np

from numpy_rnn.functional.types import Array
from numpy_rnn.interchange.contents import UnsupportedError, first_ones, open_zip
from numpy_rnn.interchange.torch.numbers import dequantise
from numpy_rnn.interchange.torch.packed import Packed
from numpy_rnn.interchange.torch.script import add_options
from numpy_rnn.interchange.torch.unpickle import Global, Machine
from numpy_rnn.safetensors import bfloat16_to_float32

MAGIC_PICKLE = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # the first of the files before 1.6
MAX_REPEATED = 1 << 12  # numbers of a tensor that has the same ones several times
BFLOAT16 = np.dtype("V2")  # only as a name for it
KINDS = """float64 Double f8, float32 Float f4, float16 Half f2, bfloat16 BFloat16 V2,
    int64 Long i8, int32 Int qint32 QInt32 i4, int16 Short i2, int8 Char qint8 QInt8 i1,
    uint8 Byte quint8 QUInt8 Untyped u1, bool Bool ?"""
DTYPES: dict[str, np.dtype[Any]] = {  # by PyTorch's names of dtypes and of typed storages
    name: np.dtype(code) for *names, code in map(str.split, KINDS.split(",")) for name in names
}


@dataclass(eq=False)
class Storage:
    """A block of memory of the file, read when it is needed."""

    dtype: np.dtype[Any]
    read: Callable[[], bytes]
    big_endian: bool = False
    start: int = 0  # of a view, in numbers
    size: int | None = None  # of a view; None for all numbers there are

    def numbers(self, dtype: np.dtype[Any]) -> Array:
        """Return the numbers as an array of one axis."""
        stored = np.dtype("u2") if dtype == BFLOAT16 else dtype
        numbers = np.frombuffer(self.read(), stored.newbyteorder(">" if self.big_endian else "<"))
        numbers = numbers[self.start :][: self.size].astype(stored, copy=False)
        return bfloat16_to_float32(numbers) if dtype == BFLOAT16 else numbers


@dataclass(eq=False)
class Tensor:
    """A tensor: a view of a storage, and for a quantised one its scales."""

    storage: Storage
    offset: Any
    shape: tuple[Any, ...]
    strides: tuple[Any, ...]
    dtype: np.dtype[Any]
    scale: tuple[Any, ...] = ()  # scale, zero point and axis

    @property
    def place(self) -> tuple[Any, ...]:
        """Where the numbers are: equal for tied weights."""
        return id(self.storage), self.offset, self.shape, self.strides

    @property
    def stored(self) -> str:
        """As what the numbers are in the file, if not as they are read."""
        return "bfloat16" if self.dtype == BFLOAT16 else "quantised" if self.scale else ""

    def array(self) -> Array:
        """Return a new array. A ValueError says that it is not inside its storage."""
        sizes = (self.offset, *self.shape, *self.strides)
        if not all(type(n) is int and 0 <= n < 1 << 40 for n in sizes) or len(self.shape) > 32:
            raise ValueError(f"it has a tensor of shape {self.shape}, strides {self.strides}")
        numbers = self.storage.numbers(self.dtype)[self.offset :]
        # A copy may have more numbers than the file, if an axis repeats the same ones.
        if math.prod(self.shape) > max(MAX_REPEATED, len(numbers)):
            raise ValueError(f"it has a tensor of shape {self.shape} beyond its storage")
        strides = [s * numbers.itemsize for s in self.strides]
        # NumPy refuses a view that leaves the numbers.
        array = np.ndarray(self.shape, numbers.dtype, numbers.data, 0, strides).copy()
        if not self.scale:
            return array
        parts = (p.array() if isinstance(p, Tensor) else p for p in self.scale)
        return dequantise(array, *parts)


def _dtype(name: object) -> np.dtype[Any]:
    text = name.name if isinstance(name, Global) else str(name)
    short = text.rpartition(".")[2].removesuffix("Storage").removesuffix("Tensor")
    if short not in DTYPES:
        raise UnsupportedError(f"it has a tensor of {text}, expected real numbers")
    return DTYPES[short]


def _tensor(storage: Any, offset: Any, shape: Any, strides: Any, *rest: Any, **how: Any) -> Tensor:
    if any(rest[2:] or ()):  # flags of how the numbers are meant
        raise UnsupportedError(f"it has a tensor with {rest[2]}, expected that of resolve_neg()")
    dtype = how.pop("dtype", storage.dtype)
    return Tensor(storage, offset, tuple(shape), tuple(strides), dtype, **how)


def _first(value: Any, *_: Any) -> Any:
    return value


TABLE: dict[str, Callable[..., Any]] = {
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_tensor_v3": lambda *a: _tensor(*a[:6], *a[7:], dtype=_dtype(a[6])),
    # Scale, zero point, and the axis if there is one scale a row.
    "torch._utils._rebuild_qtensor": lambda *a: _tensor(*a[:4], scale=(*a[4][1:], 0)[:3]),
    "torch._utils._rebuild_parameter": _first,
    "torch._utils._rebuild_parameter_with_state": _first,
    "torch.nn.parameter.Parameter": _first,
    "torch._tensor._rebuild_from_type_v2": lambda function, _, given, *__: TABLE[function.name](
        *given
    ),
    "torch.ScriptObject": lambda: Packed("torch.ScriptObject"),
    "torch.Size": tuple,
    "torch.device": lambda *parts: ":".join(map(str, parts)),
    "torch.storage._load_from_bytes": lambda data: read_tree(data, nested=True),
    **{f"torch.jit._pickle.build_{t}list": list for t in ("int", "tensor", "double", "bool")},
    "torch.jit._pickle.restore_type_tag": _first,
}


def read_tree(data: bytes, *, nested: bool = False) -> Any:
    """Return what was saved, as plain values, :class:`Tensor` and ``Instance``."""
    table = {name: f for name, f in TABLE.items() if not nested or "load" not in name}
    if data.startswith(b"PK"):
        return _read_zip(data, table)
    if data.startswith(MAGIC_PICKLE):
        return _read_sequence(BytesIO(data), table)
    if data[257:262] == b"ustar":
        return _read_tar(data, table)
    return Machine(data, table).run()


def _read_zip(data: bytes, table: Mapping[str, Callable[..., Any]]) -> Any:
    archive = open_zip(data)
    names = archive.namelist()
    folder = next(name for name in names if name.endswith("/data.pkl")).removesuffix("data.pkl")
    order = f"{folder}byteorder"
    big_endian = order in names and archive.read(order) == b"big"
    storages: dict[str, Storage] = {}

    def persistent(reference: Any) -> Storage:
        _, kind, key, *_ = reference
        if key not in storages:
            block = cache(partial(archive.read, f"{folder}data/{key}"))
            storages[key] = Storage(_dtype(kind), block, big_endian)
        return storages[key]

    tree = Machine(archive.read(f"{folder}data.pkl"), table, persistent).run()
    code = {name.removeprefix(folder): name for name in names if name.endswith(".py")}
    if code:
        add_options(tree, lambda n: archive.read(code[n]).decode() if n in code else "")
    return tree


def _read_sequence(file: BytesIO, table: Mapping[str, Callable[..., Any]]) -> Any:
    storages: dict[Any, Storage] = {}
    kinds: dict[Any, np.dtype[Any]] = {}
    blocks: dict[Any, bytes] = {}
    values: list[Any] = []

    def persistent(reference: Any) -> Any:
        what, kind, key, *more = reference
        if what == "module":
            return kind
        view = more[2] if len(more) > 2 else None
        name, start, size = view if view is not None else (key, 0, None)
        if name not in storages:
            kinds[key] = _dtype(kind)
            big_endian = not values[2].get("little_endian", True)
            block = partial(blocks.__getitem__, key)
            storages[name] = Storage(kinds[key], block, big_endian, start, size)
        return storages[name]

    for _ in range(5):  # magic number, version, about the machine, what was saved, keys
        values.append(Machine(file, table, persistent).run())  # noqa: PERF401 (the last needs them)
    blocks |= {key: _block(file, kinds[key]) for key in values[4]}
    return values[3]


def _block(file: BytesIO, dtype: np.dtype[Any]) -> bytes:
    (count,) = struct.unpack("<q", file.read(8))
    data = file.read(max(0, count) * dtype.itemsize)
    if len(data) != count * dtype.itemsize:
        raise ValueError(f"it has a storage of {count} numbers beyond its end")
    return data


def _read_tar(data: bytes, table: Mapping[str, Callable[..., Any]]) -> Any:
    parts, known = dict[str, BytesIO](), dict[Any, Any]()
    with TarFile(fileobj=BytesIO(data)) as archive:
        for member in archive:
            content = archive.extractfile(member) if member.isreg() else None
            if member.name in ("storages", "tensors", "pickle") and content is not None:
                parts[member.name] = BytesIO(content.read(len(data)))
        if len(parts) < 3:
            held = first_ones(archive.getnames())
            raise ValueError(f"it is an archive that PyTorch did not write: unpack it: {held}")
    storages, tensors = parts["storages"], parts["tensors"]
    for _ in range(Machine(storages, table).run()):
        key, _, kind = Machine(storages, table).run()
        known[key] = Storage(_dtype(kind), partial(_first, _block(storages, _dtype(kind))))
    for key, root, start, size in Machine(storages, table).run():
        known[key] = replace(known[root], start=start, size=size)
    for _ in range(Machine(tensors, table).run()):
        key, storage, _ = Machine(tensors, table).run()
        (axes,) = struct.unpack("<i4x", tensors.read(8))
        numbers = struct.unpack(f"<{2 * axes + 1}q", tensors.read(16 * axes + 8))
        shape, strides = numbers[:axes], numbers[axes:-1]
        known[key] = Tensor(known[storage], numbers[-1], shape, strides, known[storage].dtype)

    def persistent(reference: Any) -> Any:
        return reference[0] if isinstance(reference, tuple) else known[int(reference)]

    return Machine(parts["pickle"], table, persistent).run()


def write(file: BinaryIO, arrays: Mapping[str, Array]) -> None:
    """Write a state_dict, which ``torch.load(path, weights_only=True)`` reads."""
    # Tied weights are one storage.
    keys = {array.ctypes.data: str(n) for n, array in reversed(list(enumerate(arrays.values())))}
    content: dict[str, Any] = {"data.pkl": _pickled(arrays, keys), "byteorder": b"little"}
    for array in arrays.values():
        stored = array.astype(array.dtype.newbyteorder("<"))
        content[f"data/{keys[array.ctypes.data]}"] = stored.tobytes()
    with ZipFile(file, "w", ZIP_STORED) as archive:
        for name, data in (content | {"version": b"3\n"}).items():
            archive.writestr(ZipInfo(f"archive/{name}"), data)  # of 1980, so always the same


def _pickled(arrays: Mapping[str, Array], keys: Mapping[int, str]) -> bytes:
    """Return the pickle of tensors, whose classes Python's pickler would import."""
    ordered_dict = b"ccollections\nOrderedDict\n)R"

    def plain(value: Any) -> bytes:
        return pickle.dumps(value, 2)[2:-1]  # without its beginning and its end

    parts = [b"\x80\x02", ordered_dict, b"("]
    for name, array in arrays.items():
        kind = b"DoubleStorage" if array.dtype == np.float64 else b"FloatStorage"
        strides = tuple(s // array.itemsize for s in array.strides)
        parts += [plain(name), b"ctorch._utils\n_rebuild_tensor_v2\n((", plain("storage")]
        parts += [b"ctorch\n", kind, b"\n", plain(keys[array.ctypes.data]), plain("cpu")]
        parts += [plain(array.size), b"tQ", plain(0), plain(array.shape), plain(strides)]
        parts += [plain(False), ordered_dict, b"tR"]
    return b"".join([*parts, b"u."])
