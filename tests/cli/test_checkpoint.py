"""``sample``, ``evaluate`` and ``inspect`` on a trained model."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import numpy_rnn
from numpy_rnn import GRU, Linear, Sequential
from numpy_rnn.apps import recall
from numpy_rnn.apps.explain import pictures
from numpy_rnn.apps.language_model import run
from tests.cli.command import assert_refused, run_command, run_shell
from tests.mutations import settings_in, with_settings


def test_sampling_repeats_with_a_seed_and_continues_the_prompt(trained: Path) -> None:
    arguments = ["sample", "text.rnn", "--prompt", "the cat", "--length", "40", "--seed", "1"]
    first, second = (run_command(*arguments, cwd=trained) for _ in range(2))
    assert first.returncode == 0
    assert first.stdout == second.stdout
    assert first.stdout.startswith("the cat")
    assert len(first.stdout) == 7 + 40 + 1
    greedy = run_command(*arguments[:-2], "--temperature", "0", cwd=trained)
    assert (
        greedy.stdout == run_command(*arguments[:-2], "--top-k", "1", "--last", cwd=trained).stdout
    )


def test_evaluating_is_what_training_printed(trained: Path) -> None:
    text = (trained / "text.txt").read_text(encoding="utf-8")
    (trained / "end.txt").write_bytes(text[1349:].encode())  # and the one before
    done = run_command("evaluate", "text.rnn", "end.txt", cwd=trained)
    nats = re.match(r"([\d.]+) nats, ([\d.]+) bits per character, mean over 150 ", done.stdout)
    assert nats is not None
    shown = (trained / "shown.txt").read_text(encoding="utf-8")
    assert f"{nats[1]} nats, {nats[2]} bits per character, mean over all 150" in shown


def test_inspecting_shows_parameters_and_history(trained: Path) -> None:
    done = run_command("inspect", "text.rnn", cwd=trained)
    assert done.returncode == 0
    saved = run.read(trained / "text.rnn")
    for name, value in saved.model.parameters.values.items():
        row = re.search(rf"{re.escape(name)} +\([\d, ]+\) +([\d.]+)", done.stdout)
        assert row is not None
        assert float(row[1]) == pytest.approx(np.linalg.norm(value), abs=1e-4)
    assert re.search(r"\n +34 +[\d.]+ +[\d.]+\n", done.stdout)
    assert "Step 34 of 34" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["sample", "text.rnn", "--prompt", "Zoo"], 2, "--prompt has 'Z' at position 0, expected"),
        (["sample", "text.rnn", "--prompt", ""], 2, "--prompt is empty"),
        (["sample", "text.rnn", "--temperature", "-1"], 2, "--temperature is -1.0, expected"),
        (["sample", "text.rnn", "--top-k", "0"], 2, "--top-k is 0, expected at least 1"),
        (["sample", "text.rnn", "--top-p", "2"], 2, "--top-p is 2.0, expected above 0"),
        (["sample", "text.rnn", "--length", "-1"], 2, "--length is -1, expected at least 0"),
        (["sample", "text.rnn", "--seed", "-1"], 2, "--seed is -1, expected at least 0"),
        (["sample", "no.rnn"], 1, "'no.rnn': No such file or directory"),
        (["sample", "text.txt"], 1, "'text.txt' is not a model file of numpy_rnn: "),
        (["inspect", "text.txt"], 1, "'text.txt' has none of the known formats"),
        (["evaluate", "text.rnn", "other.txt"], 1, "'other.txt' has 'Z' at position 2, expected"),
        (["evaluate", "text.rnn", "no.txt"], 1, "'no.txt': No such file or directory"),
        (["evaluate", "text.rnn", "/dev/zero"], 2, "'/dev/zero' is not a regular file"),
        (["evaluate", "text.rnn", "one.txt"], 1, "tokens has length 1, expected at least 2"),
        (["evaluate", "text.rnn", "text.txt", "--batch-size", "0"], 2, "--batch-size is 0, exp"),
    ],
)
def test_a_wrong_request_is_one_line(
    trained: Path, arguments: list[str], status: int, message: str
) -> None:
    (trained / "other.txt").write_text("a Zoo", encoding="utf-8")
    (trained / "one.txt").write_text("a", encoding="utf-8")
    assert_refused(run_command(*arguments, cwd=trained), status, message)


@pytest.mark.parametrize(
    ("command", "keys", "value"),
    [
        ("inspect", ("seconds",), "x"),
        ("inspect", ("total",), None),
        ("inspect", ("callbacks", "validation", "history"), [[1]]),
        ("inspect", ("callbacks", "history"), 3),
        ("sample", ("callbacks", "validation"), 3),
        ("explain", ("callbacks", "history", "losses"), "abc"),
    ],
)
def test_a_checkpoint_with_a_wrong_state_is_one_line(
    trained: Path, tmp_path: Path, command: str, keys: tuple[str, ...], value: Any
) -> None:
    data = (trained / "text.rnn" / "checkpoint.safetensors").read_bytes()
    settings = settings_in(data, "training")
    *path, last = keys
    place = settings["state"]
    for key in path:
        place = place[key]
    if value is None:
        del place[last]
    else:
        place[last] = value
    (tmp_path / "bad.safetensors").write_bytes(with_settings(data, "training", settings))
    done = run_command(command, "bad.safetensors", cwd=tmp_path)
    assert_refused(
        done, 2 if command == "explain" else 1, "'bad.safetensors' is not a checkpoint: "
    )


@pytest.fixture(scope="module")
def models(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a checkpoint, its best model as a plain file, a saved recall and others."""
    folder = tmp_path_factory.mktemp("models")
    checkpoint = trained / "text.rnn" / run.FILE
    (folder / "checkpoint.safetensors").write_bytes(checkpoint.read_bytes())
    best = numpy_rnn.load(checkpoint)
    best.save(folder / "plain.safetensors")
    best.save(folder / "none.safetensors", vocabulary=["a", "bc"])
    Sequential(Linear(2, 2)).save(folder / "vectors.safetensors", vocabulary="ab")
    GRU(2, 3).save(folder / "units.safetensors", vocabulary="ab")
    recall.save(folder / "recall.safetensors", recall.run(recall.Experiment(epochs=2)))
    (folder / "text.txt").write_bytes((trained / "text.txt").read_bytes()[:100])
    return folder


@pytest.mark.parametrize(
    "command",
    [["sample", "FILE", "--seed", "1", "--length", "30"], ["evaluate", "FILE", "text.txt"]],
)
def test_a_plain_model_file_is_used_like_its_checkpoint(models: Path, command: list[str]) -> None:
    shown = []
    for name in ("checkpoint", "plain"):
        arguments = [part.replace("FILE", f"{name}.safetensors") for part in command]
        done = run_command(*arguments, cwd=models)
        assert (done.returncode, done.stderr) == (0, "")
        shown.append(done.stdout)
    assert shown[0] == shown[1]


@pytest.mark.parametrize("name", ["checkpoint", "plain", "recall"])
def test_every_command_reads_every_file_with_a_model(
    models: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pictures, "_svg", lambda _: b"<svg></svg>")  # drawn in test_report.py
    for command in (
        ["inspect", f"{name}.safetensors"],
        ["inspect", f"{name}.safetensors", "--json"],
        ["convert", f"{name}.safetensors", f"{name}-again.safetensors"],
        ["sample", f"{name}.safetensors", "--length", "9", "--prompt", "the"],
        ["explain", f"{name}.safetensors", "--out", name],
    ):
        done = run_command(*command, cwd=models)
        assert (done.returncode, done.stderr) == (0, ""), command
    own = numpy_rnn.load(models / f"{name}.safetensors")
    again = numpy_rnn.load(models / f"{name}-again.safetensors")
    assert (again.describe(), again.vocabulary) == (own.describe(), own.vocabulary)
    np.testing.assert_array_equal(again.parameters.data, own.parameters.data)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["sample", "plain.safetensors", "--last"], "has no last parameters, expected a check"),
        (["sample", "none.safetensors"], "it has no vocabulary of characters"),
        (["sample", "vectors.safetensors"], "its model is not time-major or carries no state"),
        (["sample", "units.safetensors"], "its output is (1, 1, 3) for one of 2 characters"),
        (["explain", "units.safetensors"], "its output is (1, 1, 3) for one of 2 characters"),
    ],
)
def test_a_model_that_a_command_cannot_use_is_one_line(
    models: Path, arguments: list[str], message: str
) -> None:
    status = 2 if arguments[0] == "explain" else 1
    assert_refused(run_command(*arguments, cwd=models), status, message)


SAMPLE_AND_COUNT = """
import sys
from numpy_rnn.cli import checkpoint
from numpy_rnn.cli.main import main
def counted(*arguments, **options):
    global made
    for made, token in enumerate(generate(*arguments, **options), 1):
        yield token
generate, checkpoint.generate = checkpoint.generate, counted
status = main(sys.argv[1:])
print(made, file=sys.stderr)
sys.exit(status)
"""


@pytest.mark.posix
def test_the_reader_of_a_sample_may_go(trained: Path) -> None:
    script = shlex.join([sys.executable, "-c", SAMPLE_AND_COUNT])
    length, pipe = 10_000_000, 1 << 20  # a pipe holds no more than that, and mostly less
    line = f"{script} sample text.rnn --length {length} | head -c 10"
    done = run_shell(f"set -o pipefail; {line}", trained)
    assert (done.returncode, len(done.stdout)) == (1, 10)
    assert 10 <= int(done.stderr) <= pipe
