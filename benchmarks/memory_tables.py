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
        runs, config = recorded(name), entry.config
        if runs and entry.length:
            updates, seconds = (
                median(getattr(run, what) for run in runs) for what in ("updates", "seconds")
            )
            rows.append(
                [
                    config.task,
                    entry.length,
                    config.cell,
                    runs[0].parameters,
                    f"{config.lr:g}",
                    f"{updates:g} of {config.updates}",
                    f"{sum(run.solved for run in runs)} of {len(runs)}",
                    f"{seconds:.0f}",
                ]
            )
    names = ("task", "length", "cell", "parameters", "rate", "updates", "solved", "seconds")
    return _table(names, rows)


def _recall() -> str:
    rows = []
    for name, entry in PLAN.items():
        config, lengths = entry.config, found(name)
        if lengths and not entry.length and "limit" in name:
            rows.append(
                [
                    config.task,
                    config.cell,
                    config.hidden_size,
                    recorded(name)[0].parameters,
                    config.updates,
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
            sizes |= {run.parameters for run in recorded(name)}
            limit, middle = PLAN[name].limit, median(lengths)
            spread = f" ({_shown(min(lengths), limit)} to {_shown(max(lengths), limit)})"
            row.append(f"**{_shown(middle, limit)}**{spread * (min(lengths) < max(lengths))}")
        if sizes:
            rows.append([*row[:2], f"{min(sizes)} to {max(sizes)}", *row[2:]])
    return _table(("cell", "units", "parameters", *TASKS), rows)


def _shown(length: float, limit: int) -> str:
    """Return a length as text, with a + if it is the limit of the search."""
    return f"{length:g}{'+' * (length >= limit)}"


def _table(names: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = [names, ["---"] * len(names), *rows]
    return "".join(f"| {' | '.join(map(str, line))} |\n" for line in lines)
