"""The amplifier, block by block, against the layers' own output for the whole signal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from examples import amplifier
from numpy_rnn import GRU, LSTM, Linear
from numpy_rnn.functional.types import Array
from tests.examples.program import assert_refused, run_example, write_wav
from tests.interchange.audio_files import guitarml, lstm_layers, nam, rtneural

RATE = 44_100
X = np.random.default_rng(0).uniform(-0.4, 0.4, 300).astype(np.float32)  # two blocks and a part


def write(path: Path, content: Any) -> Path:
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def whole(rnn: LSTM | GRU, linear: Linear, x: Array, state: Any = None) -> Array:
    """Return the output for features (T, D), without blocks."""
    return np.asarray(linear.forward(rnn.forward(x[:, None], state)[0])[:, 0, 0])


def aida_x(folder: Path, x: Array) -> tuple[Path, Array, list[float]]:
    rnn, linear = lstm_layers(4)
    rnn.parameters.values["bias_hh_l0"][...] = 0  # its file has one bias
    expected = x + whole(rnn, linear, x[:, None])
    test = {"input_batch": x.tolist(), "output_batch": expected.tolist()}
    model = rtneural(rnn, linear, in_skip=1, metadata={"samplerate": str(RATE)}, **test)
    return write(folder / "aida-x.json", model), expected, []


def rtneural_gru(folder: Path, x: Array) -> tuple[Path, Array, list[float]]:
    rnn, linear = GRU(1, 3, rng=0, dtype=np.float32), Linear(3, 1, rng=1, dtype=np.float32)
    return write(folder / "rt.json", rtneural(rnn, linear)), whole(rnn, linear, x[:, None]), []


def guitarml_with_a_knob(folder: Path, x: Array) -> tuple[Path, Array, list[float]]:
    rnn, linear = lstm_layers(4, D=2)
    expected = x + whole(rnn, linear, np.stack([x, np.full_like(x, 0.3)], axis=1))
    return write(folder / "g.json", guitarml(rnn, linear, skip=1)), expected, [0.3]


def neural_amp_modeler(folder: Path, x: Array) -> tuple[Path, Array, list[float]]:
    rnn = LSTM(1, 3, 2, rng=0, dtype=np.float32)
    linear = Linear(3, 1, rng=1, dtype=np.float32)
    h, c = np.random.default_rng(1).uniform(-1, 1, (2, 2, 3)).astype(np.float32)  # (L, H)
    expected = whole(rnn, linear, x[:, None], (h[:, None], c[:, None]))
    model = nam(rnn, linear, list(zip(h, c, strict=True)))
    return write(folder / "a.nam", model), expected, []


@pytest.mark.parametrize("make", [aida_x, rtneural_gru, guitarml_with_a_knob, neural_amp_modeler])
@pytest.mark.parametrize("samples", [300, 128, 1])
def test_blocks_give_the_output_of_the_whole_signal(
    make: Any, samples: int, tmp_path: Path
) -> None:
    path, expected, knobs = make(tmp_path, X[:samples])
    model = amplifier.read_model(str(path), RATE, knobs)
    y = amplifier.play(model, X[:samples], knobs)
    np.testing.assert_allclose(y, expected, atol=1e-6)


def test_the_program_writes_what_it_played(tmp_path: Path) -> None:
    wav, out = write_wav(tmp_path / "in.wav", X, RATE, width=3), tmp_path / "out.wav"
    x, rate = amplifier.read_wav(str(wav))
    np.testing.assert_allclose(x, X, atol=2**-22)
    path, expected, (knob,) = guitarml_with_a_knob(tmp_path, x)
    printed = run_example("amplifier", path, wav, out, str(knob))
    assert printed.startswith("0.01 s of sound in ")
    assert printed.endswith(" times real time\n")
    y, rate = amplifier.read_wav(str(out))
    assert rate == RATE
    np.testing.assert_allclose(y, expected, atol=2**-15)


def test_what_is_too_loud_is_clipped_and_nothing_is_a_signal(tmp_path: Path) -> None:
    path = str(tmp_path / "a.wav")
    amplifier.write_wav(path, np.array([-3, -1, -0.5, 0, 0.5, 1, 3], np.float32), RATE)
    y, _ = amplifier.read_wav(path)
    assert y.tolist() == [-1, -1, -0.5, 0, 0.5, 1 - 2**-15, 1 - 2**-15]
    amplifier.write_wav(path, X[:0], RATE)
    assert len(amplifier.read_wav(path)[0]) == 0
    model = amplifier.read_model(str(rtneural_gru(tmp_path, X[:0])[0]), RATE, [])
    assert len(amplifier.play(model, X[:0], [])) == 0


def bad_inputs(folder: Path) -> dict[str, list[Any]]:
    """Return the arguments by the message that they have."""
    out, wav = folder / "out.wav", write_wav(folder / "in.wav", X, 48_000)
    good, text = rtneural_gru(folder, X)[0], write(folder / "text.wav", "not a recording")
    knob = guitarml_with_a_knob(folder, X)[0]
    GRU(1, 1).save(folder / "gru")
    wide = write(folder / "wide", guitarml(*lstm_layers(3)) | {"metadata": ["no rate"]})
    content = json.loads(wide.read_text(encoding="utf-8"))
    content["model_data"]["output_size"] = 2
    content["state_dict"] |= {"lin.weight": [[0.1] * 3] * 2, "lin.bias": [0.0, 0.0]}
    write(wide, content)
    (folder / "wavenet.nam").write_text('{"architecture": "WaveNet"}', encoding="utf-8")
    (folder / "cut.nam").write_text('{"architecture": "LSTM"', encoding="utf-8")
    return {
        "a.nam': its rate is '44100', the recording's is 48000": [
            neural_amp_modeler(folder, X)[0],
            wav,
            out,
        ],
        "aida-x.json': its rate is '44100', the": [aida_x(folder, X)[0], wav, out],
        "2 channels, 16 bits, expected 1": [
            good,
            write_wav(folder / "stereo.wav", X, 48_000, channels=2),
            out,
        ],
        "text.wav': it is not a WAV file": [good, text, out],
        "No such file or directory": [good, folder / "missing.wav", out],
        "missing.nam": [folder / "missing.nam", wav, out],
        "architecture WaveNet: no counterpart": [folder / "wavenet.nam", wav, out],
        "cut.nam' is not a JSON model": [folder / "cut.nam", wav, out],
        "gru': its format is safetensors, expected a model of audio": [folder / "gru", wav, out],
        "rt.json': it has 0 knobs and 1 outputs, expected 1 and 1": [good, wav, out, 0.5],
        "g.json': it has 1 knobs and 1 outputs, expected 0 and 1": [knob, wav, out],
        "wide': it has 0 knobs and 2 outputs": [wide, wav, out],
        "a sample or a knob is not finite, expected finite numbers": [knob, wav, out, "nan"],
        "no_folder": [good, wav, folder / "no_folder" / "out.wav"],
    }


def test_bad_input_is_one_line_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for message, arguments in bad_inputs(tmp_path).items():
        assert_refused(amplifier, arguments, message, monkeypatch)
        assert not (tmp_path / "out.wav").exists()
