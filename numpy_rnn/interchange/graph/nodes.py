"""Nodes and inputs: what a graph consists of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from numpy_rnn.functional.types import Array
from numpy_rnn.interchange.onnx.operators import FUNCTION, function_of

CALL = "numpy_rnn::Call"  # of a function of the file
# Operators that run graphs, and the attributes that they need.
INNER = {
    CALL: {"body"},
    "If": {"then_branch", "else_branch"},
    "Loop": {"body"},
    "Scan": {"body", "num_scan_inputs"},
}
Axes: TypeAlias = list[tuple[int, int]]
# What NumPy raises for inputs that do not fit an operator, or that are missing.
ERRORS = (ValueError, TypeError, LookupError, ArithmeticError, AttributeError)


class Node(NamedTuple):
    """A step of a graph: an operator of ONNX, and the names of the values that it reads and makes.

    A name is "" for an input that is left out. Attributes are plain values and arrays, and Graphs
    for the branches of If, the bodies of loops and of called functions.
    """

    name: str  # for messages
    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any] = {}
    opset: int = 0  # of the operator, if it is the package ``onnx`` that runs it

    def __str__(self) -> str:
        kind = f"node {self.name!r} ({self.op})"
        return f"layer {self.name!r}" if self.op == FUNCTION else kind

    def graphs(self) -> list[Any]:
        """Return the graphs among the attributes."""
        return [value for value in self.attributes.values() if hasattr(value, "nodes")]

    def reads(self) -> list[str]:
        """Return the names of all values that the node reads."""
        return [*self.inputs, *[name for graph in self.graphs() for name in graph.free]]

    def unsupported(self) -> str:
        """Return why the node cannot run, or ''."""
        try:
            if self.op in INNER:
                _check_graphs(self)
            else:
                function_of(self)
        except ImportError:
            return "it needs the extra onnx: pip install onnx"
        except ValueError as error:
            return str(error)
        except ERRORS as error:
            return f"inputs or types of attributes do not fit: {error}"
        return ""


def _check_graphs(node: Node) -> None:
    """Raise ValueError if a node that runs graphs lacks one, or has other inputs than they."""
    names = {name for name in node.attributes if not name.startswith("scan_")}
    if names != INNER[node.op] or len(node.graphs()) != len(names - {"num_scan_inputs"}):
        raise ValueError(f"attributes {sorted(node.attributes)}")
    most = len(node.attributes["body"].names) if node.op == CALL else 1
    if node.op in ("Loop", "Scan"):
        turns_of(node)
    elif len(node.inputs) > most or (node.op == "If" and not node.inputs):
        raise ValueError(f"{len(node.inputs)} inputs, expected {most}")


def turns_of(node: Node) -> tuple[int, Axes, Axes]:
    """Return how a Loop or Scan turns. ValueError if its body does not fit.

    It is the number of values that it carries on, and axes and steps of 1 or -1 along them: of the
    inputs that it reads, and of the outputs that it stacks.
    """
    body, scanned = node.attributes["body"], node.attributes.get("num_scan_inputs", 0)
    first = 2 if node.op == "Loop" else 0  # the number of the turn, and the condition
    carried = len(node.inputs) - first - scanned
    stacked = len(body.outputs) - first // 2 - carried
    given = len(body.names), len(node.inputs), scanned > 0
    if min(carried, stacked) < 0 or given[0] != given[1] or given[2] == (first > 0):
        raise ValueError(f"a body of {len(body.names)} inputs and {len(body.outputs)} outputs")
    found: list[Axes] = []
    for kind, count in (("input", scanned), ("output", stacked)):
        axes = node.attributes.get(f"scan_{kind}_axes", [0] * count)
        backwards = node.attributes.get(f"scan_{kind}_directions", [0] * count)
        found.append([(a, -1 if b else 1) for a, b in zip(axes, backwards, strict=True)])
    return carried, found[0], found[1]


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
