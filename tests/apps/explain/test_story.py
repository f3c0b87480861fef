"""Studies measure what the networks do; the page is whole, in order, and needs nothing else."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import pty
import re
import shutil
import subprocess
import sys
import termios
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from numpy_rnn import GRU, LSTM
from numpy_rnn.apps import recall
from numpy_rnn.apps.explain import Study, of_checkpoint, of_recall, pictures, study, train, write
from numpy_rnn.apps.explain.pictures import INK
from numpy_rnn.apps.explain.story import names, tell
from numpy_rnn.apps.explain.study import gates
from numpy_rnn.apps.language_model import Settings, run
from numpy_rnn.apps.language_model.model import build
from numpy_rnn.apps.recall import Experiment
from numpy_rnn.cli.main import main
from numpy_rnn.functional.types import Array
from tests.apps.language_model.texts import write_text
from tests.terminal import EVERY_STEP, read_all

SMALL = Experiment("<b> & $x$ z?", "<b>& $xz?01", hidden_size=6, epochs=30, lr=0.01)
LESSON = of_recall(SMALL)
BOX = "\u25a1"
KINDS = {"RNN": None, "LSTM": LSTM, "GRU": GRU}


@pytest.fixture(scope="module")
def studies() -> list[Study]:
    return [train(SMALL, kind) for kind in KINDS.values()]


def test_a_study_has_both_sides_of_the_training(studies: list[Study]) -> None:
    T, V = len(SMALL.text) + 1, len(SMALL.vocabulary)
    for name, found in zip(KINDS, studies, strict=True):
        assert found.name == name
        assert len(found.losses) == 30
        for trace in (found.before, found.after):
            assert trace.outputs.shape == (T, V)
            assert trace.influence.shape == (T, T)
            assert not np.triu(trace.influence, 1).any()
            assert trace.by_distance[0] == 1
            assert trace.radii.shape == trace.saturated.shape == (T,)
        assert not np.array_equal(found.before.outputs, found.after.outputs)


def test_the_first_loss_is_that_of_the_outputs_before_training(studies: list[Study]) -> None:
    targets = np.eye(len(SMALL.vocabulary))[LESSON.symbols[1:]]
    for found in studies:
        loss = np.mean((found.before.outputs - targets) ** 2, axis=1).sum()
        assert found.losses[0] == pytest.approx(loss, rel=1e-5)


def test_influence_comes_from_the_loss_of_each_step(studies: list[Study]) -> None:
    # On the diagonal it is the loss's own gradient: 2 (y - target) / V, through the weights.
    model = recall.build(SMALL)
    targets = np.eye(len(SMALL.vocabulary))[LESSON.symbols[1:]]
    before = studies[0].before
    dy = 2 * (before.outputs - targets) / len(SMALL.vocabulary)
    expected = np.linalg.norm(dy @ model.parameters.values["i2o.weight"], axis=1)
    np.testing.assert_allclose(np.diagonal(before.influence), expected, rtol=1e-5)


def blocks(layer: Any, x: Array, h: Array) -> tuple[Any, Any]:
    """W_ih x + b_ih and W_hh h + b_hh, cut into gates."""
    values, H = layer.parameters.values, layer.hidden_size
    a = values["weight_ih_l0"] @ x + values["bias_ih_l0"]
    s = values["weight_hh_l0"] @ h + values["bias_hh_l0"]
    return a.reshape(-1, H), s.reshape(-1, H)


def test_gates_are_those_that_make_the_lstms_next_state() -> None:
    layer, x = LSTM(3, 4, rng=0), np.random.default_rng(0).standard_normal((6, 3))
    opened = gates(layer, x, layer.forward(x)[0])
    h, c = np.zeros((2, 1, 4))
    for t in range(6):
        a, s = blocks(layer, x[t], h[0])
        kept = opened["forget"][t] * c[0] + opened["input"][t] * np.tanh(a[2] + s[2])
        _, (h, c) = layer.step(x[t], (h, c))
        np.testing.assert_allclose(c[0], kept, rtol=1e-12)
        np.testing.assert_allclose(h[0], opened["output"][t] * np.tanh(c[0]), rtol=1e-12)


def test_gates_are_those_that_make_the_grus_next_state() -> None:
    layer, x = GRU(3, 4, rng=0), np.random.default_rng(0).standard_normal((6, 3))
    opened = gates(layer, x, layer.forward(x)[0])
    h = np.zeros((1, 4))
    for t in range(6):
        a, s = blocks(layer, x[t], h[0])
        new = np.tanh(a[2] + opened["reset"][t] * s[2])
        expected = new + opened["update"][t] * (h[0] - new)
        _, h = layer.step(x[t], h)
        np.testing.assert_allclose(h[0], expected, rtol=1e-12)


def test_a_saved_network_is_studied_as_it_is(studies: list[Study], tmp_path: Path) -> None:
    result = recall.run(SMALL)
    path = tmp_path / "a.npz"
    recall.save(path, result)
    experiment, model = recall.load(path)
    found = study(of_recall(experiment), recall.build(experiment), model)
    assert found.losses == []
    np.testing.assert_array_equal(found.after.influence, studies[0].after.influence)
    np.testing.assert_array_equal(found.before.influence, studies[0].before.influence)


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
def test_a_language_model_is_studied_on_a_text(cell: str, layers: int, tmp_path: Path) -> None:
    saved = run.read(checkpoint(tmp_path / "run", cell, layers))
    model, fresh = run.best(saved), build(saved.settings, len(saved.vocabulary))
    lesson = of_checkpoint(saved, model, "the cat sees a dog")
    kept = saved.state["callbacks"]
    found = study(lesson, fresh, model, kept["history"]["losses"], kept["validation"]["history"])
    assert (found.name, found.units, found.layers) == (cell.upper(), 8, layers)
    assert found.at == [50, 67]
    assert found.losses[0] > found.losses[1]
    assert [step for step, _ in found.held_out] == [10, 20, 30, 40, 50, 60, 67]
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
    dy = after.outputs - np.eye(len(saved.vocabulary))[lesson.symbols[1:]]
    expected = np.linalg.norm(dy @ model.parameters.values["output.weight"], axis=1)
    np.testing.assert_allclose(np.diagonal(after.influence), expected, rtol=1e-4)
    assert not np.triu(after.influence, 1).any()
    assert np.tril(after.influence).any(axis=0).all()


def test_without_a_text_the_model_reads_what_it_writes(tmp_path: Path) -> None:
    saved = run.read(checkpoint(tmp_path / "run"))
    lessons = [of_checkpoint(saved, saved.model) for _ in range(2)]
    assert lessons[0].symbols.shape == (49,)
    assert lessons[0].symbols.tolist() == lessons[1].symbols.tolist()
    assert saved.vocabulary.decode(lessons[0].symbols)[0] == "\n"
    assert "what it wrote itself" in lessons[0].about


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
def folder(studies: list[Study], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("explained") / "new"
    names = write(path, LESSON, studies)
    assert sorted(names) == sorted(file.name for file in path.iterdir())
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
    assert headings == [str(n) for n in range(1, 8)]
    images = [attributes for tag, attributes in reader.seen if tag == "img"]
    pictures = {path.read_bytes() for path in folder.glob("*.svg")}
    assert len(images) == len(pictures) == 7
    for image in images:
        assert image["alt"]
        data = base64.b64decode((image["src"] or "").removeprefix("data:image/svg+xml;base64,"))
        assert data in pictures
        assert b"</svg>" in data
        assert data.count(b"currentColor") > 10  # text in the colour of the reader's theme
        assert b"prefers-color-scheme: dark" in data
        assert INK.encode() not in data


def test_every_picture_is_there_as_numbers(folder: Path, studies: list[Study]) -> None:
    numbers = json.loads((folder / "numbers.json").read_bytes())
    assert list(numbers) == ["text", *KINDS]
    assert numbers["text"] == {
        "characters": "<b>& $xz?01",
        "symbols": LESSON.symbols.tolist(),
    }
    for found in studies:
        data = numbers[found.name]
        assert data["losses"] == found.losses
        for when, trace in (("before", found.before), ("after", found.after)):
            for name, value in trace._asdict().items():
                if name != "gates":
                    np.testing.assert_allclose(data[when][name], value, rtol=1e-12)
            for name, gate in trace.gates.items():
                np.testing.assert_allclose(data[when]["gates"][name], gate, rtol=1e-6)


def test_the_same_study_gives_the_same_files(
    folder: Path, studies: list[Study], tmp_path: Path
) -> None:
    for name in write(tmp_path, LESSON, studies):
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes(), name


def test_the_names_of_the_pictures_are_known_before_they_are_drawn(
    folder: Path, studies: list[Study], tmp_path: Path
) -> None:
    drawn: list[str] = []
    write(tmp_path, LESSON, studies, drawn.append)
    assert drawn == names(studies)
    assert {f"{name}.svg" for name in drawn} == {path.name for path in folder.glob("*.svg")}


def test_progress_is_told_of_each_step_and_epoch() -> None:
    T, said = len(LESSON.x), list[str]()
    train(SMALL, LSTM, said.append)
    back = [f"LSTM: back to step {t}" for t in reversed(range(T))]
    assert said[:T] == said[-T:] == back
    assert len(said) == SMALL.epochs + 2 * T
    assert all(note.startswith("LSTM: loss ") for note in said[T:-T])


@pytest.mark.parametrize(
    ("kind", "nonlinearity", "said"),
    [
        (None, "tanh", "hardly pass a change on: their slope is below 0.1"),
        (None, "relu", "of a relu those that are 0, pass no change on"),
        (GRU, "tanh", "what a gate keeps goes past the slope"),
    ],
)
def test_what_saturation_means_depends_on_the_cell(kind: Any, nonlinearity: str, said: str) -> None:
    experiment = replace(SMALL, nonlinearity=nonlinearity, epochs=2)
    found = train(experiment, kind)
    with pictures.style():
        sections = {section.name: section for section in tell(of_recall(experiment), [found])}
    assert said in " ".join(sections["states"].text.split())
    if nonlinearity == "relu":  # half of the units are off at first
        assert 0.2 < found.before.saturated.mean() < 0.8


def test_a_gradient_that_does_not_fade_is_said_so(studies: list[Study]) -> None:
    slow, never = np.array([1, 0.1, 0.001]), np.ones(3)
    before, after = (studies[0].before._replace(by_distance=d) for d in (slow, never))
    with pictures.style():
        sections = tell(LESSON, [replace(studies[0], before=before, after=after)])
        caption = next(section.caption for section in sections if section.name == "distance")
    assert caption == "RNN, below a hundredth: before training after 2 steps, after training never."


def test_characters_that_cannot_be_drawn_are_boxes_and_turn_nothing_round() -> None:
    text = "a\u202eb\u6f22 $\u200b"
    experiment = Experiment(text, f"{text}01", hidden_size=4, epochs=1)
    lesson = of_recall(experiment)
    assert [pictures.shown(c) for c in text] == ["a", BOX, "b", BOX, "\u2423", r"\$", BOX]
    assert f"\u201ca{BOX}b\u6f22 ${BOX}\u201d" in lesson.about
    assert "the start symbol, 0, after it the end symbol, 1." in lesson.about
    with pictures.style():  # a missing glyph is a warning, and a warning here an error
        assert len(list(tell(lesson, [train(experiment)]))) == 5


COMMAND = [sys.executable, "-m", "numpy_rnn", "explain"]


def explain(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [*COMMAND, *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True, cwd=cwd)


def test_the_command_explains_a_saved_network(tmp_path: Path) -> None:
    recall.save(tmp_path / "a.npz", recall.run(SMALL))
    done = explain("a.npz", "--out", "why", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "Wrote 6 files to why; open why/index.html\n"
    assert not (tmp_path / "why" / "loss.svg").exists()


@pytest.mark.parametrize("name", ["run", "run/checkpoint.npz"])
def test_the_command_explains_what_train_saved(name: str, tmp_path: Path) -> None:
    checkpoint(tmp_path / "run", layers=2)
    done = explain(name, "--text", "a big dog.\n\nthe", "--out", "why", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "Wrote 8 files to why; open why/index.html\n"
    page = (tmp_path / "why" / "index.html").read_text(encoding="utf-8")
    assert "A GRU with 8 units in each of 2 layers was trained on the file" in page
    held_out = json.loads((tmp_path / "why" / "numbers.json").read_bytes())["GRU"]["held_out"]
    measured = run.read(tmp_path / "run").state["callbacks"]["validation"]["history"]
    assert held_out == measured
    at, lowest = min(measured, key=lambda row: row[1])
    assert f"Held out, the lowest is {lowest:.3g}, after update {at}." in page
    assert "\u201ca big dog. the\u201d" in page
    assert "states, gradients and gates are the top one" in page


def test_a_cell_without_gates_has_no_picture_of_them(tmp_path: Path) -> None:
    checkpoint(tmp_path / "run", "rnn", held_out=0)
    done = explain("run", "--out", "why", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert not list((tmp_path / "why").glob("gates*"))
    page = (tmp_path / "why" / "index.html").read_text(encoding="utf-8")
    assert "An RNN with 8 units was trained" in page
    assert "The cell of an RNN has no gates to draw." in page
    assert "It learns" in page
    assert "eld out" not in page


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved")
    whole = checkpoint(folder / "run") / run.FILE
    (folder / "cut.npz").write_bytes(whole.read_bytes()[:-100])
    recall.save(folder / "a.npz", recall.run(SMALL))
    return folder


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "--text", "the q"], "text has 'q' at position 4, expected one of the"),
        (["run", "--text", "a"], "text has 1 characters, expected 2 to 256"),
        (["run", "--text", "a" * 257], "text has 257 characters, expected 2 to 256"),
        (["--text", "the"], "--text: a recall has its own text"),
        (["a.npz", "--text", "the"], "--text: a recall has its own text"),
        (["cut.npz"], "'cut.npz' is not a checkpoint"),
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
        (["no.npz"], "'no.npz': No such file or directory"),
        (["."], "'checkpoint.npz': No such file or directory"),
        (["bad.npz"], "'bad.npz' is not a saved recall"),
        (["--out", "bad.npz"], "--out: 'bad.npz' is a file, expected a folder"),
        (["--out", "no/why"], "--out: folder 'no' does not exist"),
        (["--nothing"], "unrecognized arguments"),
    ],
)
def test_wrong_usage_is_one_line_and_status_2(
    arguments: list[str], message: str, tmp_path: Path
) -> None:
    (tmp_path / "bad.npz").write_bytes(b"nothing")
    done = explain(*arguments, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert message in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["bad.npz"]


def test_a_missing_extra_is_named_before_anything_is_run(tmp_path: Path) -> None:
    (tmp_path / "matplotlib.py").write_text("raise ImportError\n", encoding="utf-8")
    done = explain(cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "pip install numpy-rnn[plot]" in done.stderr


@pytest.mark.parametrize("with_tqdm", [True, False])
def test_a_terminal_shows_progress(with_tqdm: bool, tmp_path: Path) -> None:
    recall.save(tmp_path / "a.npz", recall.run(SMALL))
    if not with_tqdm:  # a package of that name that cannot be imported
        (tmp_path / "tqdm.py").write_text("raise ImportError\n", encoding="utf-8")
    master, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (24, 80))
    with subprocess.Popen(
        [*COMMAND, "a.npz", "--out", "why"],
        stdout=subprocess.PIPE,
        stderr=terminal,
        cwd=tmp_path,
        env=os.environ | EVERY_STEP | {"PYTHONPATH": str(tmp_path)},
    ) as process:
        assert process.stdout is not None
        os.close(terminal)
        shown = read_all(master)
        out = process.stdout.read()
    assert process.returncode == 0
    assert out == b"Wrote 6 files to why; open why/index.html\n"
    ends = [b"26/26 step", b"4/4 picture"] if with_tqdm else [b"step 26/26", b"picture 4/4  states"]
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
