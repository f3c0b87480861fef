"""From wrong numbers to the first wrong place, and to what it suggests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from numpy_rnn.checking.compare import Comparison, Place
from numpy_rnn.checking.methods import Method, gradient
from numpy_rnn.checking.probe import Probe, probe
from numpy_rnn.checking.shapes import Axes, Given, Regime
from numpy_rnn.checking.shares import Sizes, shares_by_loss, shares_by_use
from numpy_rnn.checking.subject import PairSubject, Subject, Values, copies, is_real
from numpy_rnn.checking.suggest import (
    suggest_from_loss,
    suggest_from_use,
    suggest_in_time,
    suggest_whole,
)

MANY = 3000  # elements from which on nothing is done element by element


class Evidence(NamedTuple):
    """Where something was wrong."""

    subject: Subject
    values: Values
    axes: dict[str, Axes]
    douts: list[Any]
    regime: Regime
    gates: tuple[str, ...]
    seed: int


class Diagnosis(NamedTuple):
    """The first wrong place, and what the pattern suggests."""

    place: Place | None
    suggestions: list[str]


def diagnose(
    evidence: Evidence,
    comparisons: list[Comparison],
    given: Mapping[str, Given],
    sizes: Mapping[str, int],
    method: Method,
) -> Diagnosis:
    """Find the place that the other errors follow from.

    A backward pass goes from the last step to the first and from the gates to the weights, so
    the error at the latest step is the cause of the earlier ones, and one in the
    pre-activations is the cause of those in the weights. If the gradient of the input is
    right, so are the pre-activations', and the sums over time that make the weights' are not.

    Parameters
    ----------
    evidence : Evidence
        Where something was wrong.
    comparisons : list of Comparison
        Of every value, in that regime.
    given : mapping of str to shape, array, function or None
        The arguments as the user gave them.
    sizes : mapping of str to int
        The size of each letter.
    method : {"complex step", "central differences"}
        How to differentiate.

    Returns
    -------
    diagnosis : Diagnosis
    """
    wrong = [c for c in comparisons if not c.right]
    first = sorted(wrong, key=lambda c: c.place is None)[0]
    if sum(v.size for v in evidence.values.values() if is_real(v)) > MANY:
        return Diagnosis(first.place, [])  # element by element, it would take too long
    try:
        return _diagnose(evidence, wrong, given, sizes, method)
    except Exception:  # code that cannot be cut in time, or takes no one-hot input
        return Diagnosis(first.place, [])


def _diagnose(
    evidence: Evidence,
    wrong: list[Comparison],
    given: Mapping[str, Given],
    sizes: Mapping[str, int],
    method: Method,
) -> Diagnosis:
    in_time = [c for c in wrong if "T" in evidence.axes.get(c.parameter, ())]
    if in_time and isinstance(evidence.subject, PairSubject) and method == "complex step":
        seen = probe(evidence.subject, given, sizes, evidence.gates, evidence.regime, evidence.seed)
        if seen is not None and seen.comparison.wrong_steps:
            return _from_probe(seen, evidence.gates)
    first = (in_time or sorted(wrong, key=lambda c: c.place is None))[0]
    return Diagnosis(first.place, _suggestions(evidence, first, sizes, method))


def _from_probe(seen: Probe, gates: tuple[str, ...]) -> Diagnosis:
    t = seen.comparison.wrong_steps[-1]
    off = np.abs(seen.got[t] - seen.expected[t])
    off = np.where(np.isnan(off), np.inf, off)
    b, row = (int(i) for i in np.unravel_index(int(np.argmax(off)), off.shape))
    block = seen.got.shape[2] // len(gates) if gates else 1
    unit = f"gate {gates[row // block]}, unit {row % block}" if gates else f"unit {row}"
    place = Place(
        "pre-activation",
        f"t = {t}, batch row {b}, {unit}",
        float(seen.got[t, b, row]),
        float(seen.expected[t, b, row]),
    )
    suggestions = []
    if gates and len(seen.gates) < len(gates):
        suggestions.append(f"at t = {t} {_only(seen.gates)} wrong, the others are right")
    if seen.gates == ("i", "f", "g"):
        suggestions.append("those are the gates behind c: is its gradient wrong, or its carry?")
    if text := suggest_in_time(seen.got, seen.expected, seen.comparison.wrong_steps):
        suggestions.append(text)
    columns, name = slice(None), "the pre-activations' gradient"
    if gates and len(seen.gates) == 1:
        start = gates.index(seen.gates[0]) * block
        columns, name = slice(start, start + block), f"the gradient of gate {seen.gates[0]}"
    if text := suggest_whole(seen.got[t][:, columns], seen.expected[t][:, columns], {}):
        suggestions.append(f"at t = {t} {name} {_joined(text)}")
    return Diagnosis(place, suggestions)


def _only(gates: tuple[str, ...]) -> str:
    if len(gates) == 1:
        return f"only gate {gates[0]} is"
    return f"only gates {', '.join(gates[:-1])} and {gates[-1]} are"


def _joined(text: str) -> str:
    return text.removeprefix("it ")


def _suggestions(
    evidence: Evidence, first: Comparison, sizes: Mapping[str, int], method: Method
) -> list[str]:
    name = first.parameter
    if first.problem is not None:
        return [f"{name}: {first.problem}"]
    values, douts = evidence.values, evidence.douts
    got = np.asarray(evidence.subject.run(values).backward(copies(douts))[name])
    expected, _ = gradient(evidence.subject, values, douts, name, method)
    axes = evidence.axes.get(name, ())
    T, B = _time_and_batch(evidence, sizes)
    found = [suggest_whole(got, expected, {"T": T, "B": B})]
    if "T" in axes:
        found.append(suggest_in_time(got, expected, first.wrong_steps))
    elif method == "complex step":
        by_loss = shares_by_loss(evidence.subject, values, douts, name, Sizes(T, B))
        if by_loss is not None:
            found.append(suggest_from_loss(got, by_loss))
        if isinstance(evidence.subject, PairSubject) and "B" not in axes:
            by_use = shares_by_use(evidence.subject, values, evidence.axes, douts, name)
            if by_use is not None:
                found.append(suggest_from_use(got, by_use))
    if not any(found):
        found.append(_equals_another(evidence, got, name, method))
    return [f"the gradient of {name} {_joined(text)}" for text in found if text]


def _time_and_batch(evidence: Evidence, sizes: Mapping[str, int]) -> tuple[int, int]:
    """Return T and B of the arguments, or what the letters say."""
    for name, axes in evidence.axes.items():
        if axes[:2] == ("T", "B"):
            T, B = evidence.values[name].shape[:2]
            return T, B
    return sizes["T"], sizes["B"]


def _equals_another(evidence: Evidence, got: Any, name: str, method: Method) -> str | None:
    """Say whether the gradient is that of another argument of the same shape."""
    for other, value in evidence.values.items():
        if other != name and is_real(value) and value.shape == got.shape:
            exact, _ = gradient(evidence.subject, evidence.values, evidence.douts, other, method)
            if exact.any() and np.allclose(got, exact, rtol=1e-7, atol=0):
                return f"equals that of {other}"
    return None
