"""The report of a check: a table, the first wrong place, suggestions and notes."""

from __future__ import annotations

from dataclasses import dataclass

from numpy_rnn.checking.compare import FLOAT32_RTOL, Comparison
from numpy_rnn.checking.places import Location
from numpy_rnn.checking.side_effects import SIDE_EFFECTS, Violation


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
        unchecked = all(row.right for row in self.rows) and {
            v.kind for v in self.violations if v not in self.side_effects
        } == {"not checked"}
        which = "" if self.gradients_ok else "NOT "
        verdict = f"{which}all gradients are {'checked' if unchecked else 'right'}"
        if self.side_effects:
            verdict += f"; side effects: {', '.join(v.kind for v in self.side_effects)}"
        return "\n".join([*lines, verdict])


def worst_rows(compared: list[Comparison]) -> list[Comparison]:
    """Return one row for each value: its worst comparison, with the shape of the first inputs."""
    shapes = {comparison.name: comparison.shape for comparison in reversed(compared)}
    names = dict.fromkeys(comparison.name for comparison in compared)

    def badness(comparison: Comparison) -> tuple[bool, float]:
        return not comparison.right, comparison.error / comparison.tolerance

    worst = [max((c for c in compared if c.name == name), key=badness) for name in names]
    worst = [row._replace(shape=shapes[row.name]) for row in worst]
    resolved = {c.name for c in compared if c.unresolved < c.slices or not c.slices}
    problem = "too small everywhere for central differences to resolve"
    return [
        row
        if row.problem or row.name in resolved or row.tolerance >= FLOAT32_RTOL
        else row._replace(problem=problem)
        for row in worst
    ]
