"""Recurrent nodes of ONNX: the onnx package's own tests, and random ones beside onnxruntime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import helper
from onnx.backend.test.case import node as node_tests

from numpy_rnn.interchange import UnsupportedError, read
from numpy_rnn.interchange.onnx.recurrent import DIRECTIONS, NUMBERS, RecurrentNode
from tests.interchange.onnx.nodes import difference, one_node, onnxruntime_outputs, random_node

with np.errstate(all="ignore"):  # importing the modules computes with uninitialised numbers
    from onnx.backend.test.case.node import gru, lstm, rnn
# It fills the list.
PACKAGE_CASES = [
    case
    for case in node_tests._NodeTestCases
    if case.name.startswith(("test_rnn", "test_simple_rnn", "test_gru", "test_lstm"))
]


def test_the_package_has_all_its_cases() -> None:
    assert {module.__name__.rpartition(".")[2] for module in (gru, lstm, rnn)} <= {
        "gru",
        "lstm",
        "rnn",
    }
    assert len({case.name for case in PACKAGE_CASES}) == 18


@pytest.mark.parametrize("case", PACKAGE_CASES, ids=lambda case: case.name)
def test_a_case_of_the_onnx_package(case: Any, tmp_path: Path) -> None:
    path = tmp_path / "node.onnx"
    path.write_bytes(case.model.SerializeToString())
    graph = read(path).build(graph=True)
    for inputs, expected in case.data_sets:
        for ours, theirs in zip(graph(*inputs), expected, strict=True):
            assert ours.dtype == theirs.dtype
            np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("seed", range(60))
def test_a_random_node_equals_onnxruntime(seed: int, tmp_path: Path) -> None:
    node = random_node(seed)
    path = tmp_path / "node.onnx"
    path.write_bytes(node.model)
    graph = read(path).build(graph=True)
    theirs = onnxruntime_outputs(node.model, node.inputs)
    for _ in range(2):  # the second time with what the first one prepared
        assert difference(graph(*node.inputs.values()), theirs) < 1e-5, node.about


@pytest.mark.parametrize(
    ("names", "numbers", "missing"),
    [
        (["Affine"], {"activation_alpha": [1.0]}, "affine without activation_beta"),
        (["ScaledTanh"], {"activation_beta": [1.0]}, "scaled_tanh without activation_alpha"),
        (["ThresholdedRelu"], {}, "thresholded_relu without activation_alpha"),
        (["Elu", "Affine"], {"activation_alpha": [1.0]}, "affine without activation_alpha"),
        (["LeakyRelu", "HardSigmoid"], {"activation_alpha": [0.3]}, ""),
        (["Affine", "HardSigmoid"], {name: [0.3] for name in NUMBERS}, ""),
    ],
)
def test_activations_without_their_numbers(
    names: list[str], numbers: dict[str, Any], missing: str, tmp_path: Path
) -> None:
    """onnxruntime takes 0 where the specification has no default, and the default elsewhere."""
    r = np.random.default_rng(0)
    ways, H = len(names), 2
    arrays = [r.uniform(-1, 1, shape).astype("f4") for shape in ((3, 1, H), (ways, H, H))]
    options = {"direction": DIRECTIONS[2 * ways - 2], "activations": names, **numbers}
    node = helper.make_node("RNN", ["X", "W", "R"], ["Y"], hidden_size=H, **options)
    weights = dict.fromkeys("WR", arrays[1])
    data = one_node(node, {"X": arrays[0]}, weights)
    path = tmp_path / "node.onnx"
    path.write_bytes(data)
    if missing:
        with pytest.raises(UnsupportedError, match=f"activation {missing}"):
            read(path).build()
    else:
        theirs = onnxruntime_outputs(data, {"X": arrays[0]})
        assert difference(read(path).build(graph=True)(arrays[0]), theirs) < 1e-5


def test_a_hidden_size_that_is_not_that_of_the_weights_is_refused() -> None:
    weights = np.zeros((1, 2, 3)), np.zeros((1, 2, 2))
    RecurrentNode("RNN", {"hidden_size": 2}).bind(np.zeros((4, 1, 3)), *weights)
    for size in (-2, 3, 1 << 62):
        with pytest.raises(ValueError, match=rf"R has shape \(1, 2, 2\), expected .* {size}$"):
            RecurrentNode("RNN", {"hidden_size": size}).bind(np.zeros((4, 1, 3)), *weights)


def test_the_random_nodes_try_everything() -> None:
    nodes = [random_node(seed) for seed in range(60)]
    for word in ("clip", "input_forget", "activation_beta", "reverse", "bidirectional", '"P"'):
        assert sum(word in node.about for node in nodes) > 3, word
    assert sum(0 in node.inputs.get("lengths", ()) and "h0" in node.inputs for node in nodes) > 3


@pytest.mark.parametrize("seed", range(6))
def test_rows_alone_equal_a_batch(seed: int) -> None:
    """Few rows are computed step by step, and many in one pass over the sequence."""
    r = np.random.default_rng(seed)
    kind, direction = ("RNN", "GRU", "LSTM")[seed % 3], ("bidirectional", "reverse")[seed // 3]
    ways, gates = 2 if seed < 3 else 1, {"RNN": 1, "GRU": 3, "LSTM": 4}[kind]
    weights = r.standard_normal((ways, gates * 4, 3)), r.standard_normal((ways, gates * 4, 4)) / 2
    node = RecurrentNode(kind, {"direction": direction})
    x = r.standard_normal((9, 8, 3))
    _, whole = node.bind(x, *weights)
    for rows in (1, 2, 3):
        _, some = node.bind(x[:, :rows], *weights)
        for a, b in zip(some, whole, strict=True):
            np.testing.assert_allclose(a, b[..., :rows, :], rtol=1e-12, atol=1e-14)
