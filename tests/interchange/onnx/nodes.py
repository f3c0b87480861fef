"""Random recurrent nodes of ONNX, and what onnxruntime makes of them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper

GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
ACTIVATIONS = (
    "Relu",
    "Tanh",
    "Sigmoid",
    "Affine",
    "LeakyRelu",
    "ThresholdedRelu",
    "ScaledTanh",
    "HardSigmoid",
    "Elu",
    "Softsign",
    "Softplus",
)
# Without numbers onnxruntime takes 0 for these, and the specification the operators' defaults.
NO_DEFAULT = {"Affine", "ScaledTanh", "ThresholdedRelu"}
ALPHA = {"Affine", "LeakyRelu", "ThresholdedRelu", "ScaledTanh", "HardSigmoid", "Elu"}
BETA = {"Affine", "ScaledTanh", "HardSigmoid"}


class RandomNode(NamedTuple):
    """A model of one node, its inputs, and a description for messages."""

    model: bytes
    inputs: dict[str, np.ndarray[Any, Any]]
    about: str


def random_node(seed: int) -> RandomNode:  # noqa: C901 (one option after another)
    """One recurrent node with about every option that onnxruntime implements."""
    r = np.random.default_rng(seed)
    kind = ("RNN", "GRU", "LSTM")[seed % 3]
    direction = str(r.choice(["forward", "reverse", "bidirectional"]))
    ways = 2 if direction == "bidirectional" else 1
    T, B, D, H = (int(n) for n in (r.integers(1, 7), r.integers(1, 4), *r.integers(1, 5, 2)))
    G = GATES[kind]
    attributes: dict[str, Any] = {"direction": direction, "hidden_size": H}
    if r.random() < 0.5:
        names = [
            str(r.choice(ACTIVATIONS)) for _ in range({"RNN": 1, "GRU": 2, "LSTM": 3}[kind] * ways)
        ]
        attributes["activations"] = names
        if r.random() < 0.7 or NO_DEFAULT & set(names):
            attributes["activation_alpha"] = [
                float(r.uniform(0.1, 0.9)) for n in names if n in ALPHA
            ]
            attributes["activation_beta"] = [float(r.uniform(0.1, 0.9)) for n in names if n in BETA]
    if r.random() < 0.3:
        attributes["clip"] = float(r.uniform(0.3, 2))
    if kind == "GRU":
        attributes["linear_before_reset"] = int(r.integers(2))
    if kind == "LSTM" and r.random() < 0.3:
        attributes["input_forget"] = 1
    attributes = {k: v for k, v in attributes.items() if v != []}

    def draw(*shape: int) -> Any:
        return r.uniform(-1, 1, shape).astype(np.float32)

    inputs = {"X": draw(T, B, D)}
    constants = {"W": draw(ways, G * H, D), "R": draw(ways, G * H, H)}
    if r.random() < 0.7:
        constants["B"] = draw(ways, 2 * G * H)
    if r.random() < 0.5:
        inputs["lengths"] = r.integers(0, T + 1, B).astype(np.int32)
        inputs["lengths"][0] = T
        if r.random() < 0.5:
            inputs["lengths"][1:2] = 0
    if r.random() < 0.5:
        inputs["h0"] = draw(ways, B, H)
        if kind == "LSTM":
            inputs["c0"] = draw(ways, B, H)
    if kind == "LSTM" and r.random() < 0.3:
        constants["P"] = draw(ways, 3 * H)
    order = ["X", "W", "R", "B", "lengths", "h0", "c0", "P"][: 8 if kind == "LSTM" else 6]
    known = inputs | constants
    names = ["Y", "Y_h", "Y_c"][: 3 if kind == "LSTM" else 2]
    outputs = [name if r.random() < 0.8 else "" for name in names]
    outputs[0] = outputs[0] if any(outputs) else "Y"
    node = helper.make_node(kind, [n if n in known else "" for n in order], outputs, **attributes)
    return RandomNode(one_node(node, inputs, constants), inputs, f"seed {seed}: {node}")


def one_node(node: Any, inputs: dict[str, Any], constants: dict[str, Any]) -> bytes:
    """A model of one node; an array among the inputs is its example."""
    kinds = {"f": TensorProto.FLOAT, "i": TensorProto.INT32}
    graph = helper.make_graph(
        [node],
        "graph",
        [helper.make_tensor_value_info(n, kinds[x.dtype.kind], x.shape) for n, x in inputs.items()],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in node.output if n],
        [onnx.numpy_helper.from_array(x, n) for n, x in constants.items()],
    )
    opsets = [helper.make_opsetid("", 17)]
    model: bytes = helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()
    return model


def onnxruntime_outputs(model: bytes, inputs: dict[str, Any]) -> list[Any]:
    """The outputs of onnxruntime, on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    outputs: list[Any] = onnxruntime.InferenceSession(model, options).run(None, inputs)
    return outputs


def difference(ours: Any, theirs: Any) -> float:
    """The worst difference, relative to 1 + |theirs|, where theirs did not overflow."""
    worst = 0.0
    for a, b in zip(ours, theirs, strict=True):
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
        known = np.isfinite(b)
        apart = np.abs(a[known] - b[known]) / (1 + np.abs(b[known]))
        worst = max(worst, float(np.max(np.where(np.isnan(apart), np.inf, apart), initial=0)))
    return worst
