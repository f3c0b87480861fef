"""``train``, ``sample``, ``evaluate`` and ``inspect`` as a person meets them."""

from __future__ import annotations

import json
import os
import pty
import re
import shlex
import signal
import subprocess
import sys
import termios
from pathlib import Path

import numpy as np
import pytest

from numpy_rnn.apps.language_model import run
from tests.apps.language_model.texts import write_text
from tests.terminal import EVERY_STEP, read_all

COMMAND = [sys.executable, "-m", "numpy_rnn"]
SMALL = [
    *("--hidden-size", "6", "--embedding", "4", "--batch-size", "4", "--window", "10"),
    *("--validate-every", "10", "--threads", "1"),
]


def rnn(*arguments: str, cwd: Path, **options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments],
        check=False,
        capture_output=True,
        text=True,
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])} | options,
    )


def refused(done: subprocess.CompletedProcess[str], status: int, message: str) -> None:
    assert done.returncode == status, done.stderr
    assert done.stderr.count("\n") == 1
    assert re.fullmatch(rf"numpy-rnn \w+: error: .*{message}.*\n", done.stderr), done.stderr


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a text and a checkpoint of it."""
    folder = tmp_path_factory.mktemp("trained")
    write_text(folder)
    arguments = ["--epochs", "1", "--log", "log.jsonl", "--plot", "loss.png", "--seed", "3"]
    done = rnn("train", "text.txt", *SMALL, *arguments, cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    (folder / "shown.txt").write_text(done.stdout, encoding="utf-8")
    return folder


def test_training_says_what_it_does_and_writes_what_was_asked_for(trained: Path) -> None:
    shown = (trained / "shown.txt").read_text(encoding="utf-8")
    assert "'text.txt': 1,500 characters, " in shown
    assert "Checkpoint: 'text.rnn/checkpoint.npz'\n" in shown
    assert re.search(r"step +30  loss [\d.]+  validation [\d.]+ nats, [\d.]+ bits per", shown)
    assert "mean over all 150 characters\n" in shown
    assert shown.endswith("To let it write: numpy-rnn sample text.rnn\n")
    lines = (trained / "log.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["step"] for line in lines] == [10, 20, 30, 34]
    assert (trained / "loss.png").read_bytes().startswith(b"\x89PNG")
    saved = run.read(trained / "text.rnn")
    assert (saved.settings.hidden_size, saved.settings.seed) == (6, 3)
    with np.load(trained / "text.rnn" / "checkpoint.npz") as file:  # no pickle
        assert file["model/embedding.weight"].shape == (len(saved.vocabulary), 4)


def test_sampling_repeats_with_a_seed_and_goes_on_from_the_prompt(trained: Path) -> None:
    arguments = ["sample", "text.rnn", "--prompt", "the cat", "--length", "40", "--seed", "1"]
    first, second = (rnn(*arguments, cwd=trained) for _ in range(2))
    assert first.returncode == 0
    assert first.stdout == second.stdout
    assert first.stdout.startswith("the cat")
    assert len(first.stdout) == 7 + 40 + 1
    greedy = rnn(*arguments[:-2], "--temperature", "0", cwd=trained)
    assert greedy.stdout == rnn(*arguments[:-2], "--top-k", "1", "--last", cwd=trained).stdout


def test_evaluating_is_what_training_printed(trained: Path) -> None:
    text = (trained / "text.txt").read_text(encoding="utf-8")
    (trained / "end.txt").write_text(text[1349:], encoding="utf-8")  # and the one before
    done = rnn("evaluate", "text.rnn", "end.txt", cwd=trained)
    nats = re.match(r"([\d.]+) nats, ([\d.]+) bits per character, mean over 150 ", done.stdout)
    assert nats is not None
    shown = (trained / "shown.txt").read_text(encoding="utf-8")
    assert f"{nats[1]} nats, {nats[2]} bits per character, mean over all 150" in shown


def test_inspecting_shows_parameters_and_history(trained: Path) -> None:
    done = rnn("inspect", "text.rnn", cwd=trained)
    assert done.returncode == 0
    saved = run.read(trained / "text.rnn")
    for name, value in saved.model.parameters.values.items():
        row = re.search(rf"{re.escape(name)} +\([\d, ]+\) +([\d.]+)", done.stdout)
        assert row is not None
        assert float(row[1]) == pytest.approx(np.linalg.norm(value), abs=1e-4)
    assert re.search(r"\n +34 +[\d.]+ +[\d.]+\n", done.stdout)
    assert "Step 34 of 34" in done.stdout


def test_a_config_holds_options_and_the_command_line_overrides_it(tmp_path: Path) -> None:
    write_text(tmp_path)
    (tmp_path / "a.toml").write_text(
        'hidden-size = 5\nembedding = 3\nbatch_size = 2\nwindow = 10\nepochs = 0.1\ncell = "gru"\n'
        'checkpoint = "here"\nthreads = 1\nlr = 0.5\n',
        encoding="utf-8",
    )
    done = rnn("train", "text.txt", "--config", "a.toml", "--lr", "1e-3", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    settings = run.read(tmp_path / "here").settings
    assert (settings.hidden_size, settings.batch_size, settings.cell) == (5, 2, "gru")
    assert (settings.lr, settings.epochs) == (1e-3, 0.1)
    timed = ["--time-budget", "0.2s", "--checkpoint", "there"]
    assert rnn("train", "text.txt", "--config", "a.toml", *timed, cwd=tmp_path).returncode == 0
    assert run.read(tmp_path / "there").settings.time_budget == 0.2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("what = 1", "--config 'a.toml' has 'what', expected an option of this command"),
        ("checkpoint = 3", "--config 'a.toml': checkpoint is 3, expected a name"),
        ('hidden-size = "x"', "--hidden-size is 'x', expected a whole number"),
        ("batch-size = [1]", "--batch-size is [1], expected a whole number"),
        ("time-budget = true", "--time-budget is 'True', expected a time"),
        ("lr = nan", "--lr is nan, expected a finite number above 0"),
        ("seed =", "--config 'a.toml' is not TOML"),
    ],
)
def test_a_config_that_is_wrong_is_one_line(tmp_path: Path, content: str, message: str) -> None:
    write_text(tmp_path)
    (tmp_path / "a.toml").write_text(content, encoding="utf-8")
    done = rnn("train", "text.txt", "--config", "a.toml", cwd=tmp_path)
    refused(done, 2, re.escape(message))


BAD_OPTIONS = [
    (["--hidden-size", "0"], "--hidden-size is 0, expected at least 1"),
    (["--lr", "-1"], "--lr is -1.0, expected a finite number above 0"),
    (["--cell", "elman"], "argument --cell: invalid choice"),
    (["--time-budget", "soon"], "--time-budget is 'soon', expected a time such as 90s, 3m or 1h"),
    (["--time-budget", "1m", "--epochs", "1"], "not allowed with argument"),
    (["--epochs", "0"], "--epochs is 0.0, expected a finite number above 0"),
    (["--threads", "9"], "--threads is 9, expected up to batch_size 4"),
    (["--config", "no.toml"], "--config 'no.toml': No such file"),
    (["--config", "text.txt"], "--config 'text.txt' is not TOML"),
    (["--log", "no/log.jsonl"], "--log 'no/log.jsonl': folder 'no' does not exist"),
    (["--plot", "loss.pdf"], "--plot 'loss.pdf': expected a name that ends in .png"),
    (["--checkpoint", "no/where"], "--checkpoint 'no/where': No such file"),
    (["--checkpoint", "text.txt"], "--checkpoint 'text.txt': File exists"),
    (["--resume"], "--checkpoint 'text.rnn' has no checkpoint.npz, expected one to go on"),
    (["--save-every", "x"], "--save-every is 'x', expected a time"),
]


@pytest.mark.parametrize(("arguments", "message"), BAD_OPTIONS)
def test_wrong_usage_is_one_line(tmp_path: Path, arguments: list[str], message: str) -> None:
    write_text(tmp_path)
    done = rnn("train", "text.txt", *SMALL, *arguments, cwd=tmp_path)
    refused(done, 2, re.escape(message))
    assert [name.name for name in tmp_path.iterdir()] == ["text.txt"]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "'a.txt' is empty, expected a text"),
        (b"abc\xffdef", "'a.txt' is not UTF-8: byte 3 is 0xff (invalid start byte)"),
        (b"abc", "elements to predict, expected at least one window of 10"),
        (None, "'a.txt': No such file or directory"),
    ],
)
def test_a_bad_text_is_one_line(tmp_path: Path, data: bytes | None, message: str) -> None:
    if data is not None:
        (tmp_path / "a.txt").write_bytes(data)
    refused(rnn("train", "a.txt", *SMALL, cwd=tmp_path), 1, re.escape(message))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["sample", "text.rnn", "--prompt", "Zoo"], "--prompt has 'Z' at position 0, expected"),
        (["sample", "text.rnn", "--prompt", ""], "--prompt is empty"),
        (["sample", "text.rnn", "--temperature", "-1"], "--temperature is -1.0, expected"),
        (["sample", "text.rnn", "--top-k", "0"], "--top-k is 0, expected at least 1"),
        (["sample", "text.rnn", "--top-p", "2"], "--top-p is 2.0, expected above 0"),
        (["sample", "text.rnn", "--length", "-1"], "--length is -1, expected at least 0"),
        (["sample", "text.rnn", "--seed", "-1"], "--seed is -1, expected at least 0"),
        (["sample", "no.rnn"], "'no.rnn': No such file or directory"),
        (["sample", "text.txt"], "'text.txt' is not a checkpoint: File is not a zip file"),
        (["inspect", "text.txt"], "'text.txt' is not a checkpoint: File is not a zip file"),
        (["evaluate", "text.rnn", "other.txt"], "'other.txt' has 'Z' at position 2, expected one"),
        (["evaluate", "text.rnn", "one.txt"], "tokens has length 1, expected at least 2"),
        (["evaluate", "text.rnn", "text.txt", "--readers", "0"], "--readers is 0, expected"),
        (["train", "text.txt"], "has a checkpoint already, expected --resume to go on"),
        (
            ["train", "text.txt", "--resume", "--lr", "1"],
            "--lr is 1.0, the checkpoint's run has 0.0",
        ),
        (["train", "other.txt", "--checkpoint", "text.rnn", "--resume"], "has 'Z' at position 2"),
    ],
)
def test_what_does_not_fit_a_checkpoint(trained: Path, arguments: list[str], message: str) -> None:
    (trained / "other.txt").write_text("a Zoo", encoding="utf-8")
    (trained / "one.txt").write_text("a", encoding="utf-8")
    done = rnn(*arguments, cwd=trained)
    refused(done, done.returncode, re.escape(message))
    assert done.returncode in (1, 2)


def test_a_loss_that_is_no_number_names_the_step_and_keeps_the_file(tmp_path: Path) -> None:
    write_text(tmp_path)
    options = ["--lr", "1e38", "--clip-norm", "0", "--warmup", "0", "--save-every", "0s"]
    done = rnn("train", "text.txt", *SMALL, *options, "--cell", "rnn", cwd=tmp_path)
    refused(done, 1, r"training diverged at step \d+ \(.*\); try a lr below 1e\+38; .*")


def interrupted(tmp_path: Path, number: signal.Signals) -> subprocess.CompletedProcess[str]:
    """Start a long run and end it when it has begun."""
    write_text(tmp_path)
    command = [*COMMAND, "train", "text.txt", *SMALL, "--epochs", "9999"]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env=environment,
    ) as process:
        assert process.stdout is not None
        while "step " not in process.stdout.readline():
            pass
        process.send_signal(number)
        out, errors = process.communicate()
    return subprocess.CompletedProcess(command, process.returncode, out, errors)


@pytest.mark.parametrize(
    ("number", "status", "what"),
    [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "stopped by SIGTERM")],
)
def test_a_signal_saves_and_says_how_to_go_on(
    tmp_path: Path, number: signal.Signals, status: int, what: str
) -> None:
    done = interrupted(tmp_path, number)
    refused(done, status, rf"{what} at step \d+; 'text.rnn/checkpoint.npz' is of step \d+; ")
    again = "numpy-rnn train text.txt --checkpoint text.rnn --resume"
    assert done.stderr.endswith(f"to go on: {again}\n")
    step = run.read(tmp_path / "text.rnn").state["optimizer"]["step"]
    assert f"at step {step}; 'text.rnn/checkpoint.npz' is of step {step};" in done.stderr
    assert [name.name for name in (tmp_path / "text.rnn").iterdir()] == ["checkpoint.npz"]


def test_going_on_with_a_run_that_has_ended(trained: Path) -> None:
    done = rnn("train", "text.txt", "--resume", cwd=trained)
    assert done.returncode == 0
    assert "The run has ended already, at step 34.\n" in done.stdout


@pytest.mark.parametrize("with_tqdm", [True, False])
def test_a_terminal_shows_loss_bits_speed_and_time_left(tmp_path: Path, with_tqdm: bool) -> None:
    write_text(tmp_path)
    if not with_tqdm:  # a package of that name that cannot be imported
        (tmp_path / "tqdm.py").write_text("raise ImportError\n", encoding="utf-8")
    master, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (24, 120))
    with subprocess.Popen(
        [*COMMAND, "train", "text.txt", *SMALL, "--epochs", "2"],
        stdout=terminal,
        stderr=terminal,
        cwd=tmp_path,
        env=os.environ
        | EVERY_STEP
        | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{Path(__file__).parents[2]}"},
    ) as process:
        os.close(terminal)
        shown = read_all(master)
    assert process.returncode == 0
    assert re.search(rb"loss \d\.\d+ \d\.\d+ bits [\d,]+/s \d+s left", shown)
    assert (b"steps 67/67" in shown) is not with_tqdm
    assert b"To let it write: numpy-rnn sample text.rnn" in shown


def test_a_full_disk_is_one_line(tmp_path: Path) -> None:
    write_text(tmp_path)
    (tmp_path / "full.jsonl").symlink_to("/dev/full")
    done = rnn("train", "text.txt", *SMALL, "--log", "full.jsonl", cwd=tmp_path)
    refused(done, 2, "--log 'full.jsonl': .* is not a regular file")
    limited = ["bash", "-c", f"ulimit -f 8; exec {' '.join(COMMAND)} train text.txt --threads 1"]
    full = subprocess.run(
        limited,
        check=False,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=os.environ
        | {"PYTHONPATH": str(Path(__file__).parents[2]), "OPENBLAS_NUM_THREADS": "1"},
    )
    refused(full, 1, "'text.rnn/checkpoint.npz': File too large; there is no checkpoint yet")
    assert list((tmp_path / "text.rnn").iterdir()) == []


def test_a_reader_that_goes_does_not_lose_the_run(tmp_path: Path) -> None:
    write_text(tmp_path)
    line = f"{' '.join([*COMMAND, 'train', 'text.txt', *SMALL])} --epochs 2 | head -1"
    done = subprocess.run(
        ["bash", "-c", line],
        check=False,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert done.stderr == ""
    assert run.read(tmp_path / "text.rnn").state["optimizer"]["step"] >= 10


def test_a_text_that_can_be_read_once_only(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    line = f"echo text > pipe & {' '.join(COMMAND)} train pipe"
    done = subprocess.run(
        ["bash", "-c", line],
        check=False,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
    )
    refused(done, 2, "'pipe' is no regular file, expected one to be read twice")


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    write_text(tmp_path)
    done = rnn("train", "text.txt", *SMALL, "--checkpoint", "/proc", cwd=tmp_path)
    refused(done, 1, "'/proc/checkpoint.npz': No such file or directory")


SAMPLE_AND_COUNT = """
import sys
from numpy_rnn.cli import sample
from numpy_rnn.cli.main import main
def counted(*arguments, **options):
    global made
    for made, symbol in enumerate(generate(*arguments, **options), 1):
        yield symbol
generate, sample.generate = sample.generate, counted
status = main(sys.argv[1:])
print(made, file=sys.stderr)
sys.exit(status)
"""


def test_the_reader_of_a_sample_may_go(trained: Path) -> None:
    script = shlex.join([sys.executable, "-c", SAMPLE_AND_COUNT])
    length, pipe = 10_000_000, 1 << 20  # a pipe holds no more than that, and mostly less
    line = f"{script} sample text.rnn --length {length} | head -c 10"
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {line}"],
        check=False,
        capture_output=True,
        text=True,
        cwd=trained,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert (done.returncode, len(done.stdout)) == (1, 10)
    assert 10 <= int(done.stderr) <= pipe
