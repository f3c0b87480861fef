"""What a check found, as a table to read and as data."""

from __future__ import annotations

from dataclasses import dataclass, field

from numpy_rnn.checking.compare import Comparison, Place
from numpy_rnn.checking.hygiene import Fault


@dataclass(frozen=True)
class Row:
    """One value's gradient over all regimes."""

    name: str
    shape: tuple[int, ...]
    error: float  # worst, relative to its time slice
    regime: str  # where it was worst
    tolerance: float  # in that regime
    right: bool
    problem: str | None = None


@dataclass(frozen=True)
class Report:
    """What a check found.

    Attributes
    ----------
    name : str
        Of what was checked.
    method : str
        How.
    regimes : tuple of str
        Of the inputs.
    rows : list of Row
        One for each value that has a gradient.
    faults : list of Fault
        What the passes did that they must not do.
    place : Place or None
        The first wrong place: the one that the others follow from.
    suggestions : list of str
        What the pattern of the errors suggests.
    notes : list of str
        What the reader should know, such as why another method was taken.
    """

    name: str
    method: str
    regimes: tuple[str, ...]
    rows: list[Row]
    faults: list[Fault] = field(default_factory=list)
    place: Place | None = None
    suggestions: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether every gradient is right and nothing was done that must not be."""
        return not self.faults and all(row.right for row in self.rows)

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
        lines += [f"  {fault.kind}: {fault.text}" for fault in self.faults]
        if self.place is not None:
            lines.append(f"first wrong place: {self.place}")
        lines += [f"suggestion: {text}" for text in self.suggestions]
        lines += [f"note: {text}" for text in self.notes]
        lines.append("all gradients are right" if self.ok else "NOT all gradients are right")
        return "\n".join(lines)


def rows_of(found: list[tuple[str, Comparison]]) -> list[Row]:
    """Return one row for each value: its worst comparison.

    Parameters
    ----------
    found : list of (regime, Comparison)
        In the order of the check.

    Returns
    -------
    rows : list of Row
        In the order of the values.
    """
    worst: dict[str, tuple[str, Comparison]] = {}
    for regime, comparison in found:
        held = worst.get(comparison.parameter)
        if held is None or _badness(comparison) > _badness(held[1]):
            worst[comparison.parameter] = regime, comparison
    seen = {c.parameter for _, c in found if c.unresolved < c.slices or not c.slices}
    unseen = "too small everywhere for central differences to say anything"
    return [
        Row(name, c.shape, c.error, regime, c.tolerance, c.right, c.problem)
        if name in seen or c.problem
        else Row(name, c.shape, c.error, regime, c.tolerance, False, unseen)
        for name, (regime, c) in worst.items()
    ]


def _badness(comparison: Comparison) -> tuple[bool, float]:
    return not comparison.right, comparison.error / comparison.tolerance
