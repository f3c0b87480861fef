"""``numpy-rnn memory`` as a user sees it: its output, its files and its errors."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path

import pytest

from numpy_rnn.apps.memory import read_record
from tests.cli.command import COMMAND, ENVIRONMENT, run_command, run_process
from tests.mutations import settings_in, with_settings

QUICK = (
    *("first-token", "--hidden-size", "8", "--updates", "100", "--batch-size", "8", "--lr", "0.01"),
    *("--seeds", "2", "--start", "2", "--limit", "6", "--resolution", "0", "--jobs", "1"),
)


def run(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return run_command("memory", *arguments, cwd=cwd)


def without_seconds(text: str) -> list[str]:
    return [
        line.rsplit("  ", 1)[0] if line.startswith("  ") else line for line in text.splitlines()
    ]


def test_it_prints_every_run_each_seed_and_the_median() -> None:
    done = run(*QUICK)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == "first-token: tanh RNN, PyTorch's default initialisation, 8 units"
    assert lines[1] == "at most 100 updates of Adam in a run, lr 0.01"
    assert lines[2] == "solved: 99 % of the answers right on new sequences"
    assert lines[3].startswith("  length      2  solved  score ")
    assert "of 1.3863" in lines[3]
    assert [line.split(":")[0] for line in lines if line.startswith("seed")] == ["seed 0", "seed 1"]
    assert lines[-1].startswith("median of 2: ")
    assert without_seconds(run(*QUICK).stdout) == without_seconds(done.stdout)


def test_two_processes_print_and_record_what_one_does(tmp_path: Path) -> None:
    found = []
    for jobs in ("1", "2"):
        record = f"{jobs}.safetensors"
        done = run_process("memory", *QUICK[:-1], jobs, "--record", record, cwd=tmp_path)
        assert (done.returncode, done.stderr) == (0, "")
        _, runs = read_record(tmp_path / record)
        found.append((without_seconds(done.stdout), sorted(runs, key=lambda r: r.seed)))
    assert found[0] == found[1]


def test_it_goes_on_where_it_stopped(tmp_path: Path) -> None:
    arguments = (*QUICK, "--record", "r.safetensors", "--json")
    whole = json.loads(run(*QUICK, "--json").stdout)
    first = json.loads(
        run(*arguments[:-2], "r.safetensors", "--json", "--seeds", "1", cwd=tmp_path).stdout
    )
    path = tmp_path / "r.safetensors"
    kept = settings_in(path.read_bytes(), "memory")
    assert kept["runs"] == first["runs"]
    # Cut the record short, as a kill would have.
    kept["runs"] = kept["runs"][:2]
    path.write_bytes(with_settings(path.read_bytes(), "memory", kept))
    done = json.loads(run(*arguments, cwd=tmp_path).stdout)
    assert done["runs"][:2] == kept["runs"]  # with the seconds they took then
    for data in (whole, done):
        for entry in data["runs"]:
            del entry["seconds"]
    assert done == whole
    again = run(*QUICK, "--record", "r.safetensors", cwd=tmp_path).stdout
    assert f"{len(whole['runs'])} runs in r.safetensors are not repeated" in again
    assert "  length" not in again


def test_the_result_as_data(tmp_path: Path) -> None:
    done = run(*QUICK, "--json", "--plot", "p.svg", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    data = json.loads(done.stdout)
    assert data["config"]["task"] == "first-token"
    assert data["search"] == {"seeds": 2, "start": 2, "limit": 6, "resolution": 0.0}
    for seed, found in enumerate(data["max_lengths"]):
        runs = {r["length"]: r["solved"] for r in data["runs"] if r["seed"] == seed}
        assert found == max((n for n, solved in runs.items() if solved), default=0)
    assert data["median"] == sum(data["max_lengths"]) / 2
    assert b"<svg" in (tmp_path / "p.svg").read_bytes()


@pytest.mark.posix
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_an_interrupt_is_one_line_and_keeps_what_is_done(tmp_path: Path, jobs: str) -> None:
    command = [
        *COMMAND,
        "memory",
        *QUICK,
        "--limit",
        "100000",
        "--updates",
        "1000000",
        "--record",
        "r.safetensors",
        "--jobs",
        jobs,
    ]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env=ENVIRONMENT,
    ) as process:
        assert process.stdout is not None
        for _ in range(4):
            process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate()
    assert process.returncode == 130
    assert errors == "numpy-rnn memory: error: interrupted\n"
    assert [path.name for path in tmp_path.iterdir()] == ["r.safetensors"]
    record = settings_in((tmp_path / "r.safetensors").read_bytes(), "memory")
    assert record["runs"][0]["solved"] is True


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["sorting"], "argument task: invalid choice: 'sorting'"),
        (["--cell", "qrnn"], "argument --cell: invalid choice: 'qrnn'"),
        (["--hidden-size", "0"], "--hidden-size is 0, expected at least 1"),
        (["--updates", "x"], "argument --updates: invalid int value: 'x'"),
        (["--lr", "nan"], "--lr is nan, expected a finite number above 0"),
        (["--clip-norm", "0"], "--clip-norm is 0.0, expected a finite number above 0"),
        (["--seeds", "0"], "--seeds is 0, expected at least 1"),
        (["--start", "0"], "--start is 0, expected at least 1"),
        (["digits", "--start", "7"], "--start is 7, expected at least 8"),
        (["pixels", "--start", "63"], "--start is 63, expected at least 64"),
        (["pixels", "--limit", "63"], "--limit is 63, expected at least 64"),  # its own start
        (["--limit", "10"], "--limit is 10, expected at least 25"),
        (["--resolution", "-1"], "--resolution is -1.0, expected a finite number >= 0"),
        (["--resolution", "inf"], "--resolution is inf, expected a finite number >= 0"),
        (["--hidden-size", "9" * 30], f"--hidden-size is {'9' * 30}, expected at most"),
        (["--batch-size", "9" * 12], "--batch-size is 999999999999, expected at most 100000000"),
        (["--start", "9" * 19, "--limit", "9" * 19], "--start is 9999999999999999999, expected"),
        (["--record", "r" * 300], f"--record '{'r' * 300}': "),
        (["--plot", "p" * 300 + ".svg"], f"--plot '{'p' * 300}.svg': "),
        (["--record", "no/r.safetensors"], "--record: folder 'no' does not exist"),
        (["--plot", "p.txt"], "--plot 'p.txt': expected a name that ends in .png"),
        (["--plot", "no/p.png"], "--plot: folder 'no' does not exist"),
    ],
)
def test_wrong_usage_is_one_line_and_status_2(
    arguments: list[str], message: str, tmp_path: Path
) -> None:
    done = run(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert message in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_record_of_something_else_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "r.safetensors"
    assert run(*QUICK, "--seeds", "1", "--record", "r.safetensors", cwd=tmp_path).returncode == 0
    before = path.read_bytes()
    for arguments, message in (
        ((*QUICK, "--hidden-size", "9"), "is of another search"),
        ((*QUICK, "--hidden-size", "9", "--json"), "hidden_size=9"),
    ):
        done = run(*arguments, "--record", "r.safetensors", cwd=tmp_path)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
        assert message in done.stderr
    assert path.read_bytes() == before
    path.write_text("{", encoding="utf-8")
    done = run(*QUICK, "--record", "r.safetensors", cwd=tmp_path)
    assert done.returncode == 2
    assert "'r.safetensors' is not a record of a memory search" in done.stderr
    assert path.read_text(encoding="utf-8") == "{"


@pytest.mark.parametrize(
    ("package", "arguments", "extra"),
    [
        ("sklearn", ["digits"], "digits"),
        ("matplotlib", ["--plot", "p.png"], "plot"),
    ],
)
def test_a_missing_extra_is_named_before_anything_is_run(
    package: str, arguments: list[str], extra: str, tmp_path: Path
) -> None:
    (tmp_path / f"{package}.py").write_text("raise ImportError\n", encoding="utf-8")
    # A process of its own: there -m looks in the working directory first.
    done = run_process("memory", *arguments, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert f"the extra {extra}: pip install" in done.stderr
