"""The picture of docs/memory.md: the longest length of each cell on each task, a dot for each seed.

python -m benchmarks.memory_picture      write docs/memory.svg from docs/memory-results/
"""

from __future__ import annotations

from statistics import median

import matplotlib as mpl
from matplotlib.figure import Figure

from benchmarks.memory_plan import PLAN, found
from benchmarks.memory_rates import FOLDER, LIMIT, START, TASKS
from numpy_rnn.apps.memory import CELLS

LONGEST = 2 * LIMIT
NONE = START / 2  # where cells are drawn that do not learn the shortest length


def draw() -> Figure:
    """Return a figure with a panel for each task and a row for each cell."""
    figure = Figure(figsize=(11, 3.6), layout="constrained")
    panels = figure.subplots(1, len(TASKS), sharey=True)
    for axes, task in zip(panels, TASKS, strict=True):
        for row, cell in enumerate(CELLS):
            name = f"longest-{task}-{cell}"
            lengths = [max(n, NONE) for n in found(name)] if name in PLAN else []
            if lengths:
                axes.plot([NONE, median(lengths)], [row, row], color="0.8", zorder=0)
                axes.plot(lengths, [row] * len(lengths), "o", color="C0", alpha=0.5, ms=5)
                axes.plot(median(lengths), row, "|", color="black", ms=12, mew=2)
        axes.axvline(LONGEST, color="0.5", lw=0.8, ls=":")
        axes.set_xscale("log", base=2)
        axes.set_xlim(NONE / 1.3, LONGEST * 1.3)
        ticks = [NONE, START, 4 * START, 16 * START, LONGEST]
        axes.set_xticks(ticks, ["none", *map(str, ticks[1:-1]), f"{LONGEST}+"])
        axes.set_title(task)
    panels[0].set_yticks(range(len(CELLS)), list(CELLS))
    panels[0].invert_yaxis()
    figure.supxlabel("longest length that was learned: each seed, and their median")
    return figure


def main() -> None:
    """Write the picture."""
    mpl.rcParams.update({"svg.hashsalt": "numpy_rnn", "svg.fonttype": "none"})
    mpl.rcParams["font.family"] = "sans-serif"
    draw().savefig(FOLDER.parent / "memory.svg", metadata={"Date": None}, facecolor="white")


if __name__ == "__main__":
    main()
