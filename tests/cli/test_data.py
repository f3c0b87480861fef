"""The files of numbers that ``run`` reads and writes."""

from __future__ import annotations

import os
import struct
import wave
from pathlib import Path

import numpy as np
import pytest

import numpy_rnn
from numpy_rnn import Linear
from tests.cli.command import Command, assert_refused


@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_audio_of_every_width_is_read(folder: Path, command: Command, width: int) -> None:
    samples = np.array([[-1.0, 0.5], [0.0, 0.25], [0.75, -0.5]])
    whole = (samples * 2.0 ** (8 * width - 1)).astype("<i8")
    whole += 128 * (width == 1)
    data = b"".join(int(n).to_bytes(8, "little", signed=True)[:width] for n in whole.ravel())
    with wave.open(str(folder / "x.wav"), "wb") as file:
        file.setparams((2, width, 8000, 3, "NONE", ""))
        file.writeframes(data)
    done = command("run", "m.pt", "--input", "x.wav", "--output", "y.npy")
    assert (done.returncode, done.stderr) == (0, "")
    assert "times real time" in done.stdout
    y, _ = numpy_rnn.load(folder / "m.safetensors").predict(samples[:, None])
    np.testing.assert_allclose(np.load(folder / "y.npy"), y[:, 0], rtol=1e-12)
    command("run", "m.pt", "--input", "x.wav", "--output", "y.wav")
    with wave.open(str(folder / "y.wav"), "rb") as file:
        assert file.getparams()[:4] == (2, 2, 8000, 3)
        got = np.frombuffer(file.readframes(3), "<i2").reshape(3, 2) / 2.0**15
    np.testing.assert_allclose(got, np.clip(y[:, 0], -1, 1), atol=2.0**-15)


@pytest.mark.parametrize(("size", "clipped"), [(0.5, False), (0.6, True)])
def test_clipped_samples_are_a_warning(
    folder: Path, command: Command, size: float, clipped: bool
) -> None:
    model = Linear(2, 1, bias=False)
    model.parameters.data[:] = size
    model.save(folder / "loud")
    np.save(folder / "ones.npy", np.ones((4, 2)))
    done = command("run", "loud", "--input", "ones.npy", "--output", "loud.wav")
    warning = "numpy-rnn: warning: 'loud.wav': samples beyond -1 or 1 are clipped\n"
    assert (done.returncode, done.stderr) == (0, warning * clipped)


def npy(header: str) -> bytes:
    return b"\x93NUMPY\1\0" + len(header).to_bytes(2, "little") + header.encode()


ONE = ", expected (T, D) or more axes"


HUGE = "{'descr':'<f8','fortran_order':False,'shape':(9999999999,)}\n"


def wav(width: int, kind: int = 1, data: bytes = b"abcd", channels: int = 1) -> bytes:
    about = struct.pack("<HHIIHH", kind, channels, 44_100, 44_100 * width, width, 8 * width)
    if kind == 0xFFFE:  # whose own kind is that of the name after it
        about += struct.pack("<HHIH14x", 22, 8 * width, 3, 3 if width > 3 else 1)
    chunks = {b"fmt ": about, b"LIST": b"abc\0", b"data": data}
    body = b"".join(name + struct.pack("<I", len(c)) + c for name, c in chunks.items())
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WAVE" + body


@pytest.mark.parametrize(
    ("kind", "code"), [(3, "<f4"), (3, "<f8"), (0xFFFE, "<f4"), (0xFFFE, "<i2")]
)
@pytest.mark.parametrize("size", [b"", b"\xff\xff\xff\xff"])  # known, or written to a pipe
def test_audio_as_programs_for_music_write_it_is_read(
    folder: Path, command: Command, kind: int, code: str, size: bytes
) -> None:
    samples = np.array([[-1.0, 0.5], [0.0, 0.25], [0.75, -1.5 if "f" in code else -0.5]])
    stored = (samples * (1 if "f" in code else 2.0**15)).astype(code)
    data = wav(stored.itemsize, kind, stored.tobytes(), 2)
    start = data.index(b"data") + 4
    (folder / "x.wav").write_bytes(
        data[:start] + (size or data[start : start + 4]) + data[start + 4 :]
    )
    done = command("run", "m.pt", "--input", "x.wav", "--output", "y.npy")
    assert (done.returncode, done.stderr) == (0, "")
    y, _ = numpy_rnn.load(folder / "m.safetensors").predict(samples[:, None])
    np.testing.assert_allclose(np.load(folder / "y.npy"), y[:, 0], rtol=1e-12)


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("deep.npy", npy("(" * 9000), "--input: 'deep.npy' is not a file of numbers: "),
        ("far.npy", npy("{'descr':'<f8','fortran_order':0,'shape':(1,)}"), "fortran_order is not"),
        ("huge.npy", npy(HUGE), "it has an array of 0 bytes, not float64 of (9999999999,)"),
        ("cut.npy", b"\x93NUMPY", "--input: 'cut.npy' is not a file of numbers: "),
        ("number.npy", npy("{'descr':'<f8','fortran_order':False,'shape':()}\n") + bytes(8), ONE),
        ("row.npy", npy("{'descr':'<f8','fortran_order':False,'shape':(1,)}\n") + bytes(8), ONE),
        ("empty.npy", b"", "--input: 'empty.npy' is not a file of numbers: it is empty"),
        ("empty.wav", b"", "--input: 'empty.wav' is not a file of numbers: it is empty"),
        ("blank.csv", b"\n\n", "--input: 'blank.csv' is not a file of numbers: its rows have no"),
        ("ragged.csv", b"1,2\n3\n", "its rows have [1, 2] columns, expected one number for all"),
        ("cut.wav", wav(2)[:20], "--input: 'cut.wav' is not a file of numbers: it is cut off"),
        ("wide.wav", wav(8), "'wide.wav' is not a file of numbers: it has samples of 64 bits"),
        ("law.wav", wav(1, kind=6), "it has samples of 8 bits, format 6, expected PCM or floats"),
        ("short.wav", wav(2)[:-1], "--input: 'short.wav' is not a file of numbers: it is cut off"),
        ("frame.wav", wav(3), "--input: 'frame.wav' is not a file of numbers: it is cut off"),
        (
            "text.wav",
            b"a text of a few words",
            "'text.wav' is not a file of numbers: it is no WAV file",
        ),
        ("nan.csv", b"1,nan\n", "--input 'nan.csv': "),
        ("three.csv", b"1,2,3\n", "--input 'three.csv': "),
        ("header.csv", b"a,b\n1,2\n", "float: 'a', expected numbers between commas, and no header"),
        ("bytes.csv", b"1,\0\n", r"numbers: could not convert string to float: '\x00', expected"),
        ("esc.csv", b"\x1b[2J\n", r"could not convert string to float: '\x1b[2J'"),
        (
            "utf16.csv",
            "1,2".encode("utf-16"),
            "'utf16.csv' is not a file of numbers: 'utf-8' codec",
        ),
    ],
)
def test_damaged_data_is_one_line(
    folder: Path, command: Command, name: str, data: bytes, message: str
) -> None:
    (folder / name).write_bytes(data)
    assert_refused(command("run", "m.pt", "--input", name, "--output", "y.npy"), 1, message)


@pytest.mark.posix
@pytest.mark.parametrize("suffix", ["npy", "csv", "wav"])
def test_data_that_never_ends_is_refused(folder: Path, command: Command, suffix: str) -> None:
    os.mkfifo(folder / f"pipe.{suffix}")
    (folder / f"zero.{suffix}").symlink_to("/dev/zero")
    for name, kind in ((f"pipe.{suffix}", "a pipe"), (f"zero.{suffix}", "a device")):
        done = command("run", "m.pt", "--input", name, "--output", "y.npy")
        assert_refused(done, 1, f"--input '{name}': Not a regular file but {kind}")
