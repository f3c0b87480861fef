"""Recognise a graph that is a chain of layers, and build the Sequential.

The graph runs on a small input, node by node, with branches that shapes decide. What depends on
the numbers of the first input must lead to the first output through one value at a time. An array
of labels takes the place of that value. A layer expects the labels in the order of the axes time,
batch, features, or batch first; whatever only moves numbers moves the labels too. At the end both
models run on the same numbers. Any difference, and anything that is not understood, leaves the
graph a graph.
"""

from __future__ import annotations

import contextlib
import math
from functools import partial
from typing import Any

import numpy as np

from numpy_rnn import layers
from numpy_rnn.functional.types import Array
from numpy_rnn.interchange.graph import ERRORS, SHAPES, Graph, Node
from numpy_rnn.interchange.onnx_recurrent import KINDS, make_layer

# Operator to layer, and to the attribute and default of each argument.
ACTIVATIONS: dict[str, tuple[str, dict[str, tuple[str, float]]]] = {
    "Relu": ("ReLU", {}),
    "Tanh": ("Tanh", {}),
    "Sigmoid": ("Sigmoid", {}),
    "Softmax": ("Softmax", {}),
    "LogSoftmax": ("LogSoftmax", {}),
    "Softplus": ("Softplus", {}),
    "Softsign": ("Softsign", {}),
    "HardSigmoid": ("HardSigmoid", {"alpha": ("alpha", 0.2), "beta": ("beta", 0.5)}),
    "LeakyRelu": ("LeakyReLU", {"negative_slope": ("alpha", 0.01)}),
    "Elu": ("ELU", {"alpha": ("alpha", 1.0)}),
}
MERGES = {"ReduceSum": "sum", "ReduceMean": "ave", "ReduceProd": "mul"}
MOVES = {"Gather", "Slice", "Split", "Concat", "Transpose", "Identity", "Dropout", "Cast"}
MOVES |= {"Reshape", "Squeeze", "Unsqueeze", "Flatten"}  # numbers stay the same
LAYERS = {"MatMul", "Gemm", "Add", "LayerNormalization", *ACTIVATIONS, *MERGES, *KINDS}
KNOWN = {"Mul", "Sub", "Div", "ConstantOfShape", "Expand", "Equal", "Range", "Where", "Not", "If"}
KNOWN |= MOVES | LAYERS | SHAPES
MAX_NODES = 2000
BUDGET = 1 << 22  # numbers that the run on a small input may make


class NoChainError(Exception):
    """The graph is no chain of layers."""


def require(condition: object) -> None:
    """Raise NoChainError unless the condition holds."""
    if not condition:
        raise NoChainError


def to_sequential(graph: Graph, dtype: Any = None) -> layers.Sequential | None:
    """Return the Sequential that a graph is, or None."""
    try:
        require(len(graph.nodes) <= MAX_NODES and _operators(graph) <= KNOWN)
        with np.errstate(all="ignore"):
            model = _Walk(graph, dtype).model()
            for sizes in ((5, 3), (2, 4)):
                _compare(graph, model, _example(graph, *sizes))
    except (NoChainError, *ERRORS):
        return None
    return model


def _operators(graph: Graph) -> set[str]:
    inner = [_operators(branch) for node in graph.nodes for branch in node.graphs()]
    return {node.op for node in graph.nodes}.union(*inner)


def _example(graph: Graph, *sizes: int) -> list[Array]:
    """Return small inputs: numbers for the first one, zeros for the others."""
    named: dict[Any, int] = {}
    arrays = []
    for value in graph.inputs:
        require(value.shape is not None)
        shape: list[int] = []
        for axis, n in enumerate(value.shape or ()):
            free = sizes[len(named) % len(sizes)]
            name = axis if n is None else n
            shape.append(n if isinstance(n, int) else named.setdefault(name, free))
        require(math.prod(shape) <= BUDGET / 4)
        arrays.append(np.zeros(shape, value.dtype or np.dtype(np.float32)))
    numbers = np.random.default_rng(0).standard_normal(arrays[0].shape)
    arrays[0][...] = numbers if arrays[0].dtype.kind == "f" else 0
    return arrays


def _compare(graph: Graph, model: layers.Sequential, inputs: list[Array]) -> None:
    """Raise NoChainError unless the first output is the model's."""
    first, x = next(iter(model.layers.values())), inputs[0]
    if isinstance(first, layers.Embedding):
        x[...] = np.random.default_rng(0).integers(0, first.num_embeddings, x.shape)
    ours = model.predict(x if x.dtype.kind in "iu" else x.astype(model.parameters.dtype))
    for array in inputs[1:]:
        if array.dtype.kind in "iu" and array.ndim == 1:  # lengths
            array[...] = x.shape[1 if model.batch_first else 0]
    theirs = graph.run(inputs)[0]
    ours = ours[0] if model.stateful else ours
    require(ours.shape == theirs.shape and np.allclose(ours, theirs, rtol=1e-4, atol=1e-5))


class _Walk:
    """The way from the first input to the first output."""

    def __init__(self, graph: Graph, dtype: Any) -> None:
        arrays = _example(graph, 5, 3)
        x, name = arrays[0], graph.names[0]
        require(x.ndim == (2 if x.dtype.kind in "iu" else 3))
        self.graph, self.dtype, self.budget, self.order = graph, dtype, BUDGET, ""
        self.values: dict[str, Any] = {"": None, **dict(zip(graph.names, arrays, strict=True))}
        self.fixed = {""}  # names of values that depend on constants and on shapes alone
        self.initial = set(graph.names[1:])  # states before the first step, and lengths
        self.states = set(self.initial)  # those, and states after the last step
        self.leading, self.width = x.shape[:2], x[0, 0].size  # axes, and number of features
        # The outputs of the last layer by name, with the numbers moved as they are there.
        self.labels = {name: np.arange(x.size).reshape(x.shape)}
        self.layers: list[Any] = []  # layers, and partials that make one once its merge is known
        self.bias = ""  # the product without bias

    def model(self) -> layers.Sequential:
        """Return the model."""
        self._walk(self.graph)
        first, *others = self.graph.outputs
        require(self.states >= set(others))
        labels = self.labels[first]
        require(labels.shape == self._settle(labels).shape and self.arranged == "as it is")
        made = [layer() if isinstance(layer, partial) else layer for layer in self.layers]
        return layers.Sequential(*made)

    def _walk(self, graph: Graph) -> None:
        """Follow the nodes, and those of the branches that shapes choose."""
        self.values |= graph.constants
        self.fixed |= set(graph.constants)
        for node in graph.needed():
            if node.op != "If":
                self._node(node)
                continue
            require(node.inputs[0] in self.fixed)
            branch = node.branch(self.values[node.inputs[0]])
            self._walk(branch)
            for inner, outer in zip(branch.outputs, node.outputs, strict=True):
                self._node(Node("", "Identity", (inner,), (outer,)))

    def _node(self, node: Node) -> None:
        """Run a node, and follow it if it reads outputs of the last layer."""
        arrays = [self.values[name] for name in node.inputs]
        self.budget -= _size_of_result(node.op, arrays)
        require(self.budget >= 0)
        run, outputs = node.function(self.graph.opset), node.outputs
        results = _several(run(*arrays))
        self.values.update(zip(outputs, map(np.asarray, results), strict=False))
        self.values[""] = None
        reads = set(node.inputs) - self.fixed
        if not reads or node.op in SHAPES:
            self.fixed |= set(outputs)
            return
        if node.op not in MOVES or (node.op == "Gather" and node.inputs[0] in self.fixed):
            self._layer(node, reads)
            return
        require(node.op != "Concat" or not self.fixed & set(node.inputs))
        if node.op == "Cast":
            require(results[0].dtype.kind == arrays[0].dtype.kind)
        for known in (self.initial, self.states):
            known.update(outputs if reads <= known else ())
        require(reads <= self.states or reads <= self.labels.keys())
        if reads <= self.labels.keys():
            moved = run(*[self.labels.get(n, a) for n, a in zip(node.inputs, arrays, strict=True)])
            self.labels.update(zip(outputs, _several(moved), strict=False))

    def _layer(self, node: Node, reads: set[str]) -> None:
        """Follow a node that is a layer, or a part of one."""
        require(len(reads - self.initial) == 1)
        x = next(iter(reads - self.initial))
        require(x in self.labels)
        op, options, labels = node.op, node.options(), self.labels[x]
        fixed = [self.values[name] for name in node.inputs if name in self.fixed]
        if op in KINDS:
            self.labels = self._recurrent(node, labels)
            return
        require(reads == {x})
        if op in MERGES:
            self.labels = {node.outputs[0]: self._merge(op, labels, fixed, options)}
            return
        shape = labels.shape[:-1]
        self._settle(labels)
        if op == "Gather":
            table, shape = fixed[0], labels.shape
            require(self.width == 1 and table.ndim == 2 and not options.get("axis", 0))
            self._add(layers.Embedding, *table.shape, weights={"weight": table})
            self.width = table.shape[1]
        else:
            require(labels.shape[labels.ndim - 1] == self.width)
            require(options.get("axis", -1) in (-1, labels.ndim - 1))
            self._feature_layer(node, x, fixed, options)
        self.labels = {node.outputs[0]: self._arrange().reshape(*shape, self.width)}

    def _feature_layer(
        self, node: Node, x: str, fixed: list[Array], options: dict[str, Any]
    ) -> None:
        """Append the layer of a node that works on the features."""
        if node.op in ("MatMul", "Gemm"):
            require(node.inputs[0] == x and not options.get("transA"))
            weight = fixed[0] if options.get("transB") else fixed[0].T
            bias = fixed[1] * options.get("beta", 1.0) if fixed[1:] else None
            self._linear(weight * weight.dtype.type(options.get("alpha", 1.0)), bias)
            self.bias = node.outputs[0] if bias is None else ""
        elif node.op == "Add":
            require(x == self.bias)
            self._linear(self.layers.pop().parameters.values["weight"], fixed[0].reshape(-1))
        elif node.op == "LayerNormalization":
            weights = dict(zip(("weight", "bias"), fixed, strict=False))
            arguments = fixed[0].size, options.get("epsilon", 1e-5), True, len(fixed) == 2
            self._add(layers.LayerNorm, *arguments, weights=weights)
        else:
            require(node.op in ACTIVATIONS)
            name, names = ACTIVATIONS[node.op]
            named = {ours: options.get(*theirs) for ours, theirs in names.items()}
            self.layers.append(getattr(layers, name)(**named))

    def _add(self, kind: Any, *arguments: Any, weights: dict[str, Array]) -> None:
        """Append a layer with these weights."""
        dtype = self.dtype or np.result_type(*weights.values(), np.float32)
        layer = kind(*arguments, dtype=dtype)
        for name, weight in weights.items():
            layer.parameters.values[name][...] = weight
        self.layers.append(layer)

    def _linear(self, weight: Array, bias: Array | None) -> None:
        require(weight.ndim == 2 and (bias is None or bias.shape == weight.shape[:1]))
        weights = {"weight": weight} if bias is None else {"weight": weight, "bias": bias}
        self._add(layers.Linear, *weight.shape[::-1], bias is not None, weights=weights)
        self.width = len(weight)

    def _recurrent(self, node: Node, labels: Array) -> dict[str, Array]:
        """Append a recurrent layer and return the labels of its outputs."""
        attributes = dict(node.attributes)
        names = [*node.inputs, *[""] * (8 - len(node.inputs))]
        weights = [self.values[names[n]] for n in (1, 2, 3, 7)]
        require({names[n] for n in (1, 2, 3, 7)} <= self.fixed)
        require(not any(np.any(self.values[name]) for name in names[5:7]))
        layout = attributes.pop("layout", 0)
        labels = labels.swapaxes(0, 1) if layout else labels
        require(len(self.leading) == 2)
        full = self._full()
        order = "01" if np.array_equal(labels, full) else "10"
        require(order == "01" or np.array_equal(labels, full.swapaxes(0, 1)))
        require(self.order in ("", order))
        self.order = order
        options = {"batch_first": order == "10", "dtype": self.dtype}
        self.layers.append(partial(make_layer, node.op, attributes, weights, **options))
        ways, H = len(weights[0]), weights[1].shape[2]
        self.width = ways * H
        full = self._full() if order == "01" else self._full().swapaxes(0, 1)
        Y = full.reshape(*full.shape[:2], ways, H).transpose(0, 2, 1, 3)
        reverse = attributes.get("direction") == "reverse"
        Y_h = np.stack([Y[0 if reverse or way else -1, way] for way in range(ways)])
        if layout:
            Y, Y_h = Y.transpose(2, 0, 1, 3), Y_h.swapaxes(0, 1)
        self.states |= set(node.outputs[1:])
        return dict(zip(node.outputs, (Y, Y_h), strict=False))

    def _merge(self, op: str, labels: Array, fixed: list[Array], options: dict[str, Any]) -> Array:
        """Give the last layer a merge mode and return the labels of the result."""
        (axis,) = fixed[0] if fixed else options["axes"]
        first, second = np.moveaxis(labels, axis, 0)
        H = self.width // 2
        require(isinstance(self.layers[-1], partial) and np.all(second - first == H))
        self.layers[-1] = partial(self.layers[-1], merge=MERGES[op])
        self.width, merged = H, first // (2 * H) * H + first % H
        return np.expand_dims(merged, axis) if options.get("keepdims", 1) else merged

    def _full(self) -> Array:
        """Return the labels in the order in which a layer has its outputs."""
        return np.arange(math.prod(self.leading) * self.width).reshape(*self.leading, self.width)

    def _arrange(self) -> Array:
        return self._full().swapaxes(0, 1) if self.arranged == "swapped" else self._full()

    def _settle(self, labels: Array) -> Array:
        """Find how labels are arranged, append a LastStep if that is it, and return them so.

        Axes of size 1 do not count.
        """
        full = self._full()
        ways: dict[str, Array] = {"as it is": full}
        if len(self.leading) == 2:
            ways["swapped"] = full.swapaxes(0, 1)
        if self.order and len(self.leading) == 2:
            y = full.swapaxes(0, 1) if self.order == "10" else full
            half = self.width // 2
            ways["last"] = y[-1]
            made = self.layers[-1]
            if isinstance(made, partial) and "merge" not in made.keywords:
                ways["final"] = np.hstack([y[-1][:, :half], y[0][:, half:]])
        fits = [n for n, way in ways.items() if np.array_equal(way.squeeze(), labels.squeeze())]
        require(fits)
        self.arranged = fits[0]
        if fits[0] in ("last", "final"):
            self.layers.append(layers.LastStep(self.order == "10", fits[0] == "final"))
            self.leading = (len(ways["last"]),)
            self.arranged = "as it is"
        return self._arrange()


def _several(result: Any) -> tuple[Any, ...]:
    return result if isinstance(result, tuple) else (result,)


def _size_of_result(op: str, inputs: list[Any]) -> int:
    """Return how many numbers a result can have at most, without computing it."""
    shapes = [np.shape(array) for array in inputs if array is not None]
    sizes = [math.prod(shape) for shape in shapes]
    size: int = sum(sizes)
    if op in ("MatMul", "Gemm"):
        size = sizes[0] * sizes[1] // max(1, min(shapes[0][-2:], default=1))
    elif op in ("ConstantOfShape", "Expand", "Tile"):
        size = math.prod(abs(int(n)) for n in np.ravel(inputs[-1])) * max(sizes[0], 1)
    elif op == "Gather":
        size = sizes[1] * max(sizes[0] // max(min(shapes[0], default=1), 1), 1)
    elif op in KINDS:
        size += 1024 * shapes[0][0]  # its steps take time
    else:
        with contextlib.suppress(ValueError):
            size = max(size, math.prod(np.broadcast_shapes(*shapes)))
    return size
