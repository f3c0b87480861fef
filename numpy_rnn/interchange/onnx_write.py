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
from numpy_rnn.interchange.gates import convert_gates
from numpy_rnn.interchange.onnx_chain import LAYERS
from numpy_rnn.interchange.onnx_recurrent import ACTIVATIONS as CELL_ACTIVATIONS
from numpy_rnn.interchange.onnx_recurrent import KINDS, PEEPHOLES
from numpy_rnn.interchange.onnx_tensor import NUMBERS, from_array
from numpy_rnn.interchange.protobuf import encode
from numpy_rnn.parameters import check_dtype
from numpy_rnn.version import __version__

OPSET, IR_VERSION = 17, 8
MAX_BYTES = (1 << 31) - 1  # of a protobuf message
OPERATORS = {layer: (op, arguments) for op, (layer, arguments) in LAYERS.items()}
CELLS: dict[type[layers.Layer], str] = {
    layers.RNN: "RNN",
    layers.GRU: "GRU",
    layers.LSTM: "LSTM",
    layers.PeepholeLSTM: "LSTM",
}


def write(
    model: layers.Layer, path: Path, *, states: bool = False, dtype: DTypeLike = np.float32
) -> None:
    """Write a model as an ONNX file.

    Parameters
    ----------
    model : Layer
        A Sequential or one layer, in evaluation mode.
    path : Path
        It is written completely or not at all.
    states : bool
        Whether initial and final states are inputs ``h0``, ``c0``, ``h1``, ... and outputs
        ``h0_out``, ... with the number of the recurrent layer. Otherwise they begin at zero.
    dtype : dtype
        Of the file. The recurrent operators of onnxruntime take float32 only.

    Raises
    ------
    UnsupportedError
        It names every layer that ONNX cannot express.
    """
    writer = _Writer(check_dtype(dtype, "onnx: "), states)
    writer.input(model)
    writer.layer(model, "model")
    if writer.unsupported:
        raise UnsupportedError(f"ONNX has no operator for {'; '.join(writer.unsupported)}")
    data = writer.model()
    if len(data) > MAX_BYTES:
        raise UnsupportedError(f"the file would have {len(data)} bytes, expected {MAX_BYTES}")
    write_atomically(path, methodcaller("write", data))


class _Writer:
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
        self.last = ""  # the final state of the last recurrent node
        self.number = 0  # of the next recurrent layer

    def input(self, model: layers.Layer) -> None:
        """Declare the input, by the first layer."""
        first = model
        while isinstance(first, layers.Sequential):
            first = next(iter(first.layers.values()))
        self.axes = ["batch", "time"] if getattr(model, "batch_first", None) else ["time", "batch"]
        if isinstance(first, layers.Embedding):
            self.inputs.append(_value("x", 7, self.axes))
        else:
            size = getattr(first, "input_size", getattr(first, "in_features", "features"))
            self.axes.append(size)
            self.inputs.append(_value("x", NUMBERS[self.dtype], self.axes))

    def model(self) -> bytes:
        """Return the file."""
        self.node("Identity", [self.x], ["y"])
        graph = {
            "node": self.nodes,
            "name": "model",
            "initializer": self.tensors,
            "input": self.inputs,
            "output": [_value("y", NUMBERS[self.dtype], self.axes), *self.outputs],
        }
        opset = [{"domain": "", "version": OPSET}]
        producer = f"numpy_rnn {__version__}"
        file = {"ir_version": IR_VERSION, "producer_name": producer}
        return encode("Model", file | {"graph": graph, "opset_import": opset})

    def node(
        self, op: str, inputs: list[str], outputs: list[str] | None = None, **attributes: Any
    ) -> str:
        """Add a node and return the name of its first output."""
        outputs = outputs or [f"{op}_{len(self.nodes)}"]
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
        kind = type(layer).__name__
        if type(layer) is layers.Sequential:
            for inner, part in layer.layers.items():
                self.layer(part, f"{name}.{inner}")
        elif type(layer) in CELLS and not getattr(layer, "proj_size", 0):
            self._recurrent(layer, name)
        elif isinstance(layer, layers.Embedding | layers.Linear | layers.LayerNorm):
            values = layer.parameters.values
            tensors = [self.tensor(f"{name}.{key}", value) for key, value in values.items()]
            self._weighted(layer, name, tensors)
        elif isinstance(layer, layers.LastStep):
            self._last_step(layer, name)
        elif kind in OPERATORS and (kind != "Softplus" or layer.beta == 1):
            op, names = OPERATORS[kind]
            named = {theirs: getattr(layer, ours) for theirs, ours in names.items()}
            if isinstance(layer, layers.Softmax):
                named["axis"] = layer.dim
            self.x = self.node(op, [self.x], **named)
        elif not isinstance(layer, layers.Dropout | layers.Identity):
            self.unsupported.append(f"{name}: {layer!r}")

    def _weighted(self, layer: Any, name: str, tensors: list[str]) -> None:
        """Add a layer with the tensors of its weight and its bias, if it has them."""
        if isinstance(layer, layers.Embedding):
            self.x = self.node("Gather", [*tensors, self.x])
            self.axes.append(layer.embedding_dim)
        elif isinstance(layer, layers.Linear):
            weight = self.node("Transpose", tensors[:1], perm=[1, 0])
            self.x = self.node("MatMul", [self.x, weight])
            if layer.bias:
                self.x = self.node("Add", [self.x, tensors[1]])
            self.axes[-1] = layer.out_features
        else:
            ones = np.ones(layer.normalized_shape)
            tensors = tensors or [self.tensor(f"{name}.weight", ones)]
            inputs = [self.x, *tensors]
            self.x = self.node("LayerNormalization", inputs, axis=-1, epsilon=layer.eps)

    def _last_step(self, layer: layers.LastStep, name: str) -> None:
        self.axes.remove("time")
        if layer.bidirectional:  # it follows the recurrent layer, whose final states these are
            if layer.merge != "concat":
                self.x = self._reduce(self.last, layer.merge, 0, name)
                self.axes[-1] //= 2
                return
            y = self.node("Transpose", [self.last], perm=[1, 0, 2])
            self.x = self.node("Reshape", [y, self.tensor(f"{name}.shape", [0, -1])])
        else:
            last = self.tensor(f"{name}.last", 0 if layer.reverse else -1)
            axis = 1 if layer.batch_first else 0
            self.x = self.node("Gather", [self.x, last], axis=axis)

    def _recurrent(self, layer: Any, name: str) -> None:
        """Add the nodes of a recurrent layer, one for each of its layers."""
        ways, number, letters = 2 if layer.bidirectional else 1, self.number, "hc"
        letters, self.number = letters[: len(layer.state_sizes)], number + 1
        shape = [layer.num_layers * ways, "batch", layer.hidden_size]
        initial = [[""] * layer.num_layers for _ in letters]
        for n, letter in enumerate(letters if self.states else ""):
            self.inputs.append(_value(f"{letter}{number}", NUMBERS[self.dtype], shape))
            initial[n] = [f"{letter}{number}"]
            if layer.num_layers > 1:
                initial[n] = [f"{name}.{letter}.{k}" for k in range(layer.num_layers)]
                self.node("Split", [f"{letter}{number}"], initial[n], axis=0)
        if layer.batch_first:
            self.x = self.node("Transpose", [self.x], perm=[1, 0, 2])
        finals: list[list[str]] = []
        for n in range(layer.num_layers):
            outputs = self._cell(layer, n, f"{name}.{n}", [state[n] for state in initial])
            self.x = self._merge(outputs[0], layer.merge, ways, f"{name}.{n}")
            self.last = outputs[1]
            finals.append(outputs[1:])
        if layer.batch_first:
            self.x = self.node("Transpose", [self.x], perm=[1, 0, 2])
        self.axes[-1] = layer.hidden_size * (ways if layer.merge == "concat" else 1)
        for letter, final in zip(
            letters if self.states else "", zip(*finals, strict=True), strict=False
        ):
            out = self.node("Concat", list(final), [f"{letter}{number}_out"], axis=0)
            self.outputs.append(_value(out, NUMBERS[self.dtype], shape))

    def _cell(self, layer: Any, n: int, name: str, initial: list[str]) -> list[str]:
        """Add the node of one layer of a stack and return its outputs: Y, Y_h and maybe Y_c."""
        kind, ways = CELLS[type(layer)], 2 if layer.bidirectional else 1
        cells = [layer.weights(n, way) for way in range(ways)]
        keys = "weight_ih", "weight_hh", "bias_ih", "bias_hh"
        weights = [
            convert_gates(dict(zip(keys, cell, strict=False)), "torch", "onnx", kind.lower())
            for cell in cells
        ]
        inputs = [self.x, "", "", "", "", *initial]
        for place, letter in enumerate("WRB" if layer.bias else "WR", start=1):
            stacked = np.stack([converted[letter] for converted in weights])
            inputs[place] = self.tensor(f"{name}.{letter}", stacked)
        if type(layer) is layers.PeepholeLSTM:
            peepholes = np.stack([cell[4].reshape(3, -1)[PEEPHOLES].ravel() for cell in cells])
            inputs.append(self.tensor(f"{name}.P", peepholes))
        outputs = [f"{name}.{letter}" for letter in ("Y", "Y_h", "Y_c")[: 1 + len(initial)]]
        self.node(kind, inputs, outputs, **_cell_attributes(layer, kind, ways))
        return outputs

    def _merge(self, y: str, merge: str, ways: int, name: str) -> str:
        """Add the nodes from Y (T, directions, B, H) to an output (T, B, K)."""
        if ways == 1:
            return self.node("Squeeze", [y, self.tensor(f"{name}.axes", [1])])
        if merge == "concat":
            y = self.node("Transpose", [y], perm=[0, 2, 1, 3])
            return self.node("Reshape", [y, self.tensor(f"{name}.shape", [0, 0, -1])])
        return self._reduce(y, merge, 1, name)

    def _reduce(self, y: str, merge: str, axis: int, name: str) -> str:
        """Add the node that merges two directions along an axis."""
        if merge == "sum":
            return self.node("ReduceSum", [y, self.tensor(f"{name}.axes", [axis])], keepdims=0)
        return self.node(
            {"ave": "ReduceMean", "mul": "ReduceProd"}[merge], [y], axes=[axis], keepdims=0
        )


def _cell_attributes(layer: Any, kind: str, ways: int) -> dict[str, Any]:
    """Return the attributes of a recurrent node."""
    direction = "reverse" if layer.reverse else "forward"
    found = {
        "hidden_size": layer.hidden_size,
        "direction": "bidirectional" if ways == 2 else direction,
    }
    chosen = (layer.nonlinearity,) if kind == "RNN" else layer.activations
    if tuple(chosen) != KINDS[kind][0]:
        theirs = {entry[0]: (name, entry[1]) for name, entry in CELL_ACTIVATIONS.items()}
        theirs["linear"] = theirs["affine"]
        split = [(a, ()) if isinstance(a, str) else (a[0], a[1:]) for a in chosen]
        found["activations"] = [theirs[own][0] for own, _ in split] * ways
        given = [(*numbers, *theirs[own][1][len(numbers) :]) for own, numbers in split]
        for place, attribute in enumerate(("activation_alpha", "activation_beta")):
            if column := [float(g[place]) for g in given if len(g) > place] * ways:
                found[attribute] = column
    if kind == "GRU":
        found["linear_before_reset"] = int(layer.reset_after)
    if layer.clip is not None:
        found["clip"] = float(layer.clip)
    if getattr(layer, "input_forget", False):
        found["input_forget"] = 1
    return found


def _attribute(name: str, value: Any) -> dict[str, Any]:
    """Return an attribute message: the type follows the value's."""
    several = not isinstance(value, str | float | int)
    kind = type(value[0] if several else value)
    field, number = {float: ("f", 1), int: ("i", 2), str: ("s", 3)}[kind]
    if several:
        field, number = {"f": "floats", "i": "ints", "s": "strings"}[field], number + 5
    return {"name": name, field: value, "type": number}


def _value(name: str, dtype: int, axes: list[Any]) -> dict[str, Any]:
    """Return a declaration; an axis is a size or a name."""
    dims = [{"dim_value": n} if isinstance(n, int) else {"dim_param": n} for n in axes]
    tensor = {"elem_type": dtype, "shape": {"dim": dims}}
    return {"name": name, "type": {"tensor_type": tensor}}
