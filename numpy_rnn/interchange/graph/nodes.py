"""Nodes and inputs: what a graph consists of."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from numpy_rnn.functional.types import Array
from numpy_rnn.interchange.onnx.operators import OPERATORS, function_of, why_not
from numpy_rnn.interchange.onnx.recurrent import KINDS, why_not_recurrent
from numpy_rnn.interchange.onnx.reference import reference_of, why_no_reference

# Operators that run graphs, and the attributes that they need.
INNER = {
    "If": {"then_branch", "else_branch"},
    "Loop": {"body"},
    "Scan": {"body", "num_scan_inputs"},
}
# What NumPy raises for inputs that do not fit an operator, or that are missing.
ERRORS = (ValueError, TypeError, LookupError, ArithmeticError, AttributeError)


class Node(NamedTuple):
    """A step of a graph: an operator of ONNX, and the names of the values that it reads and makes.

    A name is "" for an input that is left out. Attributes are plain values and arrays, and Graphs
    for the branches of If and the bodies of loops.
    """

    name: str  # for messages
    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any] = {}
    opset: int = 0  # of the operator, if it is the package ``onnx`` that runs it

    def graphs(self) -> list[Any]:
        """Return the graphs among the attributes."""
        return [value for value in self.attributes.values() if hasattr(value, "nodes")]

    def reads(self) -> list[str]:
        """Return the names of all values that the node reads."""
        return [*self.inputs, *[name for graph in self.graphs() for name in graph.free]]

    def unsupported(self) -> str:
        """Return why the node cannot run, or ''."""
        if self.op in INNER:
            names = {name for name in self.attributes if not name.startswith("scan_")}
            if names != INNER[self.op] or len(self.graphs()) != (2 if self.op == "If" else 1):
                return f"attributes {sorted(self.attributes)}"
            if self.op == "If":
                return "" if len(self.inputs) == 1 else f"{len(self.inputs)} inputs"
            return turns_of(self).wrong
        if self.op in KINDS:
            return why_not_recurrent(self.op, self.attributes, self.inputs)
        if self.op in OPERATORS:
            return why_not(self.op, self.attributes, self.inputs)
        return why_no_reference(self)

    def function(self) -> Callable[..., Any]:
        """Return what computes the outputs of the inputs."""
        if self.op in OPERATORS:
            return function_of(self.op, self.attributes)
        return reference_of(self)


class Turns(NamedTuple):
    """How a Loop or Scan turns: axes, and steps of 1 or -1, of what it reads and stacks."""

    wrong: str  # why it cannot
    carried: int = 0
    reads: Sequence[tuple[int, int]] = ()
    stacks: Sequence[tuple[int, int]] = ()


def turns_of(node: Node) -> Turns:
    """Return how a node with a body turns."""
    body, scanned = node.attributes["body"], node.attributes.get("num_scan_inputs", 0)
    first = 2 if node.op == "Loop" else 0  # the number of the turn, and the condition
    carried = len(node.inputs) - first - scanned
    stacked = len(body.outputs) - first // 2 - carried
    given = len(body.names), len(node.inputs), scanned > 0
    if min(carried, stacked) < 0 or given[0] != given[1] or given[2] == (first > 0):
        return Turns(f"a body of {len(body.names)} inputs and {len(body.outputs)} outputs")
    found = []
    for kind, count in (("input", scanned), ("output", stacked)):
        axes = node.attributes.get(f"scan_{kind}_axes", [0] * count)
        backwards = node.attributes.get(f"scan_{kind}_directions", [0] * count)
        found.append([(a, -1 if b else 1) for a, b in zip(axes, backwards, strict=True)])
    return Turns("", carried, *found)


class Value(NamedTuple):
    """An input of a graph; None is any dtype, number of axes or size, and so is a name."""

    name: str
    dtype: np.dtype[Any] | None = None
    shape: tuple[int | str | None, ...] | None = None

    def check(self, given: Any) -> Array:
        """Return a copy of an input if dtype and shape fit."""
        x, dtype, shape = np.array(given), self.dtype, self.shape
        if dtype is not None and not np.can_cast(x.dtype, dtype, "same_kind"):
            raise TypeError(f"input {self.name!r} has dtype {x.dtype}, expected {dtype}")
        if shape is not None:
            pairs = zip(shape, x.shape, strict=False)
            if x.ndim != len(shape) or any(isinstance(s, int) and s != n for s, n in pairs):
                raise ValueError(f"input {self.name!r} has shape {x.shape}, expected {shape}")
        return x if dtype is None else x.astype(dtype, copy=False)
