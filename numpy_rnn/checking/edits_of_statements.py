"""Changes of statements: what a wrong backward pass may have been meant to be.

Each change undoes one of the usual mistakes: ``=`` for ``+=``, a statement too many or in the
wrong place, a mean for a sum. Those of expressions are in ``edits_of_expressions.py``. A change has
a rank, 0 to 6. Those with a low rank are likelier, and fewer.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator, Sequence
from typing import Any, cast

from numpy_rnn.checking.edits import Edit, MakeEdit, Place, expressions, statements, substituted
from numpy_rnn.checking.edits_of_expressions import edits_of_expression
from numpy_rnn.checking.pool import Pool, Source, loaded, other_steps


def edits_of(source: Source, sources: Sequence[Source]) -> Iterator[Edit]:
    """Yield the changes of a function. `sources` are all functions, whose helpers may be called."""
    pool = Pool(source, [other.node for other in sources])
    yield from _undivided(source.node)
    for block, index in statements(source.node):
        statement = block[index]
        if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
            continue
        if isinstance(statement, ast.AugAssign) and pool.ends_loops & {
            n.id for n in ast.walk(statement) if isinstance(n, ast.Name)
        }:
            continue
        yield from _of_statement(block, index, pool)
        for place in expressions(statement, statement):
            if not isinstance(place.parent, ast.While):
                yield from edits_of_expression(place, pool)


def _of_statement(block: list[ast.stmt], i: int, pool: Pool) -> Iterator[Edit]:
    """Yield changes of a whole statement, the i-th of a list."""
    statement = block[i]

    def edit(rank: int, cause: str, new: Any, key: Any = i) -> Edit:
        return Edit(rank, cause, block, key, new, statement)

    if isinstance(statement, ast.If):
        yield edit(2, "a branch", statement.body, slice(i, i + 1))
        yield edit(2, "a branch", statement.orelse or [ast.Pass()], slice(i, i + 1))
    elif not isinstance(statement, ast.Return | ast.For | ast.While | ast.FunctionDef):
        yield edit(1, "a statement too many", ast.Pass())
    if isinstance(statement, ast.Assign | ast.AugAssign):
        yield from _of_assignment(edit, statement, pool)
    if i + 1 < len(block) and not isinstance(block[i + 1], ast.Return):
        swapped = [block[i + 1], statement]
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
    yield from _of_target(edit, statement, pool)
    value = statement.value
    if isinstance(statement, ast.Assign):
        target = statement.targets[0]
        if isinstance(target, ast.Name | ast.Subscript | ast.Attribute):
            yield edit(1, "= for +=", ast.AugAssign(target, ast.Add(), value))
        return
    yield edit(1, "+= for =", ast.Assign([statement.target], value))
    opposite = ast.Sub() if isinstance(statement.op, ast.Add) else ast.Add()
    yield edit(1, "a sign", ast.AugAssign(statement.target, opposite, value))
    for atom in pool.like(statement.target):
        if isinstance(atom, ast.Name | ast.Subscript | ast.Attribute):
            stored = copy.deepcopy(atom)
            stored.ctx = ast.Store()
            yield edit(3, "a sum into the wrong place", _stored(statement, stored))


def _of_target(edit: MakeEdit, statement: ast.Assign | ast.AugAssign, pool: Pool) -> Iterator[Edit]:
    """Yield other elements for the one that an assignment writes to."""
    target = statement.target if isinstance(statement, ast.AugAssign) else statement.targets[0]
    if not isinstance(target, ast.Subscript):
        return
    if isinstance(statement, ast.AugAssign) and isinstance(statement.op, ast.Add):
        add_at = ast.parse("np.add.at", mode="eval").body
        arguments = [loaded(target.value), target.slice, statement.value]
        yield edit(2, "an index that is repeated", ast.Expr(ast.Call(add_at, arguments, [])))
    names = {n.id: n for n in ast.walk(target.slice) if isinstance(n, ast.Name)}
    indices: list[ast.expr] = [*names.values(), *other_steps(target.slice)]
    if not isinstance(target.slice, ast.Tuple):
        counters = [ast.Name(name, ast.Load()) for name in sorted(pool.counters)]
        indices += [ast.Tuple([target.slice, counter], ast.Load()) for counter in counters]
    for index in indices:
        element = ast.Subscript(target.value, index, ast.Store())
        yield edit(3, "the wrong step", _stored(statement, element))


def _stored(statement: ast.Assign | ast.AugAssign, target: Any) -> ast.stmt:
    """Return an assignment to another place."""
    if isinstance(statement, ast.AugAssign):
        return ast.AugAssign(target, statement.op, statement.value)
    return ast.Assign([target], statement.value)


def _undivided(function: ast.FunctionDef) -> Iterator[Edit]:
    """Yield the function without any division by a value: means become sums."""
    divisions: dict[str, list[Place]] = {}
    for block, i in statements(function):
        for place in expressions(block[i], block[i]):
            if isinstance(place.node, ast.BinOp) and isinstance(place.node.op, ast.Div):
                divisions.setdefault(ast.unparse(place.node.right), []).append(place)
    for divisor, places in divisions.items():
        if len(places) > 1:
            replaced = {ast.unparse(p.node): cast("ast.BinOp", p.node).left for p in places}
            body = [substituted(statement, replaced) for statement in function.body]
            where, text = places[0].statement, f"/ {divisor}"
            yield Edit(2, "a mean or a sum", function, "body", body, where, text)


def _with_body(loop: ast.For, body: list[ast.stmt]) -> ast.For:
    return ast.copy_location(ast.For(loop.target, loop.iter, body, loop.orelse), loop)
