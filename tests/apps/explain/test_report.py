"""The page is complete, in order and self-contained, and its text follows the numbers."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from numpy_rnn import GRU
from numpy_rnn.apps.explain import (
    Measurements,
    of_recall,
    pictures,
    train,
)
from numpy_rnn.apps.explain.pictures import INK
from numpy_rnn.apps.explain.report import as_text, render
from tests.apps.explain.conftest import Redrawn
from tests.apps.explain.small import KINDS, SAMPLE, SMALL


class Reader(HTMLParser):
    """Collects tags and checks that they are closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in ("meta", "link", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_needs_nothing_else(page_folder: Path) -> None:
    page = (page_folder / "index.html").read_text(encoding="utf-8")
    reader = Reader()
    reader.feed(page)
    assert not reader.open
    tags = [tag for tag, _ in reader.seen]
    assert "script" not in tags
    for _, attributes in reader.seen:
        for name in ("src", "href"):
            assert (attributes.get(name) or "data:").startswith("data:")
    assert "url(" not in page
    assert "width=device-width" in page
    assert "prefers-color-scheme: dark" in page
    assert SMALL.text in reader.text  # escaped, and not taken for tags
    headings = re.findall(r"<h2>(\d)\.", page)
    assert headings == [str(n) for n in range(1, 10)]
    images = [attributes for tag, attributes in reader.seen if tag == "img"]
    pictures = {path.read_bytes() for path in page_folder.glob("*.svg")}
    assert len(images) == len(pictures) == 9
    for image in images:
        assert image["alt"]
        data = base64.b64decode((image["src"] or "").removeprefix("data:image/svg+xml;base64,"))
        assert data in pictures
        assert b"</svg>" in data
        assert data.count(b"currentColor") > 10  # text in the colour of the reader's theme
        assert b"prefers-color-scheme: dark" in data
        assert b"color-scheme: light dark" in data  # or the file alone has light text on white
        assert INK.encode() not in data


def test_every_picture_is_there_as_numbers(page_folder: Path, networks: list[Measurements]) -> None:
    numbers = json.loads((page_folder / "numbers.json").read_bytes())
    assert list(numbers) == ["text", *KINDS]
    assert numbers["text"] == {
        "characters": "<b>& $xz?01",
        "tokens": SAMPLE.tokens.tolist(),
    }
    for found in networks:
        data = numbers[found.name]
        assert data["losses"] == [list(entry) for entry in found.losses]
        for when, snapshot in (("before", found.before), ("after", found.after)):
            for name, value in snapshot._asdict().items():
                if name != "gates":
                    np.testing.assert_allclose(data[when][name], value, rtol=1e-12)
            for name, gate in snapshot.gates.items():
                np.testing.assert_allclose(data[when]["gates"][name], gate, rtol=1e-6)


def test_the_same_measurements_give_the_same_files_and_the_names_of_pictures_are_known_before(
    page_folder: Path, redrawn: Redrawn, networks: list[Measurements]
) -> None:
    for file in page_folder.iterdir():
        assert (redrawn.folder / file.name).read_bytes() == file.read_bytes(), file.name
    assert redrawn.names == [section.name for section in render(SAMPLE, networks)]
    assert {f"{name}.svg" for name in redrawn.names} == {p.name for p in page_folder.glob("*.svg")}


def paragraphs(networks: list[Measurements]) -> list[str]:
    report = re.sub(r" *\n(?!\n)", " ", as_text(SAMPLE, networks).replace("\n\n", "\n\n\n"))
    return [part.strip() for part in report.split("\n") if part.strip()]


def test_the_text_has_every_section_and_no_paragraph_twice(networks: list[Measurements]) -> None:
    found = paragraphs(networks)
    assert len(found) == len(set(found)) > 20
    for number, section in enumerate(render(SAMPLE, networks), 1):
        assert f"{number}. {section.heading}" in found
        assert section.caption in found


@pytest.mark.parametrize(
    ("radius", "remaining", "expected"),
    [
        (0.5, 0.5, "Both are at most 1: the gradient shrinks, as the radius suggests."),
        (1.5, 1.5, "Both are above 1: the gradient grows, as the radius suggests."),
        (1.5, 0.5, "The radius is above 1, and yet the gradient does not grow."),
        (0.5, 1.5, "The radius is at most 1, and yet the gradient does not shrink."),
    ],
)
def test_the_text_follows_the_spectral_radius_and_the_gradient(
    radius: float, remaining: float, expected: str, networks: list[Measurements]
) -> None:
    T = len(SAMPLE.x)
    after = networks[0].after._replace(
        radii=np.full(T, radius), by_distance=remaining ** np.arange(T)
    )
    found = paragraphs([replace(networks[0], after=after)])
    (told,) = [text for text in found if text.startswith("With the weights after training")]
    assert f"spectral radius is {radius:.2f}" in told
    assert f"multiplies the gradient by {remaining:.2f}" in told
    assert expected in told


@pytest.mark.parametrize(
    ("kind", "nonlinearity", "expected"),
    [
        (None, "tanh", "The derivative of their tanh is below 0.1, so almost no gradient passes."),
        (None, "relu", "Saturated units of a relu have h = 0."),
        (GRU, "tanh", "what a gate keeps does not pass through the tanh"),
    ],
)
def test_what_saturation_means_depends_on_the_cell(
    kind: Any, nonlinearity: str, expected: str
) -> None:
    experiment = replace(SMALL, nonlinearity=nonlinearity, epochs=2)
    found = train(experiment, kind)
    with pictures.style():
        sections = {section.name: section for section in render(of_recall(experiment), [found])}
    assert expected in " ".join(sections["states"].text.split())
    if nonlinearity == "relu":  # half of the units are 0 at first
        assert 0.2 < found.before.saturated.mean() < 0.8


def test_the_caption_tells_whether_the_gradient_fades(networks: list[Measurements]) -> None:
    slow, never = np.array([1, 0.1, 0.001]), np.ones(3)
    before, after = (networks[0].before._replace(by_distance=d) for d in (slow, never))
    with pictures.style():
        sections = render(SAMPLE, [replace(networks[0], before=before, after=after)])
        caption = next(section.caption for section in sections if section.name == "distance")
    assert (
        caption == "RNN falls below a hundredth 2 steps back before training, never after training."
    )


def test_a_browser_opens_the_page_without_a_complaint(page_folder: Path, tmp_path: Path) -> None:
    browsers = map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))
    browser = next(filter(None, browsers), None)
    if browser is None:
        pytest.fail("no browser is installed: install chromium, as the README says", pytrace=False)
    picture = tmp_path / "page.png"
    done = subprocess.run(
        [
            *(browser, "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr"),
            *(f"--screenshot={picture}", "--window-size=390,844"),
            *(f"--user-data-dir={tmp_path / 'profile'}", (page_folder / "index.html").as_uri()),
        ],
        check=True,
        capture_output=True,
        text=True,
    )
    assert "CONSOLE" not in done.stderr
    assert picture.stat().st_size > 10_000
