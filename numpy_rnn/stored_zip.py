"""The directory of an uncompressed zip file, read strictly and cheaply.

A zip file ends with a directory, which has the name, the place, the size and the checksum of each
entry. Nothing in it is trusted. Python's zipfile allocates an object for each entry before
anything can be checked, accepts other bytes around the zip, and raises a dozen types.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

MAX_DIRECTORY = 1 << 20  # bytes; a model of a thousand arrays has a tenth of it
END = struct.Struct("<4s4H2LH")  # the record at the end of the file, without a comment
ENTRY = struct.Struct("<4s6H3L5H2L")  # before each name in the directory
HEADER = struct.Struct("<4s5H3L2H")  # before each entry


class Entry(NamedTuple):
    """An entry of the directory.

    Examples
    --------
    >>> Entry(offset=0, size=128, crc=0).size
    128
    """

    offset: int  # of its header; the content follows
    size: int  # of the content, in bytes
    crc: int  # CRC-32 of the content


def read_directory(file: BinaryIO, file_size: int) -> dict[str, Entry]:
    """Return the entries by name, which all together fit into the file.

    Raises
    ------
    ValueError
        If it is not a zip file, or one with compressed or encrypted entries.

    Examples
    --------
    >>> from io import BytesIO
    >>> read_directory(BytesIO(b"no zip"), 6)
    Traceback (most recent call last):
    ValueError: File is not a zip file
    """
    last = _read(file, max(0, file_size - END.size), END.size)
    if len(last) < END.size or not last.startswith(b"PK\5\6"):
        raise ValueError("File is not a zip file")
    _, _, _, _, count, length, start, _ = END.unpack(last)
    if length > MAX_DIRECTORY:
        raise ValueError(f"its directory has {length} bytes, expected at most {MAX_DIRECTORY}")
    if start + length + END.size != file_size:
        raise ValueError(f"its directory claims bytes {start} to {start + length} of {file_size}")
    directory = _read(file, start, length)
    entries = dict(_entries(directory, file_size))
    if len(entries) != count:
        raise ValueError(f"it has two entries of one name, or not {count} entries")
    # Entries that overlap could each fit into the file, so the sum has to fit too.
    claimed = sum(entry.size for entry in entries.values())
    if claimed > file_size:
        raise ValueError(f"its entries claim {claimed} bytes of a file of {file_size}")
    return entries


def _entries(directory: bytes, file_size: int) -> Iterator[tuple[str, Entry]]:
    """Yield the name of each entry, and the entry."""
    position = 0
    while position < len(directory):
        if not directory.startswith(b"PK\1\2", position):
            raise ValueError(f"its directory is damaged at byte {position}")
        fields = ENTRY.unpack_from(directory, position)
        _, _, _, flags, method, _, _, crc, stored, size, *lengths, _, _, _, offset = fields
        position += ENTRY.size
        name = directory[position : position + lengths[0]].decode()
        position += sum(lengths)  # of the name, an extra field and a comment
        if flags & 1:
            raise ValueError(f"{name!r} is encrypted")
        if method or stored != size:
            raise ValueError(f"{name!r} is compressed, expected it uncompressed")
        if size > file_size:
            raise ValueError(f"{name!r} claims {size} bytes of a file of {file_size}")
        yield name, Entry(offset, size, crc)


def start_of(file: BinaryIO, name: str, entry: Entry) -> int:
    """Return the position of an entry's content, and leave the file there."""
    data = _read(file, entry.offset, HEADER.size)
    if len(data) < HEADER.size or not data.startswith(b"PK\3\4"):
        raise ValueError(f"{name!r} has no header at byte {entry.offset}")
    *_, name_length, extra_length = HEADER.unpack(data)
    if file.read(name_length) != name.encode():
        raise ValueError(f"{name!r} has another name in its header")
    return file.seek(extra_length, 1)


def _read(file: BinaryIO, position: int, length: int) -> bytes:
    file.seek(position)
    return file.read(length)
