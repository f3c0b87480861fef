"""Changes of a sum or a product: a term or a factor left out, the slope of another value."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import partial

from numpy_rnn.checking.edits import (
    Edit,
    MakeEdit,
    Place,
    backwards,
    expressions,
    one_minus,
    substituted,
)
from numpy_rnn.checking.pool import Pool, is_gradient, loaded


def edits_of_terms(edit: MakeEdit, place: Place, pool: Pool) -> Iterator[Edit]:  # noqa: C901, PLR0912 (a list of mistakes)
    """Yield an expression with one more term or factor, or with another slope."""
    node, parent = place.node, place.parent
    whole = _is_whole(place)
    summand = isinstance(parent, ast.BinOp) and isinstance(parent.op, ast.Add)
    known = node if pool.shape(node) is not None else _target(parent) or node
    alike = [*pool.like(known), *([loaded(known)] if known is not node else [])]
    activations = [other for other in pool.written(known) if not is_gradient(other)]
    if isinstance(node, ast.BinOp) and _is_slope(node):
        for other in activations:
            for slope in pool.slopes(other)[1:]:
                yield edit(3, "the slope", slope)
    if isinstance(node, ast.Call | ast.Compare):
        for other in alike:
            yield edit(pool.rank(3, node, other), "one value for another", other)
    for other in alike if whole or pool.is_atom(node) else ():
        rank = pool.rank(3, node, other)
        if whole or rank == 0 or (is_gradient(node) and is_gradient(other)):
            yield edit(rank, "a missing term", ast.BinOp(node, ast.Add(), other))
    if whole:
        for number in (*pool.scalars(), *pool.lengths(), ast.Constant(2)):
            for operator in (ast.Div(), ast.Mult()):
                yield edit(4, "a missing factor", ast.BinOp(node, operator, number))
        yield from _with_unused(edit, node, pool)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
        yield from _with_another_slope(edit, node, pool)
    if whole or summand:
        yield from _with_products(edit, place, pool)
        slopes = [slope for other in activations for slope in pool.slopes(other)]
        for slope in slopes:
            rank = 3 if slope in alike else 4
            yield edit(rank, "a missing factor", ast.BinOp(node, ast.Mult(), slope))
    elif pool.is_atom(node):
        for other in pool.written(node):
            yield edit(5, "a missing factor", ast.BinOp(node, ast.Mult(), other))
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add) and not summand:
        yield from _with_another_term(edit, node, pool)


def _target(parent: ast.AST) -> ast.expr | None:
    """Return where an assignment stores its value, which has the same shape."""
    if isinstance(parent, ast.AugAssign):
        return parent.target
    return parent.targets[0] if isinstance(parent, ast.Assign) else None


def _with_unused(edit: MakeEdit, node: ast.expr, pool: Pool) -> Iterator[Edit]:
    """Yield an expression plus a gradient that has no use, as a mean or reversed in time."""
    for name in sorted(name for name in pool.unused if name.startswith("d")):
        other = ast.Name(name, ast.Load())
        for number in pool.scalars():
            term = ast.BinOp(other, ast.Div(), number)
            yield edit(1, "a missing term", ast.BinOp(node, ast.Add(), term))
        yield edit(1, "a missing term", ast.BinOp(node, ast.Add(), backwards(other)))


def _with_products(edit: MakeEdit, place: Place, pool: Pool) -> Iterator[Edit]:
    """Yield an expression times a mask or a weight, plus a product, or another product."""
    node, whole = place.node, _is_whole(place)
    smaller, alike = pool.smaller(node), pool.written(node)
    masks = [mask for atom in smaller for mask in (atom, one_minus(atom))]
    for mask in masks:
        rank = pool.rank(3, mask, mask)
        yield edit(rank, "a missing factor", ast.BinOp(node, ast.Mult(), mask))
    if not whole:
        return
    products = pool.products(node)
    for product in products if isinstance(node, ast.Call | ast.BinOp) else ():
        yield edit(4, "another product", product)
    rank = 5 if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add) else 6
    factors = [*masks, *(other for other in alike if not is_gradient(other))]
    terms = [ast.BinOp(a, ast.Mult(), b) for a in alike if is_gradient(a) for b in factors]
    for term in (*terms, *products):
        yield edit(rank, "a missing term", ast.BinOp(node, ast.Add(), term))


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


def _is_whole(place: Place) -> bool:
    """Whether an expression is all that a statement stores or returns."""
    return isinstance(place.parent, ast.Assign | ast.AugAssign | ast.Return)


def _with_another_term(edit: MakeEdit, node: ast.BinOp, pool: Pool) -> Iterator[Edit]:
    """Yield a sum with one more term: one that it has, with other values."""
    term = node.right
    inner = [p for p in expressions(term, ast.Pass()) if pool.is_atom(p.node)]
    outer = [p for p in inner if not any(p.node in ast.walk(q.node) for q in inner if q is not p)]
    if len(outer) == 2:  # a weight and a gradient
        first, second = outer
        for a in pool.like(first.node):
            for b in pool.like(second.node):
                replaced = {ast.unparse(first.node): a, ast.unparse(second.node): b}
                yield edit(4, "a missing term", partial(_with_term, node, term, replaced))


def _with_term(node: ast.BinOp, term: ast.expr, replaced: dict[str, ast.expr]) -> ast.BinOp:
    return ast.BinOp(node, ast.Add(), substituted(term, replaced))
