"""The pictures, as SVG. Each function draws numbers that were measured and computes none.

They need matplotlib, and :func:`style` as the context in which they are drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from typing import Any

import numpy as np

from numpy_rnn.apps.explain.measurements import Measurements
from numpy_rnn.apps.explain.sample import Sample
from numpy_rnn.apps.plotting import require_matplotlib

AXIS_MINIMUM = 1e-8  # of a logarithmic axis
INK = "#010203"  # placeholder of the text colour, replaced in the file; no data has this colour
LINES = {"before": ":", "after": "-"}  # training
LIGHT_AND_DARK = """svg { color: #1b1b1b }
@media (prefers-color-scheme: dark) { svg { color: #e6e6e6 } }
"""
INKED = ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color")
STYLE: dict[str, Any] = dict.fromkeys(INKED, INK) | {
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
    "legend.framealpha": 0,
    "svg.hashsalt": "numpy_rnn",  # makes the same file from the same numbers
}


def style() -> Any:
    """Return a context in which text has the reader's colour and the background is transparent."""
    return require_matplotlib().rc_context(STYLE)


def losses(networks: Sequence[Measurements], sample: Sample) -> bytes:
    """Draw the training loss, and the loss on held-out text, over epochs or updates."""
    figure, [axes] = _figure(3)
    for network in networks:
        at, values = zip(*network.losses, strict=True)
        marker = "." if len(at) < 20 else ""  # a single point would not show as a line
        axes.semilogy(at, values, marker=marker, label=network.name)
        if network.held_out:
            at, values = zip(*network.held_out, strict=True)
            axes.semilogy(at, values, "o:", markersize=4, label=f"{network.name}, held out")
    axes.set(xlabel=sample.clock, ylabel="loss")
    ticker = require_matplotlib().ticker
    axes.yaxis.set_major_formatter(ticker.StrMethodFormatter("{x:g}"))
    axes.yaxis.set_minor_formatter(ticker.LogFormatter(labelOnlyBase=False))
    axes.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
    return _svg(figure)


def predictions(network: Measurements, sample: Sample) -> bytes:
    """Draw each output over the text, with a square at each target."""
    outputs, targets = network.after.outputs, sample.tokens[1:]
    predicted = outputs.argmax(axis=1)
    rows = np.union1d(targets, predicted)  # the other characters would only add height
    colors = require_matplotlib().colors
    blues = colors.LinearSegmentedColormap.from_list("blues", ["#1f77b400", "#1f77b4b0"])
    figure, [axes] = _figure(1.5 + 0.14 * len(rows))
    axes.imshow(outputs[:, rows].T, cmap=blues, vmin=0, vmax=max(1, outputs.max()), aspect="auto")
    for correct, colour, label in ((True, "tab:green", "predicted"), (False, "tab:red", "missed")):
        steps = np.flatnonzero((predicted == targets) == correct)
        axes.scatter(
            steps,
            np.searchsorted(rows, targets[steps]),
            s=14,
            marker="s",
            facecolors="none",
            edgecolors=colour,
            label=f"target, {label}: {len(steps)}",
        )
    names = [shown(sample.characters[row]) for row in rows]
    axes.set_yticks(range(len(rows)), names, fontsize=6)
    _label_steps(axes, sample, "input")
    axes.set_ylabel("output")
    return _svg(figure)


def attribution(network: Measurements, sample: Sample) -> bytes:
    """Draw the attribution matrix, relative to its diagonal, before and after training."""
    figure, panels = _figure(4, columns=2)
    for axes, (when, snapshot) in zip(panels, network.snapshots.items(), strict=True):
        A = snapshot.attribution
        relative = A / np.maximum(np.diagonal(A)[:, None], 1e-300)
        with np.errstate(divide="ignore"):
            powers = np.log10(relative)
        image = axes.imshow(np.where(relative > 0, powers, np.nan), cmap="viridis", vmin=-8, vmax=1)
        axes.set(title=f"{when} training", ylabel="loss of step t")
        _label_steps(axes, sample, "state after step s", every=4)
    figure.colorbar(image, ax=figure.axes, label="log10, relative to s = t")
    return _svg(figure)


def distances(networks: Sequence[Measurements]) -> bytes:
    """Draw what is left of a gradient over the distance in time."""
    figure, [axes] = _figure(3.5)
    for number, network in enumerate(networks):
        for when, snapshot in network.snapshots.items():
            axes.semilogy(
                np.where(snapshot.by_distance > 0, snapshot.by_distance, np.nan),
                LINES[when],
                color=f"C{number}",
                label=f"{network.name}, {when}",
            )
    axes.set_ylim(bottom=max(AXIS_MINIMUM, axes.get_ylim()[0]))
    axes.set(xlabel="steps back", ylabel="|dL/dh|, relative to 0 steps back")
    axes.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
    return _svg(figure)


def states(network: Measurements, sample: Sample) -> bytes:
    """Draw the spectral radius of the state's Jacobian and the saturated units over the text."""
    figure, [axes] = _figure(3.5)
    for when, snapshot in network.snapshots.items():
        axes.plot(snapshot.radii, LINES[when], color="C0", label=f"spectral radius, {when}")
        axes.plot(snapshot.saturated, LINES[when], color="C1", label=f"saturated units, {when}")
    axes.axhline(1, color="grey", linewidth=0.5)
    _label_steps(axes, sample, "input")
    return _svg(figure, legend_columns=4)


def gates(network: Measurements, sample: Sample) -> bytes:
    """Draw the activations of each gate over the text, units in the order of their means."""
    found = network.after.gates
    figure, panels = _figure(2.2 * len(found), rows=len(found))
    for axes, (name, gate) in zip(panels, found.items(), strict=True):
        order = np.argsort(gate.mean(axis=0))
        image = axes.imshow(gate[:, order].T, cmap="viridis", vmin=0, vmax=1, aspect="auto")
        axes.set(title=f"{network.name}: {name} gate", ylabel="unit")
        _label_steps(axes, sample, "")
    figure.colorbar(image, ax=figure.axes, label="0 closed, 1 open")
    return _svg(figure)


def shown(character: str) -> str:
    """Return a visible sign for a character."""
    signs = {"$": r"\$", "\n": "\u21b5", " ": "\u2423"}  # a bare $ begins a formula
    if character in signs:
        return signs[character]
    drawn = character.isprintable() and not character.isspace() and _has_glyph(character)
    return character if drawn else "\u25a1"


def _has_glyph(character: str) -> bool:
    fonts = require_matplotlib().font_manager
    font = fonts.get_font(fonts.findfont(fonts.FontProperties()))
    return bool(font.get_char_index(ord(character)))


def _figure(height: float, rows: int = 1, columns: int = 1) -> tuple[Any, list[Any]]:
    """Return a figure and its panels."""
    figure = require_matplotlib().figure.Figure(figsize=(8, height), layout="constrained")
    return figure, list(figure.subplots(rows, columns, squeeze=False).flat)


def _label_steps(axes: Any, sample: Sample, label: str, every: int = 1) -> None:
    """Label the x axis with the input characters, at most 64 of them."""
    names = [shown(sample.characters[token]) for token in sample.tokens[:-1]]
    places = range(0, len(names), max(every, len(names) // 64 + 1))
    axes.set_xticks(places, [names[place] for place in places], fontsize=7)
    axes.set_xlabel(label)


def _svg(figure: Any, legend_columns: int = 3) -> bytes:
    """Return the file of a figure, in the reader's colours."""
    if any(axes.get_legend_handles_labels()[0] for axes in figure.axes):
        # Inside the axes, the legend would cover lines.
        figure.legend(loc="outside lower center", ncols=legend_columns, fontsize=7)
    file = BytesIO()
    figure.savefig(file, format="svg", metadata={"Date": None})
    data = file.getvalue().replace(INK.encode(), b"currentColor")
    start = b'<style type="text/css">'
    return data.replace(start, start + LIGHT_AND_DARK.encode(), 1)
