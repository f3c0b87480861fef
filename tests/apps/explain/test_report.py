"""Measurements match the networks, and the page is complete, in order and self-contained."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from matplotlib.figure import Figure

from numpy_rnn import GRU, LSTM
from numpy_rnn.apps import recall
from numpy_rnn.apps.explain import (
    Measurements,
    measure,
    of_model,
    of_recall,
    pictures,
    train,
    write,
)
from numpy_rnn.apps.explain.pictures import INK
from numpy_rnn.apps.explain.report import as_text, render
from numpy_rnn.apps.language_model import Settings, run
from numpy_rnn.apps.language_model.model import build
from numpy_rnn.apps.recall import Experiment
from numpy_rnn.cli.main import main
from tests.apps.language_model.texts import write_text
from tests.cli.command import ENVIRONMENT, run_command, run_process
from tests.terminal import EVERY_STEP, open_terminal, read_all

ORIGIN = "was trained on the file 'text.txt'"
SMALL = Experiment("<b> & $x$ z?", "<b>& $xz?01", hidden_size=6, epochs=30, lr=0.01)
SAMPLE = of_recall(SMALL)
svg = pictures._svg
BOX = "\u25a1"
KINDS = {"RNN": None, "LSTM": LSTM, "GRU": GRU}


@pytest.fixture(scope="module")
def networks() -> list[Measurements]:
    return [train(SMALL, kind) for kind in KINDS.values()]


def test_measurements_are_from_before_and_after_training(networks: list[Measurements]) -> None:
    T, V = len(SMALL.text) + 1, len(SMALL.characters)
    for name, found in zip(KINDS, networks, strict=True):
        assert found.name == name
        assert len(found.losses) == 30
        for snapshot in (found.before, found.after):
            assert snapshot.outputs.shape == (T, V)
            assert snapshot.attribution.shape == (T, T)
            assert not np.triu(snapshot.attribution, 1).any()
            assert snapshot.by_distance[0] == 1
            assert snapshot.radii.shape == snapshot.saturated.shape == (T,)
        assert not np.array_equal(found.before.outputs, found.after.outputs)


def test_the_first_loss_is_that_of_the_outputs_before_training(
    networks: list[Measurements],
) -> None:
    targets = np.eye(len(SMALL.characters))[SAMPLE.tokens[1:]]
    for found in networks:
        loss = np.mean((found.before.outputs - targets) ** 2, axis=1).sum()
        assert found.losses[0][0] == 0
        assert found.losses[0][1] == pytest.approx(loss, rel=1e-5)


def test_attribution_comes_from_the_loss_of_each_step(networks: list[Measurements]) -> None:
    # On the diagonal it is the loss's own gradient: 2 (y - target) / V, through the weights.
    model = recall.build(SMALL)
    targets = np.eye(len(SMALL.characters))[SAMPLE.tokens[1:]]
    before = networks[0].before
    dy = 2 * (before.outputs - targets) / len(SMALL.characters)
    expected = np.linalg.norm(dy @ model.parameters.values["i2o.weight"], axis=1)
    np.testing.assert_allclose(np.diagonal(before.attribution), expected, rtol=1e-5)


def test_a_saved_network_is_measured_as_it_is(networks: list[Measurements], tmp_path: Path) -> None:
    result = recall.run(SMALL)
    path = tmp_path / "a.safetensors"
    recall.save(path, result)
    experiment, model = recall.load(path)
    found = measure(of_recall(experiment), recall.build(experiment), model)
    assert found.losses == []
    np.testing.assert_array_equal(found.after.attribution, networks[0].after.attribution)
    np.testing.assert_array_equal(found.before.attribution, networks[0].before.attribution)


def checkpoint(folder: Path, cell: str = "gru", layers: int = 1, held_out: float = 0.1) -> Path:
    """Train a few steps."""
    folder.mkdir()
    settings = Settings(
        cell=cell,
        layers=layers,
        hidden_size=8,
        embedding=4,
        dropout=0.2,
        batch_size=4,
        window=10,
        validation_fraction=held_out,
        validate_every=10,
        epochs=2,
        lr=1e-2,
    )
    run.start(write_text(folder), settings, folder).trainer.fit()
    return folder


@pytest.mark.parametrize(("cell", "layers"), [("gru", 1), ("lstm", 2), ("rnn", 2)])
def test_a_language_model_is_measured_on_a_text(cell: str, layers: int, tmp_path: Path) -> None:
    saved = run.read(checkpoint(tmp_path / "run", cell, layers))
    model, fresh = run.best(saved), build(saved.settings, len(saved.vocabulary))
    sample = of_model(model, saved.vocabulary, ORIGIN, "the cat sees a dog")
    assert saved.validation is not None
    found = measure(sample, fresh, model, saved.history.losses, saved.validation.history)
    assert (found.name, found.units, found.layers) == (cell.upper(), 8, layers)
    for losses in (found.losses, found.held_out):
        assert [step for step, _ in losses] == [10, 20, 30, 40, 50, 60, 67]
    assert found.losses[0][1] > found.losses[-1][1]
    assert found.held_out[0][1] > found.held_out[-1][1]
    T, after = len("the cat sees a dog") - 1, found.after
    assert (
        set(after.gates)
        == {
            "rnn": set(),
            "gru": {"reset", "update"},
            "lstm": {"input", "forget", "output"},
        }[cell]
    )
    for gate in after.gates.values():
        assert gate.shape == (T, 8)
    np.testing.assert_allclose(after.outputs.sum(axis=1), 1, rtol=1e-5)
    # On the diagonal it is the gradient of -log p, p - target, through the output's weights.
    dy = after.outputs - np.eye(len(saved.vocabulary))[sample.tokens[1:]]
    expected = np.linalg.norm(dy @ model.parameters.values["output.weight"], axis=1)
    np.testing.assert_allclose(np.diagonal(after.attribution), expected, rtol=1e-4)
    assert not np.triu(after.attribution, 1).any()
    assert np.tril(after.attribution).any(axis=0).all()


def test_without_a_text_the_model_reads_what_it_generates(tmp_path: Path) -> None:
    saved = run.read(checkpoint(tmp_path / "run"))
    samples = [of_model(saved.model, saved.vocabulary, ORIGIN) for _ in range(2)]
    assert samples[0].tokens.shape == (49,)
    assert samples[0].tokens.tolist() == samples[1].tokens.tolist()
    assert saved.vocabulary.decode(samples[0].tokens)[0] == "\n"
    assert "a text that it generated" in samples[0].about


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


@pytest.fixture(scope="module")
def folder(networks: list[Measurements], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("explained") / "new"
    files = write(path, SAMPLE, networks)
    assert sorted(files) == sorted(file.name for file in path.iterdir())
    return path


def test_the_page_needs_nothing_else(folder: Path) -> None:
    page = (folder / "index.html").read_text(encoding="utf-8")
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
    pictures = {path.read_bytes() for path in folder.glob("*.svg")}
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


def test_every_picture_is_there_as_numbers(folder: Path, networks: list[Measurements]) -> None:
    numbers = json.loads((folder / "numbers.json").read_bytes())
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


class Redrawn(NamedTuple):
    """The page of the same measurements, once more."""

    folder: Path
    names: list[str]  # of the pictures, as they were reported
    figures: list[Any]


@pytest.fixture(scope="module")
def redrawn(networks: list[Measurements], tmp_path_factory: pytest.TempPathFactory) -> Redrawn:
    again = Redrawn(tmp_path_factory.mktemp("redrawn"), [], [])

    def kept(figure: Any) -> bytes:
        again.figures.append(figure)
        return svg(figure)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pictures, "_svg", kept)
        write(again.folder, SAMPLE, networks, again.names.append)
    return again


def test_the_same_measurements_give_the_same_files_and_the_names_of_pictures_are_known_before(
    folder: Path, redrawn: Redrawn, networks: list[Measurements]
) -> None:
    for file in folder.iterdir():
        assert (redrawn.folder / file.name).read_bytes() == file.read_bytes(), file.name
    assert redrawn.names == [section.name for section in render(SAMPLE, networks)]
    assert {f"{name}.svg" for name in redrawn.names} == {p.name for p in folder.glob("*.svg")}


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


def test_the_ledger_has_a_term_for_every_step(networks: list[Measurements]) -> None:
    for found in networks:
        for snapshot in (found.before, found.after):
            assert (snapshot.ledger > 0).all()
            assert snapshot.ledger.shape == (len(SAMPLE.x),)


def test_legends_are_readable_on_a_narrow_screen(redrawn: Redrawn) -> None:
    width = 390 - 2 * 16  # pixels, without the page's margins
    legends = [legend for figure in redrawn.figures for legend in figure.legends]
    assert len(legends) == 4
    for legend in legends:
        scale = width / (72 * legend.figure.get_size_inches()[0])
        assert all(text.get_fontsize() * scale >= 12 for text in legend.get_texts())
        extent = legend.get_window_extent()
        assert extent.x0 >= 0
        assert extent.x1 <= legend.figure.bbox.x1


def test_an_axis_says_which_characters_it_leaves_out() -> None:
    figure = Figure()
    axes = figure.subplots()
    pictures._label_steps(axes, SAMPLE, "input")
    assert axes.get_xlabel() == "input"
    long = SAMPLE._replace(tokens=np.tile(SAMPLE.tokens, 9)[:61])
    pictures._label_steps(axes, long, "input")
    assert (len(axes.get_xticks()), axes.get_xlabel()) == (20, "input, 1 character of 3 shown")


def test_the_texts_of_the_unrolled_graph_do_not_overlap(redrawn: Redrawn) -> None:
    (axes,) = redrawn.figures[redrawn.names.index("unrolled")].axes
    texts = [text.get_window_extent() for text in axes.texts if text.get_text()]
    assert len(texts) == 16
    assert not any(a.overlaps(b) for a, b in combinations(texts, 2))


def test_progress_is_reported_for_each_epoch_and_step() -> None:
    T, notes = len(SAMPLE.x), list[str]()
    train(SMALL, LSTM, notes.append)
    back = [f"LSTM: back to step {t}" for t in reversed(range(T))]
    assert notes[SMALL.epochs :] == 2 * back
    assert len(notes) == SMALL.epochs + 2 * T
    assert all(note.startswith("LSTM: loss ") for note in notes[: SMALL.epochs])


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


def test_characters_that_cannot_be_drawn_are_boxes_and_change_no_direction() -> None:
    text = "a\u202eb\u6f22 $\u200b"
    experiment = Experiment(text, f"{text}01", hidden_size=4, epochs=1)
    sample = of_recall(experiment)
    assert [pictures.shown(c) for c in text] == ["a", BOX, "b", BOX, "\u2423", r"\$", BOX]
    assert f"\u201ca{BOX}b\u6f22 ${BOX}\u201d" in sample.about
    assert "The start token before it is 0, the end token after it is 1." in sample.about
    with pictures.style():  # a missing glyph is a warning, and a warning here an error
        assert len(list(render(sample, [train(experiment)]))) == 7


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the drawing to the tests that look at pictures."""
    monkeypatch.setattr(pictures, "_svg", lambda _: b"<svg></svg>")


def explain(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return run_command("explain", *arguments, cwd=cwd)


@pytest.mark.usefixtures("undrawn")
def test_the_command_explains_a_saved_network(tmp_path: Path) -> None:
    recall.save(tmp_path / "a.safetensors", recall.run(SMALL))
    done = explain("a.safetensors", "--out", "why", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "Wrote 8 files to why; open why/index.html\n"
    assert not (tmp_path / "why" / "loss.svg").exists()


def test_the_text_needs_no_matplotlib_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recall.save(tmp_path / "a.safetensors", recall.run(SMALL))
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    done = explain("a.safetensors", "--text", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "3. Which states a loss depends on\n" in done.stdout
    assert max(map(len, done.stdout.splitlines())) < 80
    assert [path.name for path in tmp_path.iterdir()] == ["a.safetensors"]


@pytest.mark.usefixtures("undrawn")
def test_the_page_is_opened_when_it_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    recall.save(tmp_path / "a.safetensors", recall.run(SMALL))
    assert explain("a.safetensors", "--out", "why", cwd=tmp_path).returncode == 0
    assert opened == []
    assert explain("a.safetensors", "--out", "why", "--open", cwd=tmp_path).returncode == 0
    assert opened == [(tmp_path / "why" / "index.html").resolve().as_uri()]


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("name", ["run", "run/checkpoint.safetensors"])
def test_the_command_explains_what_train_saved(name: str, tmp_path: Path) -> None:
    checkpoint(tmp_path / "run", layers=2)
    done = explain(name, "--input", "a big dog.\n\nthe", "--out", "why", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "Wrote 10 files to why; open why/index.html\n"
    page = (tmp_path / "why" / "index.html").read_text(encoding="utf-8")
    assert "A GRU with 8 units in each of 2 layers was trained on the file" in page
    held_out = json.loads((tmp_path / "why" / "numbers.json").read_bytes())["GRU"]["held_out"]
    validation = run.read(tmp_path / "run").validation
    assert validation is not None
    measured = validation.history
    assert held_out == [list(row) for row in measured]
    at, lowest = min(measured, key=lambda row: row[1])
    assert f"Held out, the lowest is {lowest:.3g}, after update {at}." in page
    assert "\u201ca big dog. the\u201d" in page
    assert "States, gradients and gates are those of the top layer." in page


@pytest.mark.usefixtures("undrawn")
def test_a_cell_without_gates_has_no_picture_of_them(tmp_path: Path) -> None:
    checkpoint(tmp_path / "run", "rnn", held_out=0)
    done = explain("run", "--out", "why", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert not list((tmp_path / "why").glob("gates*"))
    page = (tmp_path / "why" / "index.html").read_text(encoding="utf-8")
    assert "An RNN with 8 units was trained" in page
    assert "An RNN has no gates to draw." in page
    assert "Training loss" in page
    assert "eld out" not in page


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved")
    whole = checkpoint(folder / "run") / run.FILE
    (folder / "cut.safetensors").write_bytes(whole.read_bytes()[:-100])
    recall.save(folder / "a.safetensors", recall.run(SMALL))
    return folder


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "--input", "the q"], "text has 'q' at position 4, expected one of the"),
        (["run", "--input", "a"], "text has 1 characters, expected 2 to 256"),
        (["run", "--input", "a" * 257], "text has 257 characters, expected 2 to 256"),
        (["--input", "the"], "--input: a saved recall has its own text"),
        (["a.safetensors", "--input", "the"], "--input: a saved recall has its own text"),
        (["cut.safetensors"], "'cut.safetensors' is not a model file of numpy_rnn: its arrays end"),
    ],
)
def test_a_wrong_text_or_checkpoint_is_one_line(
    arguments: list[str], message: str, saved: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with contextlib.chdir(saved):
        status = main(["explain", *arguments, "--out", "why"])
    out, err = capsys.readouterr()
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert message in err
    assert not (saved / "why").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["no.safetensors"], "'no.safetensors': No such file or directory"),
        (["."], "'checkpoint.safetensors': No such file or directory"),
        (["bad.safetensors"], "'bad.safetensors' is not a model file of numpy_rnn"),
        (["--out", "bad.safetensors"], "--out: 'bad.safetensors' is a file, expected a folder"),
        (["--out", "no/why"], "--out: folder 'no' does not exist"),
        (["--nothing"], "unrecognized arguments"),
    ],
)
def test_wrong_usage_is_one_line_and_status_2(
    arguments: list[str], message: str, tmp_path: Path
) -> None:
    (tmp_path / "bad.safetensors").write_bytes(b"nothing")
    done = explain(*arguments, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert message in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["bad.safetensors"]


def test_a_missing_extra_is_named_before_anything_is_run(tmp_path: Path) -> None:
    (tmp_path / "matplotlib.py").write_text("raise ImportError\n", encoding="utf-8")
    done = run_process("explain", cwd=tmp_path)  # there -m looks in the working directory first
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "plots need matplotlib, the extra plot: pip install matplotlib" in done.stderr


UNDRAWN = """
import sys
from numpy_rnn.apps.explain import pictures
from numpy_rnn.cli.main import main
pictures._svg = lambda figure: b"<svg></svg>"
sys.exit(main())
"""


@pytest.mark.parametrize("with_tqdm", [True, False])
def test_a_terminal_shows_progress(with_tqdm: bool, tmp_path: Path) -> None:
    recall.save(tmp_path / "a.safetensors", recall.run(SMALL))
    if not with_tqdm:  # a package of that name that cannot be imported
        (tmp_path / "tqdm.py").write_text("raise ImportError\n", encoding="utf-8")
    master, terminal = open_terminal(80)
    with subprocess.Popen(
        [sys.executable, "-c", UNDRAWN, "explain", "a.safetensors", "--out", "why"],
        stdout=subprocess.PIPE,
        stderr=terminal,
        cwd=tmp_path,
        env=ENVIRONMENT
        | EVERY_STEP
        | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ENVIRONMENT['PYTHONPATH']}"},
    ) as process:
        assert process.stdout is not None
        os.close(terminal)
        shown = read_all(master)
        out = process.stdout.read()
    assert process.returncode == 0
    assert out == b"Wrote 8 files to why; open why/index.html\n"
    ends = [b"26/26 step", b"6/6 picture"] if with_tqdm else [b"step 26/26", b"picture 6/6  ledger"]
    assert all(end in shown for end in ends)
    assert shown.rstrip(b" \r\n").count(b"\n") == 0  # one line, written over


def test_a_browser_opens_the_page_without_a_complaint(folder: Path, tmp_path: Path) -> None:
    browsers = map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))
    browser = next(filter(None, browsers), None)
    if browser is None:
        pytest.fail("no browser is installed: install chromium, as the README says", pytrace=False)
    picture = tmp_path / "page.png"
    done = subprocess.run(
        [
            *(browser, "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr"),
            *(f"--screenshot={picture}", "--window-size=390,844"),
            *(f"--user-data-dir={tmp_path / 'profile'}", (folder / "index.html").as_uri()),
        ],
        check=True,
        capture_output=True,
        text=True,
    )
    assert "CONSOLE" not in done.stderr
    assert picture.stat().st_size > 10_000
