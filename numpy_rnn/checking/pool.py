"""What a function has at hand, for changes of its code: its values, their shapes, its helpers."""

from __future__ import annotations

import ast
import contextlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from numpy_rnn.checking.edits import Source, is_stored, names_in
from numpy_rnn.checking.nested import parts_of

DIGITS = tuple(f"{digit}]" for digit in range(10))
MAX_PARTS = 6  # of a list or a tuple
ZERO = r"zeros|empty|^\(?[0., ]+\)?$"  # values that are 0, or arrays of it
# How far an atom is from the code: in it, at a step where others are read, beside such a step.
IN_CODE, AT_STEPS, BESIDE = range(3)
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
        # How far each atom is from the code.
        self.atoms = dict.fromkeys([*read, *sorted(self.unused)], IN_CODE)
        for text in sorted(self._other_parts(read), key=lambda text: text.endswith(DIGITS)):
            self.atoms.setdefault(text, AT_STEPS if text.endswith(DIGITS) else IN_CODE)
        steps, beside = self._other_steps(read.values())
        for distance, others in ((AT_STEPS, steps), (BESIDE, beside)):
            for atom in others:
                self.atoms.setdefault(atom, distance)
        options = [n for n in nodes if isinstance(n, ast.keyword) and n.arg]
        self.options = {ast.unparse(n): n for n in options if ast.unparse(n.value) == "True"}
        logs = [n for n in nodes if isinstance(n, ast.Call) and ast.unparse(n.func)[-3:] == "log"]
        inside = [n for log in logs for n in ast.walk(log) if isinstance(n, ast.Subscript)]
        self.picked = dict.fromkeys(index_text(n.slice) for n in inside if names_in(n.slice))
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

    def like(self, text: str, farthest: int = BESIDE) -> list[str]:
        """Return the other atoms of the same shape, if it is known, up to a distance."""
        shape = self.shape(text)
        atoms = [a for a, d in self.atoms.items() if d <= farthest] if shape is not None else []
        return [atom for atom in atoms if atom != text and self.shape(atom) == shape]

    def smaller(self, text: str) -> list[str]:
        """Return the atoms that broadcast to the shape of a value, such as a bias or a mask."""
        shape, found = self.shape(text), []
        for atom in self.atoms if isinstance(shape, tuple) else ():
            own = self.shape(atom)
            if isinstance(own, tuple) and own not in ((), shape) and len(own) <= len(shape):
                for added in (0, 1):  # axes that the code adds
                    with contextlib.suppress(ValueError):  # they do not fit
                        if np.broadcast_shapes(own + added * (1,), shape) == shape:
                            found.append(atom + added * "[..., None]")
        return found

    def products(self, text: str, *, at_steps: bool = False) -> list[str]:
        """Return the matrix products of a gradient and another atom that have a value's shape.

        The atoms are those that the code has, or also those at the steps where it reads others.
        """
        atoms = [a for a, d in self.atoms.items() if d <= at_steps]
        atoms = [a for a in atoms if not (self.atoms[a] and a.endswith(DIGITS))]
        shape, found = _axes(self.shape(text)), list[str]()
        small = {a: s for a in atoms if 0 < len(s := _axes(self.shape(a))) < 3}
        pairs = [(a, b) for a in small for b in small if is_gradient(a) != is_gradient(b)]
        for a, b in pairs if 0 < len(shape) < 3 else ():
            if len(small[a]) == len(small[b]) == 1:
                found += [f"np.outer({a}, {b})"] if shape == small[a] + small[b] else []
                continue
            for left, m in _turned(a, small[a]):
                for right, n in _turned(b, small[b]):
                    both = left != a and right != b  # the transpose of a product
                    if not both and m[-1] == n[0] and m[:-1] + n[1:] == shape:
                        found.append(f"{left} @ {right}")
        return found

    def means(self, text: str) -> list[str]:
        """Return the sums and means of gradients of this shape, which normalisation takes off."""
        alike = [text] if self.atoms.get(text) == IN_CODE else []
        alike = [a for a in (*alike, *self.like(text, IN_CODE)) if is_gradient(a)]
        ways = [f"{how}({axis})" for how in ("sum", "mean") for axis in ("0", "-1, keepdims=True")]
        return [f"{a}.{way}" for a in alike for way in ways]

    def scalars(self) -> list[str]:
        """Return the numbers in the code, other whole numbers, and one minus each."""
        numbers = [atom for atom in self.atoms if self.shape(atom) == ()]
        found = [a for a in numbers if self.atoms[a] == IN_CODE or not a.endswith("]")]
        return [*found, *(f"1 - {atom}" for atom in found)]

    def masks(self) -> list[str]:
        """Return the sums of the arrays of true and false."""
        arrays = [a for a in self.atoms if _axes(self.shape(a))]
        return [f"{a}.sum()" for a in arrays if "bool" in str(getattr(self._value(a), "dtype", ""))]

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
        return rank + (is_gradient(text) != is_gradient(other)) + bool(self.atoms.get(other))

    def shape(self, text: str) -> Any:
        """Return the shape of a value when the function ends, or None if it is not known."""
        if text not in self._shapes:
            self._shapes[text] = None
            with contextlib.suppress(Exception):  # such as a name that is not bound there
                nodes = ast.walk(ast.parse(text, mode="eval"))
                if all(ast.unparse(n.func) in PURE for n in nodes if isinstance(n, ast.Call)):
                    value = self._value(text)
                    kind = () if isinstance(value, int | float | complex) else type(value)
                    shape = getattr(value, "shape", None)
                    self._shapes[text] = tuple(shape) if isinstance(shape, tuple) else kind
        return self._shapes[text]

    def _value(self, text: str) -> Any:
        return eval(text, *self._values)  # noqa: S307 (an expression of the code under test)

    def _other_parts(self, read: Mapping[str, ast.expr]) -> Iterator[str]:
        """Yield the entries of each dictionary, and the arrays of each object, that is read."""
        parts = (n for n in read.values() if isinstance(n, ast.Subscript | ast.Attribute))
        owners = [*(ast.unparse(part.value) for part in parts), *({"self", "ctx"} & self._local)]
        for name in owners:  # which grows
            owner = None
            with contextlib.suppress(Exception):  # a name that is not bound there
                owner = self._value(name)
            for (kind, key), part in parts_of(owner):
                if kind == "attr" and isinstance(part, np.ndarray):
                    yield f"{name}.{key}"
                elif kind == "attr" and isinstance(part, dict) and name == "self":
                    owners.append(f"{name}.{key}")
                elif kind == "item" and (isinstance(key, str) or key < MAX_PARTS):
                    yield f"{name}[{key!r}]"

    def _other_steps(self, read: Iterable[ast.expr]) -> list[list[str]]:
        """Return the elements of each sequence at the steps where others are read, and beside."""
        indexed = [atom for atom in read if isinstance(atom, ast.Subscript)]
        indices = dict.fromkeys(index_text(atom.slice) for atom in indexed if names_in(atom.slice))
        beside = dict.fromkeys(new for atom in indexed for new in other_steps(atom.slice))
        sequences = dict.fromkeys(ast.unparse(atom.value) for atom in indexed)
        for atom in self.atoms:
            in_time = atom.isidentifier() and len(_axes(self.shape(atom))) in (1, 3)
            if atom in self.unused or in_time:
                sequences[atom] = None
        return [[f"{s}[{i}]" for s in sequences for i in which] for which in (indices, beside)]


def _owner(text: str) -> str:
    """Return what an attribute or an entry of a dictionary belongs to."""
    found = re.fullmatch(r"(.+)(\.\w+|\['[^']*'\])", text)
    return found[1] if found else ""


def _turned(text: str, shape: tuple[int, ...]) -> list[tuple[str, tuple[int, ...]]]:
    """Return a value and its transpose, each with its shape."""
    return [(text, shape), (f"{text}.T", shape[::-1])][: len(shape)]


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
