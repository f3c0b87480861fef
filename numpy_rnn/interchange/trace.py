"""Plans of a graph: what is left of it for inputs of given shapes.

The first call with inputs of some shapes is traced. Whatever depends on constants and shapes alone
is computed once, a branch that they decide is chosen once, and what no output needs is dropped.
The plan that is left is a list of functions, which serves later calls.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from operator import itemgetter, methodcaller
from typing import Any, NamedTuple

import numpy as np

from numpy_rnn.functional.types import Array
from numpy_rnn.interchange.onnx_recurrent import KINDS, recurrent
from numpy_rnn.interchange.onnx_tensor import array_type
from numpy_rnn.interchange.operators import conv, function_of, parts, size_of_result, slices

Graph = Any  # numpy_rnn.interchange.graph.Graph, which is made of the nodes here
RESHAPES = {"Reshape", "Squeeze", "Unsqueeze", "Flatten"}
VIEWS = RESHAPES | {"Slice", "Transpose", "Expand", "Split"}
# Operators for which the numbers of further inputs, or of all, decide the shape of the result.
SHAPED_BY_MORE = {"Slice", "Pad", "Expand", "Tile", "Split", *RESHAPES}
SHAPED_BY_ALL = {"ConstantOfShape", "Range", "If"}
# What NumPy raises for inputs that do not fit an operator, or that are missing.
ERRORS = (ValueError, TypeError, LookupError, ArithmeticError, AttributeError)


class Node(NamedTuple):
    """A step of a graph.

    Attributes
    ----------
    name : str
        For messages.
    op : str or callable
        A name of ONNX, or a function of the inputs that returns an array or a tuple of them.
    inputs, outputs : tuple of str
        Names of values; "" is an input that is left out, or an output that is not needed.
    attributes : mapping
        Plain values and arrays, and Graphs for the branches of If.
    """

    name: str
    op: str | Callable[..., Any]
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
        return [value for value in self.attributes.values() if hasattr(value, "nodes")]


class Step(NamedTuple):
    """A function, the slots of its inputs and outputs, and the slots that end with it."""

    node: Node
    function: Callable[..., Any]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    free: tuple[int, ...] = ()


class Plan(NamedTuple):
    """The steps for inputs of some shapes. The inputs are in the first slots."""

    steps: list[Step]
    template: list[Any]  # the constants, in their slots
    outputs: list[tuple[int, bool]]  # slot, and whether others hold the memory too

    def run(self, arrays: list[Array]) -> tuple[Array, ...]:
        """Return the outputs."""
        values = self.template.copy()
        values[: len(arrays)] = arrays
        at: Any = None
        try:
            for at in self.steps:
                _, function, inputs, outputs, free = at
                result = function(*[values[slot] for slot in inputs])
                if len(outputs) == 1:
                    values[outputs[0]] = result
                else:
                    for slot, value in zip(outputs, result, strict=True):
                        values[slot] = value
                for slot in free:
                    values[slot] = None
        except ERRORS as error:
            raise _at_node(at.node, error) from error
        return tuple([values[slot].copy() if copy else values[slot] for slot, copy in self.outputs])


class Trace:
    """One run of a graph that finds out what depends on numbers of the inputs.

    `prepared` keeps the layers of recurrent nodes from trace to trace. `budget` is how many
    numbers the results may have together.

    Attributes
    ----------
    values : list
        By slot; results that depend on numbers of the inputs are dropped after their last use.
    shapes : list of tuple
        By slot.
    steps : list of Step
        What depends on numbers of the inputs.
    weights : dict
        By the id of a recurrent node: W, R, B and P, if they are fixed.
    fixed : set of int
        Slots that depend on constants and on shapes alone.
    """

    def __init__(
        self,
        graph: Graph,
        arrays: list[Array],
        prepared: dict[int, Any],
        budget: float = math.inf,
    ) -> None:
        self.values: list[Any] = []
        self.shapes: list[tuple[int, ...]] = []
        self.steps: list[Step] = []
        self.weights: dict[int, list[Any]] = {}
        self._before_reshape: dict[int, int] = {}  # the slot that a chain of reshapes begins with
        self._prepared, self._budget = prepared, budget
        names = [*[value.name for value in graph.inputs], *graph.free]
        scope = {name: self._add(x) for name, x in zip(names, arrays, strict=True)}
        scope[""] = self._add(None)
        self._shaped = set(scope.values())  # slots whose shape is known from the inputs' shapes
        self._constant = {scope[""]}
        self.fixed = {scope[""]}
        scope = self._run(graph, scope, outer=True)
        self.outputs = [scope[name] for name in graph.outputs]

    def results(self) -> tuple[Array, ...]:
        """Return the outputs of this run."""
        return tuple([np.array(self.values[slot]) for slot in self.outputs])

    def plan(self) -> Plan:
        """Return the steps that the outputs need."""
        needed = set(self.outputs)
        steps: list[Step] = []
        for step in reversed(self.steps):
            if needed & set(step.outputs):
                ends = (set(step.inputs) - self.fixed | set(step.outputs)) - needed
                needed |= set(step.inputs)
                steps.append(step._replace(free=tuple(ends)))
        template = [v if n in self.fixed & needed else None for n, v in enumerate(self.values)]
        own = {n for step in steps if step.node.op not in VIEWS for n in step.outputs}
        return Plan(steps[::-1], template, [(slot, slot not in own) for slot in self.outputs])

    def _add(self, value: Any) -> int:
        self.values.append(value)
        self.shapes.append(np.shape(value))
        return len(self.values) - 1

    def _run(self, graph: Graph, scope: dict[str, int], *, outer: bool = False) -> dict[str, int]:
        """Run a graph's nodes. `scope` has the slot of each name that they can read."""
        constants = {name: self._add(array) for name, array in graph.constants.items()}
        scope |= constants
        for known in (self._constant, self.fixed, self._shaped):
            known |= set(constants.values())
        last = {
            name: n for n, node in enumerate(graph.nodes if outer else ()) for name in node.reads()
        }
        last |= dict.fromkeys(graph.outputs, len(graph.nodes))
        unread = Counter(scope[name] for name in scope if name in last)  # names of each slot
        for n, node in enumerate(graph.nodes):
            try:
                self._run_node(node, scope, graph)
            except ERRORS as error:
                raise _at_node(node, error) from error
            unread.update(scope[name] for name in node.outputs if last.get(name, n) > n)
            for slot in [scope[name] for name in set(node.reads()) if last.get(name) == n]:
                unread[slot] -= 1
                if not unread[slot] and slot not in self.fixed:
                    self.values[slot] = None
        return scope

    def _run_node(self, node: Node, scope: dict[str, int], graph: Graph) -> None:
        slots = [scope[name] for name in node.inputs]
        if self._changes_nothing(node, slots):
            scope[node.outputs[0]] = slots[0]
            return
        if node.op == "If" and slots[0] in self.fixed:
            branch = node.attributes["then_branch" if self.values[slots[0]] else "else_branch"]
            inner = self._run(branch, dict(scope))
            scope |= zip(node.outputs, [inner[name] for name in branch.outputs], strict=True)
            return
        function, slots = self._function(node, slots, scope, graph)
        arrays = [self.values[slot] for slot in slots]
        if self._budget < math.inf:
            self._budget -= size_of_result(node.op, arrays)
            if self._budget < 0:
                raise ValueError("the result is larger than what a small input should make")
        result = graph.folded[id(node)] if id(node) in graph.folded else function(*arrays)
        results = result if isinstance(result, tuple) else (result,)
        outputs = tuple([self._add(np.asarray(value)) for value in results])
        scope |= zip(node.outputs, outputs, strict=False)
        if not self._is_fixed(node, slots, outputs):
            function, slots = self._simplify(node, function, slots, outputs)
            if isinstance(result, tuple) and len(result) == 1:
                several = function
                function = lambda *a: several(*a)[0]  # noqa: E731 (one line says it)
            self.steps.append(Step(node, function, tuple(slots), outputs))
        elif set(slots) <= self._constant:
            self._constant |= set(outputs)
            graph.folded[id(node)] = result

    def _changes_nothing(self, node: Node, slots: list[int]) -> bool:
        """Whether the only output is the first input."""
        if node.op in ("Identity", "Dropout"):
            return len(slots) < 3 and not any(node.outputs[1:])
        if node.op == "Cast":
            return bool(self.values[slots[0]].dtype == array_type(node.attributes["to"]))
        if node.op != "Slice" or slots[0] not in self._shaped or not set(slots[1:]) <= self.fixed:
            return False
        shape, more = self.shapes[slots[0]], [self.values[slot] for slot in slots[1:]]
        index = slices(shape, *more, **node.options())
        return all(part.indices(n) == (0, n, 1) for part, n in zip(index, shape, strict=True))

    def _is_fixed(self, node: Node, slots: list[int], outputs: tuple[int, ...]) -> bool:
        """Note and return whether the outputs depend on constants and shapes alone."""
        used, pure = set(slots), not callable(node.op) and not node.graphs()
        by_more = node.op in SHAPED_BY_MORE or str(node.op).startswith("Reduce")
        by_all = node.op in SHAPED_BY_ALL or not pure
        numbers = used if by_all else set(slots[1:]) if by_more else set()
        if used <= self._shaped and numbers <= self.fixed:
            self._shaped |= set(outputs)
        reads_shape = node.op in ("Shape", "Size") and used <= self._shaped
        if not pure or not (used <= self.fixed or reads_shape):
            return False
        self.fixed |= set(outputs)
        return True

    def _function(
        self, node: Node, slots: list[int], scope: dict[str, int], graph: Graph
    ) -> tuple[Callable[..., Any], list[int]]:
        """Return the function of a node and the slots of its arguments."""
        if node.op == "If":
            captured = list(dict.fromkeys(n for branch in node.graphs() for n in branch.free))
            return _if(node, captured), [*slots, *[scope[name] for name in captured]]
        if node.op not in KINDS:
            return function_of(node.op, node.options(), graph.opset), slots
        slots = slots + [scope[""]] * (8 - len(slots))
        data, weights = [slots[n] for n in (0, 4, 5, 6)], [slots[n] for n in (1, 2, 3, 7)]
        if not set(weights) <= self.fixed:
            kind, attributes = str(node.op), node.attributes
            return lambda *a: recurrent(kind, attributes, *a[4:])(*a[:4]), data + weights
        arrays = self.weights[id(node)] = [self.values[slot] for slot in weights]
        before, function = self._prepared.get(id(node), ([None] * 4, None))
        if function is None or any(a is not b for a, b in zip(before, arrays, strict=True)):
            function = recurrent(str(node.op), node.attributes, *arrays)
            self._prepared[id(node)] = arrays, function
        return function, data

    def _simplify(
        self, node: Node, function: Callable[..., Any], slots: list[int], outputs: tuple[int, ...]
    ) -> tuple[Callable[..., Any], list[int]]:
        """Return the function and slots of a step, simpler where shapes are known."""
        if not slots or slots[0] not in self._shaped or not set(slots[1:]) <= self.fixed:
            return function, slots
        shape, out, options = self.shapes[slots[0]], outputs[0], node.options()
        more = [self.values[slot] for slot in slots[1:]]
        if node.op in RESHAPES and out in self._shaped:
            first = self._before_reshape[out] = self._before_reshape.get(slots[0], slots[0])
            function, slots = methodcaller("reshape", self.shapes[out]), [first]
        elif node.op == "Slice":
            function, slots = itemgetter(slices(shape, *more, **options)), slots[:1]
        elif node.op == "Transpose":
            function = methodcaller("transpose", options.get("perm"))
        elif node.op == "Split":
            index = parts(shape, *more, **options)
            function, slots = (lambda x: tuple([x[part] for part in index])), slots[:1]
        elif node.op == "Conv":
            function, slots = conv(shape, *more, **options), slots[:1]
        elif node.op == "Pow" and more[0].size == 1 and more[0].item() == 2:
            function, slots = np.square, slots[:1]
        return function, slots


def _at_node(node: Node, error: Exception) -> ValueError:
    """Return the error with the name of the node."""
    return ValueError(f"node {node.name!r} ({node.op}): {error}")


def _if(node: Node, captured: list[str]) -> Callable[..., Any]:
    """Return the function of an If: its condition, then what its branches read."""

    def choose(condition: Array, *values: Array) -> Any:
        branch = node.attributes["then_branch" if condition else "else_branch"]
        found = dict(zip(captured, values, strict=True))
        return branch.run([found[name] for name in branch.free])

    return choose
