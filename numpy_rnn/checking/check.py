"""check_gradients and assert_gradients: is this gradient right, and if not, where is it wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from numpy_rnn.checking.compare import (
    CheckSettings,
    Comparison,
    Context,
    Location,
    compare_all,
    guess_gates,
)
from numpy_rnn.checking.derivatives import Method, is_analytic
from numpy_rnn.checking.locate import MAX_ELEMENTS, NOT_LOCATED, Diagnosis, locate
from numpy_rnn.checking.shapes import (
    GIVEN_REGIMES,
    Axes,
    Given,
    InputRegime,
    axes_of_arrays,
    choose_regimes,
    complete_sizes,
    draw,
    draw_gradients,
    num_steps,
    scale_parameters,
)
from numpy_rnn.checking.side_effects import (
    Violation,
    find_not_finite,
    find_violations,
    why_not_analytic,
)
from numpy_rnn.checking.target import ObjectTarget, Point, Target, read_target


@dataclass(frozen=True)
class Report:
    """The result of a check. It prints as a table.

    There is one row for each value that has a gradient, from the regime where its error is worst.
    Its fields are `name`, `shape`, `error`, `regime`, `tolerance`, `right` and `problem`.

    Examples
    --------
    >>> from numpy_rnn.checking import check_gradients
    >>> from numpy_rnn.functional import linear_backward, linear_forward
    >>> report = check_gradients((linear_forward, linear_backward), "T B D", "H D", "H")
    >>> [(row.name, row.shape) for row in report.rows]
    [('x', (11, 3, 5)), ('W', (4, 5)), ('b', (4,))]
    >>> report.ok, report.worst < 1e-14
    (True, True)
    """

    name: str  # what was checked
    method: str  # how derivatives were taken
    regimes: tuple[str, ...]  # of the inputs
    rows: list[Comparison]
    violations: list[Violation]  # what the passes did and must not do
    location: Location | None  # the first wrong place: the one that causes the others
    suggestions: list[str]  # what the pattern of the errors suggests
    notes: list[str]  # remarks, such as the reason for another method

    @property
    def ok(self) -> bool:
        """Whether every gradient is right and no pass did what it must not do."""
        return not self.violations and all(row.right for row in self.rows)

    @property
    def worst(self) -> float:
        """The largest error of any slice."""
        return max((row.error for row in self.rows), default=0.0)

    def __str__(self) -> str:
        lines = [f"{self.name}: gradients by {self.method}, inputs: {', '.join(self.regimes)}"]
        width = max((len(row.name) for row in self.rows), default=0)
        for row in self.rows:
            shape = "x".join(map(str, row.shape)) or "scalar"
            verdict = "ok" if row.right else "WRONG"
            error = row.problem or f"{row.error:8.1e} ({row.regime}, at most {row.tolerance:.0e})"
            lines.append(f"  {row.name:{width}}  {shape:>10}  {verdict:5}  {error}")
        lines += [f"  {violation.kind}: {violation.text}" for violation in self.violations]
        if self.location is not None:
            lines.append(f"first wrong place: {self.location}")
        lines += [f"suggestion: {text}" for text in self.suggestions]
        lines += [f"note: {text}" for text in self.notes]
        lines.append("all gradients are right" if self.ok else "NOT all gradients are right")
        return "\n".join(lines)


def check_gradients(
    target: Any,
    *arguments: Given | Mapping[str, Given],
    sizes: Mapping[str, int] | None = None,
    axes: Mapping[str, str] | None = None,
    gates: Sequence[str] | None = None,
    parameters: Sequence[str] | None = None,
    method: Literal["auto"] | Method = "auto",
    project: bool | None = None,
    regimes: Sequence[str] | None = None,
    rtol: float | None = None,
    locate: bool = True,
    seed: int = 0,
) -> Report:
    """Check every gradient of a pair, an object or a function.

    Parameters
    ----------
    target : pair of callables, object or callable
        ``(forward, backward)`` that obeys the mirror rule: ``out, cache = forward(*arguments)``
        and ``gradients = backward(*douts, cache)``, one gradient for each argument. Or an
        object with ``forward`` and ``backward`` and named parameters and gradients. Or a
        function ``theta -> (loss, gradient)``.
    *arguments : str, array, callable or None, or one mapping of these by name
        The arguments of forward. A string is a shape in letters, ``"T B D"`` or ``"4H H"``. It
        draws inputs that expose bugs, in five regimes. An array is taken as it is. A callable of
        (generator, sizes) returns what no shape can express, such as targets. For a function,
        a mapping lists the parts of its flat theta, in order.
    sizes : mapping of str to int, optional
        Sizes of letters, instead of T = 11, B = 3, D = 5, H = 4, P = 2, V = 6.
    axes : mapping of str to str, optional
        Letters of arguments that are given as arrays, so that errors are reported by timestep.
        For arrays with three axes, T, B and another are assumed.
    gates : sequence of str, optional
        Names of the row blocks of the weights; guessed from a weight of 3H or 4H rows.
    parameters : sequence of str, optional
        Attributes of the object that are its parameters, if it does not show it.
    method : {"auto", "complex step", "central differences"}
        "auto" is the complex step if the code is analytic. Otherwise it is central differences,
        with a note that names the operation.
    project : bool, optional
        Whether to compare along random directions, one for each time slice, instead of
        element by element; by default with more than 3,000 elements.
    regimes : sequence of str, optional
        Regimes to draw inputs for, of usual, last-step-only, saturated, vanishing and
        exploding; all by default.
    rtol : float, optional
        Largest error of a time slice, relative to its largest entry. By default 1e-10 for the
        complex step (1e-6 where inputs saturate, 1e-8 where they explode), and 1e5 times that
        for central differences.
    locate : bool
        Whether to look for the first wrong place, which takes longer than to notice an error.
    seed : int
        Seed of everything that is drawn.

    Returns
    -------
    report : Report
        Prints as a table. ``report.ok`` is whether everything is right.

    Examples
    --------
    >>> from numpy_rnn.functional import linear_backward, linear_forward
    >>> def doubles_db(dy, cache):
    ...     dx, dW, db = linear_backward(dy, cache)
    ...     return dx, dW, 2 * db
    >>> report = check_gradients((linear_forward, doubles_db), "T B D", "H D", "H")
    >>> report.ok, report.location.parameter, report.suggestions
    (False, 'b', ['the gradient of b is off by a constant factor 2'])
    """
    if method not in ("auto", "complex step", "central differences"):
        raise ValueError(
            f"check_gradients: method is {method!r}, expected 'auto', 'complex step' or "
            "'central differences'"
        )
    adapted, given = read_target(target, arguments, parameters)
    settings = CheckSettings(method, project, rtol, gates, seed)
    check = _Check(adapted, given, complete_sizes(sizes), settings)
    drawn = any(isinstance(g, str) for g in given.values())
    for number, regime in enumerate(choose_regimes(regimes) if drawn else GIVEN_REGIMES):
        point, known_axes = check.inputs(number, regime, axes)
        if regime is GIVEN_REGIMES[1] and all(dout.all() for dout in point.douts):
            continue  # no output has time: the same inputs again
        if not check.can_be_compared(point, known_axes, regime):
            break
        check.compare(point, known_axes, regime, find_location=locate)
    return check.report()


def assert_gradients(target: Any, *arguments: Given | Mapping[str, Given], **options: Any) -> None:
    """Raise AssertionError with the whole report if a gradient is wrong or a pass misbehaves.

    The arguments are those of :func:`check_gradients`.

    Examples
    --------
    >>> from numpy_rnn import LSTM, Linear, Sequential
    >>> assert_gradients(Sequential(LSTM(3, 4, rng=0), Linear(4, 2, rng=1)), "T B 3")
    """
    report = check_gradients(target, *arguments, **options)
    if not report.ok:
        raise AssertionError(str(report))


@dataclass
class _Check:
    """One call of check_gradients: the target, and what has been found so far."""

    target: Target
    given: dict[str, Given]
    sizes: dict[str, int]
    settings: CheckSettings
    real_names: list[str] = field(default_factory=list)
    regimes: list[str] = field(default_factory=list)
    compared: list[Comparison] = field(default_factory=list)
    violations: list[Violation] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    diagnosis: Diagnosis = NOT_LOCATED

    def inputs(
        self, number: int, regime: InputRegime, chosen_axes: Mapping[str, str] | None
    ) -> tuple[Point, dict[str, Axes]]:
        """Return the inputs of a regime, and the axes that are known."""
        rng = np.random.default_rng([self.settings.seed, number])
        values, axes = draw(rng, self.given, self.sizes, regime)
        if isinstance(self.target, ObjectTarget):
            self.target.discover(values)
            values |= scale_parameters(self.target.parameters(), regime)
        axes |= axes_of_arrays(values, axes, chosen_axes)
        outputs = self.target.run(values).outputs
        douts = draw_gradients(rng, outputs, num_steps(values, axes), regime)
        return Point(self.target, values, douts), axes

    def can_be_compared(self, point: Point, axes: dict[str, Axes], regime: InputRegime) -> bool:
        """Whether outputs and gradients are finite.

        With the first inputs, also look for violations, and settle how to compare.
        """
        first = not self.regimes
        if first:
            _check_types(point)
            self.real_names = point.real_names()
            overlooked = getattr(self.target, "overlooked", [])
            self.violations += [Violation("not checked", text) for text in overlooked]
        self.regimes.append(regime.name)
        if violation := find_not_finite(point):
            text = f"{violation.text} (inputs: {regime.name})"
            self.violations.append(violation._replace(text=text))
            return False
        if first:
            self.violations += find_violations(point)
            self._settle(point, axes)
        return True

    def compare(
        self, point: Point, axes: dict[str, Axes], regime: InputRegime, *, find_location: bool
    ) -> None:
        """Compare every gradient. The first time that one is wrong, find its place."""
        if self.settings.method == "auto" and not all(
            is_analytic(point, name) for name in self.real_names
        ):
            self.settings = self.settings._replace(method="central differences")
            self.notes.append(
                f"the code is not analytic: {why_not_analytic(point)}; "
                "central differences are used, which resolve about 6 digits"
            )
        context = Context(point, axes, regime, self.settings)
        comparisons = compare_all(context)
        self.compared += comparisons
        some_wrong = any(not comparison.right for comparison in comparisons)
        if find_location and some_wrong and self.diagnosis.location is None:
            self.diagnosis = locate(context, comparisons, self.given, self.sizes)

    def _settle(self, point: Point, axes: dict[str, Axes]) -> None:
        """Replace the settings that were left open, with a note if float32 decides."""
        method, project, rtol, gates, seed = self.settings
        real = {name: point.values[name] for name in self.real_names}
        single = [name for name, value in real.items() if value.dtype != np.float64]
        if method == "auto" and single:
            method = "central differences"
            self.notes.append(
                f"{single[0]} is {real[single[0]].dtype}; central differences are used, which "
                "resolve about 3 digits of it"
            )
        if project is None:
            project = sum(value.size for value in real.values()) > MAX_ELEMENTS
        if gates is None:
            gates = guess_gates({name: value.shape for name, value in real.items()}, axes)
        self.settings = CheckSettings(method, project, rtol, gates, seed)

    def report(self) -> Report:
        """Return what was found."""
        method = "no method"
        if self.compared:
            method = "complex step" if self.settings.method == "auto" else self.settings.method
            method += ", along random directions" if self.settings.project else ""
            compared = {comparison.name for comparison in self.compared}
            missing = [name for name in self.real_names if name not in compared]
            self.notes += [f"backward returns no gradient of {name}" for name in missing]
        self.notes += [
            f"{c.name}, inputs {c.regime}: {c.unresolved} slices are too small for central "
            "differences to resolve"
            for c in self.compared
            if c.unresolved
        ]
        return Report(
            self.target.name,
            method,
            tuple(self.regimes),
            _rows(self.compared),
            self.violations,
            self.diagnosis.location,
            self.diagnosis.suggestions,
            self.notes,
        )


def _check_types(point: Point) -> None:
    """Raise if there is nothing to check, or something that cannot be checked."""
    name_of_target = point.target.name
    for name, value in point.values.items():
        if isinstance(value, tuple | list):
            raise TypeError(
                f"{name_of_target}: {name} is a {type(value).__name__}, expected an array: pass "
                "its parts as separate arguments"
            )
        if isinstance(value, np.ndarray) and value.dtype.kind == "c":
            raise TypeError(f"{name_of_target}: {name} is complex, expected real numbers")
    if not any(point.values[name].size for name in point.real_names()):
        raise TypeError(f"{name_of_target}: nothing to check, expected arguments of real numbers")


def _rows(compared: list[Comparison]) -> list[Comparison]:
    """Return one row for each value: its worst comparison."""
    names = dict.fromkeys(comparison.name for comparison in compared)
    worst = [max((c for c in compared if c.name == name), key=_badness) for name in names]
    resolved = {c.name for c in compared if c.unresolved < c.slices or not c.slices}
    problem = "too small everywhere for central differences to resolve"
    return [
        row if row.problem or row.name in resolved else row._replace(problem=problem)
        for row in worst
    ]


def _badness(comparison: Comparison) -> tuple[bool, float]:
    return not comparison.right, comparison.error / comparison.tolerance
