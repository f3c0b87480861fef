"""One call of check_gradients: it draws inputs, compares, and keeps what was found."""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from numpy_rnn.checking.compare import CheckSettings, Comparison, Context, compare_all, has_kink
from numpy_rnn.checking.derivatives import METHODS, is_analytic
from numpy_rnn.checking.locate import NOT_LOCATED, Diagnosis, locate
from numpy_rnn.checking.nested import FormError
from numpy_rnn.checking.objects import ObjectTarget
from numpy_rnn.checking.places import guess_gates
from numpy_rnn.checking.regimes import (
    GIVEN_REGIMES,
    REGIMES,
    Branches,
    InputRegime,
    Sides,
    choose_regimes,
    of_one,
    variations,
)
from numpy_rnn.checking.repair import suggest_repair
from numpy_rnn.checking.report import Report, worst_rows
from numpy_rnn.checking.shapes import (
    Axes,
    Given,
    axes_of_arrays,
    described,
    draw,
    draw_gradients,
    draw_parameters,
    num_steps,
)
from numpy_rnn.checking.side_effects import (
    KINDS,
    Violation,
    find_not_finite,
    find_violations,
    trace,
    why_not_analytic,
)
from numpy_rnn.checking.target import Point, Target, in_one_line
from numpy_rnn.checking.traced import HERE
from numpy_rnn.functional.types import Array

NOT_ANALYTIC = {  # by method, what is done about it
    "stand-ins": "what is equal for real numbers and analytic stands in while it is differentiated",
    "central differences": "central differences with Richardson's extrapolation are used",
}


@dataclass
class Checker:
    """One call of check_gradients: the target, and what has been found so far."""

    target: Target
    given: dict[str, Given]
    sizes: dict[str, int]
    chosen_axes: Mapping[str, str] | None
    settings: CheckSettings
    auto: bool  # whether the complex step may turn out not to fit the code
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
    branches: Branches = field(default_factory=Branches)

    def run_all(self, names: Sequence[str] | None) -> None:
        """Check the regimes of these names. For None, check all, and what they do not reach."""
        drawn = any(isinstance(given, str) for given in self.given.values())
        for number, regime in enumerate(choose_regimes(names) if drawn else GIVEN_REGIMES):
            if not self.run(number, regime):
                return
        if names is None:
            self.cross_branches()
            self.vary()

    def run(self, number: int, regime: InputRegime) -> bool:
        """Check one regime. Return whether to go on with the next."""
        first = not self.regimes
        try:
            with np.errstate(all="ignore") if regime.optional else contextlib.nullcontext():
                point, axes = self.inputs(number, regime)
                if regime is GIVEN_REGIMES[1] and all(dout.all() for dout in point.douts):
                    return True  # no output has time: the same inputs again
                if first:
                    self._check_types(point)
                violation = find_not_finite(point)
        except Exception as error:  # whatever the code under test raises
            extra = regime.optional and not first
            is_own = traceback.extract_tb(error.__traceback__)[-1].filename.startswith(HERE)
            if is_own and isinstance(error, FormError | ValueError) and not extra:
                raise
            shapes = described(self.given, self.sizes)
            what = in_one_line(error, f"{self.target.name}: with {shapes}")
            if extra:
                self.notes.append(f"inputs {regime.name} are not checked: {what}")
                return True
            raise what from error
        if violation:
            return self._not_finite(violation, regime)
        if first or self.branches.anywhere:  # most code compares nothing
            record = trace(point, both=True)
            self.branches.record(record.sides, regime)
        self.regimes.append(regime.name)
        if first:
            self.violations += find_violations(point, record)
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
        given = self.given if regime.given is None else regime.given
        given, sizes = of_one(given, {**self.sizes, **dict(regime.sizes)}, regime.single)
        values, axes = draw(rng, given, sizes, regime)
        drawn: dict[str, Array] = {}
        if isinstance(self.target, ObjectTarget):
            self.target.discover(values)
            drawn = draw_parameters(rng, self.target.parameters(), regime, self.keep)
        values |= drawn
        values |= {name: values[name] * factor for name, factor in regime.factors}
        known = axes | dict.fromkeys(drawn, ())  # a parameter of three axes has no time
        axes |= axes_of_arrays(values, known, self.chosen_axes)
        result = self.target.run(values)
        T, position = num_steps(values, axes)
        lists = [len(tree) for tree in self.target.arguments.trees if isinstance(tree, list)]
        if T is None and len(result.outputs) in lists:  # an output for each step
            T = len(result.outputs)
        douts = draw_gradients(rng, result.outputs, T, regime, position)
        for dout in douts[result.received :]:
            dout[...] = 0.0
        return Point(self.target, values, douts), axes

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
        if first or regime.optional:
            self._choose_method(point, regime)
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
            self.wrong = regime, point
        if self.find_location and some_wrong and self.diagnosis.location is None:
            context = context._replace(settings=self.settings)
            self.diagnosis = locate(context, comparisons, self.given, self.sizes)
            self.notes += [
                f"{name} is taken as (T, B, ...); axes={{{name!r}: 'B T D'}} would change that"
                for name, tokens in axes.items()
                if "T" in tokens and name not in (self.chosen_axes or {})
                if not isinstance(self.given.get(name), str)
            ]

    def _say_where_float32_shows(self, context: Context) -> None:
        strict = context._replace(settings=self.settings._replace(single=False))
        if names := ", ".join(f"d{c.name}" for c in compare_all(strict) if not c.right):
            self.violations = [
                v._replace(text=f"{v.text} (it shows in {names})") if v.kind == "float32" else v
                for v in self.violations
            ]

    def _other_ways(self, context: Context) -> Iterator[Context]:
        """Yield other ways to differentiate. A wrong gradient agrees with none of them."""
        if len(self.regimes) == 1:
            return
        self._choose_method(context.point, context.regime)
        yield context._replace(settings=self.settings)
        if context.regime.optional:  # far from 1 one method may fail
            rough = self.settings._replace(method="central differences")
            yield context._replace(settings=rough)

    def _choose_method(self, point: Point, regime: InputRegime) -> None:
        """Go on to the first method, from the present one, that fits the code at these values."""
        if not self.auto:
            return
        *exact, differences = METHODS[METHODS.index(self.settings.method) :]
        fitting = (m for m in exact if is_analytic(point, self.real_names, m))
        chosen = next(fitting, differences)
        if chosen == differences and regime.optional and len(self.regimes) > 1:
            return  # its own slope may not be resolved: compared in both ways
        if chosen != self.settings.method:
            why = f"the code is not analytic: {why_not_analytic(point)}"
            self.notes.append(f"{why}; {NOT_ANALYTIC[chosen]}")
        self.auto, self.settings = chosen != differences, self.settings._replace(method=chosen)

    def _settle(self, point: Point, axes: dict[str, Axes]) -> None:
        """Replace the settings that were left open, with a note if float32 decides."""
        real = {name: point.values[name] for name in self.real_names}
        single = [name for name, value in real.items() if value.dtype != np.float64]
        if single:
            kind = real[single[0]].dtype
            self.notes.append(f"{single[0]} is {kind}: gradients need about 3 right digits")
        shapes = {name: value.shape for name, value in real.items()}
        gates = self.settings.gates or guess_gates(shapes, axes)
        inside = any(v.kind == "float32" for v in self.violations)
        self.settings = self.settings._replace(gates=gates, single=inside)

    def causes(self, is_right: Callable[[], bool], seconds: float) -> list[str]:
        """Return the suggestions, and the change of the code that makes every gradient right."""
        if self.wrong is None:
            return self.diagnosis.suggestions
        regime, point = self.wrong
        points = [point]
        for T in (3, 1):  # at one step only what is between steps cannot be wrong
            with contextlib.suppress(Exception):  # code that takes no other sizes
                smaller = regime._replace(sizes=(*regime.sizes, ("T", T), ("B", 2)))
                points.insert(0, self.inputs(0, smaller)[0])
        found = suggest_repair(points, self.settings.method, is_right, seconds)
        return self.diagnosis.suggestions + found

    def vary(self) -> None:
        """Try what neither the regimes nor a new object show.

        Other forms of what was given, a gradient that alone is wanted, the state after a pass.
        """
        for regime in variations(self.given, self.sizes):
            self.run(0, regime)
        together = self.target.forward
        if hasattr(together, "alone"):
            self.target.forward = together.alone
            self.run(0, InputRegime("with one gradient wanted", extra=True))
            self.target.forward = together
        if isinstance(self.target, ObjectTarget) and not self.target.is_updated:
            with contextlib.suppress(Exception):  # code that runs once only
                point, _ = self.inputs(0, REGIMES[0])
                if self.target.run_before(point.values, point.own_douts()):
                    self.run(0, InputRegime("after another pass", extra=True))

    def cross_branches(self) -> None:
        """Try inputs that take the other side of comparisons in the code, and say which did not."""
        names = [name for name, given in self.given.items() if isinstance(given, str)]
        if isinstance(self.target, ObjectTarget):
            names += [name for name in self.target.found if name not in self.keep]

        def sides_at(regime: InputRegime) -> Sides:
            # Code may raise whatever it likes for inputs that it was not written for.
            with contextlib.suppress(Exception), np.errstate(all="ignore"):
                return trace(self.inputs(100, regime)[0], both=True).sides
            return {}

        for regime in self.branches.moves(names, sides_at) if names else ():
            self.run(100, regime)
        self.notes += self.branches.notes()

    def report(self) -> Report:
        """Return what was found."""
        compared = {comparison.name for comparison in self.compared}
        none = any(v.kind in ("random", "not finite") for v in self.violations)  # was compared
        missing = [] if none or not self.regimes else self.real_names
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
        kinds = {KINDS[word] for word in self.allow}
        meant = [v for v in self.violations if v.kind in kinds]
        self.notes += [f"allowed: {v.kind}: {v.text}" for v in meant]
        return Report(
            self.target.name,
            self.settings.method.replace("stand-ins", "complex step")
            if self.compared
            else "no method",
            tuple(self.regimes),
            worst_rows(self.compared),
            [v for v in self.violations if v.kind not in kinds],
            self.diagnosis.location,
            self.diagnosis.suggestions,
            self.notes,
        )
