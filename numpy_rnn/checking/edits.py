"""A function of the code under test as a syntax tree, and small changes of it."""

from __future__ import annotations

import ast
import copy
import inspect
import textwrap
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any, NamedTuple


class Edit(NamedTuple):
    """Other code in one place of a function, or in several."""

    rank: float
    cause: str
    statement: ast.stmt
    parts: tuple[tuple[ast.AST, str], ...]  # each expression or statement, and what replaces it

    def new(self) -> dict[ast.AST, Any]:
        """Return what replaces each part: an expression, or a list of statements."""
        return {
            old: ast.parse(text).body if isinstance(old, ast.stmt) else _expression(text)
            for old, text in self.parts
        }


class Source:
    """The syntax tree of a function, and its values when it ended."""

    def __init__(self, function: FunctionType, values: tuple[dict[str, Any], ...]) -> None:
        lines, first = inspect.getsourcelines(function)
        node = ast.parse(textwrap.dedent("".join(lines))).body[0]
        if not isinstance(node, ast.FunctionDef) or node.name != function.__name__:
            raise TypeError(f"{function.__name__} is an expression, expected a def")
        node.decorator_list = []
        ast.increment_lineno(node, first - 1)
        self.function, self.values, self.node = function, values, node
        self.file = Path(function.__code__.co_filename).name
        loops = (n for n in ast.walk(node) if isinstance(n, ast.While))
        self._tests = names_in(*(loop.test for loop in loops))
        self._parents = {part: n for n in ast.walk(node) for part in ast.iter_child_nodes(n)}
        inside = (n for n in self._parents if isinstance(n, ast.stmt))
        self.statements = sorted(inside, key=lambda n: (n.lineno, n.col_offset))

    def holds(self, node: ast.AST, inner: ast.AST) -> bool:
        """Whether some code is a part of other code, or all of it."""
        return node is inner or (inner in self._parents and self.holds(node, self._parents[inner]))

    def ends_loop(self, statement: ast.stmt) -> bool:
        """Whether what a statement writes, or calls a method of, ends a `while`."""
        parts = [] if hasattr(statement, "body") else list(ast.walk(statement))
        calls = (part.func for part in parts if isinstance(part, ast.Call))
        owners = (call.value for call in calls if isinstance(call, ast.Attribute))
        written = [*filter(is_stored, parts), *owners]
        return any(isinstance(part, ast.Name) and part.id in self._tests for part in written)

    def compiled(self, edit: Edit) -> CodeType | None:
        """Return the function's code with a change, or None if it does not compile."""
        name, code = self.function.__name__, self.function.__code__
        # A function around it has its free variables.
        outer: Any = ast.parse(f"def outer({', '.join(code.co_freevars)}): pass")
        try:
            outer.body[0].body = [self._changed(self.node, edit.new())]
            found = compile(outer, code.co_filename, "exec")
        except (SyntaxError, TypeError, ValueError):
            return None
        for inside in ("outer", name):
            parts = [part for part in found.co_consts if isinstance(part, CodeType)]
            found = next(part for part in parts if part.co_name == inside)
        return found if found.co_freevars == code.co_freevars else None

    def before_and_after(self, edit: Edit, longest: int) -> tuple[str, str]:
        """Return the text of the statement, or of the largest part that is not too long."""
        new = edit.new()
        for node in ast.walk(edit.statement):
            if isinstance(node, ast.expr | ast.stmt) and all(self.holds(node, old) for old in new):
                both = _on_one_line(node), _on_one_line(self._changed(node, new))
                if max(map(len, both)) <= longest and both[0] != both[1]:
                    return both
        before, after = ("; ".join(map(_on_one_line, nodes)) for nodes in (new, new.values()))
        return before, after

    def _changed(self, node: ast.AST, new: dict[ast.AST, Any]) -> Any:
        """Return code with other code for some of its parts. It shares what holds none of them."""
        if node in new:
            return new[node]
        if not any(self.holds(node, old) for old in new):
            return node
        copied = copy.copy(node)
        for name, value in ast.iter_fields(node):
            if isinstance(value, list):
                made = [self._changed(part, new) for part in value]
                inner = [part if isinstance(part, list) else [part] for part in made]
                setattr(copied, name, [part for parts in inner for part in parts])
            elif isinstance(value, ast.AST):
                setattr(copied, name, self._changed(value, new))
        return copied


def _expression(text: str) -> Any:
    subscript: Any = ast.parse(f"_[{text}]", mode="eval").body  # the text may be an index
    return subscript.slice


def _on_one_line(code: Any) -> str:
    """Return code on one line: of each statement its first one."""
    nodes = code if isinstance(code, list) else [code]
    lines = [ast.unparse(node).splitlines()[0] for node in nodes]
    return "; ".join(line for line in lines if line != "pass")


def one_of(edits: list[Edit], choice: str) -> Edit:
    """Return several changes of the same places as one; a global variable chooses among them."""
    if len(edits) == 1:
        return edits[0]
    parts = list[tuple[ast.AST, str]]()
    for same in zip(*(edit.parts for edit in edits), strict=True):
        *texts, last = [text for _, text in same]
        cases = [f"{text} if {choice} == {number} else " for number, text in enumerate(texts)]
        parts.append((same[0][0], f"({''.join(cases)}{last})"))
    return edits[0]._replace(parts=tuple(parts))


class Place(NamedTuple):
    """An expression in the code."""

    node: ast.expr
    parent: ast.AST
    statement: ast.stmt
    text: str

    @property
    def is_index(self) -> bool:
        """Whether it is all that is in the brackets of an index."""
        return isinstance(self.parent, ast.Subscript) and self.parent.slice is self.node


def expressions(node: ast.AST, statement: ast.stmt) -> Iterator[Place]:
    """Yield the expressions of a statement that are read, but for those of inner statements."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.stmt | ast.JoinedStr):  # whose parts have no place before 3.12
            continue
        is_called = isinstance(node, ast.Call) and node.func is child
        if isinstance(child, ast.expr) and not is_stored(child) and not is_called:
            yield Place(child, node, statement, ast.unparse(child))
        yield from expressions(child, statement)


def names_in(*nodes: ast.AST) -> set[str]:
    """Return the names in some code."""
    return {n.id for node in nodes for n in ast.walk(node) if isinstance(n, ast.Name)}


def is_stored(node: ast.AST) -> bool:
    """Whether an expression is written to, not read."""
    return isinstance(getattr(node, "ctx", None), ast.Store)
