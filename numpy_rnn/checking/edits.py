"""Small changes of a function's syntax tree: what a wrong backward pass may have been meant to be.

Each change undoes one of the usual mistakes: ``=`` for ``+=``, a transpose too many, a term or a
factor left out, a value of the wrong step, the slope of another value, a mean for a sum. A change
has a rank, 0 to 5. Those with a low rank are likelier, and fewer.
"""

from __future__ import annotations

import ast
import contextlib
import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, TypeAlias

from numpy_rnn.checking.pool import Pool, Source, is_gradient, is_stored, other_steps

RENAMED = {"mean": "sum", "sum": "mean", "maximum": "minimum", "minimum": "maximum"}
OPERATORS: dict[type[ast.operator], tuple[type[ast.operator], ...]] = {
    ast.Add: (ast.Sub, ast.Mult),
    ast.Sub: (ast.Add, ast.Mult),
    ast.Mult: (ast.Div, ast.Add, ast.MatMult),
    ast.Div: (ast.Mult,),
    ast.MatMult: (ast.Mult,),
}
COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Gt: (ast.GtE, ast.Lt, ast.LtE),
    ast.GtE: (ast.Gt, ast.LtE, ast.Lt),
    ast.Lt: (ast.LtE, ast.Gt, ast.GtE),
    ast.LtE: (ast.Lt, ast.GtE, ast.Gt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
}


@dataclass
class Edit:
    """Another node in one place of a tree."""

    rank: int
    cause: str
    container: Any  # the node or the list that holds the place
    key: Any  # a field's name, or an index or a slice of a list
    new: Any  # the node, or a function that makes it
    statement: ast.stmt
    removed: str = ""  # for a report, if the change is not of one place

    @property
    def line(self) -> int:
        """The line of the statement that is changed."""
        return self.statement.lineno

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """Change the tree, and change it back."""
        if callable(self.new):
            self.new = self.new()
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
        """Return the text of the statement, or of the changed place alone if that is too long."""
        if self.removed:
            return self.removed, ""
        texts = []
        for changed in (False, True):
            with self.applied() if changed else contextlib.nullcontext():
                place = self.container
                if not isinstance(self.key, slice):
                    place = place[self.key] if isinstance(place, list) else getattr(place, self.key)
                texts.append((_text(self.statement), _text(place)))
        (old, old_place), (new, new_place) = texts
        return (old, new) if max(len(old), len(new)) <= longest and old != new else (
            old_place, new_place
        )  # fmt: skip


class Place(NamedTuple):
    """An expression in a tree."""

    container: Any
    key: Any
    node: ast.expr
    parent: ast.AST
    statement: ast.stmt


MakeEdit: TypeAlias = Callable[[int, str, Any], Edit]


def edits_of(source: Source, sources: Sequence[Source]) -> Iterator[Edit]:
    """Yield the changes of a function. `sources` are all functions, whose helpers may be called."""
    pool = Pool(source, [other.node for other in sources])
    yield from _undivided(source.node)
    for statements, index in _statements(source.node):
        statement = statements[index]
        if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
            continue
        if isinstance(statement, ast.AugAssign) and pool.ends_loops & {
            n.id for n in ast.walk(statement) if isinstance(n, ast.Name)
        }:
            continue
        yield from _of_statement(statements, index, pool)
        for place in _expressions(statement, statement):
            if not isinstance(place.parent, ast.While):
                yield from _of_expression(place, pool)


def _of_statement(statements: list[ast.stmt], i: int, pool: Pool) -> Iterator[Edit]:
    """Yield changes of a whole statement, the i-th of a list."""
    statement = statements[i]

    def edit(rank: int, cause: str, new: Any, key: Any = i) -> Edit:
        return Edit(rank, cause, statements, key, new, statement)

    if isinstance(statement, ast.Assign | ast.AugAssign):
        yield from _of_assignment(edit, statement, pool)
    if isinstance(statement, ast.If):
        yield edit(2, "a branch", statement.body, slice(i, i + 1))
        yield edit(2, "a branch", statement.orelse or [ast.Pass()], slice(i, i + 1))
    elif not isinstance(statement, ast.Return | ast.For | ast.While | ast.FunctionDef):
        yield edit(2, "a statement too many", ast.Pass())
    if i + 1 < len(statements) and not isinstance(statements[i + 1], ast.Return):
        swapped = [statements[i + 1], statement]
        yield edit(3, "the order of two statements", swapped, slice(i, i + 2))
    if isinstance(statement, ast.For) and len(statement.body) > 1:
        first, *rest = statement.body
        before = [first, _with_body(statement, rest)]
        *rest, last = statement.body
        after = [_with_body(statement, rest), last]
        yield edit(4, "a statement inside the loop", before, slice(i, i + 1))
        yield edit(4, "a statement inside the loop", after, slice(i, i + 1))


def _of_assignment(
    edit: MakeEdit, statement: ast.Assign | ast.AugAssign, pool: Pool
) -> Iterator[Edit]:
    """Yield changes of what an assignment does with its value."""
    for call, unwrapped in _unwrapped(statement):
        yield edit(2, f"a call too many, {call}", unwrapped)
    value = statement.value
    if isinstance(statement, ast.Assign):
        target = statement.targets[0]
        if isinstance(target, ast.Name | ast.Subscript | ast.Attribute):
            yield edit(1, "= for +=", ast.AugAssign(target, ast.Add(), value))
        for name in sorted(pool.local) if isinstance(target, ast.Name) else ():
            renamed = ast.Assign([ast.Name(name, ast.Store())], value)
            yield edit(5, "a result under the wrong name", renamed)
        return
    yield edit(1, "+= for =", ast.Assign([statement.target], value))
    opposite = ast.Sub() if isinstance(statement.op, ast.Add) else ast.Add()
    yield edit(1, "a sign", ast.AugAssign(statement.target, opposite, value))
    for atom in pool.like(statement.target):
        if isinstance(atom, ast.Name | ast.Subscript | ast.Attribute):
            stored = copy.deepcopy(atom)
            stored.ctx = ast.Store()
            new = ast.AugAssign(stored, statement.op, value)
            yield edit(3, "a sum into the wrong place", new)


def _of_expression(place: Place, pool: Pool) -> Iterator[Edit]:
    """Yield changes of an expression."""

    def edit(rank: int, cause: str, new: Any) -> Edit:
        return Edit(rank, cause, place.container, place.key, new, place.statement)

    node = place.node
    if isinstance(node, ast.Constant):
        yield from _of_constant(edit, node, pool)
    elif isinstance(place.parent, ast.Subscript) and place.key == "slice":
        for new in other_steps(node):
            yield edit(1, "the wrong step", new)
    elif isinstance(node, ast.Tuple | ast.List):
        for a in range(len(node.elts)):
            for b in range(a):
                elements = list(node.elts)
                elements[a], elements[b] = elements[b], elements[a]
                yield edit(2, "two values in each other's place", type(node)(elements, node.ctx))
    elif not isinstance(node, ast.Slice):
        yield from _of_operation(edit, place)
        if pool.is_atom(node):
            yield from _of_atom(edit, node, pool)
        yield from _of_part(edit, place, pool)


def _of_constant(edit: MakeEdit, node: ast.Constant, pool: Pool) -> Iterator[Edit]:
    """Yield other constants."""
    value = node.value
    if isinstance(value, bool):
        yield edit(2, "a switch", ast.Constant(not value))
    elif isinstance(value, int | float):
        for other in {value + 1, value - 1, -value, 0, 1, 2, 0.5} - {value}:
            yield edit(3, "a constant", ast.Constant(other))
        for atom in pool.scalars():
            yield edit(3, "a constant", atom)
    elif isinstance(value, str):
        for name in sorted(pool.strings - {value}):
            yield edit(2, "a name", ast.Constant(name))


def _of_operation(edit: MakeEdit, place: Place) -> Iterator[Edit]:  # noqa: C901 (a list of mistakes)
    """Yield expressions with an operation left out, added or replaced."""
    node = place.node
    if isinstance(node, ast.Attribute) and node.attr == "T":
        yield edit(1, "a transpose", node.value)
    elif _is_factor(place):
        yield edit(1, "a transpose", ast.Attribute(node, "T", ast.Load()))
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.Not):
        yield edit(1, "a sign", node.operand)
    else:
        yield edit(2, "a sign", ast.UnaryOp(ast.USub(), node))
    if isinstance(node, ast.BinOp):
        yield edit(1, "a part too many", node.left)
        yield edit(1, "a part too many", node.right)
        for operator in OPERATORS.get(type(node.op), ()):
            yield edit(2, "an operator", ast.BinOp(node.left, operator(), node.right))
        if not isinstance(node.op, ast.Add | ast.Mult):
            yield edit(2, "the order of a product", ast.BinOp(node.right, node.op, node.left))
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        for comparison in COMPARISONS.get(type(node.ops[0]), ()):
            new = ast.Compare(node.left, [comparison()], node.comparators)
            yield edit(2, "a comparison", new)
    if isinstance(node, ast.IfExp):
        yield edit(1, "a branch", node.body)
        yield edit(1, "a branch", node.orelse)
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Slice):
        yield edit(1, "a slice", node.value)
    if isinstance(node, ast.Call):
        yield from _of_call(edit, node)


def _of_call(edit: MakeEdit, node: ast.Call) -> Iterator[Edit]:
    """Yield a call's arguments without it, and another function."""
    if isinstance(node.func, ast.Attribute):
        if other := RENAMED.get(node.func.attr):
            func = ast.Attribute(node.func.value, other, ast.Load())
            yield edit(1, "a mean or a sum", ast.Call(func, node.args, node.keywords))
        yield edit(2, "a call too many", node.func.value)
    for argument in node.args:
        yield edit(1, "a call too many", argument)
    if node.keywords:
        yield edit(3, "an option", ast.Call(node.func, node.args, []))


def _of_atom(edit: MakeEdit, node: ast.expr, pool: Pool) -> Iterator[Edit]:
    """Yield other values, and functions of this one."""
    for other in pool.like(node):
        yield edit(pool.rank(3, node, other), "one value for another", other)
    if not is_gradient(node):
        for func in pool.helpers.values():
            yield edit(3, "a missing call", ast.Call(func, [node], []))
        yield edit(3, "a missing power", ast.BinOp(node, ast.Pow(), ast.Constant(2)))
        yield edit(3, "one minus it", ast.BinOp(ast.Constant(1), ast.Sub(), node))
    if isinstance(node, ast.Subscript):
        yield from _with_first_step(edit, node, pool)
    backwards = ast.Slice(None, None, ast.UnaryOp(ast.USub(), ast.Constant(1)))
    yield edit(4, "not reversed", ast.Subscript(node, backwards, ast.Load()))


def _of_part(edit: MakeEdit, place: Place, pool: Pool) -> Iterator[Edit]:  # noqa: C901, PLR0912 (a list of mistakes)
    """Yield an expression with one more term or factor, or with another slope."""
    node, parent = place.node, place.parent
    whole = isinstance(parent, ast.Assign | ast.AugAssign | ast.Return)
    summand = isinstance(parent, ast.BinOp) and isinstance(parent.op, ast.Add)
    alike = pool.like(node)
    activations = [other for other in alike if not is_gradient(other)]
    if isinstance(node, ast.BinOp) and _is_slope(node):
        for other in activations:
            for slope in pool.slopes(other)[1:]:
                yield edit(3, "the slope", slope)
    if whole:
        for other in alike:
            rank = pool.rank(3, node, other)
            yield edit(rank, "a missing term", ast.BinOp(node, ast.Add(), other))
        for number in pool.scalars():
            for operator in (ast.Div(), ast.Mult()):
                yield edit(4, "a missing factor", ast.BinOp(node, operator, number))
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
        yield from _with_another_slope(edit, node, pool)
    if whole or summand:
        slopes = [slope for other in activations for slope in pool.slopes(other)]
        for slope in slopes:
            rank = 3 if slope in alike else 4
            yield edit(rank, "a missing factor", ast.BinOp(node, ast.Mult(), slope))
    elif pool.is_atom(node):
        for other in alike:
            yield edit(5, "a missing factor", ast.BinOp(node, ast.Mult(), other))
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add) and not summand:
        yield from _with_another_term(edit, node, pool)


def _with_another_slope(edit: MakeEdit, node: ast.BinOp, pool: Pool) -> Iterator[Edit]:
    """Yield a product with tanh's slope for a sigmoid's: (d * g) * (1 - g) is d * (1 - g^2)."""
    if isinstance(node.left, ast.BinOp) and pool.is_atom(node.left.right):
        of_tanh, of_sigmoid = pool.slopes(node.left.right)[1], pool.slopes(node.left.right)[4]
        if ast.unparse(of_sigmoid) == ast.unparse(node.right):
            yield edit(2, "the slope", ast.BinOp(node.left.left, ast.Mult(), of_tanh))


def _is_slope(node: ast.BinOp) -> bool:
    """Whether an expression may be a derivative of an activation: it has "1 -" in it."""
    return any(
        isinstance(n, ast.BinOp) and isinstance(n.op, ast.Sub) and isinstance(n.left, ast.Constant)
        for n in ast.walk(node)
    )


def _is_factor(place: Place) -> bool:
    """Whether an expression is a factor of a matrix product, and may be transposed."""
    parent = place.parent
    if isinstance(parent, ast.BinOp):
        return isinstance(parent.op, ast.MatMult)
    if isinstance(parent, ast.Attribute):
        return parent.attr == "dot"
    called = ast.unparse(parent.func) if isinstance(parent, ast.Call) else ""
    return called.endswith(("dot", "matmul", "outer"))


def _with_first_step(edit: MakeEdit, node: ast.Subscript, pool: Pool) -> Iterator[Edit]:
    """Yield the element of the step before, and for the first step an initial state."""
    for new in other_steps(node.slice):
        step = [n for n in ast.walk(new) if isinstance(n, ast.BinOp) and isinstance(n.op, ast.Sub)]
        if step and isinstance(step[0].left, ast.Name):
            earlier = ast.Subscript(node.value, new, ast.Load())
            test = ast.Compare(step[0].left, [ast.Gt()], [ast.Constant(0)])
            for first in pool.like(node):
                if not isinstance(first, ast.Subscript):
                    yield edit(3, "the wrong step", ast.IfExp(test, earlier, first))


def _with_another_term(edit: MakeEdit, node: ast.BinOp, pool: Pool) -> Iterator[Edit]:
    """Yield a sum with one more term: one that it has with other values, or a product of two."""
    term, alike = node.right, pool.like(node)
    inner = [p for p in _expressions(term, ast.Pass()) if pool.is_atom(p.node)]
    outer = [p for p in inner if not any(p.node in ast.walk(q.node) for q in inner if q is not p)]
    if len(outer) == 2:  # a weight and a gradient
        first, second = outer
        for a in pool.like(first.node):
            for b in pool.like(second.node):
                replaced = {ast.unparse(first.node): a, ast.unparse(second.node): b}
                yield edit(4, "a missing term", partial(_with_term, node, term, replaced))
    for a in (other for other in alike if is_gradient(other)):
        for b in (other for other in alike if not is_gradient(other)):
            product = ast.BinOp(a, ast.Mult(), b)
            yield edit(5, "a missing term", ast.BinOp(node, ast.Add(), product))


def _with_term(node: ast.BinOp, term: ast.expr, replaced: dict[str, ast.expr]) -> ast.BinOp:
    return ast.BinOp(node, ast.Add(), _substituted(term, replaced))


def _substituted(node: Any, replaced: dict[str, ast.expr]) -> Any:
    """Return a copy of code with other expressions for some of its parts."""

    class Substitute(ast.NodeTransformer):
        def visit(self, node: ast.AST) -> Any:
            if isinstance(node, ast.expr) and (new := replaced.get(ast.unparse(node))) is not None:
                return new
            return self.generic_visit(node)

    return Substitute().visit(copy.deepcopy(node))


def _unwrapped(statement: ast.stmt) -> Iterator[tuple[str, ast.stmt]]:
    """Yield a statement without a call that it has more than once: x for each f(x)."""
    calls = [n for n in ast.walk(statement) if isinstance(n, ast.Call) and len(n.args) == 1]
    found = {ast.unparse(call): call for call in calls}
    for text, call in found.items():
        if len(calls) > len(found):
            yield text, _substituted(statement, {text: call.args[0]})


def _undivided(function: ast.FunctionDef) -> Iterator[Edit]:
    """Yield the function without any division by a value: means become sums."""
    for node in ast.walk(function):
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
            divided = [
                (n, ast.unparse(n))
                for n in ast.walk(function)
                if isinstance(n, ast.BinOp) and isinstance(n.op, ast.Div)
                if ast.unparse(n.right) == ast.unparse(node.right)
            ]
            if len(divided) > 1 and divided[0][0] is node:
                replaced = {text: n.left for n, text in divided}
                body = [_substituted(statement, replaced) for statement in function.body]
                statement = next(
                    statements[i]
                    for statements, i in _statements(function)
                    if node in [p.node for p in _expressions(statements[i], statements[i])]
                )
                text = f"/ {ast.unparse(node.right)}"
                yield Edit(2, "a mean or a sum", function, "body", body, statement, text)


def _expressions(node: ast.AST, statement: ast.stmt) -> Iterator[Place]:
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
            yield from _expressions(child, statement)


def _statements(node: ast.AST) -> Iterator[tuple[list[ast.stmt], int]]:
    """Yield each statement below a node, as a list and an index."""
    for _, value in ast.iter_fields(node):
        if isinstance(value, list) and value and isinstance(value[0], ast.stmt):
            for i, statement in enumerate(list(value)):
                yield value, i
                yield from _statements(statement)


def _with_body(loop: ast.For, body: list[ast.stmt]) -> ast.For:
    return ast.copy_location(ast.For(loop.target, loop.iter, body, loop.orelse), loop)


def _text(node: Any) -> str:
    """Return the code of a node on one line: of a loop or a branch its first one."""
    nodes = node if isinstance(node, list) else [node]
    lines = [ast.unparse(ast.fix_missing_locations(n)).splitlines()[0] for n in nodes]
    return "; ".join(line for line in lines if line != "pass")
