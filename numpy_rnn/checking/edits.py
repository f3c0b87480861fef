"""A function of the code under test as text, and small changes of it."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any, NamedTuple

Part = tuple[slice, str]  # a place in the code, and what is to be there


class Source:
    """The code of a function, its syntax tree, and its values when it ended."""

    def __init__(self, function: FunctionType, values: tuple[dict[str, Any], ...]) -> None:
        lines, first = inspect.getsourcelines(function)
        node = ast.parse(textwrap.dedent("".join(lines))).body[0]
        if not isinstance(node, ast.FunctionDef) or node.name != function.__name__:
            raise TypeError(f"{function.__name__} is an expression, expected a def")
        code = textwrap.dedent("".join(lines[node.lineno - 1 :]).expandtabs())  # no decorators
        self.free = function.__code__.co_freevars
        if self.free:  # a function around it has its free variables
            code = f"def outer({', '.join(self.free)}):\n{textwrap.indent(code, ' ')}"
        outer: Any = ast.parse(code).body[0]
        self.function, self.values, self.code = function, values, code.encode()
        self.node: ast.FunctionDef = outer.body[0] if self.free else outer
        loops = (n for n in ast.walk(self.node) if isinstance(n, ast.While))
        self._tests = names_in(*(loop.test for loop in loops))
        self.file = Path(function.__code__.co_filename).name
        self._first_line = first + node.lineno - 1 - bool(self.free)
        self._starts = [0]  # of the lines
        for line in self.code.split(b"\n"):
            self._starts.append(self._starts[-1] + len(line) + 1)

    def span(self, node: Any) -> slice:
        """Return the place of an expression or a statement."""
        start, end = self._starts[node.lineno - 1], self._starts[node.end_lineno - 1]
        return slice(start + node.col_offset, end + node.end_col_offset)

    def ends_loop(self, statement: ast.stmt) -> bool:
        """Whether what a statement writes, or calls a method of, ends a `while`."""
        parts = [] if hasattr(statement, "body") else list(ast.walk(statement))
        calls = (part.func for part in parts if isinstance(part, ast.Call))
        owners = (call.value for call in calls if isinstance(call, ast.Attribute))
        written = [*filter(is_stored, parts), *owners]
        return any(isinstance(part, ast.Name) and part.id in self._tests for part in written)

    def line(self, edit: Edit) -> int:
        """Return the line of the file that a change begins at."""
        return self._first_line + self.code.count(b"\n", 0, edit.parts[0][0].start)

    def compiled(self, edit: Edit) -> CodeType | None:
        """Return the function's code with a change, or None if it does not compile."""
        code = spliced(self.code, edit.parts)
        try:
            found = compile(code, self.function.__code__.co_filename, "exec")
        except (SyntaxError, ValueError):
            return None
        for _ in range(2):  # the function, or the function around it
            for constant in found.co_consts:
                if isinstance(constant, CodeType):
                    if constant.co_name == self.function.__name__:
                        return constant if constant.co_freevars == self.free else None
                    found = constant
                    break
        return None

    def before_and_after(self, edit: Edit, longest: int) -> tuple[str, str]:
        """Return the text of the statement, or of the largest part that is not too long."""
        texts = list(self._around(edit))
        fitting = (both for both in texts if max(map(len, both)) <= longest and both[0] != both[1])
        return next(fitting, texts[-1])

    def _around(self, edit: Edit) -> Iterator[tuple[str, str]]:
        """Yield the old and the new text of all that holds the change, and of its places."""
        nodes = [n for n in ast.walk(edit.statement) if isinstance(n, ast.expr | ast.stmt)]
        for node in nodes:
            span = self.span(node)
            if all(span.start <= p.start and p.stop <= span.stop for p, _ in edit.parts):
                moved = [
                    (slice(p.start - span.start, p.stop - span.start), new) for p, new in edit.parts
                ]
                old = self.code[span]
                before, after = (_on_one_line(c, node) for c in (old, spliced(old, moved)))
                if before:
                    yield before, after
        old_parts = (" ".join(self.code[p].decode().split()) for p, _ in edit.parts)
        yield "; ".join(old_parts), "; ".join(" ".join(new.split()) for _, new in edit.parts)


class Edit(NamedTuple):
    """Another text in one place of the code, or in several."""

    rank: float
    cause: str
    statement: ast.stmt
    parts: tuple[Part, ...]


def spliced(code: bytes, parts: Iterable[Part]) -> bytes:
    """Return code with other text in some places, which do not overlap."""
    for place, new in sorted(parts, key=lambda part: -part[0].start):
        code = code[: place.start] + new.encode() + code[place.stop :]
    return code


def _on_one_line(code: bytes, node: ast.expr | ast.stmt) -> str:
    """Return the code of a node on one line: of each statement its first one."""
    text = code.decode()
    text = f"({text})" if isinstance(node, ast.expr) else " " * node.col_offset + text
    try:
        body = ast.parse(textwrap.dedent(text)).body
    except SyntaxError:  # a part of an index
        return ""
    lines = [ast.unparse(statement).splitlines()[0] for statement in body]
    return "; ".join(line for line in lines if line != "pass")


def one_of(edits: list[Edit], choice: str) -> Edit:
    """Return several changes of the same places as one; a global variable chooses among them."""
    if len(edits) == 1:
        return edits[0]
    parts = list[Part]()
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


def statements(node: ast.AST) -> Iterator[tuple[list[ast.stmt], int]]:
    """Yield each statement below a node, as a list and an index."""
    for _, value in ast.iter_fields(node):
        if isinstance(value, list) and value and isinstance(value[0], ast.stmt):
            for i, statement in enumerate(value):
                yield value, i
                yield from statements(statement)


def names_in(*nodes: ast.AST) -> set[str]:
    """Return the names in some code."""
    return {n.id for node in nodes for n in ast.walk(node) if isinstance(n, ast.Name)}


def is_stored(node: ast.AST) -> bool:
    """Whether an expression is written to, not read."""
    return isinstance(getattr(node, "ctx", None), ast.Store)
