"""Recognise a graph that is a chain of layers, and build the Sequential.

A run on small inputs follows the numbers of the first one. Nodes that only move them are passed
over. Every other node that reads them is a layer, or a part of one, whose only input they are.
Constants, shapes and initial states of zeros may join on the way.

Then both the Sequential and the graph run on more small random inputs. If their outputs differ, or
if a node is not understood, the graph stays a graph. No constant may be compared with a size, so
what holds for small inputs holds for all.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from numpy_rnn import layers
from numpy_rnn.functional.types import Array
from numpy_rnn.interchange.graph.graph import Graph
from numpy_rnn.interchange.graph.nodes import CALL, ERRORS, Node
from numpy_rnn.interchange.graph.run import CONSTANT, NUMBERS, SHAPES, Known, Run
from numpy_rnn.interchange.onnx.recurrent import ACTIVATIONS, CONSTANTS, KINDS, make_layer
from numpy_rnn.layers.activation import activation_layer

MERGES = {"ReduceSum": "sum", "ReduceMean": "ave", "ReduceProd": "mul"}
# Nodes that only move numbers, and those that may be beside the way.
MOVES = {"Gather", "Slice", "Concat", "Transpose", "Identity", "Dropout", "Cast"}
MOVES |= {"Reshape", "Squeeze", "Unsqueeze", "Flatten"}
BESIDE = {*MOVES, "numpy_rnn::Dequantize", "ConstantOfShape", "Expand", "Mul"}
MAX_NODES = 2000
BUDGET = 1 << 21  # numbers that small inputs may become, beside those of the file
SIZES = ((5, 3), (2, 4), (7, 6))  # of free axes, in the small inputs
NO_BOUND = (1 << 31) - 1  # and more: the end of a slice that has none
TIMED = (make_layer, layers.LastStep)  # what takes `batch_first`
# What a value comes from: the first input, final states alone, initial states alone.
FLOW, STATE, INITIAL = "flow", "state", "initial"


def require(condition: object) -> None:
    """Raise ValueError unless the condition holds, without which there is no chain."""
    if not condition:
        raise ValueError


def to_sequential(graph: Graph, dtype: Any = None) -> layers.Sequential | None:
    """Return the Sequential that a graph is, or None."""
    try:
        require(len(graph.all_nodes()) <= MAX_NODES)
        with np.errstate(all="ignore"):
            first = _Walk(graph, dtype, SIZES[0])
            walks = (_Walk(graph, dtype, sizes, first.tokens) for sizes in SIZES)
            examples = [(walk.x, walk.y) for walk in walks]  # without their weights
            for batch_first in (False, True):
                model = first.model(batch_first)
                if all(_agree(model, x, y) for x, y in examples):
                    return model
    except ERRORS:
        pass
    return None


def _example(graph: Graph, sizes: Sequence[int], tokens: int) -> list[Array]:
    """Return small inputs: numbers for the first one, zeros for the others, which are states."""
    named: dict[Any, int] = {}
    arrays: list[Array] = []
    for value in graph.inputs:
        require(value.shape is not None)
        require(not arrays or value.dtype is None or value.dtype.kind == "f")  # no lengths
        shape: list[int] = []
        for axis, n in enumerate(value.shape or ()):
            free = sizes[len(named) % len(sizes)]
            name = axis if n is None else n
            shape.append(n if isinstance(n, int) else named.setdefault(name, free))
        require(math.prod(shape) <= BUDGET / 4)
        arrays.append(np.zeros(shape, value.dtype or np.dtype(np.float32)))
    x, rng = arrays[0], np.random.default_rng(0)
    is_tokens = x.dtype.kind in "iu"
    require(x.ndim == (2 if is_tokens else 3))
    require(x.shape[:2] != (1, 1))  # which of the two is time cannot be told then
    x[...] = rng.integers(0, tokens, x.shape) if is_tokens else rng.standard_normal(x.shape)
    return arrays


def _agree(model: layers.Sequential, x: Array, expected: Array) -> bool:
    """Return whether a model's output is the expected one. It is not, if the input does not fit."""
    try:
        y = model.predict(x if x.dtype.kind in "iu" else x.astype(model.parameters.dtype))
    except ERRORS:
        return False
    y = y[0] if model.stateful else y
    return y.shape == expected.shape and np.allclose(y, expected, rtol=1e-4, atol=1e-5)


def _constant(known: Known) -> Any:
    """Return the array of a value that constants alone decide."""
    require(known.depends == CONSTANT)
    return known.array


class _Walk(Run):
    """A run on small inputs, which collects the layers from the first input to the first output.

    It reads no more numbers than a budget, whatever a stranger's file asks for.
    """

    def __init__(self, graph: Graph, dtype: Any, sizes: Sequence[int], tokens: int = 1) -> None:
        super().__init__({})
        self.steps = None  # nothing is recorded
        self.budget = BUDGET + 8 * sum(np.size(array) for array in graph.constants.values())
        self.dtype = dtype
        self.layers: list[tuple[partial[Any], dict[str, Array]]] = []  # and their weights
        self.tokens = 1  # how many different ones there are
        self.ways = 1  # directions of the last recurrent layer, if they are not merged
        self.reverse = False  # whether that one begins at the end
        self.x, *states = _example(graph, sizes, tokens)
        self.rows: float = self.x.shape[0] * self.x.shape[1]  # 0 after a LastStep
        initial = [Known(state, NUMBERS, INITIAL) for state in states]
        first, *others = self.graph(graph, [Known(self.x, NUMBERS, FLOW), *initial])
        require(first.label in (FLOW, STATE) and all(k.label == STATE for k in others))
        self.y = first.array
        self._last_step(first)

    def model(self, batch_first: bool) -> layers.Sequential:
        """Return the layers as a model."""
        made = []
        for make, weights in self.layers:
            layer = make(batch_first=batch_first) if make.func in TIMED else make()
            layer.load_state_dict(weights, strict=False)
            made.append(layer)
        return layers.Sequential(*made)

    def inner(self, node: Node, reads: list[Known], values: Mapping[str, Known]) -> Sequence[Known]:
        """Run a call of a function, whose nodes may be layers. No chain has branches or loops."""
        require(node.op == CALL)
        return super().inner(node, reads, values)

    def node(self, node: Node, reads: list[Known]) -> list[Known]:
        """Run a node, and note the layer that it is."""
        self._pay(node, reads)
        results = super().node(node, reads)
        flow = [known for known in reads if known.label in (FLOW, STATE)]
        if node.op in SHAPES:
            return results
        labels = [FLOW] * len(results)
        if not flow:
            initial = any(known.label for known in reads)
            require(node.op in (MOVES if initial else BESIDE))
            labels = [INITIAL if initial else ""] * len(results)
        elif node.op in MOVES and (node.op != "Gather" or reads[0].label in (FLOW, STATE)):
            self._check_moves(node, reads)
            if all(known.label == STATE for known in flow):
                labels = [STATE] * len(results)
        else:
            (read,) = flow
            self._last_step(read)
            if node.op in KINDS:
                require(reads[0] is read)
                self._recurrent(node, reads)
                labels[1:] = [STATE] * len(labels[1:])
            else:
                fixed = [_constant(known) for known in reads if known is not read]
                self._layer(node.op, reads[0] is read, fixed, node.attributes)
        return [k._replace(label=label) for k, label in zip(results, labels, strict=True)]

    def _pay(self, node: Node, reads: Sequence[Known]) -> None:
        """Count the numbers that a node reads. Filled arrays are views, which cost nothing yet."""
        sizes = [np.size(known.array) for known in reads]
        is_embedding = node.op == "Gather" and reads[0].depends == CONSTANT < reads[1].depends
        grows = node.op in ("Gather", "Mul") and not is_embedding
        self.budget -= math.prod(sizes) if grows else sum(sizes)
        require(self.budget >= 0)

    def _check_moves(self, node: Node, reads: Sequence[Known]) -> None:
        """Raise ValueError if sizes that happen to be small decide what a node moves."""
        # Without axes, it removes those that happen to have one element.
        require(node.op != "Squeeze" or node.inputs[1:] or "axes" in node.attributes)
        if node.op == "Slice":
            given = [_constant(known) for known in reads[1:3]]
            bounds = np.abs(given or [node.attributes[name] for name in ("starts", "ends")])
            require(((bounds <= 2) | (bounds >= NO_BOUND)).all())  # near an end
        if node.op == "Gather" and self.rows:
            self.rows = math.inf  # it picks a step, even if there is only one

    def _last_step(self, read: Known) -> None:
        """Append a LastStep if a value is the first one of one step only."""
        one = read.label == STATE or math.prod(read.array.shape[:-1]) < self.rows
        if one and self.rows and read.array.dtype.kind == "f":  # and not of tokens
            self.rows = 0
            self._add(layers.LastStep, bidirectional=self.ways == 2, reverse=self.reverse)

    def _recurrent(self, node: Node, reads: list[Known]) -> None:
        attributes, given = dict(node.attributes), [*reads, *[Known(None)] * 8]
        weights = [_constant(given[n]) for n in (1, 2, 3, 7)]
        require(given[4].array is None)  # lengths
        attributes.pop("layout", 0)
        self._add(make_layer, node.op, attributes, weights, dtype=self.dtype)
        self.ways, self.reverse = len(weights[0]), attributes.get("direction") == "reverse"

    def _layer(self, op: str, first: bool, fixed: list[Any], options: Mapping[str, Any]) -> None:
        """Append the layer of a node with these constants, or change the last one."""
        alpha, beta = options.get("alpha", 1.0), options.get("beta", 1.0)
        if op == "Gather":
            require(fixed[0].ndim == 2 and not options.get("axis", 0))
            self.tokens = len(fixed[0])
            self._add(layers.Embedding, *fixed[0].shape, weights={"weight": fixed[0]})
        elif op in MERGES:
            make, _ = self.layers.pop()
            require(make.func in TIMED and self.ways == 2)
            self._add(make, merge=MERGES[op])
            self.ways = 1
        elif op in ("MatMul", "Gemm"):
            require(first and not options.get("transA"))
            weight = fixed[0] if options.get("transB") else fixed[0].T
            weight = weight if alpha == 1 else weight * weight.dtype.type(alpha)  # no copy
            self._linear(weight, fixed[1] * beta if fixed[1:] else None)
        elif op == "Add":
            make, weights = self.layers.pop()
            require(make.func is layers.Linear and "bias" not in weights)
            self._linear(weights["weight"], fixed[0].reshape(-1))
        elif op == "LayerNormalization":
            arguments = fixed[0].size, options.get("epsilon", 1e-5), True, len(fixed) == 2
            weights = dict(zip(("weight", "bias"), fixed, strict=False))
            self._add(layers.LayerNorm, *arguments, weights=weights)
        elif op in ACTIVATIONS:
            defaults = zip(("alpha", "beta"), CONSTANTS[ACTIVATIONS[op]], strict=False)
            given = [options.get(name, default) for name, default in defaults]
            self._add(activation_layer, ACTIVATIONS[op], *given)
        else:
            require(op in ("Softmax", "LogSoftmax"))
            self._add(getattr(layers, op))

    def _linear(self, weight: Array, bias: Array | None) -> None:
        require(weight.ndim == 2 and (bias is None or bias.shape == weight.shape[:1]))
        weights = {"weight": weight} if bias is None else {"weight": weight, "bias": bias}
        self._add(layers.Linear, *weight.shape[::-1], bias is not None, weights=weights)

    def _add(self, make: Any, *arguments: Any, weights: Any = None, **options: Any) -> None:
        if weights:
            options["dtype"] = self.dtype or np.result_type(*weights.values(), np.float32)
        self.layers.append((partial(make, *arguments, **options), weights or {}))
