"""What onnxruntime's quantiser and optimiser write, beside onnxruntime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from onnxruntime.quantization import QuantType, quantize_dynamic

from numpy_rnn import interchange
from numpy_rnn.interchange.contents import UnsupportedError
from numpy_rnn.layers import LSTM, Linear, Sequential
from tests.interchange.onnx.nodes import onnxruntime_outputs

R = np.random.default_rng(0)
# onnxruntime rounds an LSTM's inputs and states to 8 bits too. Here only its weights are rounded.
TOLERANCE = 0.02


@pytest.mark.parametrize("kind", [QuantType.QInt8, QuantType.QUInt8])
@pytest.mark.parametrize("per_channel", [False, True])
def test_int8_weights_of_an_lstm_are_read_as_floats(
    kind: Any, per_channel: bool, tmp_path: Path
) -> None:
    shared: Any = {"dtype": np.float32, "rng": 0}
    net = Sequential(LSTM(6, 8, bidirectional=True, **shared), Linear(16, 3, **shared))
    plain, path = tmp_path / "plain.onnx", tmp_path / "int8.onnx"
    interchange.save(net, plain)
    quantize_dynamic(plain, path, weight_type=kind, per_channel=per_channel)
    contents = interchange.read(path)
    assert [note.split(" ", 1)[1] for note in contents.notes] == ["is int8, read as float32"]
    model = contents.build(graph=True)
    x = R.standard_normal((7, 2, 6)).astype(np.float32)
    (theirs,) = onnxruntime_outputs(path.read_bytes(), {"x": x})
    assert np.abs(model.predict(x) - theirs).max() < TOLERANCE
    (theirs,) = onnxruntime_outputs(plain.read_bytes(), {"x": x})
    assert np.abs(model.predict(x) - theirs).max() < TOLERANCE


def test_an_lstm_of_int8_weights_is_a_chain(tmp_path: Path) -> None:
    net = LSTM(6, 8, dtype=np.float32, rng=0)
    plain, path = tmp_path / "plain.onnx", tmp_path / "int8.onnx"
    interchange.save(net, plain)
    quantize_dynamic(plain, path, weight_type=QuantType.QInt8, per_channel=True)
    (read,) = interchange.load(path).layers.values()
    ours, theirs = read.state_dict(), net.state_dict()
    for name in ("weight_ih_l0", "weight_hh_l0"):
        steps = np.abs(theirs[name]).max(1, keepdims=True) / 127
        assert (np.abs(ours[name] - theirs[name]) <= 0.51 * steps).all()


X, W = R.standard_normal((2, 4, 9)).astype(np.float32), R.standard_normal((5, 4, 3))
FUSED: list[tuple[str, str, dict[str, Any]]] = [
    ("FusedConv", "Relu", {"pads": [1, 0]}),
    ("FusedConv", "LeakyRelu", {"activation_params": [0.3]}),
    ("FusedConv", "HardSigmoid", {"activation_params": [0.3, 0.4]}),
    ("FusedConv", "Clip", {"activation_params": [-0.5, 0.5], "strides": [2]}),
    ("FusedGemm", "Tanh", {"transB": 1}),
    ("FusedGemm", "LeakyRelu", {"transB": 1, "activation_alpha": 0.3}),
]


@pytest.mark.parametrize(("op", "activation", "options"), FUSED)
def test_a_node_with_its_activation(
    op: str, activation: str, options: dict[str, Any], tmp_path: Path
) -> None:
    x, w = (X, W) if op == "FusedConv" else (X[0], W.reshape(5, -1)[:, :9])
    constants = {"w": w.astype(np.float32), "b": R.standard_normal(5).astype(np.float32)}
    names, domain = ["x", *constants], "com.microsoft"
    node = helper.make_node(op, names, ["y"], domain=domain, activation=activation, **options)
    graph = helper.make_graph(
        [node],
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, x.shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [onnx.numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid(domain, 1)]
    path = tmp_path / "model.onnx"
    made = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    path.write_bytes(made.SerializeToString())
    theirs = onnxruntime_outputs(path.read_bytes(), {"x": x})
    ours = interchange.load(path, graph=True)(x)
    np.testing.assert_allclose(ours[0], theirs[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("op", ["DynamicQuantizeMatMul", "MatMulIntegerToFloat", "NhwcMaxPool"])
def test_what_only_onnxruntime_has_is_refused_by_name(op: str, tmp_path: Path) -> None:
    node = helper.make_node(op, ["x", "x"], ["y"], domain="com.microsoft", name="fused")
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2, 2]) for name in "xy"]
    graph = helper.make_graph([node], "graph", ends[:1], ends[1:])
    path = tmp_path / "model.onnx"
    path.write_bytes(helper.make_model(graph).SerializeToString())
    with pytest.raises(UnsupportedError, match=rf"'fused' \(com.microsoft::{op}\): .* no such"):
        interchange.load(path)
