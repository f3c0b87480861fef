"""Recognise a graph that is a chain of layers, and build the Sequential.

The graph runs on a small input, node by node. What depends on the numbers of the first input must
lead to the first output through one value at a time. Nodes that only move numbers are passed over.
What they do follows from the layers, or else the model's outputs for random inputs are not those of
the graph. No constant may be compared with a size, so what holds for small inputs holds for all.
Any difference, and anything that is not understood, leaves the graph a graph.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from numpy_rnn import layers
from numpy_rnn.functional.types import Array
from numpy_rnn.interchange.graph import CONSTANT, ERRORS, NUMBERS, SHAPES, Graph, Known, Node, Run
from numpy_rnn.interchange.onnx_recurrent import ACTIVATIONS, CONSTANTS, KINDS, make_layer
from numpy_rnn.layers.activation import activation_layer

MERGES = {"ReduceSum": "sum", "ReduceMean": "ave", "ReduceProd": "mul"}
# Nodes that only move numbers, and those that are no layer but can lead to a constant.
MOVES = {"Gather", "Slice", "Split", "Concat", "Transpose", "Identity", "Dropout", "Cast"}
MOVES |= {"Reshape", "Squeeze", "Unsqueeze", "Flatten"}
KNOWN = {"Mul", "Sub", "Div", "ConstantOfShape", "Expand", "Equal", "Range", "Where", "Not", "If"}
KNOWN |= {"MatMul", "Gemm", "Add", "LayerNormalization", "Softmax", "LogSoftmax"}
KNOWN |= {*ACTIVATIONS, *MERGES, *KINDS, *MOVES, *SHAPES}
MAX_NODES = 2000
BUDGET = 1 << 22  # numbers that the run on a small input may make
SIZES = ((13, 11), (2, 4), (7, 6))  # of free axes, in the small inputs
NO_BOUND = (1 << 31) - 1  # and more: the end of a slice that has none


class NoChainError(Exception):
    """The graph is no chain of layers."""


def require(condition: object) -> None:
    """Raise NoChainError unless the condition holds."""
    if not condition:
        raise NoChainError


def to_sequential(graph: Graph, dtype: Any = None) -> layers.Sequential | None:
    """Return the Sequential that a graph is, or None."""
    try:
        require(len(graph.nodes) <= MAX_NODES and {node.op for node in graph.all_nodes()} <= KNOWN)
        with np.errstate(all="ignore"):
            for model in _Walk(graph, dtype).models():
                if all(_agree(graph, model, _example(graph, *sizes)) for sizes in SIZES):
                    return model
    except (NoChainError, *ERRORS):
        pass
    return None


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


def _agree(graph: Graph, model: layers.Sequential, inputs: list[Array]) -> bool:
    first, x = next(iter(model.layers.values())), inputs[0]
    if isinstance(first, layers.Embedding):
        x[...] = np.random.default_rng(0).integers(0, first.num_embeddings, x.shape)
    try:
        ours = model.predict(x if x.dtype.kind in "iu" else x.astype(model.parameters.dtype))
    except ERRORS:
        return False
    for array in inputs[1:]:
        if array.dtype.kind in "iu" and array.ndim == 1:  # lengths
            array[...] = x.shape[1 if model.batch_first else 0]
    known = [Known(array, NUMBERS) for array in inputs]
    theirs = Run(graph.opset, {}).graph(graph, known)[0].array
    ours = ours[0] if model.stateful else ours
    return ours.shape == theirs.shape and np.allclose(ours, theirs, rtol=1e-4, atol=1e-5)


class Label(NamedTuple):
    """What is known of a value that depends on numbers."""

    layer: int = -1  # of which it is an output, counted from 0; -1 for others
    state: int = 0  # 1 for states and lengths, 2 for those before the first step


class _Walk(Run):
    """A run on a small input, which follows the way from the first input to the first output."""

    def __init__(self, graph: Graph, dtype: Any) -> None:
        super().__init__(graph.opset, {})
        self.steps = None
        self.whole, self.dtype, self.budget = graph, dtype, BUDGET
        self.layers: list[Any] = []  # and partials that need `batch_first`
        self.made = self.size = 0  # layers, and parts of one, so far; size of the last output
        self.ways = 1  # directions of the last recurrent layer, if they are not merged
        self.reverse = False  # whether that one begins at the end
        self.unbiased = -1  # the layer that is a product without bias
        self.orders = [False, True]  # what `batch_first` can be

    def models(self) -> Iterator[layers.Sequential]:
        """Yield what the model can be."""
        x, *others = _example(self.whole, *SIZES[0])
        require(x.ndim == (2 if x.dtype.kind in "iu" else 3))
        inputs = [Known(x, NUMBERS, Label(0)), *[Known(s, NUMBERS, Label(-1, 2)) for s in others]]
        self.leading = x.shape[:2]
        first, *states = self.graph(self.whole, inputs)
        require(first.label.layer == self.made and all(known.label.state for known in states))
        self._last_step(first.array)
        for order in self.orders:
            made = [p(batch_first=order) if isinstance(p, partial) else p for p in self.layers]
            yield layers.Sequential(*made)

    def branch(self, node: Node, condition: Known) -> Graph:
        """Return the branch of an If, which must not depend on the inputs."""
        require(condition.depends == CONSTANT)
        return super().branch(node, condition)

    def node(self, node: Node, reads: list[Known]) -> list[Known]:
        """Run a node, and follow it if it reads outputs of the last layer."""
        op, arrays = node.op, [known.array for known in reads]
        self.budget -= _size_of_result(op, arrays)
        require(self.budget >= 0 and _holds_for_all_sizes(node, reads))
        results = super().node(node, reads)
        moving = [known for known in reads if known.depends == NUMBERS]
        if not moving or op in SHAPES:
            return results
        if op in MOVES and (op != "Gather" or reads[0].depends == NUMBERS):
            require(op != "Concat" or len(moving) == len(reads))
            require(op != "Cast" or results[0].array.dtype.kind == arrays[0].dtype.kind)
            state, found = min(k.label.state for k in moving), {k.label.layer for k in moving}
            require(state or len(found) == 1)
            label = Label(found.pop() if len(found) == 1 else -1, state)
            return [known._replace(label=label) for known in results]
        (known,) = [known for known in moving if known.label.state < 2]
        require(known.label.layer == self.made)
        self._last_step(known.array)
        self.made += 1
        if op in KINDS:
            self._recurrent(node, [*reads, *[Known(None)] * 8])
        else:
            require(len(moving) == 1)
            fixed = [known.array for known in reads if known.depends < NUMBERS]
            self._layer(op, reads[0] is known, fixed, node.attributes)
        self.size = results[0].array.size
        labels = [Label(self.made), Label(self.made, 1), Label(-1, 1)]
        return [known._replace(label=n) for known, n in zip(results, labels, strict=False)]

    def _last_step(self, x: Array) -> None:
        """Append a LastStep if there are fewer numbers than the last layer made."""
        if x.size < self.size:
            both = self.ways == 2
            self.layers.append(partial(layers.LastStep, bidirectional=both, reverse=self.reverse))

    def _recurrent(self, node: Node, reads: list[Known]) -> None:
        attributes = dict(node.attributes)
        require(all(reads[n].depends < NUMBERS for n in (1, 2, 3, 7)))
        weights = [reads[n].array for n in (1, 2, 3, 7)]
        batch, time = reads[0].array.shape[:2][:: 1 if attributes.pop("layout", 0) else -1]
        fits = {False: (time, batch), True: (batch, time)}
        self.orders = [order for order in self.orders if fits[order] == self.leading]
        self.layers.append(partial(make_layer, node.op, attributes, weights, dtype=self.dtype))
        self.ways, self.reverse = len(weights[0]), attributes.get("direction") == "reverse"

    def _layer(self, op: str, first: bool, fixed: list[Array], options: Mapping[str, Any]) -> None:
        """Append the layer of a node with these constants, or change the last one."""
        alpha, beta = options.get("alpha", 1.0), options.get("beta", 1.0)
        if op == "Gather":
            require(fixed[0].ndim == 2 and not options.get("axis", 0))
            self._add(layers.Embedding, *fixed[0].shape, weights={"weight": fixed[0]})
        elif op in MERGES:
            require(isinstance(self.layers[-1], partial) and self.ways == 2)
            self.layers[-1], self.ways = partial(self.layers[-1], merge=MERGES[op]), 1
        elif op in ("MatMul", "Gemm"):
            require(first and not options.get("transA"))
            weight = fixed[0] if options.get("transB") else fixed[0].T
            self._linear(weight * weight.dtype.type(alpha), fixed[1] * beta if fixed[1:] else None)
            self.unbiased = -1 if fixed[1:] else self.made
        elif op == "Add":
            require(self.unbiased == self.made - 1)
            self._linear(self.layers.pop().parameters.values["weight"], fixed[0].reshape(-1))
        elif op == "LayerNormalization":
            weights = dict(zip(("weight", "bias"), fixed, strict=False))
            arguments = fixed[0].size, options.get("epsilon", 1e-5), True, len(fixed) == 2
            self._add(layers.LayerNorm, *arguments, weights=weights)
        elif op in ACTIVATIONS:
            defaults = zip(("alpha", "beta"), CONSTANTS[ACTIVATIONS[op]], strict=False)
            given = [options.get(name, default) for name, default in defaults]
            self.layers.append(activation_layer(ACTIVATIONS[op], *given))
        else:
            self.layers.append(getattr(layers, op)())

    def _linear(self, weight: Array, bias: Array | None) -> None:
        require(weight.ndim == 2 and (bias is None or bias.shape == weight.shape[:1]))
        weights = {"weight": weight} if bias is None else {"weight": weight, "bias": bias}
        self._add(layers.Linear, *weight.shape[::-1], bias is not None, weights=weights)

    def _add(self, kind: Any, *arguments: Any, weights: dict[str, Array]) -> None:
        dtype = self.dtype or np.result_type(*weights.values(), np.float32)
        layer = kind(*arguments, dtype=dtype)
        for name, weight in weights.items():
            layer.parameters.values[name][...] = weight
        self.layers.append(layer)


def _holds_for_all_sizes(node: Node, reads: list[Known]) -> bool:
    """Return whether no constant is compared with the size of a free axis.

    Other nodes fail for one of the small inputs if a constant does not fit.
    """
    x, found = reads[0], {n: Known(np.array(v)) for n, v in node.attributes.items()}
    sized = any(CONSTANT < known.depends < NUMBERS for known in reads)
    if node.op == "Equal":  # exporters compare sizes with -1
        return not sized or all((k.array < 0).all() for k in reads if k.depends == CONSTANT)
    if node.op == "Div":
        return not sized
    if node.op == "Split" and x.depends == NUMBERS:
        return x.array.shape[node.attributes.get("axis", 0)] not in SIZES[0]
    if node.op != "Slice" or x.depends != NUMBERS:
        return True
    found |= zip(("starts", "ends", "axes"), reads[1:], strict=False)
    bounds = np.stack([found["starts"].array, found["ends"].array])
    axes = found["axes"].array if "axes" in found else np.arange(bounds.shape[1])
    sizes = np.array(x.array.shape)[axes]
    known = (np.abs(bounds) <= 2) | (np.abs(bounds) >= NO_BOUND) | (sized & (bounds == sizes))
    return bool((known | ~np.isin(sizes, SIZES[0])).all())


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
