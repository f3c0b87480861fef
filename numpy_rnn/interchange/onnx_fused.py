"""Nodes that onnxruntime's quantiser and optimiser write, as nodes of ONNX's own operators."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from numpy_rnn.functional.types import Array
from numpy_rnn.interchange.graph import Node

DOMAIN = "com.microsoft::"
# Activation to its parameters, in the order of `activation_params`.
PARAMETERS = {"LeakyRelu": ["alpha"], "HardSigmoid": ["alpha", "beta"], "Clip": ["min", "max"]}


def unfused(node: Node, constants: Mapping[str, Array]) -> tuple[list[Node], dict[str, Array]]:
    """Return the nodes that do the same as a node, and their new constants."""
    if node.op in (f"{DOMAIN}FusedConv", f"{DOMAIN}FusedGemm") and node.outputs:
        return _with_activation(node), {}
    if node.op == f"{DOMAIN}DynamicQuantizeLSTM" and {*node.inputs[1:3], *node.inputs[8:12]} <= {
        *constants
    }:
        return _dequantised(node, constants)
    return [node], {}


def _with_activation(node: Node) -> list[Node]:
    options = dict(node.attributes)
    kind, given = options.pop("activation", ""), options.pop("activation_params", ())
    named = dict(zip(PARAMETERS.get(kind, ()), given, strict=False))
    named |= {k[11:]: options.pop(k) for k in [*options] if k.startswith("activation_")}
    inner = f"{node.outputs[0]}, before {kind}"
    first = Node(node.name, node.op[-4:], node.inputs, (inner,), options)
    return [first, Node(node.name, kind, (inner,), node.outputs, named)]


def _dequantised(node: Node, constants: Mapping[str, Array]) -> tuple[list[Node], dict[str, Array]]:
    """Return an LSTM. Its int8 weights have the axes (directions, in, out), and a scale each."""
    made, inputs = {}, [*node.inputs]
    for n, scaled in ((1, 8), (2, 10)):
        whole, scale, zero = (constants[inputs[at]] for at in (n, scaled, scaled + 1))
        if whole.ndim != 3 or {scale.size, zero.size} - {len(whole), whole[:, 0].size}:
            sizes = f"{whole.shape} weights, {scale.size} scales and {zero.size} zero points"
            raise ValueError(f"node {node.name!r}: {sizes}")
        shape = len(whole), 1, -1
        weights = (whole - zero.reshape(shape).astype(np.float32)) * scale.reshape(shape)
        inputs[n] = f"{node.name}, float32 of {inputs[n]}"
        made[inputs[n]] = np.ascontiguousarray(weights.swapaxes(1, 2))
    return [node._replace(op="LSTM", inputs=tuple(inputs[:8]))], made
