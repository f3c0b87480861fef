"""The plot of a search. It needs matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import median

from numpy_rnn.apps.memory.runs import Run, TrainingConfig
from numpy_rnn.apps.plotting import require_matplotlib
from numpy_rnn.files import write_atomically


def draw(
    path: Path, config: TrainingConfig, runs: Sequence[Run], max_lengths: Sequence[int]
) -> None:
    """Draw every run, length over seed, and the median of each seed's longest solved length.

    The suffix of `path` gives the format: png, svg or pdf. There is at least one run.
    """
    figure = require_matplotlib().figure.Figure(figsize=(6, 4), layout="constrained")
    axes = figure.add_subplot()
    for solved, marker, label in ((True, "o", "solved"), (False, "x", "not solved")):
        found = [run for run in runs if run.solved is solved]
        seeds, lengths = [run.seed for run in found], [run.length for run in found]
        axes.scatter(seeds, lengths, marker=marker, label=label)
    middle = median(max_lengths)
    axes.axhline(middle, linestyle="--", label=f"median of the longest: {middle:g}")
    axes.set_yscale("log")
    lengths = sorted({run.length for run in runs})
    # Only the doubled lengths: labels of the bisected ones would overlap.
    ticks = [lengths[0] << power for power in range((lengths[-1] // lengths[0]).bit_length())]
    axes.set_yticks(ticks, [str(length) for length in ticks])
    axes.set_yticks([], minor=True)
    axes.set_ylim(0.9 * lengths[0], 1.1 * lengths[-1])
    axes.set_xticks(sorted({run.seed for run in runs}))
    axes.set(xlabel="seed", ylabel="length")
    axes.set_title(f"{config.task}: {config.cell}, {runs[0].parameters} parameters")
    figure.legend(loc="outside lower center", ncols=3)  # inside the axes it would cover runs
    write_atomically(path, lambda file: figure.savefig(file, format=path.suffix[1:]))
