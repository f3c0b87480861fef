"""The report on one or more networks: its sections, their texts, and the files."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from numpy_rnn.apps.explain import pictures
from numpy_rnn.apps.explain.measurements import Measurements
from numpy_rnn.apps.explain.page import Section, page
from numpy_rnn.apps.explain.sample import Sample
from numpy_rnn.files import write_atomically

LEAD = """
{an} {name} with {units} units{layers} {about} At each step it reads one character and predicts
the next.

The pictures begin with the predictions and end with their causes. Each shows numbers from the
network's own forward and backward passes. Nothing is fitted or smoothed. \u2423 is a space,
\u21b5 the end of a line{boxes}.{note}
"""
LOSS = {
    "epoch": """
In every epoch the network reads the whole text once. Each weight then moves a little against the
gradient of the loss, which is a sum over the steps.
""",
    "update": """
In every update the network reads several places of the text in parallel, a window of each. Each
weight then moves a little against the gradient of the loss, the mean cross-entropy in nats per
character. A point is the mean over the updates since the point before.
""",
}
HELD_OUT = """
The dots are the same loss on the held-out part of the text, which no update reads. Where they
stop falling, the network begins to overfit: what it still learns is true of this text only.
"""
PREDICTIONS = """
Each column is a step. The axis shows the input character, colour shows the score of each output,
and a square marks the target: the character that comes next.
"""
ATTRIBUTION = """
Backpropagation through time carries the loss of step t back to the state of that step, then to
the state before it, and so on. Row t shows the size of that gradient at each step s, relative to
its size at step t. Above the diagonal it is zero, because no loss depends on later states.

A row that is bright only near the diagonal belongs to a prediction that was learned from the last
few characters. Where a row is dark, the gradient is too small to learn from.
"""
DISTANCE = """
These are the same gradients over the distance in time: the median over the steps. A straight line
downwards is exponential decay, because each step back multiplies by a Jacobian that shrinks most
changes. The dotted lines show this for untrained cells. What is left after training is what the
network has learned to carry. Values below the axis are not shown.
"""
STATES = """
The Jacobian of a step describes how a small change of the state changes the next state. If its
spectral radius, the largest absolute eigenvalue, stays well below 1, changes tend to die out.
This is a guide and not a bound: products of different Jacobians can shrink or grow faster.
"""
SATURATED = {
    "tanh": """Saturated units have |h| above 0.95. Their slope is below 0.1, so they hardly pass a
change on.""",
    "relu": "Saturated units of a relu have h = 0. Their slope is 0, so they pass no change on.",
    "gates": """Saturated units have |h| above 0.95. In a gated cell they need not hurt the memory:
what a gate keeps does not pass through the tanh.""",
}
GATES = """
Each row is a unit, each column a character. Where the {keeps} gate is near 1, a unit keeps its
state. A row of the {keeps} gate that stays bright is a long memory.
"""


def write(
    folder: Path,
    sample: Sample,
    networks: Sequence[Measurements],
    on_picture: Callable[[str], object] = lambda _name: None,
) -> list[str]:
    """Write ``index.html``, each picture as SVG, and ``numbers.json``; return their names.

    Parameters
    ----------
    folder : Path
        Is created if it does not exist. Files of these names are replaced.
    sample : Sample
        The text that the networks were measured on.
    networks : sequence of Measurements
        The first is explained, the others are compared with it.
    on_picture : callable
        Called with the name of each finished picture, one of :func:`picture_names`.

    Raises
    ------
    ImportError, OSError
        If matplotlib is not installed, or a file cannot be written.
    """
    sections: list[Section] = []
    with pictures.style():
        for section in render(sample, networks):
            sections.append(section)
            on_picture(section.name)
    first = networks[0]
    boxes = "\u25a1" in map(pictures.shown, sample.characters)
    title = f"Why a network of {first.units} units forgets, and what it remembers"
    lead = LEAD.format(
        an="A" if first.name == "GRU" else "An",
        name=first.name,
        units=first.units,
        layers=f" in each of {first.layers} layers" if first.layers > 1 else "",
        about=sample.about,
        boxes=", \u25a1 a character that cannot be drawn" if boxes else "",
        note=_note(first),
    )
    files = {f"{section.name}.svg": section.picture for section in sections}
    text = {"characters": sample.characters, "tokens": sample.tokens.tolist()}
    numbers = {"text": text} | {
        network.name: {
            "losses": network.losses,
            "held_out": network.held_out,
            "before": network.before.to_lists(),
            "after": network.after.to_lists(),
        }
        for network in networks
    }
    files["numbers.json"] = json.dumps(numbers).encode()
    files["index.html"] = page(title, lead, sections)  # last, when all it mentions exists
    folder.mkdir(exist_ok=True)
    for name, data in files.items():
        write_atomically(folder / name, lambda file, data=data: file.write(data))  # type: ignore[misc]  # the default binds the loop's variable
    return list(files)


def picture_names(networks: Sequence[Measurements]) -> list[str]:
    """Return the names of the pictures in the order of the page."""
    return [
        *["loss"] * any(network.losses for network in networks),
        *("predictions", "attribution", "distance", "states"),
        *(f"gates-{network.name.lower()}" for network in networks if network.after.gates),
    ]


def render(sample: Sample, networks: Sequence[Measurements]) -> Iterator[Section]:
    """Yield the sections in the order of the page."""
    first, targets = networks[0], sample.tokens[1:]
    trained = [network for network in networks if network.losses]
    if trained:
        ends = ", ".join(f"{n.name} {n.losses[0][1]:.3g} to {n.losses[-1][1]:.3g}" for n in trained)
        caption = f"Loss over the {sample.clock}s, on a logarithmic scale: {ends}."
        text = LOSS[sample.clock]
        if first.held_out:
            at, lowest = min(first.held_out, key=lambda measured: measured[1])
            text += HELD_OUT
            caption += f" Held out, the lowest is {lowest:.3g}, after {sample.clock} {at}."
        yield Section("loss", "It learns", text, pictures.losses(trained, sample), caption)
    correct = int(np.sum(first.after.outputs.argmax(axis=1) == targets))
    yield Section(
        "predictions",
        "What it predicts",
        PREDICTIONS,
        pictures.predictions(first, sample),
        f"{correct} of {len(targets)} predictions are correct, with the text itself as input.",
    )
    yield Section(
        "attribution",
        "Which states a loss depends on",
        ATTRIBUTION,
        pictures.attribution(first, sample),
        "Size of dL_t/dh_s, as a power of ten, relative to dL_t/dh_t.",
    )
    yield Section(
        "distance",
        "How fast the gradient fades",
        DISTANCE,
        pictures.distances(networks),
        "; ".join(_fading(network) for network in networks) + ".",
    )
    before, after = first.before, first.after
    yield Section(
        "states",
        "Why it fades",
        STATES + SATURATED["gates" if after.gates else first.nonlinearity],
        pictures.states(first, sample),
        f"Spectral radius, median over the text: {np.median(before.radii):.2f} before training, "
        f"{np.median(after.radii):.2f} after. Saturated units: {np.mean(before.saturated):.0%} "
        f"before training, {np.mean(after.saturated):.0%} after.",
    )
    for network in networks:
        if network.after.gates:
            means = ", ".join(f"{n} {np.mean(g):.2f}" for n, g in network.after.gates.items())
            yield Section(
                f"gates-{network.name.lower()}",
                f"What the gates of the {network.name} do",
                GATES.format(keeps="forget" if "forget" in network.after.gates else "update"),
                pictures.gates(network, sample),
                f"Gates after training; means: {means}.",
            )


def _note(network: Measurements) -> str:
    """Return sentences about what the pictures leave out."""
    notes = ""
    if network.layers > 1:
        notes += " States, gradients and gates are those of the top layer."
    if not network.after.gates:
        notes += f" An {network.name} has no gates to draw."
    return notes


def _fading(network: Measurements) -> str:
    """Return the distance at which the gradient falls below a hundredth, as text."""
    found = []
    for snapshot, when in ((network.before, "before"), (network.after, "after")):
        small = np.flatnonzero(snapshot.by_distance < 0.01)
        found.append((f"{small[0]} steps back" if small.size else "never") + f" {when} training")
    return f"{network.name} falls below a hundredth {', '.join(found)}"
