"""The voice detector against Silero's formula, written differently, with random weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from safetensors.numpy import save_file

from examples import voice_activity
from numpy_rnn import GRU
from numpy_rnn.functional.types import Array
from tests.examples.program import assert_refused, run_example, write_wav

CONVOLUTIONS = ((129, 128, 1), (128, 64, 2), (64, 64, 2), (64, 128, 1))  # in, out, stride


def network() -> dict[str, Array]:
    """Return random weights, by the names and in the order of Silero's safetensors file."""
    rng = np.random.default_rng(0)

    def uniform(*shape: int, fan_in: int) -> Array:
        return np.asarray(rng.uniform(-2, 2, shape) / np.sqrt(fan_in), np.float32)

    arrays: dict[str, Array] = {"stft_conv.weight": uniform(258, 1, 256, fan_in=256)}
    for n, (before, size, _) in enumerate(CONVOLUTIONS, 1):
        arrays[f"conv{n}.weight"] = uniform(size, before, 3, fan_in=3 * before)
        arrays[f"conv{n}.bias"] = uniform(size, fan_in=100)
    for kind, shape in (("weight", (512, 128)), ("bias", (512,))):
        for side in ("ih", "hh"):
            arrays[f"lstm_cell.{kind}_{side}"] = uniform(*shape, fan_in=128)
    arrays["final_conv.weight"] = 20 * uniform(1, 128, 1, fan_in=128)
    arrays["final_conv.bias"] = uniform(1, fan_in=100)
    return arrays


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def convolve(x: Array, kernel: Array, stride: int, padding: int) -> Array:
    """Return the convolution of x (channels, frames), frame by frame."""
    x = np.pad(x, ((0, 0), (padding, padding)))
    width = kernel.shape[2]
    starts = range(0, x.shape[1] - width + 1, stride)
    return np.array([[(x[:, s : s + width] * k).sum() for s in starts] for k in kernel])


def reference(w: dict[str, Array], samples: Array) -> list[float]:
    """Return the probabilities, in float64 and as the formula says it."""
    w = {name: array.astype(np.float64) for name, array in w.items()}
    before, h, c, found = np.zeros(64), np.zeros(128), np.zeros(128), []
    for chunk in samples.astype(np.float64).reshape(-1, 512):
        x = np.pad(np.concatenate([before, chunk]), (0, 64), "reflect")
        before = chunk[-64:]
        z = convolve(x[None], w["stft_conv.weight"], 128, 0)
        a = np.abs(z[:129] + 1j * z[129:])
        for n, (_, _, stride) in enumerate(CONVOLUTIONS, 1):
            a = convolve(a, w[f"conv{n}.weight"], stride, 1) + w[f"conv{n}.bias"][:, None]
            a = a * (a > 0)
        gates = w["lstm_cell.weight_ih"] @ a[:, 0] + w["lstm_cell.bias_ih"]
        gates += w["lstm_cell.weight_hh"] @ h + w["lstm_cell.bias_hh"]
        i, f, g, o = np.split(gates, 4)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        logit = w["final_conv.weight"][0, :, 0] @ (h * (h > 0)) + w["final_conv.bias"][0]
        found.append(float(sigmoid(logit)))
    return found


def signal(chunks: int) -> Array:
    rng = np.random.default_rng(1)
    loudness = np.repeat(rng.uniform(0, 0.5, chunks), 512)
    return (loudness * rng.uniform(-1, 1, 512 * chunks)).astype(np.float32)


def write_onnx(path: Path, arrays: dict[str, Array]) -> Path:
    """Write weights alone, under the names of Silero's ONNX file."""
    names = {"stft_conv.weight": "stft.forward_basis_buffer", "lstm_cell": "decoder.rnn"}
    names |= {"final_conv": "decoder.decoder.2"}
    names |= {f"conv{n}": f"encoder.{n - 1}.reparam_conv" for n in range(1, 5)}
    tensors = []
    for name, array in arrays.items():
        known = next(old for old in names if name.startswith(old))
        tensors.append(
            onnx.numpy_helper.from_array(array, f"model.{name.replace(known, names[known])}")
        )
    graph = onnx.helper.make_graph([], "silero", [], [], tensors)
    onnx.save(onnx.helper.make_model(graph), str(path))
    return path


@pytest.fixture(scope="module")
def weights() -> dict[str, Array]:
    return network()


@pytest.fixture
def model(weights: dict[str, Array], tmp_path: Path) -> Path:
    save_file(weights, tmp_path / "model.safetensors")  # which sorts the arrays by name
    return tmp_path / "model.safetensors"


def test_both_formats_give_the_probabilities_of_the_formula(
    weights: dict[str, Array], model: Path, tmp_path: Path
) -> None:
    x = signal(6)
    expected = reference(weights, x)
    assert np.ptp(expected) > 0.05
    for path in (model, write_onnx(tmp_path / "model.onnx", weights)):
        np.testing.assert_allclose(voice_activity.probabilities(str(path), x), expected, atol=1e-5)
    shorter = voice_activity.probabilities(str(model), x[: 5 * 512 + 1])  # zeros fill the last
    np.testing.assert_allclose(shorter[:5], expected[:5], atol=1e-5)
    assert len(shorter) == 6
    assert voice_activity.probabilities(str(model), x[:0]) == []


def test_the_program_prints_segments(model: Path, tmp_path: Path) -> None:
    wav = write_wav(tmp_path / "a.wav", signal(40), 16_000)
    speech = voice_activity.probabilities(str(model), voice_activity.read_wav(str(wav)))
    printed = run_example("voice_activity", model, wav, "--probabilities")
    np.testing.assert_allclose([float(line) for line in printed.split()], speech, atol=1e-6)
    lines = [f"{a:7.2f} s to {b:7.2f} s\n" for a, b in voice_activity.segments(speech)]
    assert run_example("voice_activity", model, wav) == "".join(lines)


@pytest.mark.parametrize(
    ("speech", "expected"),
    [
        ([], []),
        ([0.4] * 20, []),
        ([0.6] * 10, [(0, 10)]),
        ([0.1] * 5 + [0.5] + [0.4] * 9 + [0.3], [(5, 15)]),  # it goes on above the lower threshold
        ([0.9] * 7, []),  # too short
        ([0.9] * 8 + [0.1] * 3 + [0.9] * 8, [(0, 19)]),  # too short a silence
        ([0.9] * 8 + [0.1] * 4 + [0.9] * 8, [(0, 8), (12, 20)]),
        ([0.9] * 4 + [0.1] * 3 + [0.9] * 4, [(0, 11)]),  # together they are long enough
    ],
)
def test_segments(speech: list[float], expected: list[tuple[int, int]]) -> None:
    seconds = 512 / 16_000
    found = voice_activity.segments(speech)
    np.testing.assert_allclose(np.reshape(found, (-1, 2)), np.reshape(expected, (-1, 2)) * seconds)


def bad_inputs(folder: Path, model: Path, weights: dict[str, Array]) -> dict[str, list[Path]]:
    """Return the arguments by the message that they have."""
    good = write_wav(folder / "good.wav", signal(1), 16_000)
    text = folder / "text.wav"
    text.write_text("not a recording", encoding="utf-8")
    empty = folder / "empty.wav"
    empty.touch()
    GRU(128, 128).save(folder / "gru")
    save_file(weights | {"stft_conv.weight": np.zeros((130, 1, 128), np.float32)}, folder / "8k")
    save_file(weights | {"conv1.bias": np.full(128, np.nan, np.float32)}, folder / "nan")
    return {
        "8000 Hz, 1 channels, 16 bits, expected 16000 Hz, 1 channel, 16 bits": [
            model,
            write_wav(folder / "slow.wav", signal(1), 8_000),
        ],
        "16000 Hz, 2 channels, 16 bits, expected": [
            model,
            write_wav(folder / "stereo.wav", signal(1), 16_000, channels=2),
        ],
        "16000 Hz, 1 channels, 24 bits, expected": [
            model,
            write_wav(folder / "24.wav", signal(1), 16_000, width=3),
        ],
        "text.wav': it is not a WAV file": [model, text],
        "empty.wav': it is not a WAV file: too short": [model, empty],
        "No such file or directory": [model, folder / "missing.wav"],
        "Is a directory": [model, folder],
        "missing.onnx": [folder / "missing.onnx", good],
        "has none of the known formats": [good, good],
        "gru': it has no array  (258, 1, 256)": [folder / "gru", good],
        "8k': it has no array  (258, 1, 256)": [folder / "8k", good],
        "nan': it has no array bias (128,) of finite numbers, expected Silero": [
            folder / "nan",
            good,
        ],
    }


def test_bad_input_is_one_line(
    weights: dict[str, Array], model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cases: dict[str, Any] = bad_inputs(tmp_path, model, weights)
    for message, arguments in cases.items():
        assert_refused(voice_activity, arguments, message, monkeypatch)
