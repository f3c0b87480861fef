"""Guitar amplifier: play a recording through a recurrent model of an amplifier, block by block.

    python examples/amplifier.py MODEL IN.wav OUT.wav [KNOB ...]

MODEL is a file of AIDA-X, RTNeural, GuitarML or Neural Amp Modeler whose network is an LSTM or GRU.
IN.wav is mono, with 16, 24 or 32 bits. The signal runs in blocks of 128 samples, as an audio device
delivers it, and the state is carried from block to block. KNOB is a number for each further input
of the model, such as its gain. At the end the program prints how many times real time it was.
"""

from __future__ import annotations

import argparse
import os
import time
import wave
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

if __name__ == "__main__":  # before NumPy is imported: the products are too small to share
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from numpy.typing import NDArray

from numpy_rnn import Layer, interchange
from numpy_rnn.files import write_atomically
from numpy_rnn.interchange import Contents

BLOCK = 128  # samples: 2.7 ms at 48 kHz

Floats = NDArray[np.float32]


def play(model: Layer, signal: Floats, knobs: list[float]) -> Floats:
    """Return the amplifier's output for a signal (samples,) between -1 and 1."""
    x = np.empty((len(signal), 1, 1 + len(knobs)), np.float32)  # (T, B, D)
    x[:, 0, 0], x[:, 0, 1:] = signal, knobs
    if not np.isfinite(x).all():  # a stepper checks shapes alone
        raise ValueError("a sample or a knob is not finite, expected finite numbers")
    y = np.empty_like(signal)
    step, state = model.stepper(), None  # the model's own: that of a NAM file is not zero
    for begin in range(0, len(signal), BLOCK):
        block, state = step(x[begin : begin + BLOCK], state)
        y[begin : begin + BLOCK] = block[:, 0, 0]
    return y


def read_model(path: str, rate: int, knobs: list[float]) -> Layer:
    """Return the model in a file that plays a signal of this rate and has so many knobs."""
    contents: Contents = interchange.read(path)
    if contents.format != "audio-json":
        raise ValueError(f"{path!r}: its format is {contents.format}, expected a model of audio")
    model: Layer = interchange.load(path)
    places = (contents.settings, contents.settings.get("metadata"))
    names = ("sample_rate", "samplerate")
    rates = [str(p[n]) for p in places if isinstance(p, Mapping) for n in names if p.get(n)]
    if rates and rates[0].removesuffix(".0") != str(rate):
        raise ValueError(f"{path!r}: its rate is {rates[0]!r:.20}, the recording's is {rate}")
    inputs = next(iter(model.parameters.values.values())).shape[1] - 1
    outputs = model.predict(np.zeros((1, 1, 1 + inputs), np.float32))[0].shape[2]
    if outputs != 1 or inputs != len(knobs):
        raise ValueError(
            f"{path!r}: it has {inputs} knobs and {outputs} outputs, expected {len(knobs)} and 1"
        )
    return model


def read_wav(path: str) -> tuple[Floats, int]:
    """Return the samples of a mono file, and how many there are in a second."""
    try:
        with wave.open(path, "rb") as file:
            rate, channels, width = file.getframerate(), file.getnchannels(), file.getsampwidth()
            data = file.readframes(file.getnframes())
    except (EOFError, wave.Error) as error:
        raise ValueError(f"{path!r}: it is not a WAV file: {str(error) or 'too short'}") from None
    if channels != 1 or width == 1 or rate == 0:
        raise ValueError(
            f"{path!r}: {rate} Hz, {channels} channels, {8 * width} bits, "
            "expected 1 channel, 16 to 32 bits"
        )
    data = data[: len(data) // width * width]
    wide = np.zeros((len(data) // width, 4), np.uint8)
    wide[:, 4 - width :] = np.frombuffer(data, np.uint8).reshape(-1, width)
    return wide.view("<i4")[:, 0].astype(np.float32) / np.float32(2**31), rate


def write_wav(path: str, signal: Floats, rate: int) -> None:
    """Write a mono file of 16 bits. What is louder than 1 is clipped."""
    samples = np.clip(np.rint(signal * 2**15), -(2**15), 2**15 - 1).astype("<i2")

    def write(file: BinaryIO) -> None:
        with wave.open(file, "wb") as audio:
            audio.setparams((1, 2, rate, len(samples), "NONE", ""))
            audio.writeframes(samples.tobytes())

    write_atomically(Path(path), write)


def main() -> None:
    """Play a recording through an amplifier."""
    parser = argparse.ArgumentParser(description="Play a recording through a model of an amp.")
    parser.add_argument("model", help="file of AIDA-X, RTNeural, GuitarML or Neural Amp Modeler")
    parser.add_argument("input", metavar="IN.wav", help="recording, mono, 16 to 32 bits")
    parser.add_argument("output", metavar="OUT.wav", help="result, mono, 16 bits")
    parser.add_argument("knobs", metavar="KNOB", nargs="*", type=float, help="further inputs")
    options = parser.parse_args()
    try:
        signal, rate = read_wav(options.input)
        model = read_model(options.model, rate, options.knobs)
        begin = time.perf_counter()
        y = play(model, signal, options.knobs)
        seconds = time.perf_counter() - begin
        write_wav(options.output, y, rate)
    except (OSError, TypeError, ValueError) as error:
        raise SystemExit(f"amplifier: error: {error}") from None
    sound = len(signal) / rate
    print(f"{sound:.2f} s of sound in {seconds:.2f} s: {sound / seconds:.1f} times real time")


if __name__ == "__main__":
    main()
