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
from functools import partial
from importlib import resources
from pathlib import Path
from textwrap import fill
from typing import Any, NamedTuple

import numpy as np

from numpy_rnn.apps.explain import pictures
from numpy_rnn.apps.explain.measurements import Measurements, Sample
from numpy_rnn.apps.explain.metrics import per_step
from numpy_rnn.files import write_atomically

TEXTS = tomllib.loads(resources.files(__package__).joinpath("report.toml").read_text("utf-8"))


class Section(NamedTuple):
    """A heading, text, and a picture with its caption."""

    name: str  # of the picture's file, without the suffix
    heading: str
    text: str  # paragraphs, separated by empty lines
    picture: Callable[[], bytes]  # draws it, as SVG
    caption: str


def write(
    folder: Path,
    sample: Sample,
    networks: Sequence[Measurements],
    on_picture: Callable[[str], object] = lambda _name: None,
) -> list[str]:
    """Write ``index.html``, each picture as SVG, and ``numbers.json``. Return their names.

    The first of the networks is explained, the others are compared with it. `on_picture` is called
    with the name of each finished picture. The folder is created if it does not exist.
    """
    sections, files = list(render(sample, networks)), dict[str, bytes]()
    with pictures.style():
        for section in sections:
            files[f"{section.name}.svg"] = section.picture()
            on_picture(section.name)
    drawn = list(zip(sections, files.values(), strict=True))
    boxes = "\u25a1" in map(pictures.shown, sample.characters)
    title, lead = _opening(sample, networks[0], TEXTS["signs"] + TEXTS["boxes"] * boxes)
    text = {"characters": sample.characters, "tokens": sample.tokens.tolist()}
    numbers = {"text": text} | {
        network.name: {
            "losses": network.losses,
            "held_out": network.held_out,
            **{when: snapshot._asdict() for when, snapshot in network.snapshots.items()},
        }
        for network in networks
    }
    files["numbers.json"] = json.dumps(numbers, default=np.ndarray.tolist).encode()
    files["index.html"] = page(title, lead, drawn)  # last, when all it mentions exists
    folder.mkdir(exist_ok=True)
    for name, data in files.items():
        write_atomically(folder / name, lambda file, data=data: file.write(data))  # type: ignore[misc]  # the default binds the loop's variable
    return list(files)


def as_text(sample: Sample, networks: Sequence[Measurements]) -> str:
    """Return the report without its pictures, for a terminal. It does not need matplotlib."""
    parts = "\n\n".join(_opening(sample, networks[0], "")).split("\n\n")
    for number, section in enumerate(render(sample, networks), 1):
        parts += [f"{number}. {section.heading}", *section.text.split("\n\n"), section.caption]
    return "\n\n".join(fill(" ".join(part.split()), 79) for part in parts if part.strip())


def _opening(sample: Sample, first: Measurements, signs: str) -> tuple[str, str]:
    """Return the title and the first paragraphs."""
    title = f"Why a network of {first.units} units forgets, and what it remembers"
    return title, TEXTS["lead"].format(
        an="A" if first.name == "GRU" else "An",
        name=first.name,
        units=first.units,
        layers=f" in each of {first.layers} layers" if first.layers > 1 else "",
        about=sample.about,
        signs=signs,
        note=_note(first),
    )


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
        heading, picture = TEXTS["loss"]["heading"], partial(pictures.losses, trained, sample)
        yield Section("loss", heading, text, picture, caption)
    snapshots = list(first.snapshots.values())
    facts: dict[str, Any] = {
        "correct": int(np.sum(first.after.outputs.argmax(axis=1) == targets)),
        "count": len(targets),
        "fading": "; ".join(_fading(network) for network in networks),
        "saturated": [np.mean(s.saturated) for s in snapshots],
        "half": [s.ledger[: len(s.ledger) // 2].sum() / s.ledger.sum() for s in snapshots],
        "compared": _compared(first),
        "saturation": TEXTS["saturated"]["gates" if first.after.gates else first.nonlinearity],
    }
    for name in ("predictions", "unrolled", "attribution", "distance", "states", "ledger"):
        heading, text, caption = (part.format(**facts) for part in TEXTS[name].values())
        subject = networks if name == "distance" else first
        yield Section(
            name, heading, text, partial(getattr(pictures, name), subject, sample), caption
        )
    general = TEXTS["gates"]["text"]
    for network in networks:
        if network.after.gates:
            means = ", ".join(f"{n} {np.mean(g):.2f}" for n, g in network.after.gates.items())
            keeps = "forget" if "forget" in network.after.gates else "update"
            yield Section(
                f"gates-{network.name.lower()}",
                TEXTS["gates"]["heading"].format(name=network.name),
                general + TEXTS["gates"][keeps],
                partial(pictures.gates, network, sample),
                f"Gates after training; means: {means}.",
            )
            general = ""


def _note(network: Measurements) -> str:
    """Return sentences about what the pictures leave out."""
    notes = ""
    if network.layers > 1:
        notes += " States, gradients and gates are those of the top layer."
    if not network.after.gates:
        notes += f" An {network.name} has no gates to draw."
    return notes


def _compared(network: Measurements) -> str:
    """Return sentences that compare the spectral radius with what a step does to the gradient."""
    text = ""
    for when, snapshot in network.snapshots.items():
        radius, factor = float(np.median(snapshot.radii)), per_step(snapshot.by_distance)
        side = ("above" if radius > 1 else "below") + ("_grows" if factor > 1 else "_fades")
        text += TEXTS["compared"]["numbers"].format(when=when, radius=radius, factor=factor)
        text += TEXTS["compared"][side]
    return text


def _fading(network: Measurements) -> str:
    """Return the distance at which the gradient falls below a hundredth, as text."""
    found = []
    for when, snapshot in network.snapshots.items():
        small = np.flatnonzero(snapshot.by_distance < 0.01)
        found.append((f"{small[0]} steps back" if small.size else "never") + f" {when} training")
    return f"{network.name} falls below a hundredth {', '.join(found)}"


def page(title: str, lead: str, sections: Iterable[tuple[Section, bytes]]) -> bytes:
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
            picture=base64.b64encode(picture).decode("ascii"),
            caption=html.escape(section.caption),
        )
        for number, (section, picture) in enumerate(sections, 1)
    ]
    filled: str = html_of["page"].format(
        title=html.escape(title), style=html_of["style"], body="\n".join(body)
    )
    return filled.encode()


def _paragraphs(text: str) -> str:
    parts = text.split("\n\n")
    return "\n".join(
        f"<p>{html.escape(' '.join(part.split()))}</p>" for part in parts if part.strip()
    )
