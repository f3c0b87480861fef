"""Recognise a graph that is a chain of layers, and build the Sequential.

The graph is traced on a small input, so that shapes, zero states and branches are gone. What is
left must lead from the first input to the first output through one value at a time. Each axis of
that value is followed as a group of atoms: "0" and "1" are the first axes of the input, "dir" the
directions of a recurrent node, "D" the features. At the end both models run on the same numbers.
Any difference, and anything that is not understood, leaves the graph a graph.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np

from numpy_rnn import layers
from numpy_rnn.functional.types import Array
from numpy_rnn.interchange.graph import Graph
from numpy_rnn.interchange.onnx_recurrent import KINDS, make_layer
from numpy_rnn.interchange.operators import slices
from numpy_rnn.interchange.trace import RESHAPES, Step, Trace

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
MOVES = {"Gather", "Slice", "Split", "Concat", "Transpose", *RESHAPES}  # numbers stay the same
KNOWN = {"MatMul", "Gemm", "Add", "LayerNormalization", "Shape", "Size", "Mul", "Sub", "Div", "If"}
KNOWN |= {"ConstantOfShape", "Expand", "Identity", "Dropout", "Cast", "Equal", "Range", "Where"}
KNOWN |= {"Not", *MOVES, *ACTIVATIONS, *MERGES, *KINDS}
FEATURES = (("D",), ("dir", "D"))
MAX_NODES = 2000
BUDGET = 1 << 22  # numbers that the trace of a small input may make

Axes = list[tuple[str, ...]]


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
            inputs = _example(graph, 5, 3)
            trace = Trace(graph, inputs, {}, BUDGET)
            model = _Walk(trace, inputs[0].dtype.kind, dtype).model()
            for sizes in ((5, 3), (2, 4)):
                _compare(graph, model, _example(graph, *sizes))
    except (NoChainError, ValueError, TypeError, LookupError):
        return None
    return model


def _operators(graph: Graph) -> set[Any]:
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

    def __init__(self, trace: Trace, kind: str, dtype: Any) -> None:
        self.trace, self.dtype = trace, dtype
        names = ["0", "1"] if kind in "iu" else ["0", "1", "D"]
        self.axes: Axes = [(name,) for name in names]
        self.sizes = dict(zip(names, trace.shapes[0], strict=True))
        self.order = ""  # the atoms of time and batch
        self.layers: list[Any] = []  # layers, and partials that make one once its merge is known
        self.bias = -1  # the slot of a product without bias

    def model(self) -> layers.Sequential:
        """Return the model."""
        steps, first = self.trace.plan().steps, self.trace.outputs[0]
        touched, needed = {0}, {first}
        for step in steps:
            if touched & set(step.inputs):
                touched |= set(step.outputs)
        path: list[Step] = []
        for step in reversed(steps):
            if needed & set(step.outputs) and touched & set(step.inputs):
                needed |= set(step.inputs)
                path.insert(0, step)
        current = 0
        for step, after in zip(path, [*path[1:], None], strict=True):
            require(touched & set(step.inputs) == {current})
            wanted = set(step.outputs) & (set(after.inputs) if after else {first})
            require(len(wanted) == 1)
            self._step(step, step.outputs.index(current := wanted.pop()))
        _check_others(steps, path, touched, self.trace.outputs[1:])
        last = any(isinstance(layer, layers.LastStep) for layer in self.layers)
        leading = [tuple((self.order or "01")[1:])] if last else [("0",), ("1",)]
        require(self.axes[:-1] == leading and self.axes[-1] in FEATURES)
        made = [layer() if isinstance(layer, partial) else layer for layer in self.layers]
        return layers.Sequential(*made)

    def _step(self, step: Step, output: int) -> None:
        """Follow one step: its layer, if it is one, and the axes after it."""
        op, (x, *more), options = str(step.node.op), step.inputs, step.node.options()
        fixed = [self.trace.values[slot] for slot in more if slot in self.trace.fixed]
        shape = self.trace.shapes[step.outputs[output]]
        if op in RESHAPES:
            self._regroup(shape)
        elif op == "Transpose":
            self.axes = [self.axes[n] for n in options.get("perm", range(len(self.axes))[::-1])]
        elif op in KINDS:
            self._recurrent(step, output)
        elif op == "Gather" and x in self.trace.fixed:
            table = self.trace.values[x]
            require(table.ndim == 2 and not options.get("axis", 0))
            self._add(layers.Embedding, *table.shape, weights={"weight": table})
            self.axes.append(("D",))
            self.sizes["D"] = table.shape[1]
        elif op in ("Gather", "Slice"):
            self._pick(op, self.trace.shapes[x], fixed, options)
        elif op in MERGES:
            require(isinstance(self.layers[-1], partial))
            self.layers[-1] = partial(self.layers[-1], merge=MERGES[op])
            self.axes.remove(("dir",))
            self._regroup(shape)
        else:
            require(self.axes[-1] in FEATURES and options.get("axis", -1) in (-1, len(shape) - 1))
            self._layer(op, step, fixed, options)

    def _layer(self, op: str, step: Step, fixed: list[Array], options: dict[str, Any]) -> None:
        """Follow a step that is a layer of the features."""
        if op in ("MatMul", "Gemm"):
            require(not options.get("transA"))
            weight = fixed[0] if options.get("transB") else fixed[0].T
            bias = fixed[1] * options.get("beta", 1.0) if fixed[1:] else None
            self._linear(weight * weight.dtype.type(options.get("alpha", 1.0)), bias)
            self.bias = step.outputs[0] if bias is None else -1
        elif op == "Add" and self.bias in step.inputs:
            vector = next(self.trace.values[n] for n in step.inputs if n in self.trace.fixed)
            self._linear(self.layers.pop().parameters.values["weight"], vector.reshape(-1))
        elif op == "LayerNormalization":
            weights = dict(zip(("weight", "bias"), fixed, strict=False))
            arguments = fixed[0].size, options.get("epsilon", 1e-5), True, len(fixed) == 2
            self._add(layers.LayerNorm, *arguments, weights=weights)
        else:
            require(op in ACTIVATIONS)
            name, names = ACTIVATIONS[op]
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
        self.axes[-1] = ("D",)
        self.sizes["D"] = len(weight)

    def _recurrent(self, step: Step, output: int) -> None:
        node, attributes = step.node, dict(step.node.attributes)
        layout = attributes.pop("layout", 0)
        require(len(self.axes) == 3 and self.axes[2] in FEATURES and output < 2)
        time, batch = self.axes[layout], self.axes[1 - layout]
        order = "".join(time + batch)
        require(order in ("01", "10") and self.order in ("", order))
        self.order = order
        W, R, B, P = self.trace.weights[id(node)]
        options = {"batch_first": order == "10", "dtype": self.dtype}
        self.layers.append(partial(make_layer, node.op, attributes, W, R, B, P, **options))
        self.sizes |= {"dir": len(W), "D": R.shape[2]}
        ways = ("dir",) if len(W) == 2 else ()
        if output == 0:
            self.axes = [batch, time, ways, ("D",)] if layout else [time, ways, batch, ("D",)]
        else:
            self.axes = [batch, ways, ("D",)] if layout else [ways, batch, ("D",)]
            require(attributes.get("direction") != "reverse")
            self.layers.append(layers.LastStep(order == "10", len(W) == 2))

    def _pick(
        self, op: str, shape: tuple[int, ...], fixed: list[Array], options: dict[str, Any]
    ) -> None:
        """Follow a choice of one element along an axis: the last step, or the only direction."""
        if op == "Slice":
            index = slices(shape, *fixed, **options)
            ranges = [range(*part.indices(n)) for part, n in zip(index, shape, strict=True)]
            (axis,) = [n for n, kept in enumerate(ranges) if len(kept) < shape[n]]
            (at,) = ranges[axis]
        else:
            axis = options.get("axis", 0)
            at = int(fixed[0]) % shape[axis]
        if self.axes[axis] == tuple(self.order[:1]) and at == shape[axis] - 1:
            self.layers.append(layers.LastStep(self.order == "10"))
        else:
            require(self.axes[axis] == () and at == 0)
        self.axes[axis : axis + 1] = [()] if op == "Slice" or fixed[0].ndim else []

    def _regroup(self, shape: tuple[int, ...]) -> None:
        """Follow a reshape: the atoms keep their order, and the new axes are groups of them."""
        atoms = [atom for group in self.axes for atom in group]
        self.axes = []
        for n in shape:
            group: tuple[str, ...] = ()
            size = 1
            while size < n:
                group, size = (*group, atoms[0]), size * self.sizes[atoms.pop(0)]
            require(size == n)
            if n == 1 and atoms and self.sizes[atoms[0]] == 1:
                group = (atoms.pop(0),)
            self.axes.append(group)
        require(not atoms)


def _check_others(
    steps: list[Step], path: list[Step], touched: set[int], outputs: list[int]
) -> None:
    """Raise NoChainError unless all other steps and outputs only move numbers of the states."""
    own = {slot for step in path for slot in step.outputs}
    states = {slot for step in path if step.node.op in KINDS for slot in step.outputs[1:]}
    require((own | {0}) & set(outputs) <= states)
    chosen = {id(step) for step in path}
    for step in steps:
        if id(step) not in chosen:
            require(step.node.op in MOVES | {"Cast"} and 0 not in step.inputs)
            require(touched & own & set(step.inputs) <= states)
