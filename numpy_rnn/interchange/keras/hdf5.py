"""Read the arrays of an HDF5 file of a stranger, with the extra `keras` (h5py).

Whatever leads out of the file or is not plain numbers is refused: soft and external links,
external storage, virtual datasets, objects and filters, so compressed arrays too. All arrays
together take at most four times the file's size and 64 MB.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Any

import numpy as np

from numpy_rnn.functional.types import Array
from numpy_rnn.interchange.contents import SPARE, UnsupportedError

SIGNATURE = b"\x89HDF\r\n\x1a\n"
BESIDE = re.compile("seed_generator|^optimizer/")  # states of other things than layers
MAX_OBJECTS = 10_000  # groups, arrays and parts of heaps
VLEN = 9  # HDF5's number of the class of types of variable length


class File:
    """An open HDF5 file. :func:`open_hdf5` returns it."""

    def __init__(self, root: Any, data: bytes) -> None:
        self._h5 = import_h5py()
        self._root, self._data, self._size = root, data, len(data)
        self._left, self._objects = 4 * len(data) + SPARE, MAX_OBJECTS
        self._heaps = {0}  # addresses of those that are right; a text at 0 has none

    def arrays(self, prefix: str) -> dict[str, Array]:
        """Return the arrays below a group by their paths, without those of :data:`BESIDE`."""
        found: dict[str, Array] = {}
        seen: set[int] = set()
        group = self._group(prefix)
        stack = [] if group is None else [("", group)]
        while stack:
            path, group = stack.pop()
            for name in group:
                item, where = self._item(group, name), f"{path}{name}"
                address = self._h5.h5o.get_info(item.id).addr
                if address in seen:
                    raise ValueError(f"{where!r} is a second name of what was read, expected one")
                seen.add(address)
                self._count()
                if isinstance(item, self._h5.Group):
                    stack.append((f"{where}/", item))
                elif not BESIDE.search(where):
                    found[where] = self._read(where, item)
        return found

    def texts(self, prefix: str, name: str) -> list[str] | None:
        """Return an attribute of a group as texts; None if it is missing.

        Long lists are in several attributes, as Keras has it: ``name0``, ``name1`` and so on.
        """
        group = self._group(prefix)
        if group is None or not (name in group.attrs or f"{name}0" in group.attrs):
            return None
        numbered = [f"{name}{i}" for i in range(len(group.attrs))]
        texts: list[str] = []
        for part in [name] if name in group.attrs else [n for n in numbered if n in group.attrs]:
            about = group.attrs.get_id(part)
            count = math.prod(about.shape)
            if count == 0:  # Keras writes an empty list as numbers
                continue
            is_text = about.get_type().get_class() == self._h5.h5t.STRING
            if not is_text or len(about.shape) > 1:  # HDF5 may crash on other types
                raise ValueError(f"the attribute {part!r} is not text")
            if count * max(about.dtype.itemsize, 1) > self._size:
                raise ValueError(f"the attribute {part!r} claims more than the file holds")
            if about.dtype.kind == "O":
                self._check_lengths(part)
            values = np.ravel(np.asarray(group.attrs[part], object))
            texts += [v.decode() if isinstance(v, bytes) else str(v) for v in values]
        return texts

    def _check_lengths(self, name: str) -> None:
        """Raise ValueError if a text claims more than the file holds: HDF5 would take the memory.

        An attribute's message has a name, a type, a shape and, for each text, its length and the
        address of its heap. Those of all attributes of this name are checked.
        """
        if self._root.id.get_create_plist().get_sizes() != (8, 8):
            raise ValueError("its addresses are not of eight bytes")
        data, at = self._data, -1
        while (at := data.find(name.encode(), at + 1)) >= 0:  # HDF5 takes any byte as its end
            padded = data[at - 8] == 1  # version 1; version 3 has one byte more before the name
            header = at - 8 if padded or data[at - 8] == 2 else at - 9
            sizes = struct.unpack_from("<HHH", data, header + 2)
            name_size, type_size, space_size = (n + (-n % 8 if padded else 0) for n in sizes)
            space = at + name_size + type_size
            kind, version, axes = data[at + name_size] & 15, data[space], data[space + 1]
            if kind != VLEN or version not in (1, 2) or axes > 1:
                continue
            dims = space + (8 if version == 1 else 4)
            count = struct.unpack_from("<Q", data, dims)[0] if axes else 1
            claims = range(space + space_size, min(space + space_size + 16 * count, len(data)), 16)
            for length, heap in (struct.unpack_from("<IQ", data, i) for i in claims):
                if length > self._size:
                    raise ValueError(f"the texts of {name!r} claim more than the file holds")
                self._check_heap(heap)

    def _check_heap(self, start: int) -> None:
        """Raise ValueError unless each part of a heap ends in it: HDF5 would search for ever."""
        if start in self._heaps:
            return
        self._heaps.add(start)
        at, stop = start + 16, start + struct.unpack_from("<8xQ", self._data, start)[0]
        if stop > self._size:
            raise ValueError(f"the heap at {start} claims more than the file holds")
        while at + 16 <= stop:
            number, size = struct.unpack_from("<H6xQ", self._data, at)
            step = 16 + size + -size % 8 if number else size  # number 0: the rest is free
            if not 16 <= step <= stop - at:
                raise ValueError(f"a part of the heap at {start} claims {size} bytes")
            self._count()
            at += step

    def _group(self, prefix: str) -> Any:
        group = self._root
        for name in prefix.split("/") if prefix else ():
            if name not in group:
                return None
            group = self._item(group, name)
        return group

    def _item(self, group: Any, name: str) -> Any:
        if not isinstance(group.get(name, getlink=True), self._h5.HardLink):
            raise ValueError(f"{name!r} is a link to elsewhere, expected data")  # noqa: TRY004
        return group[name]

    def _count(self) -> None:
        self._objects -= 1
        if self._objects < 0:
            raise ValueError(f"it has more than {MAX_OBJECTS} objects")

    def _read(self, where: str, data: Any) -> Array:
        """Return an array, once it is known to be plain and not too large."""
        # The counter of a Normalization is the one integer among Keras's weights.
        kinds = "fiu" if where.endswith(("/count", "/vars/2")) else "f"
        if not isinstance(data, self._h5.Dataset) or data.shape is None:
            raise ValueError(f"{where!r} is not an array of numbers")
        if data.dtype.kind not in kinds:
            what = f"{where!r} is of dtype {data.dtype}, expected floating-point numbers"
            raise UnsupportedError(f"{what}, as before quantize()")
        plist = data.id.get_create_plist()
        if data.is_virtual or plist.get_external_count() or plist.get_nfilters():
            raise ValueError(f"{where!r} is not stored in this file as plain numbers")
        size = math.prod(data.shape) * data.dtype.itemsize
        chunk = math.prod(data.chunks or ()) * data.dtype.itemsize
        if max(size, chunk) > self._left or data.id.get_storage_size() < size:
            raise ValueError(f"{where!r} claims {size} bytes, too many for a file of {self._size}")
        self._left -= size
        return np.array(data[()], np.float64 if data.dtype.itemsize > 4 else np.float32)


@contextmanager
def open_hdf5(data: bytes) -> Iterator[File]:
    """Open the bytes of an HDF5 file. Any exception says what is wrong with them."""
    with import_h5py().File(BytesIO(data), "r") as root:
        yield File(root, data)


def import_h5py() -> Any:
    """Return the module h5py."""
    try:
        import h5py  # noqa: PLC0415 (optional, as progress is)
    except ImportError:
        raise ImportError("Keras files need h5py, the extra keras: pip install h5py") from None
    return h5py
