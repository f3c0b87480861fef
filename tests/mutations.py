"""Mutations of a file by the structure of its format, with the right checksum."""

from __future__ import annotations

import contextlib
import json
import random
import zlib
from collections.abc import Callable
from typing import Any

from numpy_rnn.safetensors import CHECKED, METADATA, NO_CHECKSUM

Mutation = Callable[[bytes, random.Random], bytes]
TOKENS = (
    *(b"\0", b"\n", b'"', b"'", b"\\", b"[", b"]", b"{", b"}", b",", b":", b"=", b"#", b"."),
    *(b"\xff", b"\xc3", b"\xef\xbb\xbf", b"\xe2\x80\xae", b"\xed\xa0\x80", b"\x1b[2J", b"\\ud800"),
    *(b"[" * 2000, b"9" * 5000, b"1e999", b"nan", b"inf", b"-1", b"0", b"null", b"true", b"0x"),
    *(b"\x7f\xff\xff\xff", b"\xff\xff\xff\xff", b"PK\1\2", b"PK\3\4", b"PK\5\6", b"\x93NUMPY"),
    *(b"1979-05-27T07:32:00Z", b"[[a]]", b"a.b.c = 1\n", b'"""', b"'''", b"<f8", b"|O", b"<U9"),
)
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 0.5, -0.0, 2**53 + 1, 10**30, 1e308, float("nan"), 10**400),
    *(float("inf"), "", "x", "x" * 1000, "\x1b[2J\u202e", "\ud800", [], {}, [[]], {"a": 1}),
    *([1, 2, 3], [[1, 2]], [[1, "x"]], [[5, 1.0], [4, 1.0]]),
)


def mutate(data: bytes, rng: random.Random) -> bytes:
    """Return a changed file, by its structure if it has one."""
    if rng.random() < 0.2:
        return mutate_bytes(data, rng)
    with contextlib.suppress(Exception):  # it may have lost its structure
        if data.startswith(CHECKED, 8):
            return mutate_safetensors(data, rng)
        if data.startswith((b"{", b"[")):
            return mutate_json(data, rng)
    return mutate_bytes(data, rng)


def mutate_bytes(data: bytes, rng: random.Random) -> bytes:
    """Change, insert, remove or repeat bytes."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4))):
        at, kind = rng.randrange(len(changed) + 1), rng.randrange(6)
        end = min(len(changed), at + rng.choice((1, 2, 4, 8, 64, 1024)))
        if kind == 0:
            changed[at:end] = rng.randbytes(end - at)
        elif kind == 1:
            changed[at:at] = rng.choice(TOKENS)
        elif kind == 2:
            changed[at:end] = rng.choice(TOKENS)
        elif kind == 3:
            del changed[at:end]
        elif kind == 4:
            changed[at:at] = changed[at:end] * rng.choice((1, 2, 50))
        elif at < len(changed):
            changed[at] ^= 1 << rng.randrange(8)
    return bytes(changed)


def mutate_json(data: bytes, rng: random.Random) -> bytes:
    """Change, remove or add a value of a JSON text."""
    tree = json.loads(data)
    place: Any = tree
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        if not keys:
            break
        key = rng.choice(keys)
        if isinstance(place[key], dict | list) and place[key] and rng.random() < 0.9:
            place = place[key]
            continue
        kind = rng.random()
        if kind < 0.2:
            del place[key]
        elif kind < 0.3 and isinstance(place, dict):
            place[rng.choice(("x", "\x1b]0;x\x07", "step", "\u2028"))] = rng.choice(VALUES)
        elif kind < 0.4 and isinstance(place[key], int | float):
            place[key] = -place[key] if kind < 0.35 else place[key] * 1000
        else:
            place[key] = rng.choice(VALUES)
        break
    return json.dumps(tree).encode()


def mutate_safetensors(data: bytes, rng: random.Random) -> bytes:
    """Change the header, the settings or the arrays of a file, and write the right checksum."""
    header, body = parts_of(data)
    arrays = sorted(name for name in header if name != METADATA)
    texts = sorted(name for name in header[METADATA] if name != "crc32")
    kind = rng.random()
    if kind < 0.5 or not arrays:
        name = rng.choice(texts)
        text = header[METADATA][name].encode()
        change = mutate_json if rng.random() < 0.9 else mutate_bytes
        header[METADATA][name] = change(text, rng).decode(errors="replace")
    elif kind < 0.6:
        body = mutate_bytes(body, rng)
    elif kind < 0.7:
        header = json.loads(mutate_json(json.dumps(header).encode(), rng))
    elif kind < 0.8:
        claim(header[rng.choice(arrays)], rng)
    elif kind < 0.9:
        name = rng.choice(arrays)
        header[rng.choice((name, "more", "training/more", "\x1b[2J"))] = header.pop(name)
    else:
        one, other = rng.choice(arrays), rng.choice(arrays)
        header[one], header[other] = header[other], header[one]
    return file_of(header, body)


def claim(entry: dict[str, Any], rng: random.Random) -> None:
    """Replace the shape, the dtype or the place of an array in a header."""
    key = rng.choice(("shape", "dtype", "data_offsets"))
    entry[key] = {
        "shape": rng.choice(([999_999_999], [99_999, 99_999, 99], [-1], [0], [], [1], [1.0])),
        "dtype": rng.choice(("F32", "F64", "F16", "BF16", "I64", "BOOL", "F8_E4M3", "O")),
        "data_offsets": rng.choice(([0, 0], [0, 1 << 40], [8, 0], [-8, 8], [0], [0, 4.0])),
    }[key]


def parts_of(data: bytes) -> tuple[dict[str, Any], bytes]:
    """Return the header of a .safetensors file, and the bytes of its arrays."""
    stop = 8 + int.from_bytes(data[:8], "little")
    return json.loads(data[8:stop]), data[stop:]


def file_of(header: dict[str, Any], body: bytes) -> bytes:
    """Return a .safetensors file, with the right checksum if it has one."""
    text = json.dumps(header).encode()
    if text.startswith(CHECKED):
        first = len(CHECKED + NO_CHECKSUM)
        checksum = zlib.crc32(text[first:] + body)
        text = CHECKED + b"%08x" % checksum + text[first:]
    return len(text).to_bytes(8, "little") + text + body


def settings_in(data: bytes, entry: str) -> Any:
    """Return settings in a .safetensors file."""
    return json.loads(parts_of(data)[0][METADATA][entry])


def with_settings(data: bytes, entry: str, tree: Any) -> bytes:
    """Return a .safetensors file with other settings."""
    header, body = parts_of(data)
    header[METADATA][entry] = json.dumps(tree)
    return file_of(header, body)
