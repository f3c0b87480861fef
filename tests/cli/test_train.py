"""``numpy-rnn train`` in a separate process: a pipe, a terminal, signals, a full disk."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

import numpy_rnn
from numpy_rnn.apps.language_model import inference, run
from numpy_rnn.cli.main import main
from tests.apps.language_model.texts import write_text
from tests.cli.command import COMMAND, ENVIRONMENT, assert_refused, run_command, run_shell
from tests.cli.conftest import SMALL
from tests.terminal import open_terminal, read_all, shows_every_step


def test_training_says_what_it_does_and_writes_what_was_asked_for(trained: Path) -> None:
    shown = (trained / "shown.txt").read_text(encoding="utf-8")
    assert "'text.txt': 1,500 characters, " in shown
    assert "Checkpoint: 'text.rnn/checkpoint.safetensors'\n" in shown
    assert re.search(r"step +30  loss [\d.]+  validation [\d.]+ nats, [\d.]+ bits per", shown)
    assert "mean over all 150 characters\n" in shown
    assert shown.endswith("To generate text: numpy-rnn sample text.rnn\n")
    lines = (trained / "log.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["step"] for line in lines] == [10, 20, 30, 34]
    assert (trained / "loss.png").read_bytes().startswith(b"\x89PNG")
    saved = run.read(trained / "text.rnn")
    assert (saved.settings.hidden_size, saved.settings.seed) == (6, 3)
    path = trained / "text.rnn" / "checkpoint.safetensors"
    best = load_file(path)  # of the library: the weights under their names
    assert best["embedding.weight"].shape == (len(saved.vocabulary), 4)
    model = numpy_rnn.load(path)
    assert model.vocabulary == saved.vocabulary.characters
    np.testing.assert_array_equal(model.parameters.data, run.best(saved).parameters.data)
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(best[name], value)


def test_a_config_holds_options_and_the_command_line_overrides_it(tmp_path: Path) -> None:
    write_text(tmp_path)
    (tmp_path / "a.toml").write_text(
        'hidden-size = 5\nembedding = 3\nbatch_size = 2\nwindow = 10\nepochs = 0.1\ncell = "gru"\n'
        'checkpoint = "here"\nthreads = 1\nlr = 0.5\n',
        encoding="utf-8",
    )
    done = run_command("train", "text.txt", "--config", "a.toml", "--lr", "1e-3", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    settings = run.read(tmp_path / "here").settings
    assert (settings.hidden_size, settings.batch_size, settings.cell) == (5, 2, "gru")
    assert (settings.lr, settings.epochs) == (1e-3, 0.1)
    timed = ["--time-budget", "2m", "--checkpoint", "there"]
    timed += ["--lr", "1e-30", "--validate-every", "1", "--patience", "1"]  # ends soon
    assert (
        run_command("train", "text.txt", "--config", "a.toml", *timed, cwd=tmp_path).returncode == 0
    )
    assert run.read(tmp_path / "there").settings.time_budget == 120


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "what = 1",
            "file of options: it has 'what', expected an option of this command",
        ),
        (
            "checkpoint = 3",
            "a TOML file of options: checkpoint is 3, expected a file name",
        ),
        ('hidden-size = "x"', "--hidden-size is 'x', expected a whole number"),
        ("batch-size = [1]", "--batch-size is [1], expected a whole number"),
        ("time-budget = true", "--time-budget is 'True', expected a time"),
        ("lr = nan", "--lr is nan, expected a finite number above 0"),
        ("seed =", "--config: 'a.toml' is not a TOML file of options"),
        ("\ufeffencoding = 'zip'", "--encoding is 'zip', expected an encoding such as utf-16"),
        (f"seed = {'9' * 5000}", "--config: 'a.toml' is not a TOML file of options"),
        (f"seed = {'[' * 3000}{']' * 3000}", "--config: 'a.toml' is not a TOML file of options"),
        ('log = "a\\u0000b"', "--log: "),  # and Python's own words
        ('plot = "a\\u0000b.png"', "--plot: "),
    ],
)
def test_a_config_that_is_wrong_is_one_line(tmp_path: Path, content: str, message: str) -> None:
    write_text(tmp_path)
    (tmp_path / "a.toml").write_text(content, encoding="utf-8")
    done = run_command("train", "text.txt", "--config", "a.toml", cwd=tmp_path)
    assert_refused(done, 2, message)


BAD_OPTIONS = [
    (["--hidden-size", "0"], "--hidden-size is 0, expected at least 1"),
    (["--lr", "-1"], "--lr is -1.0, expected a finite number above 0"),
    (["--cell", "elman"], "argument --cell: invalid choice"),
    (["--time-budget", "soon"], "--time-budget is 'soon', expected a time such as 90s, 3m or 1h"),
    (["--time-budget", "0.000001"], "--time-budget is 1e-06s, 0s are over and one step takes "),
    (["--encoding", "hex"], "--encoding is 'hex', expected an encoding such as utf-16 or latin-1"),
    (["--seed=--"], "argument --seed: "),
    (["--time-budget", "1m", "--epochs", "1"], "not allowed with argument"),
    (["--epochs", "0"], "--epochs is 0.0, expected a finite number above 0"),
    (["--shards", "9"], "--shards is 9, expected at most 4"),
    (["--shards", "0"], "--shards is 0, expected at least 1"),
    (["--threads", "0"], "--threads is 0, expected at least 1"),
    (["--config", "no.toml"], "--config 'no.toml': No such file"),
    (["--config", "text.txt"], "--config: 'text.txt' is not a TOML file of options"),
    (["--config", "/dev/zero"], "--config '/dev/zero': Not a regular file but a device"),
    (["--log", "no/log.jsonl"], "--log: folder 'no' does not exist"),
    (["--plot", "loss.txt"], "--plot 'loss.txt': expected a name that ends in .png"),
    (["--checkpoint", "no/where"], "--checkpoint 'no/where': No such file"),
    (["--checkpoint", "text.txt"], "--checkpoint 'text.txt': File exists"),
    (["--resume"], "--checkpoint 'text.rnn' has no checkpoint.safetensors, expected one to resume"),
    (["--save-every", "x"], "--save-every is 'x', expected a time"),
]


@pytest.mark.parametrize(("arguments", "message"), BAD_OPTIONS)
def test_wrong_usage_is_one_line(tmp_path: Path, arguments: list[str], message: str) -> None:
    write_text(tmp_path)
    done = run_command("train", "text.txt", *SMALL, *arguments, cwd=tmp_path)
    assert_refused(done, 2, message)
    assert [name.name for name in tmp_path.iterdir()] == ["text.txt"]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "'a.txt' is empty, expected a text"),
        (b"abc\xffdef", "'a.txt' is not UTF-8: byte 3 is 0xff (invalid start byte)"),
        (b"abc", "'a.txt' has 3 characters to train on, expected at least 11, or --window and "),
        (b"a", "'a.txt' has 1 characters to train on, expected at least 11"),
        (b"\xef\xbb\xbf", "'a.txt' is empty, expected a text"),
        ("hello".encode("utf-16-le"), "'a.txt' has a NUL character near its beginning: a binary"),
        (None, "'a.txt': No such file or directory"),
    ],
)
def test_a_bad_text_is_one_line(tmp_path: Path, data: bytes | None, message: str) -> None:
    if data is not None:
        (tmp_path / "a.txt").write_bytes(data)
    assert_refused(run_command("train", "a.txt", *SMALL, cwd=tmp_path), 1, message)
    assert not (tmp_path / "a.rnn").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["text.txt"], "already has a checkpoint, expected --resume or another folder"),
        (
            ["text.txt", "--resume", "--lr", "1"],
            "--lr is 1.0, the checkpoint's run has 0.0",
        ),
        (["no.txt", "--checkpoint", "text.rnn", "--resume"], "'no.txt': No such file"),
        (["other.txt", "--checkpoint", "text.rnn", "--resume"], "has 'Z' at position 2"),
    ],
)
def test_a_run_that_does_not_fit_a_checkpoint_is_one_line(
    trained: Path, arguments: list[str], message: str
) -> None:
    (trained / "other.txt").write_text("a Zoo", encoding="utf-8")
    done = run_command("train", *arguments, cwd=trained)
    assert_refused(done, 1 if message.startswith(("'no.txt'", "has 'Z'")) else 2, message)


def test_a_model_that_diverges_before_a_sample_is_one_line(tmp_path: Path) -> None:
    write_text(tmp_path)
    options = ["--lr", "1e30", "--optimizer", "sgd", "--clip-norm", "0", "--warmup", "0"]
    often = ["--validate-every", "1", "--cell", "rnn"]
    done = run_command("train", "text.txt", *SMALL, *options, *often, cwd=tmp_path)
    assert_refused(done, 1, "training diverged at step 1 (Dropout.forward: x is nan at index ")


def test_the_result_is_measured_on_as_much_text_as_the_time_allows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Clock:
        """Three seconds pass whenever it is read."""

        now = 0.0

        def monotonic(self) -> float:
            self.now += 3
            return self.now

    write_text(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(inference, "time", Clock())
    small = [*SMALL, "--hidden-size", "2", "--validate-every", "1000"]
    assert main(["train", "text.txt", *small, "--time-budget", "1s"]) == 0
    out = capsys.readouterr().out
    assert "mean over the first 16 of 150 characters: --time-budget allows no more\n" in out


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32", "latin-1", "utf-16-be"])
def test_the_encoding_is_found_or_given_and_remembered(tmp_path: Path, encoding: str) -> None:
    text = "h\xe9llo w\xf6rld\r\n" * 20
    (tmp_path / "a.txt").write_bytes(text.encode(encoding))
    given = ["--encoding", encoding] if encoding in {"latin-1", "utf-16-be"} else []
    done = run_command("train", "a.txt", *SMALL, "--epochs", "0.1", *given, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    saved = run.read(tmp_path / "a.rnn")
    assert saved.vocabulary.characters == "".join(sorted(set(text)))
    done = run_command("train", "a.txt", "--resume", cwd=tmp_path)
    assert done.stdout.startswith("'a.txt': 260 characters, 11 distinct")
    done = run_command("evaluate", "a.rnn", "a.txt", cwd=tmp_path)
    assert done.stdout.endswith("mean over 259 characters\n"), done.stderr
    done = run_command("evaluate", "a.rnn", "a.txt", "--encoding", "ascii", cwd=tmp_path)
    assert_refused(done, 1, "'a.txt' is not ASCII: byte ")


def test_a_loss_that_is_no_number_names_the_step_and_keeps_the_file(tmp_path: Path) -> None:
    write_text(tmp_path)
    options = ["--lr", "1e38", "--clip-norm", "0", "--warmup", "0", "--save-every", "0s"]
    done = run_command("train", "text.txt", *SMALL, *options, "--cell", "rnn", cwd=tmp_path)
    assert_refused(done, 1, "training diverged at step ")
    assert re.search(r"at step \d+ \(.*\); try a lr below 1e\+38; ", done.stderr)


def interrupted(tmp_path: Path, number: signal.Signals) -> subprocess.CompletedProcess[str]:
    """Start a long run and end it when it has begun."""
    write_text(tmp_path)
    command = [*COMMAND, "train", "text.txt", *SMALL, "--epochs", "9999"]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, stdout=pipe, stderr=pipe, text=True, cwd=tmp_path, env=ENVIRONMENT
    ) as process:
        assert process.stdout is not None
        while "step " not in process.stdout.readline():
            pass
        process.send_signal(number)
        out, errors = process.communicate()
    return subprocess.CompletedProcess(command, process.returncode, out, errors)


@pytest.mark.posix
@pytest.mark.parametrize(
    ("number", "status", "what"),
    [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "stopped by SIGTERM")],
)
def test_a_signal_saves_and_shows_how_to_resume(
    tmp_path: Path, number: signal.Signals, status: int, what: str
) -> None:
    done = interrupted(tmp_path, number)
    assert_refused(done, status, f"{what} at step ")
    again = "numpy-rnn train text.txt --checkpoint text.rnn --resume"
    assert done.stderr.endswith(f"to resume: {again}\n")
    step = run.read(tmp_path / "text.rnn").trainer.num_steps
    assert f"at step {step}; 'text.rnn/checkpoint.safetensors' holds step {step};" in done.stderr
    assert [name.name for name in (tmp_path / "text.rnn").iterdir()] == ["checkpoint.safetensors"]


def test_resuming_a_run_that_has_ended(trained: Path) -> None:
    done = run_command("train", "text.txt", "--resume", cwd=trained)
    assert done.returncode == 0
    assert "The run has already ended, at step 34.\n" in done.stdout


@pytest.mark.posix
@pytest.mark.parametrize("with_tqdm", [True, False])
def test_a_terminal_shows_loss_bits_speed_and_time_left(tmp_path: Path, with_tqdm: bool) -> None:
    write_text(tmp_path)
    master, terminal = open_terminal(120)
    with subprocess.Popen(
        [*COMMAND, "train", "text.txt", *SMALL, "--epochs", "2"],
        stdout=terminal,
        stderr=terminal,
        cwd=tmp_path,
        env=shows_every_step(tmp_path, with_tqdm=with_tqdm),
    ) as process:
        os.close(terminal)
        shown = read_all(master)
    assert process.returncode == 0
    assert re.search(rb"loss \d\.\d+ \d\.\d+ bits [\d,]+/s \d+s left", shown)
    assert (b"steps 67/67" in shown) is not with_tqdm
    assert b"To generate text: numpy-rnn sample text.rnn" in shown


@pytest.mark.posix
def test_a_full_disk_is_one_line(tmp_path: Path) -> None:
    write_text(tmp_path)
    (tmp_path / "full.jsonl").symlink_to("/dev/full")
    done = run_command("train", "text.txt", *SMALL, "--log", "full.jsonl", cwd=tmp_path)
    assert_refused(done, 2, "--log: 'full.jsonl' exists and is not a regular file")
    limited = "ulimit -f 8; OPENBLAS_NUM_THREADS=1 exec $RNN train text.txt --threads 1"
    full = run_shell(limited, tmp_path)
    assert_refused(
        full, 1, "'text.rnn/checkpoint.safetensors': File too large; there is no checkpoint yet"
    )
    assert list((tmp_path / "text.rnn").iterdir()) == []


@pytest.mark.posix
def test_a_reader_that_goes_does_not_lose_the_run(tmp_path: Path) -> None:
    write_text(tmp_path)
    done = run_shell(f"$RNN train text.txt {' '.join(SMALL)} --epochs 2 | head -1", tmp_path)
    assert done.stderr == ""
    assert run.read(tmp_path / "text.rnn").trainer.num_steps >= 10


@pytest.mark.posix
def test_a_pipe_as_text_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    done = run_command("train", "pipe", cwd=tmp_path)
    assert_refused(done, 2, "'pipe' is not a regular file, expected one: it is read twice")


@pytest.mark.posix
def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    write_text(tmp_path)
    done = run_command("train", "text.txt", *SMALL, "--checkpoint", "/proc", cwd=tmp_path)
    assert_refused(done, 1, "'/proc/checkpoint.safetensors': No such file or directory")
