"""The pictures, as SVG; needs matplotlib. Each function draws numbers of a study and adds none."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from typing import Any

import numpy as np

from numpy_rnn.apps.explain.lesson import Lesson
from numpy_rnn.apps.explain.study import Study

SMALLEST = 1e-8  # of a logarithmic axis
INK = "#010203"  # stands for the colour of text until the file is written; no data has it
LIGHT_AND_DARK = """svg { color: #1b1b1b }
@media (prefers-color-scheme: dark) { svg { color: #e6e6e6 } }
"""
INKED = ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color")
STYLE: dict[str, Any] = dict.fromkeys(INKED, INK) | {
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
    "legend.framealpha": 0,
    "svg.hashsalt": "numpy_rnn",  # the same file for the same numbers
}


def require_matplotlib() -> Any:
    """Return matplotlib.

    Raises
    ------
    ImportError
        Naming the extra, if it is not installed.
    """
    try:
        import matplotlib as mpl  # noqa: PLC0415 (an extra, only for pictures)
        import matplotlib.figure  # noqa: PLC0415
        import matplotlib.font_manager  # noqa: PLC0415
    except ImportError:
        raise ImportError("pictures need matplotlib: pip install numpy-rnn[plot]") from None
    return mpl


def style() -> Any:
    """Return a context in which text is drawn in the reader's colour on the reader's ground."""
    return require_matplotlib().rc_context(STYLE)


def losses(studies: Sequence[Study], lesson: Lesson) -> bytes:
    """Draw the loss of each epoch, or over the updates, and of what is held out."""
    figure, axes = _figure(3)
    for study in studies:
        marker = "." if len(study.losses) < 20 else ""  # one alone would not show as a line
        axes.semilogy(study.at, study.losses, marker=marker, label=study.name)
        if study.held_out:
            at, measured = zip(*study.held_out, strict=True)
            axes.semilogy(at, measured, "o:", markersize=4, label=f"{study.name}, held out")
    axes.set(xlabel=lesson.clock, ylabel="loss")
    ticker = require_matplotlib().ticker
    axes.yaxis.set_major_formatter(ticker.StrMethodFormatter("{x:g}"))
    axes.yaxis.set_minor_formatter(ticker.LogFormatter(labelOnlyBase=False))
    axes.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
    _legend(figure)
    return _svg(figure)


def predictions(study: Study, lesson: Lesson) -> bytes:
    """Draw each output over the sentence, and a mark where the target is."""
    said, targets = study.after.outputs, lesson.symbols[1:]
    right = said.argmax(axis=1) == targets
    rows = np.union1d(targets, said.argmax(axis=1))  # the others would only make it tall
    colors = require_matplotlib().colors
    blues = colors.LinearSegmentedColormap.from_list("blues", ["#1f77b400", "#1f77b4b0"])
    figure, axes = _figure(1.5 + 0.14 * len(rows))
    axes.imshow(said[:, rows].T, cmap=blues, vmin=0, vmax=max(1, said.max()), aspect="auto")
    for hit, colour, label in ((True, "tab:green", "right"), (False, "tab:red", "wrong")):
        places = np.flatnonzero(right == hit)
        axes.scatter(
            places,
            np.searchsorted(rows, targets[places]),
            s=14,
            marker="s",
            facecolors="none",
            edgecolors=colour,
            label=f"target, {label}: {len(places)}",
        )
    names = [shown(lesson.characters[row]) for row in rows]
    axes.set_yticks(range(len(rows)), names, fontsize=6)
    _letters(axes, lesson, "input")
    axes.set_ylabel("output")
    _legend(figure)
    return _svg(figure)


def attribution(study: Study, lesson: Lesson) -> bytes:
    """Draw how much each state matters to each step's loss, before and after training."""
    mpl = require_matplotlib()
    figure = mpl.figure.Figure(figsize=(8, 4), layout="constrained")
    for place, (trace, title) in enumerate(
        ((study.before, "before training"), (study.after, "after training"))
    ):
        axes = figure.add_subplot(1, 2, place + 1)
        shares = trace.influence / np.maximum(np.diagonal(trace.influence)[:, None], 1e-300)
        with np.errstate(divide="ignore"):
            powers = np.log10(shares)
        image = axes.imshow(np.where(shares > 0, powers, np.nan), cmap="viridis", vmin=-8, vmax=1)
        axes.set(title=title, ylabel="loss of step t")
        _letters(axes, lesson, "state after step s", every=4)
    figure.colorbar(image, ax=figure.axes, label="log10, against the step's own")
    return _svg(figure)


def distances(studies: Sequence[Study]) -> bytes:
    """Draw what is left of a gradient, against the distance in time."""
    figure, axes = _figure(3.5)
    for number, study in enumerate(studies):
        for trace, style, when in ((study.before, ":", "before"), (study.after, "-", "after")):
            axes.semilogy(
                np.where(trace.by_distance > 0, trace.by_distance, np.nan),
                style,
                color=f"C{number}",
                label=f"{study.name}, {when}",
            )
    axes.set_ylim(bottom=max(SMALLEST, axes.get_ylim()[0]))
    axes.set(xlabel="steps back", ylabel="|dL/dh|, against 0 steps back")
    axes.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
    _legend(figure)
    return _svg(figure)


def states(study: Study, lesson: Lesson) -> bytes:
    """Draw the Jacobian's spectral radius and the share of saturated units over the sentence."""
    figure, axes = _figure(3.5)
    for trace, style, when in ((study.before, ":", "before"), (study.after, "-", "after")):
        axes.plot(trace.radii, style, color="C0", label=f"spectral radius, {when}")
        axes.plot(trace.saturated, style, color="C1", label=f"saturated units, {when}")
    axes.axhline(1, color="grey", linewidth=0.5)
    _letters(axes, lesson, "input")
    _legend(figure, 4)
    return _svg(figure)


def gates(study: Study, lesson: Lesson) -> bytes:
    """Draw what each gate of each unit let through, letter by letter."""
    found = study.after.gates
    mpl = require_matplotlib()
    figure = mpl.figure.Figure(figsize=(8, 2.2 * len(found)), layout="constrained")
    for place, (name, gate) in enumerate(found.items()):
        axes = figure.add_subplot(len(found), 1, place + 1)
        order = np.argsort(gate.mean(axis=0))
        image = axes.imshow(gate[:, order].T, cmap="viridis", vmin=0, vmax=1, aspect="auto")
        axes.set(title=f"{study.name}: {name} gate", ylabel="unit")
        _letters(axes, lesson, "")
    figure.colorbar(image, ax=figure.axes, label="0 shut, 1 open")
    return _svg(figure)


def _figure(height: float) -> tuple[Any, Any]:
    figure = require_matplotlib().figure.Figure(figsize=(8, height), layout="constrained")
    return figure, figure.add_subplot()


def _legend(figure: Any, columns: int = 3) -> None:
    """Put the legend below the axes: inside, it would hide lines."""
    figure.legend(loc="outside lower center", ncols=columns, fontsize=7)


def _letters(axes: Any, lesson: Lesson, label: str, every: int = 1) -> None:
    names = [shown(lesson.characters[symbol]) for symbol in lesson.symbols[:-1]]
    places = range(0, len(names), max(every, len(names) // 64 + 1))
    axes.set_xticks(places, [names[place] for place in places], fontsize=7)
    axes.set_xlabel(label)


def shown(character: str) -> str:
    """Return what stands for a character, so that each one can be seen."""
    signs = {"$": r"\$", "\n": "\u21b5", " ": "\u2423"}  # $ alone begins a formula
    if character in signs:
        return signs[character]
    drawn = character.isprintable() and not character.isspace() and _has_glyph(character)
    return character if drawn else "\u25a1"


def _has_glyph(character: str) -> bool:
    fonts = require_matplotlib().font_manager
    return bool(
        fonts.get_font(fonts.findfont(fonts.FontProperties())).get_char_index(ord(character))
    )


def _svg(figure: Any) -> bytes:
    file = BytesIO()
    figure.savefig(file, format="svg", metadata={"Date": None})
    data = file.getvalue().replace(INK.encode(), b"currentColor")
    start = b'<style type="text/css">'
    return data.replace(start, start + LIGHT_AND_DARK.encode(), 1)
