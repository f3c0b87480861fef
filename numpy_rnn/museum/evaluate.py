"""The checks of the museum: bugs caught and located, and false alarms.

A pair is checked with ``numpy_rnn.checking``. An optimiser is checked here. What the usual gradient
checkers catch was measured by ``python -m benchmarks.proof``, which has a source archive, and is
recorded in ``usual.json``.
"""

from __future__ import annotations

import importlib.resources
import json
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np

from numpy_rnn.checking.check import check_gradients
from numpy_rnn.checking.report import Report
from numpy_rnn.museum.bug import Bug, Function, OptimizerReference
from numpy_rnn.museum.registry import RegisteredPair
from numpy_rnn.parameters import Parameters

Inputs: TypeAlias = Literal["typical", "vanishing"]

INPUTS: tuple[Inputs, ...] = ("typical", "vanishing")
VANISHING_SIZES = {"T": 30, "D": 2, "H": 3}
# The weights of an optimiser's check.
NAMES = [*(f"W[{i}, {j}]" for i in range(3) for j in range(2)), *(f"b[{i}]" for i in range(3))]


class Evaluation(NamedTuple):
    """The checker's result for one bug."""

    caught: bool  # the gradient was found wrong
    located: bool  # the report names the place of the bug
    finding: str  # the first wrong place or the violation, in one line
    causes: tuple[str, ...] = ()  # what the report asks or says about the reason


class WrongStep(NamedTuple):
    """The first place where an optimiser leaves its path."""

    step: int
    where: str
    got: float
    expected: float

    def __str__(self) -> str:
        return f"step {self.step}, {self.where}: {self.got!r}, expected {self.expected!r}"


def usual_counts() -> dict[Inputs, dict[str, list[int]]]:
    """Return the recorded figures: by inputs and checker, the bugs it caught and those it checked.

    Examples
    --------
    >>> usual_counts()["typical"]["torch.autograd.gradcheck"]
    [150, 170]
    """
    text = (importlib.resources.files("numpy_rnn.museum") / "usual.json").read_text("utf-8")
    recorded: dict[Inputs, dict[str, list[int]]] = json.loads(text)
    return recorded


def evaluate(
    bug: Bug, inputs: Inputs = "typical", *, cause_seconds: float | None = None
) -> Evaluation | None:
    """Check a bug with the library's own checker.

    The checker chooses typical inputs, and locates the bug. Where the gradient vanishes over 30
    steps, the bug is not located. There the result is None if the reference is not recurrent.

    Examples
    --------
    >>> from numpy_rnn.museum import BUGS
    >>> (cause,) = evaluate(BUGS[0], cause_seconds=60).causes
    >>> cause.partition(": with ")[2]
    '"dW_hh += dz.T @ h[t]" instead of "dW_hh = dz.T @ h[t]" every gradient is right'
    """
    reference, functions = bug.reference, bug.patched()
    if inputs == "vanishing" and not getattr(reference, "recurrent", False):
        return None
    if isinstance(reference, OptimizerReference):
        (step,) = functions
        wrong = check_optimizer(step, reference.closed_form, reference.options)
        finding = "" if wrong is None else str(wrong)
        return Evaluation(wrong is not None, all(word in finding for word in bug.located), finding)
    if inputs == "vanishing":
        report = check_reference(
            reference, functions, sizes=VANISHING_SIZES, regimes=["vanishing"], locate=False
        )
    else:
        # If the first regime shows the bug, the others need not be run.
        options = {"sizes": {"T": bug.steps}, "cause_seconds": cause_seconds}
        report = check_reference(reference, functions, regimes=["usual"], **options)
        if report.ok:
            report = check_reference(reference, functions, **options)
    located = all(_names(report, reference, word) for word in bug.located)
    violations = "; ".join(f"{found.kind}: {found.text}" for found in report.violations)
    finding = str(report.location) if report.location else violations
    causes = [text for text in report.suggestions if "?" in text]  # others name only the place
    causes += [violations] if violations else []
    return Evaluation(not report.ok, located, finding, tuple(causes))


def check_reference(
    reference: RegisteredPair, functions: tuple[Function, ...] | None = None, **options: Any
) -> Report:
    """Check the correct code of a reference, or a patched pair, with ``check_gradients``.

    The options are those of :func:`numpy_rnn.checking.check_gradients`.

    Examples
    --------
    >>> from numpy_rnn.museum import REFERENCES
    >>> check_reference(REFERENCES[0], sizes={"T": 3, "B": 2}).ok
    True
    """
    forward, backward = functions or reference.checked()
    shapes, gates = dict(reference.shapes), reference.gates or None
    return check_gradients((forward, backward), shapes, gates=gates, **options)


def check_optimizer(
    step: Function,
    closed_form: Function,
    options: Mapping[str, float],
    *,
    steps: int = 5,
    tolerance: float = 1e-12,
    seed: int = 0,
) -> WrongStep | None:
    """Compare the path of an optimiser with its closed form.

    A closed form has no recursion: each moment is a sum over all gradients so far, weighted by
    powers of the decay, instead of a running mean.

    Parameters
    ----------
    step : callable
        ``step(theta, grad, state, **options)`` changes the arrays of the dicts `theta` and
        `state` in place.
    closed_form : callable
        ``closed_form(path, gradients, **options)`` takes theta_0 to theta_{t-1}, (t, N), and the
        gradients at them, (t, N), and returns theta_t, (N,).
    options : mapping of str to float
        The hyperparameters of both: lr, momentum, ...
    steps, seed : int
        The length of the path, and the seed of the weights and gradients.
    tolerance : float
        The largest error of a weight, relative to the larger of 1 and its absolute value.

    Returns
    -------
    wrong : WrongStep or None
        The first weight that is wrong, or the first gradient that the step changed.

    Examples
    --------
    >>> from numpy_rnn.museum import OPTIMIZER_REFERENCES
    >>> adam = next(r for r in OPTIMIZER_REFERENCES if r.name == "adam")
    >>> print(check_optimizer(adam.step, adam.closed_form, adam.options))
    None
    """
    rng = np.random.default_rng(seed)
    weights = Parameters({"W": (3, 2), "b": (3,)}, "float64")
    weights.data = rng.standard_normal(len(NAMES))
    # Tiny, large, zero and short gradients show errors in code that divides by them or clips them.
    scales = np.array([1.0, 1e-9, 1e3, *[1.0] * (len(NAMES) - 3)])
    gradients = rng.standard_normal((steps, len(NAMES))) * scales
    gradients[1, 3] = 0.0
    gradients[2] *= 1e-4
    state: dict[str, Any] = {}
    path = np.zeros((steps, len(NAMES)))
    for t, gradient in enumerate(gradients):
        path[t], weights.grad = weights.data, gradient
        step(weights.values, weights.grads, state, **options)
        expected = closed_form(path[: t + 1], gradients[: t + 1], **options)
        for prefix, got, want in (("", weights.data, expected), ("d", weights.grad, gradient)):
            wrong = ~(np.abs(got - want) <= tolerance * np.maximum(1, np.abs(want)))
            if wrong.any():
                k = int(wrong.argmax())
                return WrongStep(t + 1, prefix + NAMES[k], float(got[k]), float(want[k]))
    return None


def _names(report: Report, reference: RegisteredPair, word: str) -> bool:
    """Return whether a report names a place, as :class:`Bug` writes it: "W_hh", "dx", "gate f"."""
    wrong = [row.name for row in report.rows if not row.right]
    violations = [f"{found.kind} {found.text}" for found in report.violations]
    lines = "\n".join([*wrong, *violations, str(report.location), *report.suggestions])
    if word in lines:
        return True
    argument = word.removeprefix("d")
    names = (f" {argument}: ", f" gradient of {argument} ")
    return argument in reference.shapes and (
        argument in wrong or any(name in lines for name in names)
    )
