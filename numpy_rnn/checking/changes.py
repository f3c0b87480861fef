"""Changes of code, each of which undoes a usual mistake in a backward pass.

Such mistakes are ``=`` for ``+=``, a transpose too many, the wrong step, a missing term or factor,
a mean for a sum. A change has a rank, -1 to 6. Low ranks are likelier: they come first.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from typing import Any

from numpy_rnn.checking.edits import Edit, Source, expressions, is_stored, names_in
from numpy_rnn.checking.pool import AT_STEPS, IN_CODE, Pool, is_gradient, other_steps
from numpy_rnn.checking.rules import Change, changes_of


def edits_of(source: Source, sources: Sequence[Source]) -> Iterator[Edit]:
    """Yield the changes of a function. `sources` are all functions, whose helpers may be called."""
    pool = Pool(source, sources)
    yield from _undivided(source)
    yield from _renamed(source, pool)
    for node in ast.walk(source.node):
        if isinstance(node, ast.For | ast.While):
            yield from _of_loop(node, pool)
    for statement in source.statements:
        yield from _in_statement(statement, source, pool)


def _in_statement(statement: ast.stmt, source: Source, pool: Pool) -> Iterator[Edit]:
    """Yield the changes of a statement and of the expressions in it."""
    is_text = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    if is_text or source.ends_loop(statement):
        return
    for rank, cause, text in _of_statement(statement, pool):
        yield Edit(rank, cause, statement, ((statement, text),))
    for place in expressions(statement, statement):
        if not isinstance(place.parent, ast.While):
            for rank, cause, text in changes_of(place, pool):
                if text != place.text:
                    new = text if place.is_index else f"({text})"
                    yield Edit(rank, cause, statement, ((place.node, new),))


def _of_loop(loop: ast.For | ast.While, pool: Pool) -> Iterator[Edit]:
    """Yield a loop with one more statement: it hands on, or adds to, what it leaves as it was."""
    nodes = [n for statement in loop.body for n in ast.walk(statement)]
    stored = {ast.unparse(n) for n in nodes if is_stored(n)}
    left = pool.made_before(loop) - {name.split("[")[0] for name in stored}
    read, missing = names_in(*loop.body), list[Change]()
    for name in sorted(left & read):
        others = [o for o in pool.like(name) if o.split("[")[0] != name]
        products = (f"{g} * {o}" for g in filter(is_gradient, others) for o in others)
        ranked = ((2, others), (3, products), (4, pool.products(name)))
        missing += [(rank, "=", f"{name} = {new}") for rank, values in ranked for new in values]
    sums = [n for n in nodes if isinstance(n, ast.AugAssign)]
    for name in sorted(stored & pool.made_before(loop)):  # a carry that passes no gate
        factors = [o for o in pool.like(name, AT_STEPS) if not is_gradient(o)]
        for factor in [*factors, *(f"(1 - {o})" for o in factors)]:
            missing.append((4, "=", f"{name} = {name} * {factor}"))
    for name in sorted(left) + pool.beside([ast.unparse(n.target) for n in sums]):
        if name not in stored:
            values = [*pool.sums(name), *pool.products(name, at_steps=True)]
            missing += [(3, "+=", f"{name} += {new}") for new in values]
    for rank, sign, text in missing:  # a sum comes where others are
        after = sums[-1] if sums and sign == "+=" else loop.body[-1]
        both = f"{ast.unparse(after)}\n{text}"
        yield Edit(rank, "a missing statement", after, ((after, both),))


def _undivided(source: Source) -> Iterator[Edit]:
    """Yield the function without any division by a value: means become sums."""
    divisions = dict[str, list[tuple[ast.stmt, ast.BinOp]]]()
    for statement in source.statements:
        for place in expressions(statement, statement):
            node = place.node
            if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
                found = divisions.setdefault(ast.unparse(node.right), [])
                if not any(source.holds(other, node) for _, other in found):
                    found.append((statement, node))
    for found in divisions.values():
        if len(found) > 1:
            parts = tuple((node, f"({ast.unparse(node.left)})") for _, node in found)
            yield Edit(2, "a mean or a sum", found[0][0], parts)


def _renamed(source: Source, pool: Pool) -> Iterator[Edit]:
    """Yield each statement with another value in both places where it has one."""
    for statement in source.statements:
        places = dict[str, list[ast.expr]]()
        for place in expressions(statement, statement):
            if pool.is_atom(place.node):
                places.setdefault(place.text, []).append(place.node)
        for text, nodes in places.items():
            for other in pool.like(text, IN_CODE) if len(nodes) > 1 else ():
                parts = tuple((node, other) for node in nodes)
                yield Edit(2, "one value for another", statement, parts)


def _of_statement(statement: ast.stmt, pool: Pool) -> Iterator[Change]:
    """Yield changes of a whole statement."""
    if isinstance(statement, ast.If):
        yield 2, "a branch", _text(statement.body)
        yield 2, "a branch", _text(statement.orelse) or "pass"
    elif not isinstance(statement, ast.Return | ast.For | ast.While | ast.FunctionDef | ast.Pass):
        yield 1, "a statement too many", "pass"
    if isinstance(statement, ast.Assign):
        target, value = statement.targets[0], ast.unparse(statement.value)
        yield from _of_target(target, "=", value, pool)
        if isinstance(target, ast.Name) and target.id in pool.unused:  # or never handed on
            for other in filter(str.isidentifier, pool.like(target.id)):
                yield 1, "a name for another", f"{other} = {value}"
        for index in pool.picked if is_gradient(ast.unparse(target)) else ():
            one = f"{ast.unparse(target)}[{index}] -= 1"  # the slope of a softmax's logarithm
            yield 2, "a missing statement", f"{ast.unparse(statement)}\n{one}"
        if isinstance(target, ast.Name | ast.Subscript | ast.Attribute):
            yield 1, "= for +=", f"{ast.unparse(target)} += {value}"
    if isinstance(statement, ast.AugAssign):
        name, value = ast.unparse(statement.target), ast.unparse(statement.value)
        sign = ast.unparse(statement).removeprefix(name).split()[0]
        yield from _of_target(statement.target, sign, value, pool)
        yield 1, "+= for =", f"{name} = {value}"
        yield from _shifted(statement.target, sign, value)
        yield 1, "a sign", f"{name} {'-=' if sign == '+=' else '+='} {value}"
        for atom in pool.like(name):
            yield 3, "a sum into the wrong place", f"{atom} {sign} {value}"


def _shifted(target: Any, sign: str, value: str) -> Iterator[Change]:
    """Yield a sum of all steps with the steps a step apart."""
    owner = target.value if isinstance(target, ast.Subscript) else target
    for first, second in (("1:", ":-1"), (":-1", "1:")):
        new = f"{ast.unparse(owner)}[{first}] {sign}"
        if owner is target:
            yield 3, "the wrong step", f"{new} ({value})[{second}]"
        elif f"[{second}]" == f"[{ast.unparse(target.slice)}]" and value.endswith(f"[{first}]"):
            yield 1, "the wrong step", f"{new} {value.removesuffix(f'[{first}]')}[{second}]"


def _text(block: list[ast.stmt]) -> str:
    return "\n".join(map(ast.unparse, block))


def _of_target(target: ast.expr, sign: str, value: str, pool: Pool) -> Iterator[Change]:
    """Yield other elements for the one that an assignment writes to."""
    if not isinstance(target, ast.Subscript):
        return
    owner, index = ast.unparse(target.value), ast.unparse(target.slice)
    added = f"-({value})" if sign == "-=" else value
    yield 2, "an index that is repeated", f"np.add.at({owner}, {index}, {added})"
    indices = [*sorted(names_in(target.slice) - {index}), *other_steps(target.slice)]
    indices.append(f"np.arange(len({index.split(', ')[-1]})), {index.split(', ')[-1]}")
    indices += [picked for picked in pool.picked if picked != index]
    if not isinstance(target.slice, ast.Tuple):
        indices += [f"{index}, {counter}" for counter in sorted(pool.counters)]
    for other in indices:
        yield 3, "the wrong step", f"{owner}[{other}] {sign} {value}"
