"""Voice activity detection: Silero's network in NumPy. Prints where somebody speaks.

    python examples/voice_activity.py MODEL FILE.wav [--probabilities]

MODEL is Silero VAD for 16 kHz, as safetensors or ONNX. FILE is 16 kHz, mono, 16 bits. A chunk of
512 samples passes a short-time Fourier transform, four convolutions, an LSTM whose state is
carried to the next chunk, and a logistic unit:

    (1)  s   = |STFT x|              x: 640 samples, s: 4 frames of 129 magnitudes
    (2)  a_k = relu(conv_k a_{k-1})  a_0 = s, k = 1..4: kernels of 3 frames, strides 1, 2, 2, 1
    (3)  h   = LSTM(a_4, state)      128 units
    (4)  p   = sigmoid(w . relu(h) + b)
"""

from __future__ import annotations

import argparse
import os
import wave
from collections.abc import Mapping

if __name__ == "__main__":  # before NumPy is imported: the products are too small to share
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from numpy_rnn import LSTM, interchange

RATE = 16_000  # samples a second
CHUNK, CONTEXT = 512, 64  # samples of a chunk, and of the past that is put before it
ON, OFF = 0.5, 0.35  # speech begins at the one and ends below the other
SILENCE, SPEECH = 0.1, 0.25  # seconds: shorter silences do not end speech; shorter speech is none

Floats = NDArray[np.float32]

# The arrays of the network in order. Names differ from file to file and have these endings.
SHAPES: list[tuple[str, tuple[int, ...]]] = [("", (258, 1, 256))]  # the Fourier transform
for size, before in ((128, 129), (64, 128), (64, 64), (128, 64)):  # the convolutions
    SHAPES += [("weight", (size, before, 3)), ("bias", (size,))]
SHAPES += [("weight_ih", (512, 128)), ("weight_hh", (512, 128))]  # the LSTM
SHAPES += [("bias_ih", (512,)), ("bias_hh", (512,)), ("weight", (1, 128, 1)), ("bias", (1,))]


def in_order(arrays: Mapping[str, Floats], path: str) -> list[Floats]:
    """Return the arrays of the network in the order of SHAPES."""
    left, found = dict(arrays), []
    for ending, shape in SHAPES:
        names = [n for n, a in left.items() if a.shape == shape and n.endswith(ending)]
        if not names or not np.isfinite(left[names[0]]).all():
            raise ValueError(
                f"{path!r}: it has no array {ending} {shape} of finite numbers, "
                "expected Silero VAD for 16 kHz"
            )
        found.append(left.pop(names[0]).astype(np.float32))
    return found


class Convolution:
    """A convolution over frames with kernels of 3 and a relu. It owns its zero-padded input."""

    def __init__(self, kernel: Floats, bias: Floats, frames: int, stride: int = 1) -> None:
        C = kernel.shape[1]
        self.kernel = np.ascontiguousarray(kernel.transpose(2, 1, 0).reshape(3 * C, -1))
        self.bias = bias
        padded = np.zeros((frames + 2, C), np.float32)
        self.input = padded[1:-1]  # (frames, C)
        self.windows = sliding_window_view(padded.ravel(), 3 * C)[:: stride * C]

    def __call__(self, out: Floats) -> None:
        """Compute the next layer's input."""
        np.dot(self.windows, self.kernel, out)
        np.add(out, self.bias, out)
        np.maximum(out, 0, out=out)  # (2)


class VoiceDetector:
    """The network and the state of one stream. Call it with one chunk after another."""

    def __init__(self, model: str) -> None:
        arrays = in_order(interchange.read(model).arrays, model)
        stft, k1, b1, k2, b2, k3, b3, k4, b4, W_ih, W_hh, b_ih, b_hh, w, b = arrays
        self.samples = np.zeros(CONTEXT + CHUNK + CONTEXT, np.float32)  # past, chunk, reflection
        self.frames = sliding_window_view(self.samples, 256)[::128]  # (4, 256)
        self.stft = np.ascontiguousarray(stft[:, 0].T)  # (256, 258): real and imaginary parts
        self.layers = [
            Convolution(k1, b1, frames=4),
            Convolution(k2, b2, frames=4, stride=2),
            Convolution(k3, b3, frames=2, stride=2),
            Convolution(k4, b4, frames=1),
        ]
        self.encoded = np.zeros((1, 128), np.float32)  # a_4
        self.outputs = [layer.input for layer in self.layers[1:]] + [self.encoded]
        lstm = LSTM(128, 128, dtype=np.float32)
        lstm.load_state_dict(
            {"weight_ih_l0": W_ih, "weight_hh_l0": W_hh, "bias_ih_l0": b_ih, "bias_hh_l0": b_hh}
        )
        self.lstm, self.state = lstm.stepper(), lstm.zero_state(1)
        self.w, self.b = w[0, :, 0], float(b[0])

    def __call__(self, chunk: Floats) -> float:
        """Return the probability of speech in the next 512 samples, which lie within -1 to 1."""
        x = self.samples
        x[:CONTEXT] = x[CHUNK : CHUNK + CONTEXT]  # the end of the last chunk
        x[CONTEXT:-CONTEXT] = chunk
        x[-CONTEXT:] = x[-CONTEXT - 2 : -2 * CONTEXT - 2 : -1]
        z = self.frames.dot(self.stft)  # (4, 258)
        z *= z
        np.sqrt(z[:, :129] + z[:, 129:], self.layers[0].input)  # (1)
        for layer, out in zip(self.layers, self.outputs, strict=True):
            layer(out)
        h, self.state = self.lstm(self.encoded, self.state)  # (3)
        logit = float(np.maximum(h[0], 0).dot(self.w)) + self.b
        return 1 / (1 + float(np.exp(-logit)))  # (4)


def probabilities(model: str, samples: Floats) -> list[float]:
    """Return the probability of speech in each chunk. Zeros fill the last one."""
    detect = VoiceDetector(model)
    return [detect(x) for x in np.pad(samples, (0, -len(samples) % CHUNK)).reshape(-1, CHUNK)]


def segments(speech: list[float]) -> list[tuple[float, float]]:
    """Return the begin and end of each stretch of speech, in seconds."""
    found: list[tuple[float, float]] = []
    begin: float | None = None
    for n, p in enumerate([*speech, 0.0]):
        time = n * CHUNK / RATE
        if begin is None and p >= ON:
            begin = time
            if found and time - found[-1][1] < SILENCE:
                begin = found.pop()[0]
        elif begin is not None and p < OFF:
            found.append((begin, time))
            begin = None
    return [(begin, end) for begin, end in found if end - begin >= SPEECH]


def read_wav(path: str) -> Floats:
    """Read a mono file of 16-bit samples at 16 kHz."""
    try:
        with wave.open(path, "rb") as file:
            rate, channels, bits = file.getframerate(), file.getnchannels(), 8 * file.getsampwidth()
            data = file.readframes(file.getnframes())
    except (EOFError, wave.Error) as error:
        raise ValueError(f"{path!r}: it is not a WAV file: {str(error) or 'too short'}") from None
    if (rate, channels, bits) != (RATE, 1, 16):
        raise ValueError(
            f"{path!r}: {rate} Hz, {channels} channels, {bits} bits, "
            f"expected {RATE} Hz, 1 channel, 16 bits"
        )
    return np.frombuffer(data[: len(data) // 2 * 2], "<i2").astype(np.float32) / np.float32(2**15)


def main() -> None:
    """Print the segments of speech in a file."""
    parser = argparse.ArgumentParser(description="Print where somebody speaks in a recording.")
    parser.add_argument("model", help="Silero VAD for 16 kHz, as safetensors or ONNX")
    parser.add_argument("file", help="recording: WAV, 16 kHz, mono, 16 bits")
    parser.add_argument("--probabilities", action="store_true", help="one number for each chunk")
    options = parser.parse_args()
    try:
        samples = read_wav(options.file)
        speech = probabilities(options.model, samples)
    except (OSError, ValueError) as error:
        raise SystemExit(f"voice_activity: error: {error}") from None
    if options.probabilities:
        print(*[f"{p:.9f}" for p in speech], sep="\n")
        return
    for begin, end in segments(speech):
        print(f"{begin:7.2f} s to {min(end, len(samples) / RATE):7.2f} s")


if __name__ == "__main__":
    main()
