"""Damage a checkpoint in thirteen ways and read it.

    python -m benchmarks.damage [--files 100000] [--seed 0]

Each file is a sound checkpoint with one kind of change. Without a new checksum: bytes changed
anywhere or in the zip's directory, truncation, a part cut out. With the right checksum: members
swapped, headers and settings changed, arrays of objects, huge shapes, compressed members. It must
be refused with a DamagedFileError in one line, or be harmless. Nothing may be executed, and memory
may not grow. A change with the right checksum that makes sense, such as another learning rate,
cannot be detected.
"""

from __future__ import annotations

import argparse
import codecs
import io
import json
import pickle
import random
import resource
import sys
import tempfile
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.kill import SETTINGS, make_text
from numpy_rnn.apps.language_model import run
from numpy_rnn.npz import DamagedFileError

Members = dict[str, bytes]
Mutation = Callable[[bytes, random.Random], bytes]
SETTINGS_NAME = "checkpoint.npy"
ANOTHER_TEXT = ("is not the text that", "expected one of the vocabulary's")
FORBIDDEN = {"pickle.find_class", "exec", "os.system", "subprocess.Popen", "ctypes.dlopen"}


def flip(data: bytes, rng: random.Random) -> bytes:
    """Change a few bytes."""
    changed = bytearray(data)
    for _ in range(rng.choice([1, 1, 1, 2, 8])):
        changed[rng.randrange(len(changed))] = rng.randrange(256)
    return bytes(changed)


def flip_in_directory(data: bytes, rng: random.Random) -> bytes:
    """Change the zip's directory, which has the place and size of every member."""
    start = data.index(b"PK\1\2")
    return data[:start] + flip(data[start:], rng)


def truncate(data: bytes, rng: random.Random) -> bytes:
    """Keep the beginning."""
    return data[: rng.randrange(len(data))]


def cut_out(data: bytes, rng: random.Random) -> bytes:
    """Cut out a part."""
    start, stop = sorted(rng.choices(range(len(data)), k=2))
    return data[:start] + data[stop:]


def repacked(
    change: Callable[[Members, random.Random], None], compression: int = zipfile.ZIP_STORED
) -> Mutation:
    """Return a mutation that changes members and writes the right checksums."""

    def mutate(data: bytes, rng: random.Random) -> bytes:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        change(members, rng)
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", compression) as archive:
            for name, content in members.items():
                archive.writestr(name, content)
        return file.getvalue()

    return mutate


def swap(members: Members, rng: random.Random) -> None:
    """Exchange the content of two members."""
    a, b = rng.sample(sorted(members), 2)
    members[a], members[b] = members[b], members[a]


def flip_in_header(members: Members, rng: random.Random) -> None:
    """Change the header of an array."""
    name = rng.choice(sorted(members))
    members[name] = flip(members[name][:80], rng) + members[name][80:]


def claim_a_shape(members: Members, rng: random.Random) -> None:
    """Replace a header by one of another shape."""
    name = rng.choice(sorted(members))
    shape = rng.choice(["(999999999,)", "(99999, 99999, 99)", "(-1,)", "(0,)", "()", "(1e9,)"])
    descr = rng.choice(["<f4", "<f8", "|O", "<U9", "<f2"])
    header = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}"
    text = header.ljust(117).encode() + b"\n"
    start = b"\x93NUMPY\1\0" + len(text).to_bytes(2, "little") + text
    members[name] = start + members[name][128:]


class Payload:
    """An object that executes a command when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (eval, ("__import__('os').system('true')",))


def object_array(members: Members, rng: random.Random) -> None:
    """Replace an array by a pickle."""
    file = io.BytesIO()
    np.save(file, np.array([None], dtype=object), allow_pickle=True)
    header = file.getvalue()[:128]
    members[rng.choice(sorted(members))] = header + pickle.dumps(Payload())


def bomb(members: Members, rng: random.Random) -> None:
    """Write a member of ten megabytes of zeros, which compress to ten kilobytes."""
    members[rng.choice([*sorted(members), "more.npy"])] = bytes(10_000_000)


def remove_or_add(members: Members, rng: random.Random) -> None:
    """Remove a member, or add one."""
    name = rng.choice(sorted(members))
    if rng.random() < 0.5:
        del members[name]
    else:
        members["more/" + name] = members[name]


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


def change_settings(members: Members, rng: random.Random) -> None:
    """Replace a random value of the JSON."""
    text = np.load(io.BytesIO(members[SETTINGS_NAME]))
    tree = json.loads(str(text))
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
    file = io.BytesIO()
    np.save(file, np.array(json.dumps(tree)))
    members[SETTINGS_NAME] = file.getvalue()


def flip_letters_of(name: str) -> Callable[[Members, random.Random], None]:
    """Return a change of characters of an array that is a string."""

    def change(members: Members, rng: random.Random) -> None:
        header, text = members[name][:128], members[name][128:]
        changed = flip(text[::4], rng)
        members[name] = header + b"".join(bytes([byte, 0, 0, 0]) for byte in changed)

    return change


IN_PLACE: dict[str, Mutation] = {
    "bytes flipped": flip,
    "directory changed": flip_in_directory,
    "cut short": truncate,
    "a part cut out": cut_out,
}
MADE_UP: dict[str, Mutation] = {
    "members swapped": repacked(swap),
    "headers changed": repacked(flip_in_header),
    "shapes claimed": repacked(claim_a_shape),
    "objects": repacked(object_array),
    "compressed": repacked(swap, zipfile.ZIP_DEFLATED),
    "bomb": repacked(bomb, zipfile.ZIP_DEFLATED),
    "members lost or added": repacked(remove_or_add),
    "settings changed": repacked(change_settings),
    "letters of the settings changed": repacked(flip_letters_of(SETTINGS_NAME)),
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
    run.start(text, replace(SETTINGS, threads=1), folder).trainer.fit(3)
    path = folder / run.FILE
    data, good = path.read_bytes(), run.read(path)
    kinds = IN_PLACE | MADE_UP
    refused: Counter[str] = Counter()
    harmless: Counter[str] = Counter()
    before = 0
    codecs.lookup("cp437")  # which zipfile, when it writes, imports at its first use
    sys.addaudithook(listen)
    for i in range(files):
        kind = list(kinds)[i % len(kinds)]
        path.write_bytes(kinds[kind](data, rng))
        refusal: ValueError | None = None
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # NumPy's about odd headers
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
