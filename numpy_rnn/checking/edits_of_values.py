"""Changes of one value or operation: a transpose too many, another function, the wrong step."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any

from numpy_rnn.checking.edits import Edit, MakeEdit, Place, backwards, one_minus
from numpy_rnn.checking.edits_of_terms import edits_of_terms
from numpy_rnn.checking.pool import Pool, is_gradient, other_steps

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


def edits_of_values(place: Place, pool: Pool) -> Iterator[Edit]:
    """Yield changes of an expression."""

    def edit(rank: int, cause: str, new: Any) -> Edit:
        return Edit(rank, cause, place.container, place.key, new, place.statement)

    node = place.node
    number = node.operand if isinstance(node, ast.UnaryOp) else node  # -1 is an operation on 1
    if isinstance(number, ast.Constant):
        computed = isinstance(place.parent, ast.BinOp) and not isinstance(place.parent.op, ast.Div)
        yield from _of_constant(edit, number, pool, [] if computed else pool.scalars())
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
        yield from edits_of_terms(edit, place, pool)


def _of_constant(
    edit: MakeEdit, node: ast.Constant, pool: Pool, scalars: list[ast.expr]
) -> Iterator[Edit]:
    """Yield other constants, and values that are numbers."""
    value = node.value
    if isinstance(value, bool):
        yield edit(2, "a switch", ast.Constant(not value))
    elif isinstance(value, int | float):
        for other in {value + 1, value - 1, -value, 0, 1, -1, 2, 0.5} - {value}:
            yield edit(3, "a constant", ast.Constant(other))
        for atom in scalars:
            yield edit(3, "a constant", atom)
            yield edit(3, "a constant", ast.BinOp(atom, ast.Sub(), ast.Constant(1)))
    elif isinstance(value, str):
        for name in sorted(pool.strings - {value}):
            yield edit(2, "a name", ast.Constant(name))


def _of_operation(edit: MakeEdit, place: Place) -> Iterator[Edit]:  # noqa: C901, PLR0912 (a list of mistakes)
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
        yield edit(2, "a branch", ast.BinOp(node.body, ast.Add(), node.orelse))
    if isinstance(node, ast.Subscript):
        yield from _of_element(edit, node)
    if isinstance(node, ast.Call):
        yield from _of_call(edit, node)
    if isinstance(node, ast.Call | ast.Name | ast.Attribute | ast.Subscript):
        for axis in (0, 1):
            yield edit(4, "not reversed", backwards(node, axis))


def _of_element(edit: MakeEdit, node: ast.Subscript) -> Iterator[Edit]:
    """Yield the whole for a slice, and a sum over an axis for its first element."""
    if isinstance(node.slice, ast.Slice):
        yield edit(1, "a slice", node.value)
    *outer, last = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
    if isinstance(last, ast.Constant):
        index = ast.Tuple(outer, ast.Load()) if len(outer) > 1 else outer[0] if outer else None
        rows = node.value if index is None else ast.Subscript(node.value, index, ast.Load())
        yield edit(2, "a sum over the batch", _summed(rows, 0))
    elif isinstance(last, ast.Slice) and isinstance(last.upper, ast.Constant):
        yield edit(2, "a sum over the batch", _summed(node.value, len(outer), keepdims=True))


def _summed(node: ast.expr, axis: int, **options: bool) -> ast.Call:
    """Return the sum of a value over an axis."""
    keywords = [ast.keyword(k, ast.Constant(v)) for k, v in {"axis": axis, **options}.items()]
    return ast.Call(ast.Attribute(node, "sum", ast.Load()), [], keywords)


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
        yield edit(3, "one minus it", one_minus(node))
    if isinstance(node, ast.Subscript):
        yield from _with_first_step(edit, node, pool)


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
