"""Evaluate the gradient checker on the museum: bugs caught and located, and false alarms."""

from __future__ import annotations

from typing import Any, NamedTuple

from numpy_rnn.checking.check import Report, check_gradients
from numpy_rnn.museum.bug import Bug, Function, OptimizerReference, Reference, patched
from numpy_rnn.museum.optimizer_check import check_optimizer
from numpy_rnn.museum.usual import Inputs

VANISHING_SIZES = {"T": 30, "D": 2, "H": 3}


class Evaluation(NamedTuple):
    """The checker's result for one bug."""

    caught: bool  # the gradient was found wrong
    located: bool  # the report names the place of the bug
    finding: str  # the first wrong place or the violation, in one line
    suggestions: tuple[str, ...] = ()  # what the pattern of the errors suggests


def evaluate(bug: Bug, inputs: Inputs = "typical") -> Evaluation | None:
    """Check a bug with the library's own checker.

    Parameters
    ----------
    bug : Bug
        The reference and the patch.
    inputs : {"typical", "vanishing"}
        "typical": the checker chooses the inputs, and locates the bug. "vanishing": the gradient
        vanishes over 30 steps, and the bug is not located.

    Returns
    -------
    evaluation : Evaluation or None
        None for vanishing inputs of a reference that is not recurrent.

    Examples
    --------
    >>> from numpy_rnn.museum import BUGS
    >>> evaluate(BUGS[0]).suggestions
    ('the gradient of W_hh equals what t = 0 alone contributes: is it = where += is meant?',)
    """
    reference, functions = bug.reference, patched(bug)
    if inputs == "vanishing" and not (isinstance(reference, Reference) and reference.recurrent):
        return None
    if isinstance(reference, OptimizerReference):
        wrong = check_optimizer(*functions, reference.closed_form, reference.options)
        finding = "" if wrong is None else str(wrong)
        return Evaluation(wrong is not None, all(word in finding for word in bug.located), finding)
    if inputs == "vanishing":
        report = check_reference(
            reference, functions, sizes=VANISHING_SIZES, regimes=["vanishing"], locate=False
        )
    else:
        # If the first regime shows the bug, the others need not be run.
        report = check_reference(reference, functions, sizes={"T": bug.steps}, regimes=["usual"])
        if report.ok:
            report = check_reference(reference, functions, sizes={"T": bug.steps})
    located = all(_names(report, reference, word) for word in bug.located)
    violations = "; ".join(f"{found.kind}: {found.text}" for found in report.violations)
    finding = str(report.location) if report.location else violations
    return Evaluation(not report.ok, located, finding, tuple(report.suggestions))


def check_reference(
    reference: Reference, functions: tuple[Function, ...] | None = None, **options: Any
) -> Report:
    """Check the correct code of a reference, or a patched pair, with ``check_gradients``.

    Parameters
    ----------
    reference : Reference
        The pair and the shapes of its arguments.
    functions : tuple of callable, optional
        A patched pair to check instead.
    **options
        Further options of :func:`numpy_rnn.checking.check_gradients`, such as `sizes` and `seed`.

    Returns
    -------
    report : Report
        If it is not ``ok`` for the correct code, that is a false alarm.

    Examples
    --------
    >>> from numpy_rnn.museum import REFERENCES
    >>> check_reference(REFERENCES[0], sizes={"T": 3, "B": 2}).ok
    True
    """
    forward, backward = functions or reference.functions
    shapes, gates = dict(reference.shapes), reference.gates or None
    return check_gradients((forward, backward), shapes, gates=gates, **options)


def _names(report: Report, reference: Reference, word: str) -> bool:
    """Return whether a report names a place, as :class:`Bug` writes it: "W_hh", "dx", "gate f"."""
    wrong = [row.name for row in report.rows if not row.right]
    violations = [f"{found.kind} {found.text}" for found in report.violations]
    lines = "\n".join([*wrong, *violations, str(report.location), *report.suggestions])
    if word in lines:
        return True
    argument = word.removeprefix("d")
    return argument in reference.shapes and (argument in wrong or f" {argument}: " in lines)
