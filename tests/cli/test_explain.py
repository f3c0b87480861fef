"""``numpy-rnn explain``: the page, the text and one line for every mistake."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from numpy_rnn.apps import recall
from numpy_rnn.apps.explain import (
    pictures,
)
from numpy_rnn.apps.language_model import run
from numpy_rnn.cli.main import main
from tests.apps.explain.small import SMALL, checkpoint
from tests.cli.command import run_command, run_process
from tests.terminal import open_terminal, read_all, shows_every_step


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


@pytest.mark.posix
@pytest.mark.parametrize("with_tqdm", [True, False])
def test_a_terminal_shows_progress(with_tqdm: bool, tmp_path: Path) -> None:
    recall.save(tmp_path / "a.safetensors", recall.run(SMALL))
    master, terminal = open_terminal(80)
    with subprocess.Popen(
        [sys.executable, "-c", UNDRAWN, "explain", "a.safetensors", "--out", "why"],
        stdout=subprocess.PIPE,
        stderr=terminal,
        cwd=tmp_path,
        env=shows_every_step(tmp_path, with_tqdm=with_tqdm),
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
