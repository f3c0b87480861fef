"""Graph: a network that is no chain of layers, run forward only, node after node."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from operator import itemgetter, methodcaller
from typing import Any, NamedTuple

import numpy as np

from numpy_rnn.functional.types import Array
from numpy_rnn.interchange.contents import UnsupportedError
from numpy_rnn.interchange.onnx_recurrent import KINDS, RecurrentNode, why_not_recurrent
from numpy_rnn.interchange.operators import function_of, slices, why_not

MAX_NAMED = 100  # nodes in a message
MAX_LINE = 200  # characters for each of them
MAX_PLANS = 8  # one for each shape of the inputs, the latest ones
SHAPES = {"Shape", "Size"}
# Operators for which the numbers of further inputs, or of all, decide the shape of the result.
RESHAPES = {"Reshape", "Squeeze", "Unsqueeze", "Flatten"}
SHAPED_BY_MORE = {"Slice", "Pad", "Expand", "Tile", "Split", *RESHAPES}
SHAPED_BY_ALL = {"ConstantOfShape", "Range", "If"}
BRANCHES = {"then_branch", "else_branch"}
# What NumPy raises for inputs that do not fit an operator, or that are missing.
ERRORS = (ValueError, TypeError, LookupError, ArithmeticError, AttributeError)


class Node(NamedTuple):
    """A step of a graph.

    Attributes
    ----------
    name : str
        For messages.
    op : str
        A name of ONNX.
    inputs, outputs : tuple of str
        Names of values; "" is an input that is left out, or an output that is not needed.
    attributes : mapping
        Plain values and arrays, and Graphs for the branches of If.
    """

    name: str
    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any] = {}

    def options(self) -> dict[str, Any]:
        """Return the attributes as arguments of the operator's function."""
        found = dict(self.attributes)
        if self.op == "Split" and "split" not in found and len(self.inputs) < 2:
            found["num_outputs"] = len(self.outputs)
        return found

    def reads(self) -> list[str]:
        """Return the names of all values that the node reads."""
        return [*self.inputs, *[name for graph in self.graphs() for name in graph.free]]

    def graphs(self) -> list[Graph]:
        """Return the graphs among the attributes."""
        return [value for value in self.attributes.values() if isinstance(value, Graph)]

    def branch(self, condition: Any) -> Graph:
        """Return the branch of an If."""
        chosen: Graph = self.attributes["then_branch" if condition else "else_branch"]
        return chosen

    def function(self, opset: int) -> Callable[..., Any]:
        """Return the function of what the node reads, for one thread."""
        if self.op == "If":
            return partial(self._choose, self.reads()[1:])
        if self.op in KINDS:
            return RecurrentNode(self.op, self.attributes)
        return function_of(self.op, self.options(), opset)

    def _choose(self, names: Sequence[str], condition: Array, *values: Array) -> tuple[Array, ...]:
        known = dict(zip(names, values, strict=True))
        branch = self.branch(condition)
        return branch.run([known[name] for name in branch.free])

    def unsupported(self) -> str:
        """Return why the node cannot run, or ''."""
        if self.op == "If":
            fits = set(self.attributes) == BRANCHES and len(self.graphs()) == 2
            return "" if fits else f"attributes {sorted(self.attributes)}"
        if self.op in KINDS:
            return why_not_recurrent(self.op, self.attributes, self.inputs)
        return why_not(self.op, self.options(), self.inputs)


class Value(NamedTuple):
    """An input of a graph; None is any dtype, number of axes or size, and so is a name."""

    name: str
    dtype: np.dtype[Any] | None = None
    shape: tuple[int | str | None, ...] | None = None

    def check(self, given: Any) -> Array:
        """Return an input as an array if dtype and shape fit."""
        x, dtype, shape = np.asarray(given), self.dtype, self.shape
        if dtype is not None and x.dtype != dtype:
            if not np.can_cast(x.dtype, dtype, "same_kind"):
                raise TypeError(f"input {self.name!r} has dtype {x.dtype}, expected {dtype}")
            x = x.astype(dtype)
        if shape is not None:
            pairs = zip(shape, x.shape, strict=False)
            if x.ndim != len(shape) or any(isinstance(s, int) and s != n for s, n in pairs):
                raise ValueError(f"input {self.name!r} has shape {x.shape}, expected {shape}")
        return x


class Graph:
    """Named nodes in the order in which they run.

    Parameters
    ----------
    nodes : sequence of Node
        A node reads inputs, constants and outputs of nodes before it.
    inputs : sequence of str or Value
        In order.
    outputs : sequence of str
        In order.
    constants : mapping of str to array
        The weights. What depends on them and on shapes alone is computed once for each shape.
    opset : int
        Version of ONNX's operators.

    Examples
    --------
    >>> import numpy as np
    >>> double = Node("double", "Add", ("x", "x"), ("y",))
    >>> graph = Graph([double], ["x"], ["y"])
    >>> graph(np.ones(2))
    (array([2., 2.]),)
    >>> graph({"x": np.ones(2)})
    {'y': array([2., 2.])}
    """

    def __init__(
        self,
        nodes: Sequence[Node],
        inputs: Sequence[str | Value],
        outputs: Sequence[str],
        constants: Mapping[str, Array] | None = None,
        opset: int = 17,
    ) -> None:
        self.nodes, self.outputs, self.opset = tuple(nodes), tuple(outputs), opset
        self.inputs = tuple(Value(i) if isinstance(i, str) else i for i in inputs)
        self.constants = dict(constants or {})
        self.names = [value.name for value in self.inputs]
        known = {"", *self.constants, *self.names}
        free: dict[str, None] = {}  # what a subgraph reads of the graph around it, in order
        for node in self.nodes:
            free |= dict.fromkeys(name for name in node.reads() if name not in known)
            known.update(node.outputs)
        free |= dict.fromkeys(name for name in self.outputs if name not in known)
        self.free = tuple(free)
        self._checked = False
        self._own = threading.local()  # recurrent nodes have buffers, so each thread has its own

    def __reduce__(self) -> tuple[Any, ...]:
        """Copy and pickle what the graph was made of."""
        return Graph, (self.nodes, self.inputs, self.outputs, self.constants, self.opset)

    def __repr__(self) -> str:
        return f"Graph({len(self.nodes)} nodes, {self.names} -> {list(self.outputs)})"

    def unsupported(self) -> list[str]:
        """Return a line with the reason for every node that cannot run."""
        found = []
        for node in self.nodes:
            try:
                reason = node.unsupported()
            except ERRORS as error:
                reason = f"an attribute has another type than expected: {error}"
            if reason:
                op = repr(node.op)[1:-1]  # it may hold any character
                found.append(f"node {node.name!r} ({op}): {reason}")
            for graph in node.graphs():
                found += graph.unsupported()
        return found

    def check(self, more: Sequence[str] = ()) -> None:
        """Raise UnsupportedError, which names every node that cannot run, and what is in `more`."""
        if self.free:
            raise ValueError(f"the value {self.free[0]!r} is read, and nothing before defines it")
        lines = [*more, *self.unsupported()]
        found = [text if len(text) <= MAX_LINE else f"{text[:MAX_LINE]}..." for text in lines]
        rest = [f"and {len(found) - MAX_NAMED} more"] if len(found) > MAX_NAMED else []
        if found:
            raise UnsupportedError("; ".join(found[:MAX_NAMED] + rest))
        self._checked = True

    def __call__(self, *inputs: Any) -> Any:
        """Run the graph: arrays in order give a tuple, a dict of arrays gives a dict.

        TypeError or ValueError names the input or the node that does not fit.
        """
        if not self._checked:
            self.check()
        given = inputs[0] if len(inputs) == 1 and isinstance(inputs[0], Mapping) else None
        if given is not None:
            if set(given) != set(self.names):
                raise ValueError(f"inputs are {sorted(given)}, expected {self.names}")
            inputs = tuple(given[name] for name in self.names)
        if len(inputs) != len(self.names):
            expected = f"{len(self.names)}: {self.names}"
            raise ValueError(f"there are {len(inputs)} inputs, expected {expected}")
        outputs = self.run([v.check(x) for v, x in zip(self.inputs, inputs, strict=True)])
        return outputs if given is None else dict(zip(self.outputs, outputs, strict=True))

    def run(self, arrays: list[Array]) -> tuple[Array, ...]:
        """Return the outputs for arrays that fit the inputs (and `free`, in a subgraph)."""
        own = self._own.__dict__
        given = dict(zip([*self.names, *self.free], arrays, strict=True))
        key = tuple([(x.shape, x.dtype) for x in arrays])
        plans = own.setdefault("plans", {})
        if key not in plans:
            if len(plans) >= MAX_PLANS:
                del plans[next(iter(plans))]
            values = {"": None, **given, **self.constants, **own.get("outer", {})}
            plans[key] = self._plan(values, set(values) - set(given) | set(own.get("outer", ())))
        else:
            fixed, steps = plans[key]
            values = {**given, **fixed}
            for node, function, reads, ends in steps:
                _run_node(node, function, reads, values)
                for name in ends:
                    del values[name]
        return tuple([np.array(values[name]) for name in self.outputs])

    def needed(self) -> list[Node]:
        """Return the nodes that the outputs need, in order."""
        wanted, found = set(self.outputs), []
        for node in reversed(self.nodes):
            if wanted & set(node.outputs):
                wanted |= set(node.reads())
                found.append(node)
        return found[::-1]

    def _plan(self, values: dict[str, Any], fixed: set[str]) -> tuple[dict[str, Any], list[Any]]:
        """Run the nodes. Return what later inputs of the same shapes need: values and steps.

        `fixed` are the names of values that depend on constants and on shapes alone.
        """
        nodes, steps, shaped = self.needed(), [], set(values)
        functions = self._own.__dict__.setdefault("functions", {})
        last = {name: node for node in nodes for name in node.reads()}
        for node in nodes:
            reads, used = node.reads(), set(node.reads())
            for graph in node.graphs():
                graph._own.outer = {name: values[name] for name in graph.free if name in fixed}
            function = functions.setdefault(id(node), node.function(self.opset))
            _run_node(node, function, reads, values)
            by_all = node.op in SHAPED_BY_ALL
            by_more = node.op in SHAPED_BY_MORE or node.op.startswith("Reduce")
            numbers = used if by_all else set(reads[1:]) if by_more else set()
            known = used <= shaped and numbers <= fixed
            shaped.update(node.outputs if known else ())
            if used <= fixed or (known and node.op in SHAPES):
                fixed.update(node.outputs)
                continue
            ends = {n for n in reads if last[n] is node} - {*fixed, *self.outputs}
            if known and node.op in RESHAPES and used <= fixed | {reads[0]}:
                function, reads = methodcaller("reshape", values[node.outputs[0]].shape), reads[:1]
            elif known and node.op == "Slice":
                index = slices(*[values[name] for name in reads], **node.options())
                function, reads = itemgetter(index), reads[:1]
            steps.append((node, function, reads, tuple(ends)))
            for name in ends:
                del values[name]
        return {name: values[name] for name in fixed if name in values}, steps


def _run_node(
    node: Node, function: Callable[..., Any], reads: Sequence[str], values: dict[str, Any]
) -> None:
    """Add the outputs of a node to the values by name."""
    try:
        result = function(*[values[name] for name in reads])
    except ERRORS as error:
        raise ValueError(f"node {node.name!r} ({node.op}): {error}") from error
    results = result if isinstance(result, tuple) else (result,)
    if len(results) < len(node.outputs):
        expected = f"{len(node.outputs)} outputs, expected at most {len(results)}"
        raise ValueError(f"node {node.name!r} ({node.op}): {expected}")
    for name, value in zip(node.outputs, results, strict=False):
        if name:
            values[name] = np.asarray(value)
