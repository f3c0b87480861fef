"""From studies to the page: which pictures, in which order, and what they say to a student."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from numpy_rnn.apps.explain import pictures
from numpy_rnn.apps.explain.lesson import Lesson
from numpy_rnn.apps.explain.page import Section, page
from numpy_rnn.apps.explain.study import Study, as_data
from numpy_rnn.files import write_atomically

LEAD = """
{an} {name} with {units} units{layers} {about} At each step it reads a character and says the next
one.

The pictures go from what it says to why it can say it. Each shows numbers that the network's own
forward and backward passes computed; nothing is fitted or smoothed. \u2423 is a space, \u21b5 a
line's end{others}.{note}
"""
LOSS = {
    "epoch": """
In every epoch the network reads the whole text once, and each weight moves a little against the
gradient of the loss, which is the sum of what every step contributes.
""",
    "update": """
In every update the network reads a piece of the text at several places side by side, and each
weight moves a little against the gradient of the loss: nats per character, the mean over all of
them, and here over the updates since the point before.
""",
}
HELD_OUT = """
The dots are the same loss on the part of the text that no update reads. Where they stop falling,
what is still learned is this text and not what texts like it have in common.
"""
PREDICTIONS = """
Each column is a step: below it stands the character that is read, in it how strongly each character
is answered. A square stands where the right one is.
"""
ATTRIBUTION = """
Backpropagation through time sends the loss of step t back to the state of that step, of the one
before and so on. Row t shows how large that gradient is when it arrives at step s, compared with
step t itself; above the diagonal is the future, which nothing blames.

A row that is bright only near the diagonal belongs to an answer that was learned from the last few
characters. What is dark is too small to teach the network anything.
"""
DISTANCE = """
The same, against the distance alone: the median over the steps. A straight line down is exponential
forgetting, because each step back multiplies by a Jacobian that makes most changes smaller.
Before training every cell forgets like that; what is left after training is what it has learned
to carry. A line that leaves the picture below is smaller than its axis reaches.
"""
STATES = """
The Jacobian of a step says what a small change of the state does to the next state. If its spectral
radius, the size of its largest eigenvalue, stays well below 1, changes tend to die out.
"""
SATURATED = {
    "tanh": "Saturated units, beyond 0.95, hardly pass a change on: their slope is below 0.1.",
    "relu": "Saturated units, of a relu those that are 0, pass no change on: their slope is 0.",
    "gates": """Saturated units are those beyond 0.95. Unlike a plain tanh unit's, the memory of a
gated cell does not have to suffer from it: what a gate keeps goes past the slope of the tanh.""",
}
GATES = """
A row is a unit, a column a character. Where a forget gate, or the update gate of a GRU, is near 1,
a unit keeps what it holds: rows that stay bright are the long memory.
"""


def _ignore(name: str) -> None:
    """Do nothing with what is said of the progress."""


def write(
    folder: Path,
    lesson: Lesson,
    studies: Sequence[Study],
    drawn: Callable[[str], None] = _ignore,
) -> list[str]:
    """Write ``index.html``, a picture each as SVG, and ``numbers.json``.

    Parameters
    ----------
    folder : Path
        Made if it does not exist; files of these names are replaced.
    lesson : Lesson
        What the networks read.
    studies : sequence of Study
        The first one is explained; the others are compared with it.
    drawn : callable
        Is told the name of each picture, one of :func:`names`.

    Returns
    -------
    files : list of str
        Their names.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    OSError
        If a file cannot be written.
    """
    sections: list[Section] = []
    with pictures.style():
        for section in tell(lesson, studies):
            sections.append(section)
            drawn(section.name)
    first = studies[0]
    boxes = "\u25a1" in map(pictures.shown, lesson.characters)
    title = f"Why a network of {first.units} units forgets, and what it remembers"
    lead = LEAD.format(
        an="A" if first.name == "GRU" else "An",
        name=first.name,
        units=first.units,
        layers=f" in each of {first.layers} layers" if first.layers > 1 else "",
        about=lesson.about,
        others=", \u25a1 a character that cannot be drawn" if boxes else "",
        note=_note(first),
    )
    files = {f"{section.name}.svg": section.picture for section in sections}
    text = {"characters": lesson.characters, "symbols": lesson.symbols.tolist()}
    numbers = {"text": text} | {
        study.name: {
            "at": study.at,
            "losses": study.losses,
            "held_out": study.held_out,
            "before": as_data(study.before),
            "after": as_data(study.after),
        }
        for study in studies
    }
    files["numbers.json"] = json.dumps(numbers).encode()
    files["index.html"] = page(title, lead, sections)  # last: what it speaks of is there
    folder.mkdir(exist_ok=True)
    for name, data in files.items():
        write_atomically(folder / name, lambda file, data=data: file.write(data))  # type: ignore[misc]  # the default binds this turn's
    return list(files)


def names(studies: Sequence[Study]) -> list[str]:
    """Return the names of the pictures, in the order of reading."""
    return [
        *["loss"] * any(study.losses for study in studies),
        *("predictions", "attribution", "distance", "states"),
        *(f"gates-{study.name.lower()}" for study in studies if study.after.gates),
    ]


def tell(lesson: Lesson, studies: Sequence[Study]) -> Iterator[Section]:
    """Yield the sections in the order of reading."""
    first, targets = studies[0], lesson.symbols[1:]
    trained = [study for study in studies if study.losses]
    if trained:
        ends = ", ".join(f"{s.name} {s.losses[0]:.3g} to {s.losses[-1]:.3g}" for s in trained)
        caption = f"Loss over the {lesson.clock}s, on a logarithmic scale: {ends}."
        text = LOSS[lesson.clock]
        if first.held_out:
            at, lowest = min(first.held_out, key=lambda measured: measured[1])
            text += HELD_OUT
            caption += f" Held out, the lowest is {lowest:.3g}, after {lesson.clock} {at}."
        yield Section("loss", "It learns", text, pictures.losses(trained, lesson), caption)
    right = int(np.sum(first.after.outputs.argmax(axis=1) == targets))
    yield Section(
        "predictions",
        "What it says",
        PREDICTIONS,
        pictures.predictions(first, lesson),
        f"{right} of {len(targets)} answers are right when the text itself is read.",
    )
    yield Section(
        "attribution",
        "Which steps a mistake blames",
        ATTRIBUTION,
        pictures.attribution(first, lesson),
        "Size of dL_t/dh_s, as a power of ten of the step's own.",
    )
    yield Section(
        "distance",
        "How fast the blame fades",
        DISTANCE,
        pictures.distances(studies),
        "; ".join(_fading(study) for study in studies) + ".",
    )
    before, after = first.before, first.after
    yield Section(
        "states",
        "Why it fades",
        STATES + SATURATED["gates" if after.gates else first.nonlinearity],
        pictures.states(first, lesson),
        f"Spectral radius, median over the text: {np.median(before.radii):.2f} before training, "
        f"{np.median(after.radii):.2f} after; saturated units: {np.mean(before.saturated):.0%} "
        f"and {np.mean(after.saturated):.0%}.",
    )
    for study in studies:
        if study.after.gates:
            means = ", ".join(f"{n} {np.mean(g):.2f}" for n, g in study.after.gates.items())
            yield Section(
                f"gates-{study.name.lower()}",
                f"What the gates of the {study.name} do",
                GATES,
                pictures.gates(study, lesson),
                f"Gates after training; means: {means}.",
            )


def _note(study: Study) -> str:
    """Say what the pictures leave out."""
    notes = []
    if study.layers > 1:
        notes.append(
            f" Of the {study.layers} layers, states, gradients and gates are the top one's."
        )
    if not study.after.gates:
        notes.append(f" The cell of an {study.name} has no gates to draw.")
    return "".join(notes)


def _fading(study: Study) -> str:
    """Say at which distance a gradient falls below a hundredth."""
    said = []
    for trace, when in ((study.before, "before"), (study.after, "after")):
        small = np.flatnonzero(trace.by_distance < 0.01)
        said.append(f"{when} training " + (f"after {small[0]} steps" if small.size else "never"))
    return f"{study.name}, below a hundredth: {', '.join(said)}"
