"""The JSON of RTNeural, AIDA-X, GuitarML and Neural Amp Modeler."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from numpy_rnn import GRU, LSTM, Linear
from numpy_rnn.functional.types import Array
from numpy_rnn.interchange import UnsupportedError, load, read
from numpy_rnn.layers.wrappers import InitialState, Residual
from numpy_rnn.reading import DamagedFileError
from tests.interchange.audio_files import guitarml, lstm_layers, nam, rtneural, seeds

X = np.random.default_rng(0).standard_normal((50, 1)).astype(np.float32)


def write(path: Path, content: Any) -> Path:
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def run(model: Any, x: Array) -> Array:
    """Return the outputs, after a check that blocks and single steps give them too."""
    y, _ = model.predict(x)
    state, step_state, blocks, steps = None, None, [], []
    step = model.stepper()
    for block in np.split(x, [7, 30]):
        block_y, state = model.predict(block, state)
        blocks.append(block_y)
        for x_t in block:
            y_t, step_state = step(x_t, step_state)
            steps.append(y_t)
    np.testing.assert_allclose(np.concatenate(blocks), y, atol=1e-6)
    np.testing.assert_allclose(np.stack(steps), y, atol=1e-6)
    return np.asarray(y)


def chain(rnn: Any, linear: Linear, x: Array, state: Any = None) -> Array:
    return np.asarray(linear.predict(rnn.predict(x, state)[0]))


@pytest.mark.parametrize("kind", [LSTM, GRU])
def test_rtneural(kind: Any, tmp_path: Path) -> None:
    rnn, linear = kind(1, 4, rng=0, dtype=np.float32), Linear(4, 1, rng=1, dtype=np.float32)
    if kind is LSTM:  # its file has one bias
        rnn.parameters.values["bias_hh_l0"][...] = 0
    model = load(write(tmp_path / "m.json", rtneural(rnn, linear)))
    np.testing.assert_allclose(run(model, X), chain(rnn, linear, X), atol=1e-6)


def test_aida_x_has_a_skip_gains_and_a_knob(tmp_path: Path) -> None:
    rnn, linear = lstm_layers(4, D=2)
    x = np.hstack([X, np.full_like(X, 0.3)])
    entries = {"in_skip": 1, "in_gain": 6.0, "out_gain": -3.0}
    gain_in, gain_out = 10 ** (6 / 20), 10 ** (-3 / 20)
    inner = np.hstack([gain_in * X, x[:, 1:]]).astype(np.float32)
    expected = gain_out * (chain(rnn, linear, inner) + inner[:, :1])
    model = load(write(tmp_path / "m.json", rtneural(rnn, linear, **entries)))
    np.testing.assert_allclose(run(model, x), expected, atol=2e-6)


def test_aida_x_tests_itself(tmp_path: Path) -> None:
    rnn, linear = lstm_layers(4)
    y = chain(rnn, linear, X)
    test = {"input_batch": X[:, 0].tolist(), "output_batch": y[:, 0].tolist()}
    contents = read(write(tmp_path / "m.json", rtneural(rnn, linear, **test)))
    assert any("self-test passed, worst difference" in note for note in contents.notes)
    test["output_batch"][3] += 0.01
    with pytest.raises(DamagedFileError, match=r"self-test fails: the worst difference is 0\.01"):
        read(write(tmp_path / "m.json", rtneural(rnn, linear, **test)))


@pytest.mark.parametrize("kind", [LSTM, GRU])
@pytest.mark.parametrize("skip", [0, 1])
@pytest.mark.parametrize(("D", "L"), [(1, 1), (2, 2)])
def test_guitarml(kind: Any, skip: int, D: int, L: int, tmp_path: Path) -> None:
    rnn, linear = kind(D, 4, L, rng=0, dtype=np.float32), Linear(4, 1, rng=1, dtype=np.float32)
    x = np.hstack([X, np.full_like(X, 0.3)])[:, :D]
    model = load(write(tmp_path / "m.json", guitarml(rnn, linear, skip)))
    assert isinstance(model, Residual) == bool(skip)
    expected = chain(rnn, linear, x) + skip * x[:, :1]
    np.testing.assert_allclose(run(model, x), expected, atol=1e-6)


@pytest.mark.parametrize("L", [1, 2])
def test_nam_starts_from_its_state(L: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rnn, linear = LSTM(1, 3, L, rng=0, dtype=np.float32), Linear(3, 1, rng=1, dtype=np.float32)
    initial = [(rng.standard_normal(3), rng.standard_normal(3)) for _ in range(L)]
    state = tuple(np.array(part, np.float32) for part in zip(*initial, strict=True))
    path = write(tmp_path / "m.nam", nam(rnn, linear, initial))
    model = load(path)
    assert isinstance(model, InitialState)
    np.testing.assert_allclose(run(model, X), chain(rnn, linear, X, state), atol=1e-6)
    batch = np.stack([X, X + 1], axis=1)
    np.testing.assert_allclose(model.predict(batch)[0][:, 0], model.predict(X)[0], atol=1e-6)
    settings = read(path).settings
    assert settings["sample_rate"] == 44100
    assert settings["metadata"]["loudness"] == -12.5


def test_a_state_dict_as_lists(tmp_path: Path) -> None:
    rnn, linear = lstm_layers(4)
    arrays = guitarml(rnn, linear)["state_dict"]
    model = load(write(tmp_path / "m.json", arrays), batch_first=False)
    np.testing.assert_allclose(run(model, X), chain(rnn, linear, X), atol=1e-6)


def conv1d(kernel: Array, bias: Array, dilation: int = 1, **more: Any) -> dict[str, Any]:
    """Return RTNeural's layer of a kernel (size, inputs of a group, outputs)."""
    about = {"type": "conv1d", "activation": "", "shape": [None, None, len(bias)]}
    about |= {"kernel_size": [len(kernel)], "dilation": [dilation], **more}
    return about | {"weights": [kernel.tolist(), bias.tolist()]}


@pytest.mark.parametrize(("size", "dilation"), [(1, 1), (3, 1), (2, 4), (3, 2)])
@pytest.mark.parametrize("groups", [1, 2])
def test_a_convolution_keeps_its_last_inputs(
    size: int, dilation: int, groups: int, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((50, 4)).astype(np.float32)
    kernel, bias = rng.standard_normal((size, 4 // groups, 6)), rng.standard_normal(6)
    layer = conv1d(kernel, bias, dilation, groups=groups, activation="tanh")
    expected = np.zeros((50, 6)) + bias
    for t, step, out in np.ndindex(50, size, 6):
        if (at := t - (size - 1 - step) * dilation) >= 0:
            part = x[at].reshape(groups, -1)[out // (6 // groups)]
            expected[t, out] += kernel[step, :, out] @ part
    content = {"in_shape": [None, None, 4], "layers": [layer]}
    model = load(write(tmp_path / "m.json", content))
    np.testing.assert_allclose(run(model, x), np.tanh(expected), atol=1e-6)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"kernel_size": [4]}, DamagedFileError, r"weights \(3, 2, 4\), 4 steps, 1 groups"),
        ({"dilation": [0]}, DamagedFileError, "dilation is 0"),
        ({"groups": 3}, DamagedFileError, "3 groups"),
        ({"dilation": [500]}, UnsupportedError, "keeps 2002 numbers of its last inputs"),
    ],
)
def test_a_convolution_that_does_not_fit_is_named(
    change: dict[str, Any], error: type[Exception], message: str, tmp_path: Path
) -> None:
    layer = conv1d(np.ones((3, 2, 4)), np.ones(4)) | change
    with pytest.raises(error, match=message):
        load(write(tmp_path / "m.json", {"in_shape": [None, None, 2], "layers": [layer]}))


def test_what_has_no_counterpart_is_named(tmp_path: Path) -> None:
    content = rtneural(*lstm_layers())
    content["layers"].insert(0, {"type": "conv2d", "activation": "", "shape": [None, None, 1]})
    content["layers"].append({"type": "activation", "activation": "swosh", "shape": [1]})
    with pytest.raises(UnsupportedError, match=r"conv2d.*swosh"):
        load(write(tmp_path / "m.json", content))
    with pytest.raises(UnsupportedError, match="GuitarML has a WaveNet"):
        load(write(tmp_path / "m.json", {"model_data": {"model": "WaveNet"}, "state_dict": {}}))
    with pytest.raises(UnsupportedError, match="WaveNet"):
        load(write(tmp_path / "m.nam", {"architecture": "WaveNet", "config": {}, "weights": []}))


@pytest.mark.parametrize("slopes", [[0.25], [0.1, -0.5, 2.0, 0.0]])
def test_rtneural_prelu_and_batchnorm(slopes: list[float], tmp_path: Path) -> None:
    rnn, linear = LSTM(1, 4, rng=0, dtype=np.float32), Linear(4, 1, rng=1, dtype=np.float32)
    rnn.parameters.values["bias_hh_l0"][...] = 0
    content, (rows, plain) = (
        rtneural(rnn, linear),
        np.random.default_rng(0).uniform(0.5, 2, (2, 4, 4)),
    )
    shape = [None, None, 4]
    content["layers"][1:1] = [
        {"type": "batchnorm", "shape": shape, "epsilon": 0.01, "weights": rows.tolist()},
        {"type": "prelu", "shape": shape, "weights": [[slopes]]},
        {"type": "batchnorm", "shape": shape, "epsilon": 0.5, "weights": plain[:2].tolist()},
    ]
    gamma, beta, mean, variance = rows
    y = gamma * (rnn.predict(X)[0] - mean) / np.sqrt(variance + 0.01) + beta
    y = np.where(y > 0, y, slopes * y)
    y = ((y - plain[0]) / np.sqrt(plain[1] + 0.5)).astype(np.float32)
    model = load(write(tmp_path / "m.json", content))
    np.testing.assert_allclose(run(model, X), linear.predict(y), atol=1e-5)


@pytest.mark.parametrize(
    "sizes", [{}, {"train_burn_in": 4096}, {"in_channels": 1, "out_channels": 1}]
)
def test_nam_settings_that_change_nothing(sizes: dict[str, int], tmp_path: Path) -> None:
    content = nam(*lstm_layers(), [(np.zeros(3), np.zeros(3))])
    content["config"] |= sizes
    load(write(tmp_path / "m.nam", content))


@pytest.mark.parametrize(
    "sizes", [{"bidirectional": False}, {"out_channels": 2}, {"in_channels": 2}]
)
def test_nam_settings_that_are_not_known(sizes: dict[str, int], tmp_path: Path) -> None:
    content = nam(*lstm_layers(), [(np.zeros(3), np.zeros(3))])
    content["config"] |= sizes
    with pytest.raises(UnsupportedError, match=f"NAM has config {next(iter(sizes))}"):
        load(write(tmp_path / "m.nam", content))


def changed(content: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """Return a copy with one entry changed."""
    content = json.loads(json.dumps(content))
    *way, last = [int(key) if key.isdigit() else key for key in path.split(".")]
    inner: Any = content
    for key in way:
        inner = inner[key]
    inner[last] = value
    return content


RTNEURAL, GUITARML = rtneural(*lstm_layers()), guitarml(*lstm_layers())
NAM = nam(*lstm_layers(), [(np.zeros(3), np.zeros(3))])
NO_LAYERS = {"in_shape": [1 << 19], "layers": [], "in_gain": 6.0}  # its gain would be a matrix
BROKEN = [
    (NO_LAYERS, "out_gain", 6.0),
    (RTNEURAL, "in_shape", 3),
    (RTNEURAL, "in_shape", [2]),
    (RTNEURAL, "layers", None),
    (RTNEURAL, "layers", [3]),
    (RTNEURAL, "layers.0.type", None),
    (RTNEURAL, "layers.0.weights", []),
    (RTNEURAL, "layers.0.weights.0", [[1, 2], [3]]),
    (RTNEURAL, "layers.0.weights.1", [[1.0, 2.0]]),
    (RTNEURAL, "layers.0.weights.2.0", "x"),
    (RTNEURAL, "layers.0.weights.2.0", None),
    (RTNEURAL, "layers.0.weights.2.0", 1e300),
    (RTNEURAL, "layers.0.weights.2.0", float("nan")),
    (RTNEURAL, "layers.1.weights.0", [[1.0]]),
    (RTNEURAL, "layers", []),
    (RTNEURAL, "in_skip", 2),
    (RTNEURAL, "in_gain", "loud"),
    (GUITARML, "model_data.hidden_size", 1 << 19),
    (GUITARML, "model_data.hidden_size", 4),
    (GUITARML, "model_data.num_layers", 1 << 19),
    (GUITARML, "model_data.input_size", True),
    (GUITARML, "state_dict", {}),
    (GUITARML, "state_dict.lin", 3),
    (NAM, "config.hidden_size", 1 << 19),
    (RTNEURAL, "layers.1", {"type": "prelu", "weights": [[[0.1, 0.2]]]}),
    (RTNEURAL, "layers.1", {"type": "batchnorm", "weights": [[1.0] * 3] * 4}),
    (RTNEURAL, "layers.1", {"type": "batchnorm", "epsilon": 0.1, "weights": [[1.0] * 3] * 3}),
    (NAM, "config.num_layers", -1),
    (NAM, "config", None),
    (NAM, "weights", [0.0] * 10),
    (NAM, "weights.0", [0.0]),
    (NAM, "weights.0", float("inf")),
]


@pytest.mark.parametrize(("content", "path", "value"), BROKEN)
def test_broken_files(content: Any, path: str, value: Any, tmp_path: Path) -> None:
    with pytest.raises(DamagedFileError, match=r"m\.json"):
        load(write(tmp_path / "m.json", changed(content, path, value)))


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "{}x",
        "[" * 10**6,
        '{"a":' * 10**6,
        '{"in_shape": [' + "[]," * 10**6 + "1]}",
    ],
)
def test_texts_that_are_no_models(text: str, tmp_path: Path) -> None:
    (tmp_path / "m.json").write_text(text, encoding="utf-8")
    with pytest.raises(DamagedFileError, match=r"m\.json"):
        read(tmp_path / "m.json")


@pytest.mark.parametrize(
    "text",
    [
        '{"a": 1, "b": 2}',  # a vocabulary
        '{"model": "LSTM", "sizes": {"a": [1]}}',
        '{"architectures": ["LSTM"], "hidden_size": 5}',  # Hugging Face's config and index
        '{"metadata": {"total_size": 8}, "weight_map": {"rnn.weight": "model-1-of-2.safetensors"}}',
    ],
)
def test_other_texts_are_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "m.json").write_text(text, encoding="utf-8")
    with pytest.raises(UnsupportedError, match="it holds other things than lists of weights"):
        read(tmp_path / "m.json")


@pytest.mark.parametrize("content", seeds())
def test_good_files_load(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "m").write_bytes(b"\xef\xbb\xbf" + content)  # some editors write this mark
    assert read(tmp_path / "m").format == "audio-json"
    load(tmp_path / "m")
