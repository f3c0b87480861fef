"""The command as a user sees it: a separate process, a pipe, a terminal, a full disk."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import numpy as np
import pytest

from numpy_rnn.apps.recall import SENTENCE, load
from tests.cli.command import COMMAND, run_command
from tests.terminal import open_terminal, read_all, shows_every_step

RECALL = [*COMMAND, "recall"]


def run(*arguments: str | bytes, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return run_command("recall", *arguments, cwd=cwd)


def test_the_main_job() -> None:
    done = run()
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    losses = [line for line in lines if line.startswith("epoch")]
    assert len(losses) == 101  # every tenth of 1,000, and the last
    assert losses[0].startswith("epoch    0  loss 2.")
    found = lines.index("With the one-hot of the argmax fed back:")
    assert lines[found + 1] == "  all 48 characters right"
    assert [line for line in lines if line == f"  output  {SENTENCE}"] == [f"  output  {SENTENCE}"]
    assert lines[-2:] == [
        "trained on one-hot vectors and has never seen a raw output: the feedback loop",
        "was at fault.",
    ]
    assert max(map(len, lines)) <= 80


def test_the_result_as_data() -> None:
    done = run("--json", "--epochs", "30", "--seed", "4", "--dtype", "float64")
    assert (done.returncode, done.stderr) == (0, "")
    data = json.loads(done.stdout)
    assert data["experiment"]["seed"] == 4
    assert data["experiment"]["dtype"] == "float64"
    assert len(data["losses"]) == 30
    for name in ("raw", "argmax"):
        made = data[name]["text"]
        assert data[name]["exact"] is False
        assert data[name]["wrong"] == [i for i in range(48) if made[i] != SENTENCE[i]]


def test_options_reach_the_experiment(tmp_path: Path) -> None:
    done = run(
        *("Ach, so!", "--extend-vocabulary", "--vocabulary", "abc<>", "--hidden-size", "12"),
        *("--nonlinearity", "relu", "--loss", "cross-entropy", "--lr", "0.01"),
        *("--epochs", "200", "--seed", "1", "--save", "kept.safetensors"),
        cwd=tmp_path,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("relu RNN 12-12-12, 9 steps, cross-entropy, Adam lr 0.01")
    assert "all 8 characters right" in done.stdout
    assert done.stdout.endswith("Saved to kept.safetensors.\n")
    experiment, model = load(tmp_path / "kept.safetensors")
    assert experiment.characters == "abcAh, so!<>"
    assert experiment.text == "Ach, so!"
    assert model.parameters.dtype == np.float32


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([""], "text is empty, expected at least one character"),
        (["hello World"], "text has 'W' at position 6, expected one of the vocabulary's"),
        ([b"a\xe9"], "text is not valid text at position 1, expected UTF-8"),
        (["--vocabulary", "aba01"], "--vocabulary has 'a' twice, at positions 0 and 2"),
        (["--vocabulary", "01"], "--vocabulary has 2 characters, expected at least 3"),
        (["--hidden-size", "0"], "--hidden-size is 0, expected at least 1"),
        (["--hidden-size", "x"], "argument --hidden-size: invalid int value: 'x'"),
        (["--epochs", "-3"], "--epochs is -3, expected at least 1"),
        (["--lr", "nan"], "--lr is nan, expected a finite number above 0"),
        (["--lr", "-1"], "--lr is -1.0, expected a finite number above 0"),
        (["--seed", "-1"], "--seed is -1, expected"),
        (["--dtype", "float16"], "argument --dtype: invalid choice: 'float16'"),
        (["--save", "a.txt"], "--save 'a.txt': expected a name that ends in .safetensors"),
        (["--save", ""], "--save '': expected a name that ends in .safetensors"),
        (["two", "words"], "unrecognized arguments: words; put a text with spaces in quotes"),
        (["--save", "no/a.safetensors"], "--save: folder 'no' does not exist"),
        (["--what", "a"], "unrecognized arguments: --what; see numpy-rnn COMMAND --help"),
        (["--what\x1b[2J"], "unrecognized arguments: --what\N{REPLACEMENT CHARACTER}[2J"),
        (["--seed=--"], "argument --seed: "),
        (["--save=--"], "argument --save: "),
    ],
)
def test_wrong_usage_is_one_line_and_status_2(
    arguments: list[str | bytes], message: str, tmp_path: Path
) -> None:
    done = run(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert message in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("arguments", [["--lr", "1e30"], ["--hidden-size", "3000000"]])
def test_a_failed_run_is_one_line_and_status_1(arguments: list[str], tmp_path: Path) -> None:
    done = run(*arguments, "--save", "a.safetensors", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "epoch 1" in done.stderr or "not enough memory" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.posix
def test_standard_output_that_is_full_is_one_line_and_status_1() -> None:
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        done = subprocess.run(
            [*RECALL, "--epochs", "1"], check=False, stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "error: standard output: No space left on device" in done.stderr


def test_a_reader_that_stops_reading_is_no_traceback() -> None:
    with subprocess.Popen(RECALL, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""


@pytest.mark.posix
def test_an_interrupt_is_one_line_and_saves_nothing(tmp_path: Path) -> None:
    command = [*RECALL, "--epochs", "1000000", "--save", "a.safetensors"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path
    ) as process:
        assert process.stdout is not None
        for _ in range(3):
            process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate()
    assert process.returncode == 130
    assert errors == "numpy-rnn recall: error: interrupted\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.posix
@pytest.mark.parametrize("with_tqdm", [True, False])
def test_a_terminal_shows_progress_and_keeps_the_lines_whole(
    with_tqdm: bool, tmp_path: Path
) -> None:
    master, terminal = open_terminal(80)
    environment = shows_every_step(tmp_path, with_tqdm=with_tqdm)
    with subprocess.Popen(
        [*RECALL, "--epochs", "300"], stdout=subprocess.PIPE, stderr=terminal, env=environment
    ) as process:
        assert process.stdout is not None
        os.close(terminal)
        shown = read_all(master)  # first: a terminal that nobody reads from is full soon
        out = process.stdout.read().decode()
    assert process.returncode == 0
    assert out.count("\nepoch ") == 31
    assert b"300" in shown
    assert (b"epoch 300/300" in shown) is not with_tqdm
    assert shown.rstrip(b" \r\n").count(b"\n") == 0  # one line, written over
