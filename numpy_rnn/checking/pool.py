"""What a function has at hand, for changes of its code: its values, their shapes, its helpers."""

from __future__ import annotations

import ast
import contextlib
import copy
from collections.abc import Sequence
from types import FunctionType
from typing import Any, NamedTuple

import numpy as np

from numpy_rnn.checking.nested import parts_of

NUMBERS = (np.ndarray, np.generic, int, float, complex)
SLOPES = ("{0}", "1 - {0} ** 2", "{0} * (1 - {0})", "({0} > 0)", "1 - {0}")
# May be called to see the shape of a result.
PURE = ("np.tanh", "np.exp", "np.dot", "len", "np.zeros_like", "np.outer", "np.matmul")


class Source(NamedTuple):
    """A function of the code under test, and its syntax tree."""

    function: FunctionType
    tree: ast.Module
    node: ast.FunctionDef
    file: str
    values: tuple[dict[str, Any], dict[str, Any]]  # global and local ones when it ended


class Pool:
    """The values of a function. An atom is a local value, an element or an attribute of one."""

    def __init__(self, source: Source, functions: Sequence[ast.FunctionDef]) -> None:
        nodes = list(ast.walk(source.node))
        self._values = source.values
        self._shapes: dict[str, Any] = {}
        self._slopes: dict[str, list[ast.expr]] = {}
        names = [n for n in nodes if isinstance(n, ast.Name)]
        self.local = {n.arg for n in nodes if isinstance(n, ast.arg)}
        self.local |= {n.id for n in names if is_stored(n)}
        self.unused = self.local - {n.id for n in names if not is_stored(n)}
        tests = [n.test for n in nodes if isinstance(n, ast.While)]
        self.ends_loops = {n.id for t in tests for n in ast.walk(t) if isinstance(n, ast.Name)}
        called = {id(n.func) for n in nodes if isinstance(n, ast.Call)}
        loops = [n.target for n in nodes if isinstance(n, ast.For)]
        self.counters = {n.id for t in loops for n in ast.walk(t) if isinstance(n, ast.Name)}
        self.atoms: dict[str, ast.expr] = {}
        for n in nodes:
            if isinstance(n, ast.expr) and id(n) not in called and self.is_atom(n):
                self.atoms.setdefault(ast.unparse(n), loaded(n))
        for name in sorted(self.unused):
            self._add(ast.Name(name, ast.Load()))
        self._add_other_parts()
        self._written: set[str] = set()
        self._add_other_steps()
        self.helpers = {
            ast.unparse(n.func): n.func
            for other in functions
            for n in ast.walk(other)
            if isinstance(n, ast.Call) and len(n.args) == 1 and not n.keywords
            if isinstance(n.func, ast.Name) or ast.unparse(n.func).startswith("np.")
        }

    def is_atom(self, node: ast.AST) -> bool:
        """Whether a node is an atom."""
        if isinstance(node, ast.Name):
            return node.id in self.local
        if isinstance(node, ast.Subscript):
            return self.is_atom(node.value)
        return isinstance(node, ast.Attribute) and node.attr != "T" and self.is_atom(node.value)

    def like(self, node: ast.expr) -> list[ast.expr]:
        """Return the other atoms of the same shape, if it is known."""
        text = ast.unparse(node)
        shape = self.shape(node, text)
        atoms = self.atoms.items() if shape is not None else ()
        return [atom for t, atom in atoms if t != text and self.shape(atom, t) == shape]

    def written(self, node: ast.expr) -> list[ast.expr]:
        """Return those atoms of the same shape that are not another step of one in the code."""
        return [other for other in self.like(node) if ast.unparse(other) in self._written]

    def smaller(self, node: ast.expr) -> list[ast.expr]:
        """Return the atoms that broadcast to the shape of a value, such as a bias or a mask."""
        shape, found = self.shape(node), []
        for text, atom in self.atoms.items() if isinstance(shape, tuple) else ():
            own = self.shape(atom, text)
            if isinstance(own, tuple) and own not in ((), shape) and len(own) <= len(shape):
                with contextlib.suppress(ValueError):  # they do not fit
                    if np.broadcast_shapes(own, shape) == shape:
                        found.append(atom)
        return found

    def products(self, node: ast.expr) -> list[ast.expr]:
        """Return the matrix products of a gradient and another atom that have a value's shape."""
        shape = self.shape(node)
        found: list[ast.expr] = []
        sizes = [(a, self.shape(a, text)) for text, a in self.atoms.items()]
        matrices = [(a, s) for a, s in sizes if isinstance(s, tuple) and len(s) == 2]
        gradients = {id(a) for a, _ in matrices if is_gradient(a)}
        for a, (rows, inner) in matrices if isinstance(shape, tuple) and len(shape) == 2 else ():
            for b, (first, second) in matrices:
                if (id(a) in gradients) == (id(b) in gradients):
                    continue
                if (rows, inner, second) == (shape[0], first, shape[1]):
                    found.append(ast.BinOp(a, ast.MatMult(), b))
                if (rows, inner, first) == (shape[0], second, shape[1]):
                    found.append(ast.BinOp(a, ast.MatMult(), ast.Attribute(b, "T", ast.Load())))
                if (inner, rows, second) == (shape[0], first, shape[1]):
                    found.append(ast.BinOp(ast.Attribute(a, "T", ast.Load()), ast.MatMult(), b))
        return found

    def scalars(self) -> list[ast.expr]:
        """Return the atoms that are numbers, and one minus each."""
        found = [atom for text, atom in self.atoms.items() if self.shape(atom, text) == ()]
        return [*found, *(ast.BinOp(ast.Constant(1), ast.Sub(), atom) for atom in found)]

    def lengths(self) -> list[ast.expr]:
        """Return the number of rows of each array, once for each number."""
        found: dict[int, ast.expr] = {}
        for text, atom in self.atoms.items():
            shape = self.shape(atom, text)
            if isinstance(shape, tuple) and shape and shape[0] > 1:
                found.setdefault(shape[0], ast.parse(f"len({text})", mode="eval").body)
        return list(found.values())

    def slopes(self, node: ast.expr) -> list[ast.expr]:
        """Return an atom, and the slopes that it may be used for: of tanh, of a sigmoid, ..."""
        text = ast.unparse(node)
        if text not in self._slopes:
            formulas = [slope.format(text) for slope in SLOPES]
            parsed = [ast.parse(formula, mode="eval").body for formula in formulas[1:]]
            self._slopes[text] = [node, *parsed]
        return self._slopes[text]

    def rank(self, rank: int, node: ast.expr, other: ast.expr) -> int:
        """Return the rank of a change that brings in an atom: one without a use comes first."""
        if isinstance(other, ast.Name) and other.id in self.unused and self.shape(other) != ():
            return 0
        return rank + (is_gradient(node) != is_gradient(other))

    def shape(self, node: ast.expr, text: str = "") -> Any:
        """Return the shape of a value when the function ends, or None if it is not known."""
        text = text or ast.unparse(node)
        if text not in self._shapes:
            shape = None
            calls = [ast.unparse(n.func) for n in ast.walk(node) if isinstance(n, ast.Call)]
            if all(call in PURE for call in calls):
                with contextlib.suppress(Exception):  # a name that is not bound there
                    value = self._value(text)
                    shape = np.shape(value) if isinstance(value, NUMBERS) else type(value)
            self._shapes[text] = shape
        return self._shapes[text]

    def _value(self, text: str) -> Any:
        return eval(text, *self._values)  # noqa: S307 (an expression of the code under test)

    def _add_other_parts(self) -> None:
        """Add the entries of each dictionary, and the arrays of each object, that is read."""
        for atom in list(self.atoms.values()):
            if not isinstance(atom, ast.Subscript | ast.Attribute):
                continue
            owner: Any = None
            with contextlib.suppress(Exception):  # a name that is not bound there
                owner = self._value(ast.unparse(atom.value))
            for (kind, key), part in parts_of(owner):
                if kind == "attr" and isinstance(part, np.ndarray):
                    self._add(ast.Attribute(atom.value, key, ast.Load()))
                elif isinstance(key, str) and kind == "item":
                    self._add(ast.Subscript(atom.value, ast.Constant(key), ast.Load()))

    def _add_other_steps(self) -> None:
        """Add the elements of each sequence at the steps where others are read, and beside them."""
        indexed = [a for a in self.atoms.values() if isinstance(a, ast.Subscript)]
        read = {ast.unparse(a.slice): a.slice for a in indexed}
        beside = [new for index in read.values() for new in other_steps(index)]
        sequences = {ast.unparse(a.value): a.value for a in indexed}
        for name, atom in self.atoms.items():
            shape = self.shape(atom, name) if isinstance(atom, ast.Name) else ()
            if name in self.unused or (isinstance(shape, tuple) and len(shape) == 1):
                sequences[name] = atom
        for indices in (read.values(), beside):
            for value in sequences.values():
                for index in indices:
                    if any(isinstance(n, ast.Name) for n in ast.walk(index)):
                        self._add(ast.Subscript(value, index, ast.Load()))
            if indices is not beside:
                self._written = set(self.atoms)

    def _add(self, atom: ast.expr) -> None:
        self.atoms.setdefault(ast.unparse(atom), atom)


def is_gradient(node: ast.expr) -> bool:
    """Whether a value is a gradient by its name."""
    return ast.unparse(node).startswith(("d", "grad", "delta", "self.d", "G[", "g_"))


def is_stored(node: ast.AST) -> bool:
    """Whether an expression is written to, not read."""
    return isinstance(getattr(node, "ctx", None), ast.Store)


def other_steps(index: ast.expr) -> list[ast.expr]:
    """Return an index one step earlier, one step later."""
    parts = index.elts if isinstance(index, ast.Tuple) else [index]
    found: list[ast.expr] = []
    for position, part in enumerate(parts):
        changed: list[ast.expr] = []
        if isinstance(part, ast.BinOp) and isinstance(part.op, ast.Add | ast.Sub):
            opposite = ast.Sub() if isinstance(part.op, ast.Add) else ast.Add()
            changed = [part.left, ast.BinOp(part.left, opposite, part.right)]
        elif isinstance(part, ast.Slice) and part.upper is not None:
            changed = [ast.BinOp(part.upper, ast.Sub(), ast.Constant(1))]
        elif isinstance(part, ast.Name):
            operators = (ast.Sub(), ast.Add())
            changed = [ast.BinOp(part, operator, ast.Constant(1)) for operator in operators]
        for new in changed:
            elements = [*parts[:position], new, *parts[position + 1 :]]
            found.append(ast.Tuple(elements, ast.Load()) if isinstance(index, ast.Tuple) else new)
    return found


def loaded(node: ast.expr) -> ast.expr:
    """Return a copy of a node, as one that is read."""
    read = copy.deepcopy(node)
    for inner in ast.walk(read):
        if hasattr(inner, "ctx"):
            inner.ctx = ast.Load()
    return read
