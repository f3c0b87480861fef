"""The pictures, as SVG. Each function draws numbers that were measured and computes none.

They need matplotlib, and :func:`style` as the context in which they are drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from typing import Any

import numpy as np

from numpy_rnn.apps.explain.measurements import Measurements, Sample
from numpy_rnn.apps.plotting import require_matplotlib

WIDTH = 5  # inches: on a screen of 390 pixels, a point is a pixel
LETTERS = 25  # characters in a row of the predictions
AXIS_MINIMUM = 1e-8  # of a logarithmic axis
INK = "#010203"  # placeholder of the text colour, replaced in the file; no data has this colour
LINES = {"before": ":", "after": "-"}  # training
LIGHT_AND_DARK = """svg { color-scheme: light dark; color: #1b1b1b }
@media (prefers-color-scheme: dark) { svg { color: #e6e6e6 } }
"""
INKED = ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color")
STYLE: dict[str, Any] = dict.fromkeys(INKED, INK) | {
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
    "legend.framealpha": 0,
    "font.size": 11,
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
    starts = range(0, len(targets), LETTERS)
    figure, panels = _figure(1 + (0.6 + 0.16 * len(rows)) * len(starts), rows=len(starts))
    names = [shown(sample.characters[row]) for row in rows]
    marks, vmax = {"predicted": INK, "missed": "tab:red"}, max(1, outputs.max())
    for axes, start in zip(panels, starts, strict=True):
        axes.imshow(outputs[:, rows].T, cmap=blues, vmin=0, vmax=vmax, aspect="auto")
        for word, colour in marks.items():
            steps = np.flatnonzero((predicted == targets) == (word == "predicted"))
            label = f"target, {word}: {len(steps)}" if start == 0 else None
            places = np.searchsorted(rows, targets[steps])
            axes.plot(steps, places, "s", markersize=5, mfc="none", color=colour, label=label)
        axes.set_yticks(range(len(rows)), names, fontsize=9)
        _label_steps(axes, sample, "", every=1)
        axes.set(xlim=(start - 0.5, start + LETTERS - 0.5), ylim=(len(rows) - 0.5, -0.5))
        axes.set_ylabel("output")
    axes.set_xlabel("input")
    return _svg(figure)


def attribution(network: Measurements, sample: Sample) -> bytes:
    """Draw the attribution matrix, relative to its diagonal, before and after training."""
    figure, panels = _figure(8, rows=2)
    for axes, (when, snapshot) in zip(panels, network.snapshots.items(), strict=True):
        A = snapshot.attribution
        relative = A / np.maximum(np.diagonal(A)[:, None], 1e-300)
        with np.errstate(divide="ignore"):
            powers = np.log10(relative)
        image = axes.imshow(np.where(relative > 0, powers, np.nan), cmap="viridis", vmin=-8, vmax=1)
        axes.set(title=f"{when} training", ylabel="loss of step t")
        _label_steps(axes, sample, "state after step s")
    figure.colorbar(image, ax=figure.axes, label="log10, relative to s = t")
    return _svg(figure)


def distance(networks: Sequence[Measurements], _sample: Sample) -> bytes:
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
    axes.set(xlabel="steps back", ylabel="|dL/dh|, relative")
    axes.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
    return _svg(figure)


def unrolled(network: Measurements, sample: Sample) -> bytes:
    """Draw the last states, and the gradient of the last loss in each of them."""
    row, T = network.after.attribution[-1] + 1e-300, len(sample.x)
    figure, [axes] = _figure(2.8)
    axes.set(xlim=(-0.6, 3.6), ylim=(-0.3, 2.4))
    axes.axis("off")
    for k, t in enumerate(range(max(0, T - 4), T)):
        letter = shown(sample.characters[sample.tokens[t]])
        for y, text in ((0, f"input {letter}"), (1, "state"), (2.1, "loss")):
            axes.text(k, y, text, ha="center", va="center", fontsize=12.5)
        axes.text(k + 0.06, 0.55, f"{row[t] / row[-1]:.2g}", color="C3", fontsize=12.5)
        arrows = [("C0", k, 0.15, k, 0.8), ("C0", k + 0.05, 1.2, k + 0.05, 1.95)]
        if t < T - 1:
            arrows += [("C0", k + 0.3, 1.05, k + 0.7, 1.05), ("C3", k + 0.7, 0.9, k + 0.3, 0.9)]
        else:
            arrows += [("C3", k + 0.15, 1.95, k + 0.15, 1.2)]
        for colour, *ends in arrows:
            axes.annotate("", ends[2:], ends[:2], arrowprops={"arrowstyle": "->", "color": colour})
    return _svg(figure)


def ledger(network: Measurements, sample: Sample) -> bytes:
    """Draw the ledger: the norm of each step's term of the gradient of the weights."""
    figure, panels = _figure(4.5, rows=2)
    for axes, (when, snapshot) in zip(panels, network.snapshots.items(), strict=True):
        axes.bar(range(len(snapshot.ledger)), snapshot.ledger)
        axes.set(title=f"{when} training", ylabel="norm of the term")
        _label_steps(axes, sample, "input")
    return _svg(figure)


def states(network: Measurements, sample: Sample) -> bytes:
    """Draw the spectral radius of the state's Jacobian and the saturated units over the text."""
    figure, [axes] = _figure(3.5)
    for when, snapshot in network.snapshots.items():
        axes.plot(snapshot.radii, LINES[when], color="C0", label=f"radius, {when}")
        axes.plot(snapshot.saturated, LINES[when], color="C1", label=f"saturated, {when}")
    axes.axhline(1, color="grey", linewidth=0.5)
    _label_steps(axes, sample, "input")
    return _svg(figure)


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


def _figure(height: float, rows: int = 1) -> tuple[Any, list[Any]]:
    figure = require_matplotlib().figure.Figure(figsize=(WIDTH, height), layout="constrained")
    return figure, list(figure.subplots(rows, squeeze=False).flat)


def _label_steps(axes: Any, sample: Sample, label: str, every: int = 0) -> None:
    """Label the x axis with the input characters, every one or at most about 25 of them."""
    names = [shown(sample.characters[token]) for token in sample.tokens[:-1]]
    places = range(0, len(names), every or len(names) // LETTERS + 1)
    axes.set_xticks(places, [names[place] for place in places], fontsize=9)
    skipped = f", 1 character of {places.step} shown" if label and places.step > 1 else ""
    axes.set_xlabel(label + skipped)


def _svg(figure: Any) -> bytes:
    """Return the file of a figure, in the reader's colours."""
    if any(axes.get_legend_handles_labels()[0] for axes in figure.axes):
        # Inside the axes, the legend would cover lines.
        figure.legend(loc="outside lower center", ncols=2, fontsize=12.5)
    file = BytesIO()
    figure.savefig(file, format="svg", metadata={"Date": None})
    data = file.getvalue().replace(INK.encode(), b"currentColor")
    start = b'<style type="text/css">'
    return data.replace(start, start + LIGHT_AND_DARK.encode(), 1)
