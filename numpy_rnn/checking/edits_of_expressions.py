"""Changes of an expression: a transpose too many, the wrong step, a missing term or factor."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any

from numpy_rnn.checking.edits import Edit, MakeEdit, Place, backwards, one_minus
from numpy_rnn.checking.pool import Pool, is_gradient, loaded, other_steps

RENAMED = {"mean": "sum", "sum": "mean", "maximum": "minimum", "minimum": "maximum"}
OPERATORS: dict[type[ast.operator], tuple[type[ast.operator], ...]] = {
    ast.Add: (ast.Sub, ast.Mult),
    ast.Sub: (ast.Add, ast.Mult),
    ast.Mult: (ast.Div, ast.Add, ast.MatMult),
    ast.Div: (ast.Mult,),
    ast.MatMult: (ast.Mult,),
}
COMPARISONS = (ast.Gt, ast.GtE, ast.Lt, ast.LtE, ast.Eq, ast.NotEq)


def edits_of_expression(place: Place, pool: Pool) -> Iterator[Edit]:
    """Yield changes of an expression."""

    def edit(rank: int, cause: str, new: Any) -> Edit:
        return Edit(rank, cause, place.container, place.key, new, place.statement)

    node = place.node
    number = node.operand if isinstance(node, ast.UnaryOp) else node  # -1 is an operation on 1
    if isinstance(number, ast.Constant):
        computed = isinstance(place.parent, ast.BinOp) and not isinstance(place.parent.op, ast.Div)
        yield from _of_constant(edit, number.value, [] if computed else pool.scalars())
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
        yield from _of_terms(edit, place, pool)


def _of_constant(edit: MakeEdit, value: Any, scalars: list[ast.expr]) -> Iterator[Edit]:
    """Yield other constants, and values that are numbers."""
    if isinstance(value, int | float):
        for other in {value + 1, value - 1, -value, 0, 1, -1, 2, 0.5} - {value}:
            yield edit(3, "a constant", ast.Constant(other))
        for atom in scalars:
            yield edit(3, "a constant", atom)
            yield edit(3, "a constant", ast.BinOp(atom, ast.Sub(), ast.Constant(1)))


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
        for comparison in COMPARISONS:
            if not isinstance(node.ops[0], comparison):
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


def _is_factor(place: Place) -> bool:
    """Whether an expression is a factor of a matrix product, and may be transposed."""
    parent = place.parent
    if isinstance(parent, ast.BinOp):
        return isinstance(parent.op, ast.MatMult)
    if isinstance(parent, ast.Attribute):
        return parent.attr == "dot"
    called = ast.unparse(parent.func) if isinstance(parent, ast.Call) else ""
    return called.endswith(("dot", "matmul", "outer"))


def _of_atom(edit: MakeEdit, node: ast.expr, pool: Pool) -> Iterator[Edit]:
    """Yield other values, and functions of this one."""
    for other in pool.like(node):
        yield edit(pool.rank(3, node, other), "one value for another", other)
    if not is_gradient(node):
        for func in pool.helpers.values():
            yield edit(3, "a missing call", ast.Call(func, [node], []))
        yield edit(3, "one minus it", one_minus(node))
    if isinstance(node, ast.Subscript):
        yield from _with_first_step(edit, node, pool)


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


def _of_terms(edit: MakeEdit, place: Place, pool: Pool) -> Iterator[Edit]:  # noqa: C901, PLR0912 (a list of mistakes)
    """Yield an expression with one more term or factor, or with another slope."""
    node, parent = place.node, place.parent
    whole = isinstance(parent, ast.Assign | ast.AugAssign | ast.Return)
    known = node
    if isinstance(parent, ast.Assign | ast.AugAssign) and pool.shape(node) is None:
        # Where the value is stored has the same shape.
        known = parent.target if isinstance(parent, ast.AugAssign) else parent.targets[0]
    alike = [*pool.like(known), *([loaded(known)] if known is not node else [])]
    activations = [other for other in pool.written(known) if not is_gradient(other)]
    slopes = [slope for other in activations for slope in pool.slopes(other)]
    if isinstance(node, ast.BinOp):
        yield from _with_another_slope(edit, node, activations, pool)
    if isinstance(node, ast.Call | ast.Compare):
        for other in alike:
            yield edit(pool.rank(3, node, other), "one value for another", other)
    for other in alike if whole or pool.is_atom(node) else ():
        rank = pool.rank(3, node, other)
        if whole or rank == 0 or (is_gradient(node) and is_gradient(other)):
            yield edit(rank, "a missing term", ast.BinOp(node, ast.Add(), other))
    masks: list[ast.expr] = []
    if whole or (isinstance(parent, ast.BinOp) and isinstance(parent.op, ast.Add)):
        masks = [mask for atom in pool.smaller(node) for mask in (atom, one_minus(atom))]
        for other in masks:
            rank = pool.rank(3, other, other)
            yield edit(rank, "a missing factor", ast.BinOp(node, ast.Mult(), other))
        for other in slopes:
            rank = 3 if other in alike else 4
            yield edit(rank, "a missing factor", ast.BinOp(node, ast.Mult(), other))
    elif pool.is_atom(node):
        for other in pool.written(node):
            yield edit(5, "a missing factor", ast.BinOp(node, ast.Mult(), other))
    if whole:
        for other in (*pool.scalars(), *pool.lengths(), ast.Constant(2)):
            for operator in (ast.Div(), ast.Mult()):
                yield edit(4, "a missing factor", ast.BinOp(node, operator, other))
        for other in _unused(pool):
            yield edit(1, "a missing term", ast.BinOp(node, ast.Add(), other))
        products = pool.products(node)
        is_product = isinstance(node, ast.BinOp) and isinstance(node.op, ast.MatMult)
        for other in products if is_product or isinstance(node, ast.Call) else ():
            yield edit(4, "another product", other)
        rank = 5 if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add) else 6
        for other in (*_elementwise(pool.written(node), masks), *products):
            yield edit(rank, "a missing term", ast.BinOp(node, ast.Add(), other))


def _with_another_slope(
    edit: MakeEdit, node: ast.BinOp, activations: list[ast.expr], pool: Pool
) -> Iterator[Edit]:
    """Yield the slope of another value, and tanh's for a sigmoid's: (1 - g^2) for g (1 - g)."""
    # A derivative of an activation has "1 -" in it.
    if any(
        isinstance(n, ast.BinOp) and isinstance(n.op, ast.Sub) and isinstance(n.left, ast.Constant)
        for n in ast.walk(node)
    ):
        for other in activations:
            for slope in pool.slopes(other)[1:]:
                yield edit(3, "the slope", slope)
    left = node.left  # d * g of (d * g) * (1 - g)
    if isinstance(left, ast.BinOp) and pool.is_atom(left.right):
        _, of_tanh, *_, complement = pool.slopes(left.right)
        if ast.unparse(complement) == ast.unparse(node.right):
            yield edit(2, "the slope", ast.BinOp(left.left, ast.Mult(), of_tanh))


def _unused(pool: Pool) -> Iterator[ast.expr]:
    """Yield the gradients that have no use, as a mean or reversed in time."""
    for name in sorted(name for name in pool.unused if name.startswith("d")):
        gradient = ast.Name(name, ast.Load())
        for number in pool.scalars():
            yield ast.BinOp(gradient, ast.Div(), number)
        yield backwards(gradient)


def _elementwise(alike: list[ast.expr], masks: list[ast.expr]) -> list[ast.expr]:
    """Return the products of a gradient with a mask or with another value."""
    factors = [*masks, *(other for other in alike if not is_gradient(other))]
    return [ast.BinOp(a, ast.Mult(), b) for a in alike if is_gradient(a) for b in factors]
