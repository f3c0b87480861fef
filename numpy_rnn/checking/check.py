"""check_gradients and assert_gradients: is this gradient right, and if not, where is it wrong."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from numpy_rnn.checking.compare import (
    FLOAT32_RTOL,
    CheckSettings,
    Comparison,
    Context,
    Location,
    compare_all,
    guess_gates,
    has_kink,
)
from numpy_rnn.checking.derivatives import Method, is_analytic
from numpy_rnn.checking.forms import read_target
from numpy_rnn.checking.locate import NOT_LOCATED, Diagnosis, locate
from numpy_rnn.checking.objects import ObjectTarget
from numpy_rnn.checking.repair import suggest_repair
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
    draw_parameters,
    num_steps,
)
from numpy_rnn.checking.side_effects import (
    SIDE_EFFECTS,
    WRONG,
    Violation,
    find_not_finite,
    find_violations,
    trace,
    why_not_analytic,
)
from numpy_rnn.checking.target import FormError, Point, Target, in_one_line
from numpy_rnn.checking.traced import HERE

# What code prints, the global generators and NumPy's functions are replaced for a while.
ONE_AT_A_TIME = threading.RLock()
CAUSE_SECONDS = 5.0  # to look for a cause, unless a call says otherwise


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
    >>> report.ok, report.worst < 1e-13
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
        return self.gradients_ok and not self.side_effects

    @property
    def gradients_ok(self) -> bool:
        """Whether every gradient is right, after one forward and one backward."""
        wrong = any(v.kind not in SIDE_EFFECTS.values() for v in self.violations)
        return not wrong and bool(self.rows) and all(row.right for row in self.rows)

    @property
    def side_effects(self) -> list[Violation]:
        """What the passes did besides: a changed input or cache, float32 inside."""
        return [v for v in self.violations if v.kind in SIDE_EFFECTS.values()]

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
        verdict = "all gradients are right" if self.gradients_ok else "NOT all gradients are right"
        if self.side_effects:
            verdict += f"; side effects: {', '.join(v.kind for v in self.side_effects)}"
        return "\n".join([*lines, verdict])


def check_gradients(
    target: Any,
    *arguments: Given | Mapping[str, Given],
    sizes: Mapping[str, int] | None = None,
    axes: Mapping[str, str] | None = None,
    gates: Sequence[str] | None = None,
    parameters: Sequence[str] | None = None,
    method: Literal["auto"] | Method = "auto",
    regimes: Sequence[str] | None = None,
    rtol: float | None = None,
    locate: bool = True,
    cause_seconds: float | None = None,
    seed: int = 0,
    keep: Sequence[str] = (),
    allow: Collection[str] = (),
) -> Report:
    """Check every gradient of a pair, an object or a function.

    An object's parameters are drawn anew for each regime. The object itself is left as it was.

    Parameters
    ----------
    target : pair of callables, object or callable
        ``(forward, backward)`` that obeys the mirror rule: ``out, cache = forward(*arguments)``
        and ``gradients = backward(*douts, cache)``, one gradient for each argument. Or an
        object with ``forward`` and ``backward`` and parameters and gradients in any usual
        form. Or a function ``theta -> (loss, gradient)``, a ``torch.autograd.Function`` or a
        ``jax.custom_vjp``. docs/adapters.md has an example of each.
    *arguments : str, array, callable or None, or one mapping of these by name
        The arguments of forward. A string is a shape in letters, ``"T B D"`` or ``"4H H"``. It
        draws inputs that expose bugs, in eight regimes. An array is taken as it is. A callable of
        (generator, sizes) returns what no shape can express, such as targets. For a function,
        a mapping lists the parts of its flat theta, in order. Dicts and lists may be nested.
    sizes : mapping of str to int, optional
        Sizes of letters, instead of T = 11, B = 3, D = 5, H = 4, P = 2, V = 6.
    axes : mapping of str to str, optional
        Letters of arguments that are given as arrays, so that errors are reported by timestep.
        For arrays with three axes, T, B and another are assumed.
    gates : sequence of str, optional
        Names of the blocks of the weights. Without them a report names blocks by number.
    parameters : sequence of str, optional
        Attributes of the object that are its parameters, if it does not show it.
    method : {"auto", "complex step", "central differences"}
        "auto" is the complex step if the code is analytic. Otherwise it is central differences,
        with a note that names the operation.
    regimes : sequence of str, optional
        Regimes to draw inputs for, of usual, last-step-only, saturated, vanishing,
        exploding, wide, zeros and ties, and one step; all by default.
    rtol : float, optional
        Largest error of a time slice, relative to its largest entry. By default 1e-10 for the
        complex step (1e-6 where inputs saturate, 1e-8 where they explode), and at least 1e-8
        for central differences.
    locate : bool
        Whether to look for the first wrong place, which takes longer than to notice an error.
    cause_seconds : float, optional
        Processor time to look for the cause of a wrong gradient, 5 by default, 0 for none: a small
        change of the code, tried in memory, that makes every gradient right. Its source has to be
        in a file.
    seed : int
        Seed of everything that is drawn.
    keep : sequence of str
        Parameters of an object that are not drawn anew.
    allow : set of str
        Side effects that are meant: "accumulates", "changes cache", "changes input", "changes
        gradient", "updates parameters", "float32", "clips", "random" or "unchecked".

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
    keep = (keep,) if isinstance(keep, str) else tuple(keep)
    allow = {allow} if isinstance(allow, str) else set(allow)
    if unknown := sorted(allow - {*SIDE_EFFECTS, *WRONG}):
        raise ValueError(
            f"allow: {unknown[0]!r}, expected some of {', '.join((*SIDE_EFFECTS, *WRONG))}"
        )
    adapted, given = read_target(target, arguments, parameters)
    settings = CheckSettings(method, rtol, gates, seed)
    check = _Check(adapted, given, complete_sizes(sizes), axes, settings, keep, allow, locate)
    drawn = any(isinstance(g, str) for g in given.values())
    with ONE_AT_A_TIME:
        for number, regime in enumerate(choose_regimes(regimes) if drawn else GIVEN_REGIMES):
            if not check.run(number, regime):
                break
        else:
            if drawn and regimes is None:
                check.cross_branches()
        report = check.report()
        seconds = CAUSE_SECONDS if cause_seconds is None else cause_seconds
        if locate and seconds > 0 and not report.gradients_ok:
            options: dict[str, Any] = {"axes": axes, "gates": gates, "parameters": parameters}
            options |= {"method": method, "rtol": rtol, "seed": seed, "sizes": sizes}
            options |= {"keep": keep, "allow": allow, "locate": False}  # in every regime

            def is_right() -> bool:
                return check_gradients(target, *arguments, **options).gradients_ok

            return replace(report, suggestions=check.causes(is_right, seconds))
    return report


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
        which = "a gradient is wrong" if not report.gradients_ok else "a pass has side effects"
        raise AssertionError(f"{which}\n{report}")


@dataclass
class _Check:
    """One call of check_gradients: the target, and what has been found so far."""

    target: Target
    given: dict[str, Given]
    sizes: dict[str, int]
    chosen_axes: Mapping[str, str] | None
    settings: CheckSettings
    keep: tuple[str, ...]
    allow: set[str]
    find_location: bool
    real_names: list[str] = field(default_factory=list)
    regimes: list[str] = field(default_factory=list)
    compared: list[Comparison] = field(default_factory=list)
    violations: list[Violation] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    diagnosis: Diagnosis = NOT_LOCATED
    wrong: tuple[InputRegime, Point] | None = None  # the first inputs with a wrong gradient
    stand_ins: bool = False
    sides: dict[str, set[bool]] = field(default_factory=dict)  # of each comparison in the code

    def run(self, number: int, regime: InputRegime) -> bool:
        """Check one regime. Return whether to go on with the next."""
        first = not self.regimes
        shapes = ", ".join(f"{n} {g}" for n, g in self.given.items() if isinstance(g, str))
        try:
            with np.errstate(all="ignore") if regime.optional else contextlib.nullcontext():
                point, axes = self.inputs(number, regime)
                if regime is GIVEN_REGIMES[1] and all(dout.all() for dout in point.douts):
                    return True  # no output has time: the same inputs again
                if first:
                    self._check_types(point)
                violation = find_not_finite(point)
        except Exception as error:  # whatever the code under test raises
            if isinstance(error, FormError | ValueError) and not _is_of_target(error):
                raise
            what = in_one_line(error, f"{self.target.name}: with {shapes or 'these arguments'}")
            if regime.optional and not first:
                self.notes.append(f"inputs {regime.name} are not checked: {what}")
                return True
            raise what from error
        for site, outcomes in trace(point).sides.items():
            self.sides.setdefault(site, set()).update(outcomes)
        if violation:
            return self._not_finite(violation, regime)
        self.regimes.append(regime.name)
        if first:
            self.violations += find_violations(point)
            self._settle(point, axes)
            if any(v.kind == "random" for v in self.violations):
                return False  # no value means anything
        with np.errstate(all="ignore"):
            self.compare(point, axes, regime)
        return True

    def _not_finite(self, violation: Violation, regime: InputRegime) -> bool:
        """Record a NaN or an infinity. Return whether to go on with the next regime."""
        if regime.optional and "of forward is" in violation.text:
            self.notes.append(f"inputs {regime.name} are not checked: {violation.text}")
        else:
            text = f"{violation.text} (inputs: {regime.name})"
            self.violations.append(violation._replace(text=text))
            self.regimes.append(regime.name)
        return regime.optional

    def inputs(self, number: int, regime: InputRegime) -> tuple[Point, dict[str, Axes]]:
        """Return the inputs of a regime, and the axes that are known."""
        rng = np.random.default_rng([self.settings.seed, number])
        sizes = {**self.sizes, "T": 1, "B": 1} if regime.one_step else self.sizes
        values, axes = draw(rng, self.given, sizes, regime)
        if isinstance(self.target, ObjectTarget):
            self.target.discover(values)
            values |= draw_parameters(rng, self.target.parameters(), regime, self.keep)
        axes |= axes_of_arrays(values, axes, self.chosen_axes)
        result = self.target.run(values)
        T, position = num_steps(values, axes)
        lists = [len(tree) for tree in self.target.arguments.trees if isinstance(tree, list)]
        if T is None and len(result.outputs) in lists:  # an output for each step
            T = len(result.outputs)
        douts = draw_gradients(rng, result.outputs, T, regime, position)
        for dout in douts[result.received :]:
            dout[...] = 0.0
        return Point(self.target, values, douts, self.stand_ins), axes

    def _check_types(self, point: Point) -> None:
        """Raise if there is nothing to check, or something that cannot be checked."""
        self.real_names = point.real_names()
        for name in self.real_names:
            if np.iscomplexobj(point.values[name]):
                raise FormError(f"{self.target.name}: {name} is complex, expected real numbers")
        if not any(point.values[name].size for name in self.real_names):
            raise FormError(
                f"{self.target.name}: nothing to check, expected arguments of real numbers"
            )
        unknown = [name for name in self.keep if name not in point.values]
        if unknown:
            raise ValueError(f"keep: {unknown[0]!r}, expected some of {', '.join(point.values)}")
        if isinstance(self.target, ObjectTarget):
            self.violations += [Violation("not checked", text) for text in self.target.overlooked]
            drawn = [n for n in self.target.found if n not in self.keep]
            if drawn:
                self.notes.append(f"drawn anew in every regime: {', '.join(drawn)}")

    def compare(self, point: Point, axes: dict[str, Axes], regime: InputRegime) -> None:
        """Compare every gradient. The first time that one is wrong, find its place."""
        known = {c.name for c in self.compared if not c.right}
        first = len(self.regimes) == 1
        point = self._with_method(point, verify=first or regime.optional, optional=regime.optional)
        context = Context(point, axes, regime, self.settings)
        comparisons = compare_all(context, known)
        if first and self.settings.single:
            self._say_where_float32_shows(context)
        for other in self._other_ways(context):
            if all(c.right for c in comparisons):
                break
            right = {c.name for c in comparisons if c.right}
            better = {c.name: c for c in compare_all(other, known | right) if c.right}
            comparisons = [better.get(c.name, c) for c in comparisons]
        if regime.values == "with zeros":  # at a kink every one-sided derivative is right
            comparisons = [c for c in comparisons if c.right or not has_kink(context, c.name)]
        self.compared += comparisons
        some_wrong = any(not comparison.right for comparison in comparisons)
        if some_wrong and self.wrong is None:
            self.wrong = regime, point._replace(stand_ins=self.stand_ins)
        if self.find_location and some_wrong and self.diagnosis.location is None:
            point = point._replace(stand_ins=self.stand_ins)
            context = context._replace(point=point, settings=self.settings)
            self.diagnosis = locate(context, comparisons, self.given, self.sizes)

    def _say_where_float32_shows(self, context: Context) -> None:
        strict = context._replace(settings=self.settings._replace(single=False))
        if names := ", ".join(f"d{c.name}" for c in compare_all(strict) if not c.right):
            self.violations = [
                v._replace(text=f"{v.text} (it shows in {names})") if v.kind == "float32" else v
                for v in self.violations
            ]

    def _other_ways(self, context: Context) -> Iterator[Context]:
        """Yield other ways to differentiate. A wrong gradient agrees with none of them."""
        point, optional = context.point, context.regime.optional
        if len(self.regimes) == 1:
            return
        again = self._with_method(point, verify=True, optional=optional)
        yield context._replace(point=again, settings=self.settings)
        if optional:  # far from 1 one method may fail
            rough = self.settings._replace(method="central differences")
            yield context._replace(settings=rough)

    def _with_method(self, point: Point, *, verify: bool, optional: bool) -> Point:
        """Settle how to differentiate at these values: plainly, with stand-ins, by differences."""
        if self.settings.method != "auto" or not verify:
            return point
        if not self.stand_ins and is_analytic(point, self.real_names):
            return point
        replaced = point if self.stand_ins else point._replace(stand_ins=True)
        if is_analytic(replaced, self.real_names):
            if not self.stand_ins:
                self.notes.append(
                    f"the code is not analytic: {why_not_analytic(point)}; what is equal for real "
                    "numbers and analytic stands in while it is differentiated"
                )
            self.stand_ins = True
            return replaced
        if optional and self.regimes[0] != self.regimes[-1]:
            return point  # its own slope may not be resolved: compared in both ways
        self.settings = self.settings._replace(method="central differences")
        self.notes.append(
            f"the code is not analytic: {why_not_analytic(point)}; "
            "central differences with Richardson's extrapolation are used"
        )
        return point._replace(stand_ins=False)

    def _settle(self, point: Point, axes: dict[str, Axes]) -> None:
        """Replace the settings that were left open, with a note if float32 decides."""
        method, _, gates, _, _ = self.settings
        real = {name: point.values[name] for name in self.real_names}
        single = [name for name, value in real.items() if value.dtype != np.float64]
        if method == "auto" and single:
            method = "central differences"
            self.notes.append(
                f"{single[0]} is {real[single[0]].dtype}; central differences are used, which "
                "resolve about 3 digits of it"
            )
        if gates is None:
            gates = guess_gates({name: value.shape for name, value in real.items()}, axes)
        inside = any(v.kind == "float32" for v in self.violations)
        self.settings = self.settings._replace(method=method, gates=gates, single=inside)

    def causes(self, is_right: Callable[[], bool], seconds: float) -> list[str]:
        """Return the suggestions, and the change of the code that makes every gradient right."""
        if self.wrong is None:
            return self.diagnosis.suggestions
        regime, point = self.wrong
        points, sizes = [point], self.sizes
        with contextlib.suppress(Exception):  # code that takes no other sizes
            self.sizes = {**sizes, "T": 3, "B": 2}
            points.insert(0, self.inputs(0, regime)[0])
        self.sizes = sizes
        method = Context(point, {}, regime, self.settings).method
        return self.diagnosis.suggestions + suggest_repair(points, method, is_right, seconds)

    def cross_branches(self) -> None:
        """Try inputs of other magnitudes where a comparison in the code fell to one side only."""
        for factor in (10.0, 0.1, 100.0, 1e-2, 1e3, 1e-4):
            open_sites = [site for site, outcomes in self.sides.items() if len(outcomes) == 1]
            if not open_sites:
                return
            name = f"{factor:g} times as large"
            regime = InputRegime(name, factor=factor, rtol=1e-6)
            try:
                with np.errstate(all="ignore"):
                    point, _ = self.inputs(100, regime)
                seen = trace(point).sides
            except Exception:  # whatever code raises for inputs it was not written for
                seen = {}
            if any(len(self.sides[s] | seen.get(s, set())) == 2 for s in open_sites):
                self.run(100, regime)
        for site, outcomes in self.sides.items():
            if len(outcomes) == 1:
                kind, line = site.split("|", 1)
                side = "true" if True in outcomes else "false"
                self.notes.append(
                    f"only one side was reached of a comparison that was always {side}: "
                    f"{kind} at {line}"
                )

    def report(self) -> Report:
        """Return what was found."""
        method = "no method"
        if self.compared:
            method = "complex step" if self.settings.method == "auto" else self.settings.method
        compared = {comparison.name for comparison in self.compared}
        random = any(v.kind == "random" for v in self.violations)
        missing = [] if random or not self.regimes else self.real_names
        self.notes += [
            f"backward returns no gradient of {name}" for name in missing if name not in compared
        ]
        self.notes += [
            f"{c.name}, inputs {c.regime}: {c.unresolved} slices are too small for central "
            "differences to resolve"
            for c in self.compared
            if c.unresolved
        ]
        self.notes += self.target.remarks
        allowed = {**SIDE_EFFECTS, **WRONG}
        kinds = {allowed[word] for word in self.allow}
        meant = [v for v in self.violations if v.kind in kinds]
        self.notes += [f"allowed: {v.kind}: {v.text}" for v in meant]
        return Report(
            self.target.name,
            method,
            tuple(self.regimes),
            _rows(self.compared),
            [v for v in self.violations if v.kind not in kinds],
            self.diagnosis.location,
            self.diagnosis.suggestions,
            self.notes,
        )


def _is_of_target(error: Exception) -> bool:
    """Whether an error was raised by the code under test, and not by the check's own."""
    tb = error.__traceback__
    while tb is not None and tb.tb_next is not None:
        tb = tb.tb_next
    return tb is None or not tb.tb_frame.f_code.co_filename.startswith(HERE)


def _rows(compared: list[Comparison]) -> list[Comparison]:
    """Return one row for each value: its worst comparison."""
    names = dict.fromkeys(comparison.name for comparison in compared)
    worst = [max((c for c in compared if c.name == name), key=_badness) for name in names]
    resolved = {c.name for c in compared if c.unresolved < c.slices or not c.slices}
    problem = "too small everywhere for central differences to resolve"
    return [
        row
        if row.problem or row.name in resolved or row.tolerance >= FLOAT32_RTOL
        else row._replace(problem=problem)
        for row in worst
    ]


def _badness(comparison: Comparison) -> tuple[bool, float]:
    return not comparison.right, comparison.error / comparison.tolerance
