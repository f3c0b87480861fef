"""Nodes that onnxruntime's quantiser and optimiser write, as nodes of ONNX's own operators."""

from __future__ import annotations

from numpy_rnn.interchange.graph.nodes import Node

DOMAIN = "com.microsoft::"
# A product of integers to the place of the zero point of its weights, which are the second input.
ZERO_POINT = {"MatMulInteger": 3, "ConvInteger": 3}
ZERO_POINT |= {f"{DOMAIN}DynamicQuantizeMatMul": 3, f"{DOMAIN}MatMulIntegerToFloat": 5}
# Activation to its parameters, in the order of `activation_params`.
PARAMETERS = {"LeakyRelu": ["alpha"], "HardSigmoid": ["alpha", "beta"], "Clip": ["min", "max"]}


def unfused(node: Node) -> list[Node]:
    """Return the nodes that do the same as a node."""
    if node.op in (f"{DOMAIN}FusedConv", f"{DOMAIN}FusedGemm") and node.outputs:
        return _with_activation(node)
    if node.op == f"{DOMAIN}DynamicQuantizeLSTM" and len(node.inputs) == 12:
        return _dequantised(node)
    if node.op in ZERO_POINT and len(node.inputs) > 1:
        return _centred(node)
    return [node]


def _with_activation(node: Node) -> list[Node]:
    options = dict(node.attributes)
    kind, given = options.pop("activation", ""), options.pop("activation_params", ())
    named = dict(zip(PARAMETERS.get(kind, ()), given, strict=False))
    named |= {k[11:]: options.pop(k) for k in [*options] if k.startswith("activation_")}
    inner = f"{node.outputs[0]}, before {kind}"
    first = Node(node.name, node.op[-4:], node.inputs, (inner,), options)
    return [first, Node(node.name, kind, (inner,), node.outputs, named)]


def _dequantised(node: Node) -> list[Node]:
    inputs, made = [*node.inputs], []
    for n, scaled in ((1, 8), (2, 10)):
        name = f"input {n} of {node.outputs}, as float32"
        given = inputs[n], *inputs[scaled : scaled + 2]
        made.append(Node(node.name, "numpy_rnn::Dequantize", given, (name,)))
        inputs[n] = name
    return [*made, node._replace(op="LSTM", inputs=tuple(inputs[:8]))]


def _centred(node: Node) -> list[Node]:
    """Return a product of integers and, before it, its weights as floats: once, not in each run."""
    inputs, place = [*node.inputs, *[""] * 5], ZERO_POINT[node.op]
    name = f"input 1 of {node.outputs}, centred"
    axis = {"axis": 0 if node.op == "ConvInteger" else -1}
    first = Node(node.name, "numpy_rnn::Centre", (inputs[1], inputs[place]), (name,), axis)
    inputs[1], inputs[place] = name, ""
    return [first, node._replace(inputs=tuple(inputs[: len(node.inputs)]))]
