"""Files of numbers that ``numpy-rnn run`` reads and writes: .npy, .csv and .wav."""

from __future__ import annotations

import struct
import sys
import wave
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, BinaryIO

import numpy as np

from numpy_rnn.files import open_regular, write_atomically
from numpy_rnn.functional.types import Array
from numpy_rnn.interchange.arrays import parse_npy
from numpy_rnn.reading import checked_size, damaged_file_errors

DATA = (".npy", ".csv", ".wav")
FLOATS, WAVE_EXTENSIBLE = 3, 0xFFFE  # formats of a .wav; PCM, whole numbers, is 1
SAMPLES = {(1, 8), (1, 16), (1, 24), (1, 32), (FLOATS, 32), (FLOATS, 64)}  # format and bits
UNKNOWN_SIZE = 2**32 - 1  # of a .wav that was written to a pipe
RATE = 44_100  # samples a second of a .wav whose input has no rate


def read_data(path: Path) -> tuple[Array, int]:
    """Return the numbers in a file, and the samples a second if it is audio, else 0.

    Whatever is wrong with its content is a DamagedFileError.
    """
    with open_regular(path) as file, damaged_file_errors(path, "a file of numbers"):
        size = checked_size(file)
        if not size:
            raise ValueError("it is empty")
        if path.suffix == ".wav":
            return _read_wav(file)
        data = file.read(size)
        x = parse_npy(data).array() if path.suffix == ".npy" else _parse_csv(data)
        if x.dtype.kind not in "bfiu":
            raise ValueError(f"its numbers are {x.dtype}, expected real ones")
        return x, 0


def _parse_csv(data: bytes) -> Array:
    rows = [line.split(",") for line in data.decode("utf-8-sig").splitlines() if line]
    columns = sorted({len(row) for row in rows})
    if len(columns) != 1:
        raise ValueError(f"its rows have {columns or 'no'} columns, expected one number for all")
    try:
        return np.array(rows, dtype=np.float64)
    except ValueError as error:
        raise ValueError(f"{error}, expected numbers between commas, and no header") from None


def _read_wav(file: BinaryIO) -> tuple[Array, int]:
    # Python's own reader knows neither floating-point samples nor, before 3.12, WAVE_EXTENSIBLE.
    if file.read(12)[8:] != b"WAVE":
        raise ValueError("it is no WAV file")
    parts = {b"fmt ": b""}
    while b"data" not in parts:
        name, size = struct.unpack("<4sI", file.read(8))
        parts[name] = file.read(size + (size % 2) * (name != b"data"))
        if len(parts[name]) < size < UNKNOWN_SIZE:
            raise ValueError("it is cut off")
    kind, channels, rate, _, bits = struct.unpack_from("<HHI4xHH", parts[b"fmt "])
    if kind == WAVE_EXTENSIBLE:
        (kind,) = struct.unpack_from("<H", parts[b"fmt "], 24)
    if (kind, bits) not in SAMPLES:
        raise ValueError(f"it has samples of {bits} bits, format {kind}, expected PCM or floats")
    if not channels or len(parts[b"data"]) % (channels * bits // 8):
        raise ValueError("it is cut off")
    data = np.frombuffer(parts[b"data"], np.uint8).reshape(-1, channels, bits // 8)
    if kind == FLOATS:
        return data.view(f"<f{bits // 8}")[..., 0].astype(np.float64), rate
    wide = np.zeros((*data.shape[:2], 4), np.uint8)
    wide[..., -data.shape[2] :] = data ^ 0x80 if bits == 8 else data  # 8 bits are without a sign
    return wide.view("<i4")[..., 0] / 2.0**31, rate


def write_data(path: Path, y: Array, rate: int) -> None:
    """Write outputs: a .csv has one row a step, a .wav 16 bits a sample and values from -1 to 1."""
    if path.suffix == ".npy":
        # NumPy's own way to write to a file does not say why it failed.
        write_atomically(path, lambda file: np.save(SimpleNamespace(write=file.write), y))
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
