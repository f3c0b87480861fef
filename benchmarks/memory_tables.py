"""The tables of docs/memory.md, from the records in docs/memory-results/."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from benchmarks.memory_plan import PLAN, found, recorded
from benchmarks.memory_rates import TASKS, units
from numpy_rnn.apps.memory import CELLS


def tables() -> list[str]:
    """Return the tables in Markdown: single lengths, recall's limits, every cell on every task."""
    return [_lengths(), _recall(), _cells()]


def _lengths() -> str:
    rows = []
    for name, entry in PLAN.items():
        trials, budget = recorded(name), entry.budget
        if trials and entry.length:
            updates, seconds = (
                median(getattr(t, what) for t in trials) for what in ("updates", "seconds")
            )
            rows.append(
                [
                    budget.task,
                    entry.length,
                    budget.cell,
                    trials[0].parameters,
                    f"{budget.lr:g}",
                    f"{updates:g} of {budget.updates}",
                    f"{sum(t.solved for t in trials)} of {len(trials)}",
                    f"{seconds:.0f}",
                ]
            )
    names = ("task", "length", "cell", "parameters", "rate", "updates", "solved", "seconds")
    return _table(names, rows)


def _recall() -> str:
    rows = []
    for name, entry in PLAN.items():
        budget, lengths = entry.budget, found(name)
        if lengths and not entry.length and "limit" in name:
            rows.append(
                [
                    budget.task,
                    budget.cell,
                    budget.hidden,
                    recorded(name)[0].parameters,
                    budget.updates,
                    f"**{median(lengths):g}**",
                    ", ".join(_shown(n, entry.limit) for n in lengths),
                ]
            )
    names = ("task", "cell", "units", "parameters", "updates", "longest, median", "each seed")
    return _table(names, rows)


def _cells() -> str:
    rows = []
    for cell in CELLS:
        sizes, row = set(), [cell, units(cell)]
        for task in TASKS:
            name = f"longest-{task}-{cell}"
            lengths = found(name) if name in PLAN else []
            if not lengths:
                row.append("")
                continue
            sizes |= {trial.parameters for trial in recorded(name)}
            limit, middle = PLAN[name].limit, median(lengths)
            spread = f"{_shown(min(lengths), limit)} to {_shown(max(lengths), limit)}"
            row.append(f"**{_shown(middle, limit)}** ({spread})")
        if sizes:
            rows.append([*row[:2], f"{min(sizes)} to {max(sizes)}", *row[2:]])
    return _table(("cell", "units", "parameters", *TASKS), rows)


def _shown(length: float, limit: int) -> str:
    """Return a length with a + if a longer one was not tried."""
    return f"{length:g}{'+' * (length >= limit)}"


def _table(names: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = [names, ["---"] * len(names), *rows]
    return "".join(f"| {' | '.join(map(str, line))} |\n" for line in lines)
