"""A small change of a function's syntax tree, and the places where one can be made."""

from __future__ import annotations

import ast
import contextlib
import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

from numpy_rnn.checking.pool import is_stored


@dataclass
class Edit:
    """Another node in one place of a tree."""

    rank: int
    cause: str
    container: Any  # the node or the list that holds the place
    key: Any  # a field's name, or an index or a slice of a list
    new: Any
    statement: ast.stmt
    removed: str = ""  # for a report, if the change is not of one place

    @property
    def line(self) -> int:
        """The line of what is changed."""
        return getattr(self._place(), "lineno", self.statement.lineno)

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """Change the tree, and change it back."""
        if isinstance(self.container, list):
            before = list(self.container)
            self.container[self.key] = self.new
        else:
            before = getattr(self.container, self.key)
            setattr(self.container, self.key, self.new)
        try:
            yield
        finally:
            if isinstance(self.container, list):
                self.container[:] = before
            else:
                setattr(self.container, self.key, before)

    def before_and_after(self, longest: int) -> tuple[str, str]:
        """Return the text of the statement, or of the largest part that is not too long."""
        if self.removed:
            return self.removed, ""
        old = [_text(node) for node in self._around()]
        with self.applied():
            new = [_text(node) for node in self._around()]
        texts = list(zip(old, new, strict=True))
        fitting = (both for both in texts if max(map(len, both)) <= longest and both[0] != both[1])
        return next(fitting, texts[-1])

    def _place(self) -> Any:
        """Return what is there now: of several statements the whole block."""
        if isinstance(self.container, list):
            return self.container if isinstance(self.key, slice) else self.container[self.key]
        return getattr(self.container, self.key)

    def _around(self) -> Iterator[Any]:
        """Yield the statement, the expressions in it that hold the place, and the place."""
        for node in ast.walk(self.statement):
            if isinstance(node, ast.expr | ast.stmt) and any(
                part is self.container for n in ast.walk(node) for part in (n, *vars(n).values())
            ):
                yield node
        yield self._place()


class Place(NamedTuple):
    """An expression in a tree."""

    container: Any
    key: Any
    node: ast.expr
    parent: ast.AST
    statement: ast.stmt


MakeEdit: TypeAlias = Callable[[int, str, Any], Edit]


def one_of(edits: list[Edit], choice: str) -> Edit | None:
    """Return several changes of one expression as one; a global variable chooses among them."""
    first = edits[0]
    if len(edits) == 1:
        return first
    made = [edit.new for edit in edits]
    if not all(isinstance(new, ast.expr) for new in made):
        return None
    new = made[-1]
    for number in range(len(made) - 2, -1, -1):
        test = ast.Compare(ast.Name(choice, ast.Load()), [ast.Eq()], [ast.Constant(number)])
        new = ast.IfExp(test, made[number], new)
    return Edit(first.rank, first.cause, first.container, first.key, new, first.statement)


def substituted(node: Any, replaced: dict[str, ast.expr]) -> Any:
    """Return a copy of code with other expressions for some of its parts."""

    class Substitute(ast.NodeTransformer):
        def visit(self, node: ast.AST) -> Any:
            if isinstance(node, ast.expr) and (new := replaced.get(ast.unparse(node))) is not None:
                return new
            return self.generic_visit(node)

    return Substitute().visit(copy.deepcopy(node))


def expressions(node: ast.AST, statement: ast.stmt) -> Iterator[Place]:
    """Yield the expressions of a statement that are read, but for those of inner statements."""
    for field, value in ast.iter_fields(node):
        children = list(enumerate(value)) if isinstance(value, list) else [(field, value)]
        for key, child in children:
            if not isinstance(child, ast.AST) or isinstance(child, ast.stmt):
                continue
            container = value if isinstance(value, list) else node
            is_called = isinstance(node, ast.Call) and field == "func"
            if isinstance(child, ast.expr) and not is_stored(child) and not is_called:
                yield Place(container, key, child, node, statement)
            yield from expressions(child, statement)


def statements(node: ast.AST) -> Iterator[tuple[list[ast.stmt], int]]:
    """Yield each statement below a node, as a list and an index."""
    for _, value in ast.iter_fields(node):
        if isinstance(value, list) and value and isinstance(value[0], ast.stmt):
            for i, statement in enumerate(list(value)):
                yield value, i
                yield from statements(statement)


def one_minus(node: ast.expr) -> ast.expr:
    """Return one minus a value."""
    return ast.BinOp(ast.Constant(1), ast.Sub(), node)


def backwards(node: ast.expr, axis: int = 0) -> ast.expr:
    """Return a sequence, reversed along an axis."""
    index = ast.Slice(None, None, ast.UnaryOp(ast.USub(), ast.Constant(1)))
    parts: list[ast.expr] = [*([ast.Slice()] * axis), index]
    return ast.Subscript(node, ast.Tuple(parts, ast.Load()) if axis else index, ast.Load())


def _text(node: Any) -> str:
    """Return the code of a node on one line: of a loop or a branch its first one."""
    nodes = node if isinstance(node, list) else [node]
    lines = [ast.unparse(ast.fix_missing_locations(n)).splitlines()[0] for n in nodes]
    return "; ".join(line for line in lines if line != "pass")
