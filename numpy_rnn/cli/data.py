"""Files of numbers that ``numpy-rnn run`` reads and writes: .npy, .csv and .wav."""

from __future__ import annotations

import sys
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from numpy_rnn.cli.errors import RunError
from numpy_rnn.files import open_regular, write_atomically
from numpy_rnn.functional.types import Array
from numpy_rnn.interchange.arrays import parse_npy
from numpy_rnn.reading import checked_size

DATA = (".npy", ".csv", ".wav")
RATE = 44_100  # samples a second of a .wav whose input has no rate


@contextmanager
def naming_data(option: str, name: str) -> Iterator[None]:
    """Turn what is wrong with a file of data into one line that names it."""
    try:
        yield
    except (ValueError, TypeError) as error:
        raise RunError(f"{option} {name!r}: {error}") from None
    except OSError as error:
        text = error.strerror or f"it was not written completely: {error}"  # by np.save
        raise RunError(f"{option} {name!r}: {text}") from None


def read_data(path: Path) -> tuple[Array, int]:
    """Return the numbers in a file, and the samples a second if it is audio, else 0.

    Whatever is wrong with its content is a ValueError.
    """
    with open_regular(path) as file:
        size = checked_size(file)
        if not size:
            raise ValueError("it is empty")
        try:
            if path.suffix == ".wav":
                return _read_wav(file)
            data = file.read(size)
            x = parse_npy(data).array() if path.suffix == ".npy" else _parse_csv(data)
        except Exception as error:  # parsers raise a dozen types between them
            # Python's parser of the header raises errors whose text depends on its version.
            damaged = isinstance(error, SyntaxError) or type(error).__module__ == "tokenize"
            text = "the header cannot be read" if damaged else str(error)
            raise ValueError(text or "it is cut off") from None
    if x.dtype.kind not in "bfiu":
        raise ValueError(f"its numbers are {x.dtype}, expected real ones")
    return x, 0


def _parse_csv(data: bytes) -> Array:
    rows = [line.split(",") for line in data.decode("utf-8-sig").splitlines() if line]
    columns = sorted({len(row) for row in rows})
    if len(columns) != 1:
        raise ValueError(f"its rows have {columns or 'no'} columns, expected one number for all")
    return np.array(rows, dtype=np.float64)


def _read_wav(opened: BinaryIO) -> tuple[Array, int]:
    with wave.open(opened) as file:
        width, channels, rate = file.getsampwidth(), file.getnchannels(), file.getframerate()
        if width > 4:
            raise ValueError(f"a sample has {width} bytes, expected 1 to 4")
        data = np.frombuffer(file.readframes(file.getnframes()), np.uint8).reshape(-1, width)
    wide = np.zeros((len(data), 4), np.uint8)
    wide[:, 4 - width :] = data ^ 0x80 if width == 1 else data  # 8 bits are without a sign
    samples = wide.view("<i4")[:, 0] / 2.0**31
    return samples.reshape(-1, channels), rate


def write_data(path: Path, y: Array, rate: int) -> None:
    """Write outputs: a .csv has one row a step, a .wav 16 bits a sample and values from -1 to 1."""
    if path.suffix == ".npy":
        write_atomically(path, partial(np.save, arr=y))
        return
    y = y.reshape(len(y), -1)
    if path.suffix == ".csv":
        write_atomically(path, partial(np.savetxt, X=y, delimiter=",", fmt="%.9g"))
        return
    if np.abs(y).max(initial=0) > 1:
        text = "samples beyond -1 or 1 are clipped"
        print(f"numpy-rnn: warning: {str(path)!r}: {text}", file=sys.stderr)
    samples = np.clip(np.rint(y * 2.0**15), -(2**15), 2**15 - 1).astype("<i2")

    def write(file: Any) -> None:
        with wave.open(file, "wb") as audio:
            audio.setparams((y.shape[1], 2, rate or RATE, len(y), "NONE", ""))
            audio.writeframes(samples.tobytes())

    write_atomically(path, write)
