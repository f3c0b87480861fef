"""Damage a checkpoint in thirteen ways and read it.

    python -m benchmarks.damage [--files 100000] [--seed 0]

Each file is a sound checkpoint with one kind of change. Without a new checksum: bytes changed
anywhere or in the header, truncation, a part cut out. With the right checksum: arrays swapped,
renamed, lost or added, shapes claimed, numbers that are not finite, settings changed. It must
be refused with a DamagedFileError in one line, or be harmless. Nothing may be executed, and memory
may not grow. A change with the right checksum that makes sense, such as another learning rate,
cannot be detected.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.kill import SETTINGS, make_text
from numpy_rnn.apps.language_model import run
from numpy_rnn.reading import DamagedFileError
from numpy_rnn.safetensors import METADATA
from tests.mutations import claim, file_of, parts_of

Header = dict[str, Any]
Mutation = Callable[[bytes, random.Random], bytes]
ANOTHER_TEXT = ("is not the text that", "expected one of the vocabulary's")
FORBIDDEN = {"pickle.find_class", "exec", "os.system", "subprocess.Popen", "ctypes.dlopen"}


def flip(data: bytes, rng: random.Random) -> bytes:
    """Change a few bytes."""
    changed = bytearray(data)
    for _ in range(rng.choice([1, 1, 1, 2, 8])):
        changed[rng.randrange(len(changed))] = rng.randrange(256)
    return bytes(changed)


def flip_in_header(data: bytes, rng: random.Random) -> bytes:
    """Change the header, which has the place and size of every array, and the settings."""
    stop = 8 + int.from_bytes(data[:8], "little")
    return flip(data[:stop], rng) + data[stop:]


def truncate(data: bytes, rng: random.Random) -> bytes:
    """Keep the beginning."""
    return data[: rng.randrange(len(data))]


def cut_out(data: bytes, rng: random.Random) -> bytes:
    """Cut out a part."""
    start, stop = sorted(rng.choices(range(len(data)), k=2))
    return data[:start] + data[stop:]


def repacked(change: Callable[[Header, bytes, random.Random], bytes | None]) -> Mutation:
    """Return a mutation of the header, and perhaps the arrays, that writes the right checksum."""

    def mutate(data: bytes, rng: random.Random) -> bytes:
        header, body = parts_of(data)
        changed = change(header, body, rng)
        return file_of(header, body if changed is None else changed)

    return mutate


def arrays_of(header: Header) -> list[str]:
    """Return the names of the arrays."""
    return sorted(name for name in header if name != METADATA)


def swap(header: Header, _: bytes, rng: random.Random) -> None:
    """Exchange the places of two arrays."""
    a, b = rng.sample(arrays_of(header), 2)
    header[a], header[b] = header[b], header[a]


def claim_more(header: Header, _: bytes, rng: random.Random) -> None:
    """Replace the shape, the dtype or the place of an array."""
    claim(header[rng.choice(arrays_of(header))], rng)


def big(header: Header, body: bytes, rng: random.Random) -> bytes:
    """Make an array ten megabytes longer."""
    entry = header[max(arrays_of(header), key=lambda name: header[name]["data_offsets"])]
    more = 10_000_000
    entry["data_offsets"][1] += more
    if rng.random() < 0.5:
        entry["shape"] = [entry["data_offsets"][1] - entry["data_offsets"][0]]
        entry["dtype"] = "U8"
    return body + bytes(more)


def remove_or_add(header: Header, body: bytes, rng: random.Random) -> bytes:
    """Remove the last array, or add one."""
    if rng.random() < 0.5:
        name = max(arrays_of(header), key=lambda name: header[name]["data_offsets"])
        return body[: header.pop(name)["data_offsets"][0]]
    name = rng.choice(["more", "training/more", "training/optimizer/more"])
    header[name] = {"dtype": "F32", "shape": [1], "data_offsets": [len(body), len(body) + 4]}
    return body + bytes(4)


def rename(header: Header, _: bytes, rng: random.Random) -> None:
    """Give an array another name."""
    name = rng.choice(arrays_of(header))
    header[rng.choice(["more/", "training/", "x"]) + name] = header.pop(name)


def no_numbers(header: Header, body: bytes, rng: random.Random) -> bytes:
    """Replace a number by a NaN or an infinity."""
    start = header[rng.choice(arrays_of(header))]["data_offsets"][0]
    return body[:start] + rng.choice([b"\0\0\xc0\x7f", b"\0\0\x80\xff"]) + body[start + 4 :]


JUNK: tuple[Any, ...] = (
    None,
    -1,
    0,
    1e308,
    10**30,
    "",
    "x" * 1000,
    [],
    {},
    True,
    [[]],
    {"a": 1},
    0.5,
    [1, 2, 3],
)


def change_settings(entry: str) -> Callable[[Header, bytes, random.Random], None]:
    """Return a change that replaces a random value of the JSON."""

    def change(header: Header, _: bytes, rng: random.Random) -> None:
        tree = json.loads(header[METADATA][entry])
        place: Any = tree
        while True:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            key = rng.choice(keys)
            if isinstance(place[key], dict | list) and place[key] and rng.random() < 0.9:
                place = place[key]
                continue
            if rng.random() < 0.2 and isinstance(place, dict):
                del place[key]
            else:
                place[key] = rng.choice(JUNK)
            break
        header[METADATA][entry] = json.dumps(tree)

    return change


def flip_letters_of(entry: str) -> Callable[[Header, bytes, random.Random], None]:
    """Return a change of characters of the settings."""

    def change(header: Header, _: bytes, rng: random.Random) -> None:
        text = flip(header[METADATA][entry].encode(), rng)
        header[METADATA][entry] = text.decode("latin-1")

    return change


IN_PLACE: dict[str, Mutation] = {
    "bytes flipped": flip,
    "header changed": flip_in_header,
    "cut short": truncate,
    "a part cut out": cut_out,
}
MADE_UP: dict[str, Mutation] = {
    "arrays swapped": repacked(swap),
    "shapes claimed": repacked(claim_more),
    "arrays renamed": repacked(rename),
    "not finite": repacked(no_numbers),
    "big": repacked(big),
    "arrays lost or added": repacked(remove_or_add),
    "settings changed": repacked(change_settings("training")),
    "model changed": repacked(change_settings("numpy_rnn")),
    "letters of the settings changed": repacked(flip_letters_of("training")),
}


def damage(files: int, seed: int, work: Path) -> tuple[Counter[str], Counter[str], int]:
    """Damage and read files.

    Parameters
    ----------
    files : int
        Number of files.
    seed : int
        Seed of the changes.
    work : Path
        An empty folder.

    Returns
    -------
    refused, harmless : Counter
        Number of files of each kind.
    growth : int
        Growth of the process's peak memory, in bytes, after the first hundred files.

    Raises
    ------
    AssertionError
        If a file is neither refused in one line nor harmless.
    """
    executed: list[str] = []

    def listen(event: str, _arguments: tuple[Any, ...]) -> None:
        if event in FORBIDDEN:
            executed.append(event)

    rng, text = random.Random(seed), make_text(work)  # noqa: S311 (not a secret)
    folder = work / "run"
    folder.mkdir()
    run.start(text, SETTINGS, folder).trainer.fit(3)
    path = folder / run.FILE
    data, good = path.read_bytes(), run.read(path)
    kinds = IN_PLACE | MADE_UP
    refused: Counter[str] = Counter()
    harmless: Counter[str] = Counter()
    before = 0
    sys.addaudithook(listen)
    for i in range(files):
        kind = list(kinds)[i % len(kinds)]
        path.write_bytes(kinds[kind](data, rng))
        refusal: ValueError | None = None
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                job = run.resume(text, folder)
        except ValueError as error:
            refusal = error
        if refusal is None:
            harmless[kind] += 1
            # Without the right checksum, no change of a number goes unnoticed.
            if kind in IN_PLACE:
                assert job.settings == good.settings  # noqa: S101
                ours, theirs = job.trainer.model.parameters, good.model.parameters
                assert ours.data.tobytes() == theirs.data.tobytes()  # noqa: S101
        else:
            refused[kind] += 1
            start = f"{str(path)!r} is not a checkpoint: "
            damaged = isinstance(refusal, DamagedFileError) and str(refusal).startswith(start)
            # A changed digest or vocabulary with the right checksum belongs to another text.
            other = any(words in str(refusal) for words in ANOTHER_TEXT)
            assert damaged or (kind not in IN_PLACE and other), refusal  # noqa: S101
            assert "\n" not in str(refusal), refusal  # noqa: S101
        assert not executed, executed  # noqa: S101
        if i == 100:
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    growth = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    return refused, harmless, growth if before else 0


def main() -> None:
    """Print the counts of each kind."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--files", type=int, default=100_000, help="number of files")
    parser.add_argument("--seed", type=int, default=0, help="seed of the changes")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        refused, harmless, growth = damage(options.files, options.seed, Path(work))
    for kind in IN_PLACE | MADE_UP:
        print(f"{kind:32} refused {refused[kind]:7}   harmless {harmless[kind]:7}")
    print(f"files {options.files}, memory grew by {growth / 1e6:.1f} MB, nothing was executed")
    if growth > 50e6:
        raise SystemExit("memory grew")


if __name__ == "__main__":
    main()
