"""Changes of an expression: a transpose, a sign, a factor, another value, another step.

The tables list them by what is known of the expression.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from itertools import combinations
from typing import Any

from numpy_rnn.checking.edits import Place
from numpy_rnn.checking.pool import AT_STEPS, IN_CODE, Pool, index_text, is_gradient, other_steps

Change = tuple[float, str, str]  # a rank, the cause in a few words, the new text

RENAMED = {"mean": "sum", "sum": "mean", "maximum": "minimum", "minimum": "maximum"}
OPERATORS = {"Add": "-*", "Sub": "+*", "Mult": "/+@", "Div": "*", "MatMult": "*"}
SLOPES = ("1 - {0} ** 2", "{0} * (1 - {0})", "({0} > 0)", "1 - {0}")
# Changes by what is known of an expression: its class and its operator in ``ast``, and the words
# of _facts, with | for "or". In the new text, "left" and the like are its parts.
RULES = [
    ("transposed", 1, "a transpose", "{value}"),
    ("factor", 1, "a transpose", "({text}).T"),
    ("whole", 2, "a transpose", "({text}).T"),
    ("USub|Not", 1, "a sign", "{operand}"),
    ("plain", 2, "a sign", "-({text})"),
    ("BinOp", 1, "a part too many", "{left}"),
    ("BinOp", 1, "a part too many", "{right}"),
    *(
        (name, 2, "an operator", f"({{left}}) {other} ({{right}})")
        for name, others in OPERATORS.items()
        for other in others
    ),
    ("IfExp", 1, "a branch", "{body}"),
    ("IfExp", 1, "a branch", "{orelse}"),
    ("IfExp", 2, "a branch", "({body}) + ({orelse})"),
    ("value", 4, "not reversed", "{text}[::-1]"),
    ("value", 4, "not reversed", "{text}[:, ::-1]"),
    ("activation", 3, "one minus it", "1 - {text}"),
    ("activation", 4, "a missing term", "({text} - 1)"),
    ("multiplied", 3, "the slope", "1 + {text}"),  # d * (1 + g) * (1 - g), which is tanh's
]
# Changes that bring in another value of the function, from one of the lists of _others.
RULES_OF_TWO = [
    ("atom|Call|Compare", 3, "one value for another", "{other}", "like"),
    ("BinOp", 2, "the slope", "{other}", "slopes instead"),
    ("activation", 3, "a missing call", "{other}({text})", "helpers"),
    ("atom", 3, "a missing term", "{text} + {other}", "gradients"),
    ("atom", 4, "a missing term", "({text} - {other})", "activations"),
    ("atom|Call", 5, "a missing factor", "{text} * {other}", "written"),
    ("term", 3, "a missing factor", "({text}) * ({other})", "masks"),
    ("term", 3, "a missing factor", "({text}) * ({other})", "activations"),
    ("term", 4, "a missing factor", "({text}) * ({other})", "slopes"),
    ("term", 5, "a missing factor", "({text}) * ({other})", "slopes of other steps"),
    ("whole", 3, "a missing term", "{text} + {other}", "like"),
    ("whole", 1, "a missing term", "{text} + {other}", "unused"),
    ("whole", 1, "one value for another", "{other}", "unused alike"),
    ("term", 4, "a missing factor", "({text}) / ({other})", "numbers"),
    ("term", 4, "a missing factor", "({text}) * ({other})", "numbers"),
    ("term", 4, "a missing factor", "({text}) / ({other})", "activations"),
    ("Call|MatMult", 4, "another product", "{other}", "matrix products"),
    ("whole atom", 5, "another product", "{other}", "matrix products"),
    ("divisor", 4, "another number", "{other}", "divisors"),
    ("term", 4, "a missing term", "({text}) - {other}", "means"),
    ("sum", 5, "a missing term", "{text} + {other}", "products"),
    ("inner product|no sum", 6, "a missing term", "({text} + {other})", "products"),
]


def changes_of(place: Place, pool: Pool) -> Iterator[Change]:
    """Yield changes of an expression."""
    node, parent = place.node, place.parent
    number = node.operand if isinstance(node, ast.UnaryOp) else node  # -1 is an operation on 1
    if isinstance(number, ast.Constant):
        computed = isinstance(parent, ast.BinOp) and not isinstance(parent.op, ast.Div)
        yield from _of_constant(number.value, [] if computed else pool.scalars())
    elif place.is_index:
        for new in other_steps(node):
            yield 1, "the wrong step", new
    elif isinstance(node, ast.Tuple | ast.List):
        yield from _of_elements(node)
    elif not isinstance(node, ast.Slice):
        yield from _by_rules(place, pool)
        if isinstance(node, ast.Subscript):
            yield from _of_element(place, pool)
            yield from _of_bounds(node, pool)
        if isinstance(node, ast.Call):
            yield from _of_call(node, pool)


def _of_constant(value: Any, scalars: list[str]) -> Iterator[Change]:
    """Yield other constants, and values that are numbers."""
    if isinstance(value, int | float):
        for other in {value + 1, value - 1, -value, 0, 1, -1, 2, 0.5} - {value}:
            yield 3, "a constant", str(other)
        for atom in scalars:
            yield 3, "a constant", atom
            yield 3, "a constant", f"{atom} - 1"
    if isinstance(value, str) and "->" in value:  # the subscripts of an einsum
        parts = re.split(r"(\W+)", value)
        for i, part in enumerate(parts):
            for a, b in combinations(part, 2) if part.isalpha() else ():
                swapped = part.translate({ord(a): b, ord(b): a})
                yield 1, "a transpose", repr("".join([*parts[:i], swapped, *parts[i + 1 :]]))


def _of_elements(node: ast.Tuple | ast.List) -> Iterator[Change]:
    """Yield a tuple or a list with two of its elements exchanged."""
    for a in range(len(node.elts)):
        for b in range(a):
            texts = [ast.unparse(element) for element in node.elts]
            texts[a], texts[b] = texts[b], texts[a]
            inside = ", ".join(texts)
            text = f"[{inside}]" if isinstance(node, ast.List) else f"({inside})"
            yield 2, "two values in each other's place", text


def _by_rules(place: Place, pool: Pool) -> Iterator[Change]:
    """Yield what the tables say."""
    facts, text = _facts(place, pool), place.text
    parts = {n: ast.unparse(v) for n, v in vars(place.node).items() if isinstance(v, ast.expr)}
    for fact, rank, cause, new in RULES:
        if not facts.isdisjoint(fact.split("|")):
            yield rank, cause, new.format(text=text, **parts)
    others = _others(place, pool, facts)
    # A use is likelier to be wrong than what only gives a value a name.
    computes = any(isinstance(n, ast.BinOp) for n in ast.walk(place.statement))
    names = isinstance(place.statement, ast.Assign) and not computes
    for fact, rank, cause, new, which in RULES_OF_TWO:
        for other in () if facts.isdisjoint(fact.split("|")) else others.get(which, ()):
            likely: float = pool.rank(rank, text if which == "like" else other, other)
            likely += 0.5 if names and which == "like" and likely else 0
            yield likely, cause, new.format(text=text, other=other)
    factors = [] if "multiplied" in facts else _factors(place.node)
    texts = [ast.unparse(factor) for factor in factors]
    for factor in factors:
        match factor:  # g * (1 - g) without its g
            case ast.BinOp(ast.Constant(1 | 1.0), ast.Sub(), atom) if pool.is_atom(atom):
                g = ast.unparse(atom)
                if g not in texts:
                    yield -1, "the slope", f"{text} * {g}"
                d = " * ".join(f"({t})" for t in texts if t not in (g, ast.unparse(factor)))
                for axis in (-1, 0, 1) if g in texts and d else ():
                    new = f"{g} * ({d} - ({d} * {g}).sum(axis={axis}, keepdims=True))"
                    yield 1, "the slope of a softmax", new
    texts = [f"({factor})" for factor in texts]
    for i in range(1, len(texts)):
        yield 3, "an operator", f"{' * '.join(texts[:i])} + {' * '.join(texts[i:])}"


def _factors(node: ast.expr) -> list[ast.expr]:
    """Return the factors of a product of two or more, otherwise nothing."""
    if not (isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult)):
        return []
    return [*(_factors(node.left) or [node.left]), *(_factors(node.right) or [node.right])]


def _facts(place: Place, pool: Pool) -> set[str]:
    """Return what is known of an expression, in words of the tables."""
    node, parent = place.node, place.parent
    operator = type(getattr(node, "op", None)).__name__
    of_many = isinstance(parent, ast.Tuple) and parent is getattr(place.statement, "value", None)
    named = ast.Dict | ast.keyword  # a gradient among others
    called = ast.unparse(parent.func) if isinstance(parent, ast.Call) else ""
    kept = called.endswith((".append", ".insert"))  # in a list of gradients
    whole = of_many or kept or isinstance(parent, ast.Assign | ast.AugAssign | ast.Return | named)
    term = whole or (isinstance(parent, ast.BinOp) and isinstance(parent.op, ast.Add | ast.Sub))
    transposed, atom = isinstance(node, ast.Attribute) and node.attr == "T", pool.is_atom(node)
    known = {
        "transposed": transposed,
        "factor": not transposed and _is_factor(parent),
        "plain": operator not in ("USub", "Not"),
        "value": isinstance(node, ast.Call | ast.Name | ast.Attribute | ast.Subscript),
        "atom": atom,
        "activation": atom and not is_gradient(place.text),
        "multiplied": isinstance(parent, ast.BinOp) and isinstance(parent.op, ast.Mult),
        "whole": whole,
        "whole atom": whole and atom,
        "divisor": (
            isinstance(parent, ast.BinOp | ast.AugAssign) and isinstance(parent.op, ast.Div)
        )
        and node is getattr(parent, "right", getattr(parent, "value", None)),
        "sum": whole and operator == "Add",
        "inner product": operator == "Mult" and getattr(parent, "left", None) is node,
        "no sum": whole and operator != "Add",
        "term": term,
    }
    return {type(node).__name__, operator, *(word for word, holds in known.items() if holds)}


def _is_factor(parent: ast.AST) -> bool:
    """Whether an expression is a factor of a matrix product, and may be transposed."""
    if isinstance(parent, ast.BinOp):
        return isinstance(parent.op, ast.MatMult)
    if isinstance(parent, ast.Attribute):
        return parent.attr == "dot"
    called = ast.unparse(parent.func) if isinstance(parent, ast.Call) else ""
    return called.endswith(("dot", "matmul", "outer"))


def _others(place: Place, pool: Pool, facts: set[str]) -> dict[str, list[str]]:
    """Return the values that a change of an expression may bring in, by a word of the tables."""
    parent, text = place.parent, place.text
    known, alike = text, pool.like(text)
    if isinstance(parent, ast.Assign | ast.AugAssign):
        target = ast.unparse(parent.targets[0] if isinstance(parent, ast.Assign) else parent.target)
        adds = isinstance(parent, ast.AugAssign) and pool.shape(text) != pool.shape(target)
        if pool.shape(text) is None or adds:  # where the value is stored has the same shape
            known, alike = target, [*pool.like(target), target]
    written = pool.like(text, AT_STEPS)
    activations = [other for other in pool.like(known, IN_CODE) if not is_gradient(other)]
    others = [o for o in pool.like(known, AT_STEPS) if not is_gradient(o) and o not in activations]
    slopes, of_others = ([s.format(a) for a in of for s in SLOPES] for of in (activations, others))
    near = is_gradient(text)
    found = {
        "like": alike,
        "helpers": list(pool.helpers),
        "gradients": [o for o in alike if o in pool.unused or (near and is_gradient(o))],
        "activations": activations,
        "slopes": slopes,
        "slopes of other steps": of_others,
        "slopes instead": slopes if "1 - " in text else [],
        "unused alike": [other for other in alike if other in pool.unused],
        "divisors": [*pool.scalars(), *pool.masks()] if "divisor" in facts else [],
    }
    if "term" in facts:
        found["numbers"] = [*pool.scalars(), *pool.lengths(), "2"]
        found["masks"] = [new for mask in pool.smaller(known) for new in (mask, f"1 - {mask}")]
        found["means"] = pool.means(text)
    else:
        found["written"] = written
    if "inner product" in facts:
        factors = [a for a in pool.like(known, IN_CODE) if not is_gradient(a)]
        found["products"] = [
            f"{g} * {a}" for g in pool.like(known, IN_CODE) if is_gradient(g) for a in factors
        ]
    if "whole" in facts:
        unused = sorted(name for name in pool.unused if name.startswith("d"))
        found["unused"] = [f"{name} / ({n})" for name in unused for n in pool.scalars()]
        found["unused"] += [f"{name}[::-1]" for name in unused]
        found["matrix products"] = pool.products(text)
        activations = [other for other in written if not is_gradient(other)]
        factors = [*found["masks"], *activations, *(f"1 - {a}" for a in activations)]
        gradients = filter(is_gradient, written)
        found["products"] = [f"{gradient} * ({f})" for gradient in gradients for f in factors]
        found["products"] += found["matrix products"]
    return found


def _of_element(place: Place, pool: Pool) -> Iterator[Change]:
    """Yield what an element or a slice may stand for: all, a sum over an axis, another step."""
    node: Any = place.node
    value = ast.unparse(node.value)
    if isinstance(node.slice, ast.Slice):
        yield 1, "a slice", value
    parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
    *outer, last = parts or [node.slice]
    if isinstance(last, ast.Constant):
        rows = f"({value})[{', '.join(map(ast.unparse, outer))}]" if outer else f"({value})"
        yield 2, "a sum over the batch", f"{rows}.sum(axis=0)"
    elif isinstance(last, ast.Slice) and isinstance(last.upper, ast.Constant):
        yield 2, "a sum over the batch", f"({value}).sum(axis={len(outer)}, keepdims=True)"
    # The step before, and for the first an initial state.
    end, inner = "", node
    if isinstance(node.value, ast.Subscript):  # of a tuple for each step
        end, inner = f"[{index_text(node.slice)}]", node.value
    for step in (*other_steps(inner.slice), index_text(inner.slice)):
        counter = re.search(r"(\w+) - ", step)
        for first in (f"0 * {place.text}", *pool.like(place.text)) if counter else ():
            if counter and (first[:4] == "0 * " or not first.endswith("]")):
                new = f"{ast.unparse(inner.value)}[{step}]{end} if {counter[1]} > 0 else {first}"
                yield 3, "the wrong step", new


def _of_bounds(node: Any, pool: Pool) -> Iterator[Change]:
    """Yield other ends of a slice that begins or ends somewhere."""
    *outer, last = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
    if isinstance(last, ast.Slice) and not last.step and bool(last.lower) != bool(last.upper):
        before = "".join(f"{ast.unparse(part)}, " for part in outer)
        bound = ast.unparse(last.lower or last.upper or last).removeprefix("-")
        for end in (bound, *filter(str.isidentifier, pool.scalars())):
            for both in (f":{end}", f"{end}:", f"-{end}:"):
                yield 2, "a slice", f"{ast.unparse(node.value)}[{before}{both}]"


def _of_call(node: ast.Call, pool: Pool) -> Iterator[Change]:
    """Yield a call's arguments without it, another function, and one more argument."""
    for option in pool.options if not node.keywords else ():  # such as derivative=True
        texts = [*map(ast.unparse, node.args), option]
        yield 2, "a missing argument", f"{ast.unparse(node.func)}({', '.join(texts)})"
    if isinstance(node.func, ast.Attribute):
        owner, name = ast.unparse(node.func.value), node.func.attr
        if name in RENAMED:
            arguments = ", ".join(map(ast.unparse, [*node.args, *node.keywords]))
            yield 1, "a mean or a sum", f"({owner}).{RENAMED[name]}({arguments})"
        yield 2, "a call too many", owner
    for argument in node.args:
        yield 1, "a call too many", ast.unparse(argument)
    if len(node.args) == 2:
        swapped = f"{ast.unparse(node.args[1])}, {ast.unparse(node.args[0])}"
        yield 2, "two values in each other's place", f"{ast.unparse(node.func)}({swapped})"
    name = ast.unparse(node.func).split(".")[-1]
    if name in ("sum", "mean") and not any(k.arg in ("axis", "dim") for k in node.keywords):
        for axis in ("0", "1", "(0, 1)"):
            words = [*map(ast.unparse, [*node.args, *node.keywords]), f"axis={axis}"]
            yield 2, "the axis of a sum", f"{ast.unparse(node.func)}({', '.join(words)})"
