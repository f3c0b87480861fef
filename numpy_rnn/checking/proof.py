"""The proof table: everything the library ships against derivations that know nothing of it.

    complex step         Im f(x + ih) / h, every element, in five regimes
    central differences  (f(x + h) - f(x - h)) / 2h, where they can tell anything
    RTRL                 the gradient forwards in time, from single steps
    linearity            backward(3 u + v) = 3 backward(u) + backward(v)
    split = whole        two parts with the state carried over, and its gradient back
    PyTorch              the same function in torch, by its autograd, where it is installed

Each entry is the worst relative error: of any time slice of any gradient for the first two, of
any gradient for the others. A dash says that there is nothing to compare: a loss has no
recurrence, RTRL takes pairs, PyTorch has no peepholes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from numpy_rnn.checking.check import check_gradients
from numpy_rnn.checking.model import ModelSubject
from numpy_rnn.checking.report import Report
from numpy_rnn.checking.rtrl import rtrl
from numpy_rnn.checking.shapes import REGIMES, SIZES, Given, draw, draw_gradients
from numpy_rnn.checking.shipped import MODELS, PAIRS, Model, Pair
from numpy_rnn.checking.split import split_model, split_pair
from numpy_rnn.checking.subject import PairSubject, Subject, Values
from numpy_rnn.functional.types import Array

# What each column may be off by. 1e-8 for the complex step is that of the regimes in which
# slopes are computed from saturated outputs; the report holds the others to 1e-10.
TOLERANCES = {
    "complex step": 1e-8,
    "central differences": 1e-5,
    "RTRL": 1e-12,
    "linearity": 1e-12,
    "split = whole": 1e-12,
    "PyTorch": 1e-12,
}


class Torch(Protocol):
    """The two functions of :mod:`numpy_rnn.checking.against_torch`."""

    def pair_gradients(
        self, name: str, values: Values, douts: Sequence[Array]
    ) -> list[Array | None] | None:
        """Differentiate a pair."""

    def layer_gradients(
        self, layer: Any, kind: str, values: Values, douts: Sequence[Array]
    ) -> list[Array | None]:
        """Differentiate a layer."""


class Proof(NamedTuple):
    """A row of the table."""

    name: str
    errors: dict[str, float | None]  # column: worst relative error, None where there is none
    right: bool
    report: Report  # of the complex step


def prove(torch: Torch | None) -> Iterator[Proof]:
    """Prove everything the library ships, row by row.

    Parameters
    ----------
    torch : module or None
        :mod:`numpy_rnn.checking.against_torch`, where PyTorch is installed.

    Yields
    ------
    proof : Proof
    """
    for pair in PAIRS:
        yield prove_pair(pair, torch)
    for model in MODELS:
        yield prove_model(model, torch)


def prove_pair(pair: Pair, torch: Torch | None = None) -> Proof:
    """Prove one pair.

    Parameters
    ----------
    pair : Pair
        The pair and its arguments.
    torch : module or None
        For the last column.

    Returns
    -------
    proof : Proof
    """
    subject = PairSubject(pair.forward, pair.backward)
    values, douts, mine, errors = _measured(subject, pair.given)
    report = _differences((pair.forward, pair.backward), list(pair.given.values()), errors)
    arguments = list(values.values())
    if pair.recurrent:
        errors["RTRL"] = worst(rtrl(pair.forward, pair.backward, arguments, douts), mine)
        parts = split_pair(pair.forward, pair.backward, arguments, douts)
        errors["split = whole"] = worst(parts, mine)
    if torch is not None:
        theirs = torch.pair_gradients(pair.name, values, douts)
        errors["PyTorch"] = None if theirs is None else worst(mine, theirs)
    return Proof(pair.name, errors, report.ok and within(errors), report)


def prove_model(model: Model, torch: Torch | None = None) -> Proof:
    """Prove one layer or model.

    Parameters
    ----------
    model : Model
        How to make it, and its input.
    torch : module or None
        For the last column.

    Returns
    -------
    proof : Proof
    """
    made = model.make()
    subject = ModelSubject(made, ["x"])
    values, douts, mine, errors = _measured(subject, {"x": model.x}, subject.parameters())
    report = _differences(made, [model.x], errors)
    if model.carries_state:
        errors["split = whole"] = worst(split_model(made, values["x"], douts), mine)
    if torch is not None and model.torch is not None:
        errors["PyTorch"] = worst(mine, torch.layer_gradients(made, model.torch, values, douts))
    return Proof(model.name, errors, report.ok and within(errors), report)


def _differences(subject: Any, given: list[Given], errors: dict[str, float | None]) -> Report:
    """Fill in the first two columns and return the report of the first."""
    report = check_gradients(subject, *given)
    rough = check_gradients(subject, *given, method="central differences", regimes=["usual"])
    errors["complex step"], errors["central differences"] = report.worst, rough.worst
    return report


def _measured(
    subject: Subject, given: dict[str, Given], parameters: Values | None = None
) -> tuple[Values, list[Array], list[Array | None], dict[str, float | None]]:
    """Return inputs, gradients of the outputs, the claimed gradients, and the row begun."""
    rng, usual = np.random.default_rng(0), REGIMES[0]
    values, _ = draw(rng, given, SIZES, usual)
    values |= parameters or {}
    outputs = subject.run(values).outputs
    u, v = (draw_gradients(rng, outputs, SIZES["T"], usual) for _ in range(2))
    mine, other, both = (
        list(subject.run(values).backward(douts).values())
        for douts in (u, v, [3 * a + b for a, b in zip(u, v, strict=True)])
    )
    expected = [None if a is None else 3 * a + b for a, b in zip(mine, other, strict=True)]
    errors: dict[str, float | None] = dict.fromkeys(TOLERANCES)
    errors["linearity"] = worst(both, expected)
    return values, u, mine, errors


def worst(found: Sequence[Any], expected: Sequence[Any]) -> float:
    """Return the largest error of any gradient, relative to its largest entry.

    Parameters
    ----------
    found, expected : sequences of arrays or None
        Gradients of the same arguments, in order.

    Returns
    -------
    error : float
        Infinite where one has a gradient and the other does not.
    """
    errors = [0.0]
    for a, b in zip(found, expected, strict=True):
        if a is None or b is None:
            errors.append(0.0 if a is b else np.inf)
        else:
            scale = float(np.abs(b).max(initial=0.0))
            off = float(np.abs(np.asarray(a) - b).max(initial=0.0))
            errors.append(off / scale if off else 0.0)
    return max(errors)


def within(errors: dict[str, float | None]) -> bool:
    """Whether every entry of a row is within its column's tolerance."""
    return all(e is None or e <= TOLERANCES[column] for column, e in errors.items())
