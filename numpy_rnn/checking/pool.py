"""What a function has at hand, for changes of its code: its values, their shapes, its helpers."""

from __future__ import annotations

import ast
import contextlib
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from numpy_rnn.checking.edits import Source, is_stored, names_in
from numpy_rnn.checking.nested import parts_of

MAX_PARTS = 6  # of a list or a tuple
ZERO = r"zeros|empty|^\(?[0., ]+\)?$"  # values that are 0, or arrays of it
NUMBERS = (np.ndarray, np.generic, int, float, complex)
# May be called to see the shape of a result.
PURE = ("np.tanh", "np.exp", "np.dot", "len", "np.zeros_like", "np.outer", "np.matmul")


class Pool:
    """The values of a function. An atom is the text of a local value, or of a part of one."""

    def __init__(self, source: Source, sources: Sequence[Source]) -> None:
        nodes = list(ast.walk(source.node))
        self._values = source.values
        self._shapes: dict[str, Any] = {}
        names = [n for n in nodes if isinstance(n, ast.Name)]
        assigned = [n for n in nodes if isinstance(n, ast.Assign)]
        self._zeros = [n for n in assigned if re.search(ZERO, ast.unparse(n.value))]
        self._local = {n.arg for n in nodes if isinstance(n, ast.arg)}
        self._local |= {n.id for n in names if is_stored(n)}
        self.unused = self._local - {n.id for n in names if not is_stored(n)}
        self.counters = names_in(*(n.target for n in nodes if isinstance(n, ast.For)))
        zeros = names_in(*(target for n in self._zeros for target in n.targets))
        for n in nodes:  # a carry that is still 0 has the shape of what it is added to
            if isinstance(n, ast.BinOp) and isinstance(n.op, ast.Add):
                for carry, other in ((n.left, n.right), (n.right, n.left)):
                    text = ast.unparse(carry)
                    if text in zeros and self.shape(text) == ():
                        self._shapes[text] = self.shape(ast.unparse(other))
        called = {id(n.func) for n in nodes if isinstance(n, ast.Call)}
        read: dict[str, Any] = {}
        for n in nodes:
            if id(n) not in called and self.is_atom(n):
                read.setdefault(ast.unparse(n), n)
        self._own = dict.fromkeys([*read, *sorted(self.unused)])  # an ordered set
        self.atoms = self._own.copy()
        self.atoms |= dict.fromkeys(self._other_parts(read.values()))
        steps, beside = self._other_steps(read.values())
        self.atoms |= dict.fromkeys(steps)
        self._written = set(self.atoms)
        self.atoms |= dict.fromkeys(beside)
        self.helpers = dict.fromkeys(
            ast.unparse(n.func)
            for other in sources
            for n in ast.walk(other.node)
            if isinstance(n, ast.Call) and len(n.args) == 1 and not n.keywords
            if isinstance(n.func, ast.Name) or ast.unparse(n.func).startswith("np.")
        )

    def is_atom(self, node: ast.AST) -> bool:
        """Whether the text of a node is an atom."""
        if isinstance(node, ast.Name):
            return node.id in self._local
        if isinstance(node, ast.Subscript):
            return self.is_atom(node.value)
        return isinstance(node, ast.Attribute) and node.attr != "T" and self.is_atom(node.value)

    def like(self, text: str) -> list[str]:
        """Return the other atoms of the same shape, if it is known."""
        shape = self.shape(text)
        atoms = self.atoms if shape is not None else ()
        return [atom for atom in atoms if atom != text and self.shape(atom) == shape]

    def written(self, text: str) -> list[str]:
        """Return those atoms of the same shape that are not another step of one in the code."""
        return [other for other in self.like(text) if other in self._written]

    def smaller(self, text: str) -> list[str]:
        """Return the atoms that broadcast to the shape of a value, such as a bias or a mask."""
        shape, found = self.shape(text), []
        for atom in self.atoms if isinstance(shape, tuple) else ():
            own = self.shape(atom)
            if isinstance(own, tuple) and own not in ((), shape) and len(own) <= len(shape):
                with contextlib.suppress(ValueError):  # they do not fit
                    if np.broadcast_shapes(own, shape) == shape:
                        found.append(atom)
        return found

    def products(self, text: str) -> list[str]:
        """Return the matrix products of a gradient and another atom that have a value's shape."""
        shape, found = self.shape(text), list[str]()
        matrices = {a: s for a in self.atoms if len(_axes(s := self.shape(a))) == 2}
        for a, (rows, inner) in matrices.items() if len(_axes(shape)) == 2 else ():
            for b, (first, second) in matrices.items():
                if is_gradient(a) == is_gradient(b):
                    continue
                if (rows, inner, second) == (shape[0], first, shape[1]):
                    found.append(f"{a} @ {b}")
                if (rows, inner, first) == (shape[0], second, shape[1]):
                    found.append(f"{a} @ {b}.T")
                if (inner, rows, second) == (shape[0], first, shape[1]):
                    found.append(f"{a}.T @ {b}")
        return found

    def scalars(self) -> list[str]:
        """Return the numbers in the code, other whole numbers, and one minus each."""
        numbers = [atom for atom in self.atoms if self.shape(atom) == ()]
        whole = int | np.integer
        found = [a for a in numbers if a in self._own or isinstance(self._value(a), whole)]
        return [*found, *(f"1 - {atom}" for atom in found)]

    def masks(self) -> list[str]:
        """Return the sums of the arrays of true and false."""
        arrays = [a for a in self.atoms if _axes(self.shape(a))]
        return [f"{a}.sum()" for a in arrays if np.asarray(self._value(a)).dtype.kind == "b"]

    def sums(self, text: str) -> list[str]:
        """Return the sums of gradients over the batch that have the shape of a bias."""
        shape, found = _axes(self.shape(text)), []
        for atom in filter(is_gradient, self.atoms):
            axes = _axes(self.shape(atom))
            if len(axes) == 2 and shape in ((axes[1],), (1, axes[1])):
                found.append(f"{atom}.sum(axis=0)")
            elif len(axes) == 2 and shape == (axes[0], 1):
                found.append(f"{atom}.sum(axis=1, keepdims=True)")
        return found

    def beside(self, targets: list[str]) -> list[str]:
        """Return the gradients in the dictionaries and objects that hold these."""
        owners = {_owner(target) for target in targets} - {""}
        atoms = [atom for atom in self.atoms if _owner(atom) in owners]
        return [a for a in atoms if a.endswith("]") or is_gradient(a.removeprefix(_owner(a) + "."))]

    def made_before(self, loop: ast.For | ast.While) -> set[str]:
        """Return the names of arrays that are made before a loop, of zeros."""
        made = (t for n in self._zeros if n.lineno < loop.lineno for t in n.targets)
        return {name for name in names_in(*made) if _axes(self.shape(name))}

    def lengths(self) -> list[str]:
        """Return the number of rows of each array, once for each number."""
        rows = {axes[0]: atom for atom in reversed(self.atoms) if (axes := _axes(self.shape(atom)))}
        return [f"len({atom})" for number, atom in reversed(rows.items()) if number > 1]

    def rank(self, rank: int, text: str, other: str) -> int:
        """Return the rank of a change that brings in an atom: one without a use comes first."""
        if other in self.unused and self.shape(other) != ():
            return 0
        return rank + (is_gradient(text) != is_gradient(other))

    def shape(self, text: str) -> Any:
        """Return the shape of a value when the function ends, or None if it is not known."""
        if text not in self._shapes:
            self._shapes[text] = None
            with contextlib.suppress(Exception):  # such as a name that is not bound there
                nodes = ast.walk(ast.parse(text, mode="eval"))
                if all(ast.unparse(n.func) in PURE for n in nodes if isinstance(n, ast.Call)):
                    value = self._value(text)
                    kept = type(value) if getattr(value, "shape", None) is None else value.shape
                    shape = np.shape(value) if isinstance(value, NUMBERS) else kept
                    self._shapes[text] = tuple(shape) if isinstance(shape, tuple) else shape
        return self._shapes[text]

    def _value(self, text: str) -> Any:
        return eval(text, *self._values)  # noqa: S307 (an expression of the code under test)

    def _other_parts(self, read: Iterable[ast.expr]) -> Iterator[str]:
        """Yield the entries of each dictionary, and the arrays of each object, that is read."""
        for atom in read:
            if not isinstance(atom, ast.Subscript | ast.Attribute):
                continue
            name, owner = ast.unparse(atom.value), None
            with contextlib.suppress(Exception):  # a name that is not bound there
                owner = self._value(name)
            for (kind, key), part in parts_of(owner):
                if kind == "attr" and isinstance(part, np.ndarray):
                    yield f"{name}.{key}"
                elif kind == "item" and (isinstance(key, str) or key < MAX_PARTS):
                    yield f"{name}[{key!r}]"

    def _other_steps(self, read: Iterable[ast.expr]) -> list[list[str]]:
        """Return the elements of each sequence at the steps where others are read, and beside."""
        indexed = [atom for atom in read if isinstance(atom, ast.Subscript)]
        indices = dict.fromkeys(index_text(atom.slice) for atom in indexed if names_in(atom.slice))
        beside = dict.fromkeys(new for atom in indexed for new in other_steps(atom.slice))
        sequences = dict.fromkeys(ast.unparse(atom.value) for atom in indexed)
        for atom in self.atoms:
            is_row = atom.isidentifier() and len(_axes(self.shape(atom))) == 1
            if atom in self.unused or is_row:
                sequences[atom] = None
        return [[f"{s}[{i}]" for s in sequences for i in which] for which in (indices, beside)]


def _owner(text: str) -> str:
    """Return what an attribute or an entry of a dictionary belongs to."""
    found = re.fullmatch(r"(.+)(\.\w+|\['[^']*'\])", text)
    return found[1] if found else ""


def _axes(shape: Any) -> tuple[int, ...]:
    """Return a shape, if it is one of an array that is known."""
    return shape if isinstance(shape, tuple) else ()


def is_gradient(text: str) -> bool:
    """Whether a value is a gradient by its name."""
    return text.startswith(("d", "grad", "delta", "self.d", "G[", "g_"))


def index_text(index: ast.expr) -> str:
    """Return an index as it is between brackets."""
    return ", ".join(map(ast.unparse, index.elts if isinstance(index, ast.Tuple) else [index]))


def other_steps(index: ast.expr) -> list[str]:
    """Return an index one step earlier, one step later."""
    parts = index.elts if isinstance(index, ast.Tuple) else [index]
    texts, found = [ast.unparse(part) for part in parts], []
    for i, part in enumerate(parts):
        changed: list[str] = []
        match part:
            case ast.BinOp(left, ast.Add() | ast.Sub() as sign, right):
                opposite = "-" if isinstance(sign, ast.Add) else "+"
                changed = [
                    ast.unparse(left),
                    f"{ast.unparse(left)} {opposite} ({ast.unparse(right)})",
                ]
            case ast.Slice(upper=ast.expr() as upper):
                changed = [f"{ast.unparse(upper)} - 1"]
            case ast.Name() | ast.UnaryOp(ast.USub(), ast.Name()):
                changed = [f"{ast.unparse(part)} - 1", f"{ast.unparse(part)} + 1"]
        found += [", ".join([*texts[:i], new, *texts[i + 1 :]]) for new in changed]
    return found
