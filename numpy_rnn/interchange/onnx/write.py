"""Write a model as an ONNX file of opset 17, with free batch size and number of steps."""

from __future__ import annotations

from operator import methodcaller
from pathlib import Path
from typing import Any

import numpy as np

from numpy_rnn import layers
from numpy_rnn.files import write_atomically
from numpy_rnn.functional.types import DTypeLike
from numpy_rnn.interchange.contents import UnsupportedError
from numpy_rnn.interchange.gates import cell_arrays
from numpy_rnn.interchange.onnx.protobuf import FIELDS, NUMBERS, encode, from_array
from numpy_rnn.interchange.onnx.recurrent import (
    ACTIVATIONS,
    CONSTANTS,
    OF_CELLS,
    PEEPHOLES,
    attributes_of,
)
from numpy_rnn.parameters import check_dtype
from numpy_rnn.version import __version__

OPSET, IR_VERSION = 17, 8
OPERATORS = {ours: op for op, ours in ACTIVATIONS.items() if ours not in OF_CELLS}
OPERATORS |= {"selu": "Selu", "exponential": "Exp"}
CELLS: dict[type[layers.Layer], str] = {
    cell: cell.__name__.removeprefix("Peephole")
    for cell in (layers.RNN, layers.GRU, layers.LSTM, layers.PeepholeLSTM)
}


def write(
    model: layers.Layer, path: Path, *, states: bool = False, dtype: DTypeLike = np.float32
) -> None:
    """Write a model in evaluation mode. An UnsupportedError names what ONNX cannot express.

    With `states`, initial and final states are inputs ``h0``, ``c0``, ``h1``, ... and outputs
    ``h0_out``, ..., numbered for each layer of each stack. Otherwise they begin at zero. The
    recurrent operators of onnxruntime take float32 only.
    """
    writer = Writer(check_dtype(dtype, "onnx: "), states)
    writer.input(model)
    writer.layer(model, "model")
    if writer.unsupported:
        raise UnsupportedError(f"ONNX has no operator for {'; '.join(writer.unsupported)}")
    write_atomically(path, methodcaller("write", encode("Model", writer.model())))


class Writer:
    """The nodes of a model, one after another. `x` is the name of the last value."""

    def __init__(self, dtype: np.dtype[Any], states: bool) -> None:
        self.dtype, self.states = dtype, states
        self.x = "x"
        self.axes: list[Any] = []  # names and sizes of its axes
        self.nodes: list[dict[str, Any]] = []
        self.tensors: list[dict[str, Any]] = []
        self.inputs: list[dict[str, Any]] = []
        self.outputs: list[dict[str, Any]] = []
        self.unsupported: list[str] = []
        self.final: list[str] = []  # states of the last recurrent layer
        self.number = 0  # of the next recurrent layer

    def input(self, model: layers.Layer) -> None:
        """Declare the input, by the first layer."""
        first = model
        while isinstance(first, layers.Sequential):
            first = next(iter(first.layers.values()))
        self.axes = ["batch", "time"] if getattr(model, "batch_first", None) else ["time", "batch"]
        tokens = isinstance(first, layers.Embedding)
        if not tokens:
            size = getattr(first, "input_size", getattr(first, "in_features", "features"))
            self.axes.append(size)
        self.inputs.append(self.value("x", self.axes, tokens=tokens))

    def value(self, name: str, axes: list[Any], *, tokens: bool = False) -> dict[str, Any]:
        """Return a declaration; an axis is a size or a name."""
        dims = [{"dim_value": n} if isinstance(n, int) else {"dim_param": n} for n in axes]
        kind = NUMBERS[np.dtype(np.int64) if tokens else self.dtype]
        return {"name": name, "type": {"tensor_type": {"elem_type": kind, "shape": {"dim": dims}}}}

    def model(self) -> dict[str, Any]:
        """Return the message of the file."""
        self.node("Identity", [self.x], ["y"])
        graph = {
            "node": self.nodes,
            "name": "model",
            "initializer": self.tensors,
            "input": self.inputs,
            "output": [self.value("y", self.axes), *self.outputs],
        }
        opset = [{"domain": "", "version": OPSET}]
        about = {"ir_version": IR_VERSION, "producer_name": f"numpy_rnn {__version__}"}
        return about | {"graph": graph, "opset_import": opset}

    def node(
        self, op: str, inputs: list[Any], outputs: list[str] | None = None, **attributes: Any
    ) -> str:
        """Add a node and return the name of its first output. Inputs are names, or constants."""
        outputs = outputs or [f"{op}_{len(self.nodes)}"]
        inputs = [
            x if isinstance(x, str) else self.tensor(f"{outputs[0]}.{n}", x)
            for n, x in enumerate(inputs)
        ]
        listed = [_attribute(name, value) for name, value in attributes.items()]
        node = {"input": inputs, "output": outputs, "op_type": op, "attribute": listed}
        self.nodes.append(node | {"name": outputs[0]})
        return outputs[0]

    def tensor(self, name: str, array: Any) -> str:
        """Add a constant and return its name."""
        array = np.asarray(array)
        dtype = self.dtype if array.dtype.kind == "f" else np.int64
        self.tensors.append(from_array(name, array.astype(dtype)))
        return name

    def layer(self, layer: Any, name: str) -> None:
        """Add a layer, or note that there is no operator for it."""
        if type(layer) is layers.Sequential:
            for inner, part in layer.layers.items():
                self.layer(part, f"{name}.{inner}")
        elif type(layer) in CELLS and _is_of_onnx(layer):
            self._recurrent(layer, name)
        elif isinstance(layer, layers.Embedding | layers.Linear | layers.LayerNorm):
            self._weighted(layer, name)
        elif isinstance(layer, layers.LastStep):
            self._last_step(layer)
        elif isinstance(layer, layers.Softmax):
            self.x = self.node(type(layer).__name__, [self.x], axis=layer.dim)
        elif _has_operator(layer):
            name, *constants = layer._spec
            named = zip(("alpha", "beta"), constants[: len(CONSTANTS.get(name, ()))], strict=False)
            self.x = self.node(OPERATORS[name], [self.x], **dict(named))
        elif not isinstance(layer, layers.Dropout | layers.Identity):
            self.unsupported.append(f"{name}: {layer!r}")

    def _weighted(self, layer: Any, name: str) -> None:
        values = layer.parameters.values
        tensors: list[Any] = [self.tensor(f"{name}.{key}", v) for key, v in values.items()]
        if isinstance(layer, layers.Embedding):
            self.x = self.node("Gather", [*tensors, self.x])
            self.axes.append(layer.embedding_dim)
        elif isinstance(layer, layers.Linear):
            weight = self.node("Transpose", tensors[:1], perm=[1, 0])
            self.x = self.node("MatMul", [self.x, weight])
            self.x = self.node("Add", [self.x, tensors[1]]) if layer.bias else self.x
            self.axes[-1] = layer.out_features
        else:
            inputs = [self.x, *(tensors or [np.ones(layer.normalized_shape)])]
            self.x = self.node("LayerNormalization", inputs, axis=-1, epsilon=layer.eps)

    def _last_step(self, layer: layers.LastStep) -> None:
        self.axes.remove("time")
        if not layer.bidirectional:
            last, axis = 0 if layer.reverse else -1, 1 if layer.batch_first else 0
            self.x = self.node("Gather", [self.x, last], axis=axis)
            return
        # It follows the recurrent layer, whose final states these are.
        self.x = self._merge(self.final[0], layer.merge, 0)
        self.axes[-1] //= 1 if layer.merge == "concat" else 2

    def _recurrent(self, layer: Any, name: str) -> None:
        ways, letters = 2 if layer.bidirectional else 1, "hc"[: len(layer.state_sizes)]
        if layer.batch_first:
            self.x = self.node("Transpose", [self.x], perm=[1, 0, 2])
        for n in range(layer.num_layers):
            inner, states = f"{name}.{n}", [f"{letter}{self.number}" for letter in letters]
            outputs = [f"{inner}.Y", *[f"{state}_out" for state in states]]
            if self.states:
                shape = [ways, "batch", layer.hidden_size]
                self.inputs += [self.value(state, shape) for state in states]
                self.outputs += [self.value(state, shape) for state in outputs[1:]]
            given = states if self.states else [""] * len(states)
            self._cell(layer, n, inner, given, outputs)
            self.number, self.final = self.number + 1, outputs[1:]
            if ways == 1:
                self.x = self.node("Squeeze", [outputs[0], [1]])
            else:
                self.x = self._merge(outputs[0], layer.merge, 1)
        if layer.batch_first:
            self.x = self.node("Transpose", [self.x], perm=[1, 0, 2])
        self.axes[-1] = layer.hidden_size * (ways if layer.merge == "concat" else 1)

    def _cell(self, layer: Any, n: int, name: str, initial: list[str], outputs: list[str]) -> None:
        """Add the node of one layer of a stack."""
        kind, ways = CELLS[type(layer)], range(2 if layer.bidirectional else 1)
        cells = [cell_arrays(layer, n, way, "onnx", kind.lower()) for way in ways]
        inputs = [self.x, "", "", "", "", *initial]
        for place, letter in enumerate(cells[0], start=1):
            stacked = np.stack([cell[letter] for cell in cells])
            inputs[place] = self.tensor(f"{name}.{letter}", stacked)
        if type(layer) is layers.PeepholeLSTM:
            peepholes = [layer.weights(n, way)[4].reshape(3, -1)[PEEPHOLES] for way in ways]
            stacked = np.stack(peepholes).reshape(len(ways), -1)
            inputs.append(self.tensor(f"{name}.P", stacked))
        self.node(kind, inputs, outputs, **attributes_of(layer, kind))

    def _merge(self, y: str, merge: str, axis: int) -> str:
        """Add the nodes that merge two directions along an axis of (..., B, H)."""
        if merge == "concat":
            y = self.node("Transpose", [y], perm=[0, 2, 1, 3] if axis else [1, 0, 2])
            return self.node("Reshape", [y, [0] * (axis + 1) + [-1]])
        if merge == "sum":
            return self.node("ReduceSum", [y, [axis]], keepdims=0)
        op = {"ave": "ReduceMean", "mul": "ReduceProd"}[merge]
        return self.node(op, [y], axes=[axis], keepdims=0)


def _is_of_onnx(layer: Any) -> bool:
    specs = [layer.nonlinearity] if isinstance(layer, layers.RNN) else layer.activations
    names = {spec if isinstance(spec, str) else spec[0] for spec in specs}
    return not getattr(layer, "proj_size", 0) and names <= {"linear", *CONSTANTS}


def _has_operator(layer: Any) -> bool:
    name, *constants = getattr(layer, "_spec", [""])
    return name in OPERATORS and (name != "softplus" or constants[:1] in ([], [1.0]))


def _attribute(name: str, value: Any) -> dict[str, Any]:
    several = not isinstance(value, str | float | int)
    kind = {float: 1, int: 2, str: 3}[type(value[0] if several else value)] + 5 * several
    return {"name": name, FIELDS[kind]: value, "type": kind}
