"""The proof table: everything the library ships against independent derivations.

    complex step         Im f(x + ih) / h, along a direction over all elements, in five regimes
    central differences  (f(x + h) - f(x - h)) / 2h, along one for each time slice
    RTRL                 the gradient forwards in time, from single steps
    linearity            backward(3 u + v) = 3 backward(u) + backward(v)
    split = whole        two parts, with the state and its gradient carried across the cut

Each entry is the worst relative error of any gradient, for the first two along a direction. A
dash marks what cannot be compared: a loss has no recurrence, and RTRL takes pairs. All of this
runs wherever NumPy does. The comparison with PyTorch is in ``benchmarks/torch_references.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from numpy_rnn.checking.check import check_gradients, read_target
from numpy_rnn.checking.derivatives import rtrl
from numpy_rnn.checking.nested import as_tuple, regroup
from numpy_rnn.checking.objects import ObjectTarget
from numpy_rnn.checking.regimes import REGIMES
from numpy_rnn.checking.report import Report
from numpy_rnn.checking.shapes import SIZES, Given, draw, draw_gradients
from numpy_rnn.checking.target import Point, largest
from numpy_rnn.functional.types import Array
from numpy_rnn.museum.registry import (
    MODELS,
    PAIRS,
    TEXTBOOK_PAIRS,
    RegisteredModel,
    RegisteredPair,
)

Gradients = list[Array | None]
# The largest error allowed in each column. 1e-8 for the complex step is for the regimes in
# which slopes are computed from saturated outputs; the report holds the others to 1e-10.
TOLERANCES = {
    "complex step": 1e-8,
    "central differences": 1e-5,
    "RTRL": 1e-12,
    "linearity": 1e-12,
    "split = whole": 1e-12,
}


class Proof(NamedTuple):
    """A row of the table."""

    name: str
    errors: dict[str, float | None]  # column: worst relative error, None if not compared
    right: bool
    report: Report  # of the complex step


def prove() -> Iterator[Proof]:
    """Verify everything the library ships, row by row."""
    rows: list[RegisteredPair | RegisteredModel] = [*PAIRS, *TEXTBOOK_PAIRS, *MODELS]
    yield from map(prove_row, rows)


def prove_row(row: RegisteredPair | RegisteredModel) -> Proof:
    """Return the row of one pair, layer or model."""
    checked, shapes = row.checked(), row.shapes
    # The other regimes are for values that are not smooth; their tolerance is 1e-6.
    regimes = [regime.name for regime in REGIMES]
    report = check_gradients(checked, shapes, gates=row.gates or None, regimes=regimes)
    rough = check_gradients(checked, shapes, method="central differences", regimes=["usual"])
    at_u, at_v = usual_points(checked, shapes)
    at_both = at_u._replace(douts=[3 * u + v for u, v in zip(at_u.douts, at_v.douts, strict=True)])
    mine, of_v, of_both = (list(point.claimed().values()) for point in (at_u, at_v, at_both))
    combined = [None if a is None else 3 * a + b for a, b in zip(mine, of_v, strict=True)]
    errors: dict[str, float | None] = dict.fromkeys(TOLERANCES)
    errors |= {"complex step": report.worst, "central differences": rough.worst}
    errors["linearity"] = worst(of_both, combined)
    for column, gradients in _others(row, at_u).items():
        errors[column] = worst(gradients, mine)
    right = all(e is None or e <= TOLERANCES[column] for column, e in errors.items())
    return Proof(row.name, errors, report.ok and right, report)


def _others(row: RegisteredPair | RegisteredModel, point: Point) -> dict[str, Gradients]:
    """Return the gradients for the columns that not every row has."""
    if not row.recurrent:
        return {}
    if isinstance(point.target, ObjectTarget):
        return {"split = whole": split_model(point.target.model, point.values["x"], point.douts)}
    (forward, backward), arguments = row.checked(), list(point.values.values())
    found = {"split = whole": split_pair(forward, backward, arguments, point.douts)}
    if isinstance(row, RegisteredPair) and row.keeps:
        found["RTRL"] = rtrl(forward, backward, arguments, point.douts)
    return found


def usual_points(checked: Any, shapes: dict[str, Given]) -> tuple[Point, Point]:
    """Return one set of usual inputs with two draws of the outputs' gradients."""
    rng, usual = np.random.default_rng(0), REGIMES[0]
    target, _ = read_target(checked, [shapes], None)
    values, _ = draw(rng, shapes, SIZES, usual)
    if isinstance(target, ObjectTarget):
        target.discover(values)
        values |= target.parameters()
    outputs = target.run(values).outputs
    u, v = (draw_gradients(rng, outputs, SIZES["T"], usual) for _ in range(2))
    return Point(target, values, u), Point(target, values, v)


def worst(found: Sequence[Any], expected: Sequence[Any]) -> float:
    """Return the largest error of any gradient, relative to its largest entry.

    It is infinite if one of the two has a gradient and the other does not.
    """
    errors = [0.0]
    for a, b in zip(found, expected, strict=True):
        if a is None or b is None:
            errors.append(0.0 if a is b else np.inf)
        else:
            off = largest(np.asarray(a) - b)
            errors.append(off / largest(b) if off else 0.0)
    return max(errors)


def split_pair(
    forward: Callable[..., Any],
    backward: Callable[..., Any],
    arguments: Sequence[Any],
    douts: Sequence[Array],
) -> Gradients:
    """Return the gradients of a recurrent pair, run as a first third and the rest.

    The pair's arguments are the input, as many states as outputs, and the weights.
    """
    n = 1 + len(douts)
    x, states, weights = arguments[0], arguments[1:n], arguments[n:]
    cut = len(x) // 3
    outputs, first_cache = forward(x[:cut], *states, *weights)
    _, second_cache = forward(x[cut:], *(h[-1] for h in as_tuple(outputs)), *weights)
    later = backward(*(d[cut:] for d in douts), second_cache)
    ends = [d[:cut].copy() for d in douts]
    for end, carried in zip(ends, later[1:n], strict=True):
        end[-1] += carried
    earlier = backward(*ends, first_cache)
    dx = None if earlier[0] is None else np.concatenate([earlier[0], later[0]])
    sums = [None if a is None else a + b for a, b in zip(earlier[n:], later[n:], strict=True)]
    return [dx, *earlier[1:n], *sums]


def split_model(model: Any, x: Array, douts: Sequence[Array]) -> Gradients:
    """Return the gradients of a model's input and parameters, run as a first third and the rest.

    `douts` are the gradients of the output and of each component of the final state.
    """
    cut = len(x) // 3
    _, state, first_cache = model.apply(x[:cut])
    _, final, second_cache = model.apply(x[cut:], state)
    dfinal = regroup(douts[1:], final) if isinstance(final, tuple) else douts[1]
    later, dstate, dlater = model.vjp(second_cache, douts[0][cut:], dfinal)
    earlier, _, dearlier = model.vjp(first_cache, douts[0][:cut], dstate)
    dx = None if earlier is None else np.concatenate([earlier, later])
    return [dx, *(dearlier[name] + dlater[name] for name in model.parameters.shapes)]
