"""The report on one or more networks: sections of a page of HTML, and the files.

The page is one file with numbered sections and pictures, without scripts or links. Its headings and
texts are in ``report.toml``.
"""

from __future__ import annotations

import base64
import html
import json
import tomllib
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib import resources
from pathlib import Path
from typing import NamedTuple

import numpy as np

from numpy_rnn.apps.explain import pictures
from numpy_rnn.apps.explain.measurements import Measurements
from numpy_rnn.apps.explain.sample import Sample
from numpy_rnn.files import write_atomically

TEXTS = tomllib.loads(resources.files(__package__).joinpath("report.toml").read_text("utf-8"))


class Section(NamedTuple):
    """A heading, text, and a picture with its caption."""

    name: str  # of the picture's file, without the suffix
    heading: str
    text: str  # paragraphs, separated by empty lines
    picture: bytes  # SVG
    caption: str


def write(
    folder: Path,
    sample: Sample,
    networks: Sequence[Measurements],
    on_picture: Callable[[str], object] = lambda _name: None,
) -> list[str]:
    """Write ``index.html``, each picture as SVG, and ``numbers.json``. Return their names.

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
    """
    sections: list[Section] = []
    with pictures.style():
        for section in render(sample, networks):
            sections.append(section)
            on_picture(section.name)
    first = networks[0]
    boxes = "\u25a1" in map(pictures.shown, sample.characters)
    title = f"Why a network of {first.units} units forgets, and what it remembers"
    lead = TEXTS["lead"].format(
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
            **{when: snapshot.to_lists() for when, snapshot in network.snapshots.items()},
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
        text = TEXTS["loss"][sample.clock]
        if first.held_out:
            at, lowest = min(first.held_out, key=lambda measured: measured[1])
            text += TEXTS["loss"]["held_out"]
            caption += f" Held out, the lowest is {lowest:.3g}, after {sample.clock} {at}."
        heading, picture = TEXTS["loss"]["heading"], pictures.losses(trained, sample)
        yield Section("loss", heading, text, picture, caption)
    correct = int(np.sum(first.after.outputs.argmax(axis=1) == targets))
    yield Section(
        "predictions",
        **TEXTS["predictions"],
        picture=pictures.predictions(first, sample),
        caption=f"{correct} of {len(targets)} predictions are correct, "
        "with the text itself as input.",
    )
    yield Section(
        "attribution",
        **TEXTS["attribution"],
        picture=pictures.attribution(first, sample),
        caption="Size of dL_t/dh_s, as a power of ten, relative to dL_t/dh_t.",
    )
    yield Section(
        "distance",
        **TEXTS["distance"],
        picture=pictures.distances(networks),
        caption="; ".join(_fading(network) for network in networks) + ".",
    )
    before, after, states = first.before, first.after, TEXTS["states"]
    saturated = states["saturated"]["gates" if after.gates else first.nonlinearity]
    yield Section(
        "states",
        states["heading"],
        states["text"] + saturated,
        pictures.states(first, sample),
        f"Spectral radius, median over the text: {np.median(before.radii):.2f} before training, "
        f"{np.median(after.radii):.2f} after. Saturated units: {np.mean(before.saturated):.0%} "
        f"before training, {np.mean(after.saturated):.0%} after.",
    )
    for network in networks:
        if network.after.gates:
            means = ", ".join(f"{n} {np.mean(g):.2f}" for n, g in network.after.gates.items())
            keeps = "forget" if "forget" in network.after.gates else "update"
            yield Section(
                f"gates-{network.name.lower()}",
                TEXTS["gates"]["heading"].format(name=network.name),
                TEXTS["gates"]["text"].format(keeps=keeps),
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
    for when, snapshot in network.snapshots.items():
        small = np.flatnonzero(snapshot.by_distance < 0.01)
        found.append((f"{small[0]} steps back" if small.size else "never") + f" {when} training")
    return f"{network.name} falls below a hundredth {', '.join(found)}"


def page(title: str, lead: str, sections: Iterable[Section]) -> bytes:
    """Return the page as HTML in UTF-8, with the pictures inside.

    >>> b"<h1>Why &lt;b&gt;</h1>" in page("Why <b>", "A lead.", [])
    True
    """
    html_of = TEXTS["html"]
    body = [_paragraphs(lead)]
    body += [
        html_of["section"].format(
            number=number,
            heading=html.escape(section.heading),
            text=_paragraphs(section.text),
            picture=base64.b64encode(section.picture).decode("ascii"),
            caption=html.escape(section.caption),
        )
        for number, section in enumerate(sections, 1)
    ]
    filled: str = html_of["page"].format(
        title=html.escape(title), style=html_of["style"], body="\n".join(body)
    )
    return filled.encode()


def _paragraphs(text: str) -> str:
    parts = text.split("\n\n")
    return "\n".join(f"<p>{html.escape(' '.join(part.split()))}</p>" for part in parts)
