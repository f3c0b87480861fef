"""A search as a picture; needs matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from numpy_rnn.apps.memory.trial import Budget, Trial
from numpy_rnn.files import write_atomically


def require_matplotlib() -> Any:
    """Return matplotlib's Figure.

    Raises
    ------
    ImportError
        Naming the extra, if it is not installed.
    """
    try:
        from matplotlib.figure import Figure  # noqa: PLC0415 (an extra, only for plots)
    except ImportError:
        raise ImportError("a plot needs matplotlib: pip install numpy-rnn[plot]") from None
    return Figure


def draw(path: Path, budget: Budget, trials: Sequence[Trial], longest: Sequence[int]) -> None:
    """Draw every trial, length over seed, and the median of the longest lengths.

    Parameters
    ----------
    path : Path
        Its suffix says the format: png, svg or pdf.
    budget : Budget
        For the title.
    trials : sequence of Trial
        At least one.
    longest : sequence of int
        Of each seed.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    OSError
        If the file cannot be written.
    """
    figure = require_matplotlib()(figsize=(6, 4), layout="constrained")
    axes = figure.add_subplot()
    for solved, marker, label in ((True, "o", "solved"), (False, "x", "not solved")):
        found = [trial for trial in trials if trial.solved is solved]
        seeds, lengths = [t.seed for t in found], [t.length for t in found]
        axes.scatter(seeds, lengths, marker=marker, label=label)
    axes.axhline(
        median(longest), linestyle="--", label=f"median of the longest: {median(longest):g}"
    )
    axes.set_yscale("log")
    lengths = sorted({trial.length for trial in trials})
    # Those that a search doubles through: where it bisects, labels would lie on each other.
    ticks = [lengths[0] << power for power in range((lengths[-1] // lengths[0]).bit_length())]
    axes.set_yticks(ticks, [str(length) for length in ticks])
    axes.set_yticks([], minor=True)
    axes.set_ylim(0.9 * lengths[0], 1.1 * lengths[-1])
    axes.set_xticks(sorted({trial.seed for trial in trials}))
    axes.set(xlabel="seed", ylabel="length")
    axes.set_title(f"{budget.task}: {budget.cell}, {trials[0].parameters} parameters")
    figure.legend(loc="outside lower center", ncols=3)  # inside, it would hide trials
    write_atomically(path, lambda file: figure.savefig(file, format=path.suffix[1:]))
