"""How the command ends when a stream is closed or full, or a signal comes: never a traceback."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from numpy_rnn.apps.recall import load
from numpy_rnn.cli.main import main

pytestmark = pytest.mark.posix  # a shell, /dev/full, signals to another process
BUFFERED = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
UNBUFFERED = BUFFERED | {"PYTHONUNBUFFERED": "1"}


def shell(
    line: str, cwd: Path | None = None, env: dict[str, str] = BUFFERED
) -> subprocess.CompletedProcess[str]:
    """Run a line of shell in which $RNN is the command."""
    return subprocess.run(
        ["bash", "-c", line],
        check=False,
        capture_output=True,
        text=True,
        cwd=cwd,
        env=env | {"RNN": f"{sys.executable} -m numpy_rnn"},
    )


@pytest.mark.parametrize(
    ("line", "status", "env"),
    [
        ("$RNN recall --epochs 1 2>&-", 0, BUFFERED),
        ("$RNN recall --epochs 0 2>&-", 2, UNBUFFERED),
        ("$RNN recall --epochs 1 >&-", 0, BUFFERED),
        ("$RNN recall --epochs 1 --json >&-", 0, UNBUFFERED),
        ("$RNN recall --epochs 1 <&- >&- 2>&-", 0, BUFFERED),
        ("$RNN recall --epochs 1 <&- >&- 2>&-", 0, UNBUFFERED),
        ("PYTHONWARNINGS=always $RNN recall --epochs 1 >&-", 0, BUFFERED),
        ("$RNN recall --epochs 0 2>/dev/full", 2, BUFFERED),
        ("$RNN recall --what 2>/dev/full", 2, UNBUFFERED),
        ("$RNN 2>/dev/full", 2, BUFFERED),
        ("$RNN --help >/dev/full 2>&1", 1, BUFFERED),
        ("$RNN --help >/dev/full 2>&1", 1, UNBUFFERED),
    ],
)
def test_a_stream_that_is_closed_or_full_is_no_traceback(
    line: str, status: int, env: dict[str, str]
) -> None:
    done = shell(line, env=env)
    assert (done.returncode, done.stderr) == (status, "")


@pytest.mark.parametrize(
    ("option", "env"),
    [("--help", BUFFERED), ("--version", UNBUFFERED), ("recall --help", BUFFERED)],
    ids=["help", "version", "help of a command"],
)
def test_help_that_cannot_be_written_is_one_line(option: str, env: dict[str, str]) -> None:
    done = shell(f"$RNN {option} >/dev/full", env=env)
    assert done.returncode == 1
    assert done.stderr == "numpy-rnn: error: standard output: No space left on device\n"


def test_a_file_that_is_saved_does_not_get_what_a_closed_stream_should(tmp_path: Path) -> None:
    assert (
        shell("$RNN recall --epochs 1 --save a.safetensors <&- >&- 2>&-", tmp_path).returncode == 0
    )
    assert load(tmp_path / "a.safetensors")[0].epochs == 1


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("$RNN recall --epochs 300 --save a.safetensors | head -1", 0),
        ("$RNN recall --epochs 3 --save a.safetensors --json >/dev/full", 1),
        ("$RNN recall --epochs 3 --save a.safetensors --json | true", 0),
    ],
)
def test_output_that_fails_does_not_lose_the_network(
    line: str, status: int, tmp_path: Path
) -> None:
    assert shell(line, tmp_path).returncode == status
    assert load(tmp_path / "a.safetensors")[0].epochs in (3, 300)


@pytest.mark.parametrize("size", ["2147483648", "1000000000000000000"])
def test_a_hidden_size_beyond_any_memory_is_wrong_usage(size: str) -> None:
    done = shell(f"$RNN recall --hidden-size {size}")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"numpy-rnn recall: error: --hidden-size is {size}, expected at most 100000000\n"
    )


def test_a_text_that_is_no_text_is_not_blamed_on_the_alphabet() -> None:
    done = shell(r"$RNN recall --extend-vocabulary $'a\xe9'")
    assert done.returncode == 2
    assert done.stderr.endswith("error: text is not valid text at position 1, expected UTF-8\n")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("/proc/a.safetensors", "--save '/proc/a.safetensors': No such file or directory"),
        ("a" * 244 + ".safetensors", "File name too long"),
        ("pipe.safetensors", "--save: 'pipe.safetensors' exists and is not a regular file"),
        ("gone/../a.safetensors", "--save: the working directory does not exist any more"),
    ],
)
def test_a_file_that_cannot_be_saved_is_known_before_training(
    name: str, message: str, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "pipe.safetensors")
    gone = "mkdir gone && cd gone && rmdir ../gone &&" if name.startswith("gone") else ""
    done = shell(f"{gone} $RNN recall --save {name}", tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(("number", "status"), [("SIGTERM", 143), ("SIGHUP", 129)])
def test_a_signal_is_one_line_and_saves_nothing(number: str, status: int, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "numpy_rnn", "recall", "--epochs", "100000"]
    with subprocess.Popen(
        [*command, "--save", "a.safetensors"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
    ) as process:
        assert process.stdout is not None
        for _ in range(3):  # past the imports: a signal that hits one can be lost in it
            process.stdout.readline()
        process.send_signal(getattr(signal, number))
        _, errors = process.communicate()
    assert process.returncode == status
    assert errors == f"numpy-rnn recall: error: stopped by {number}\n"
    assert list(tmp_path.iterdir()) == []


# Assertions stay plain, as to rewrite them takes seconds. The tests run above too, where they tell.
DEAF = """
import os, signal, sys
SIGNALS = signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGCHLD
for number in SIGNALS:
    signal.signal(number, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
plain = "-m pytest -q --assert=plain -p no:cacheprovider -m".split()
pytest = [sys.executable, *plain, "not torch"]
os.execv(sys.executable, [*pytest, *sys.argv[1:]])
"""


def test_the_tests_pass_under_a_caller_that_ignores_and_blocks_signals() -> None:
    tests = (
        test_a_signal_is_one_line_and_saves_nothing,
        test_a_signal_while_saving_removes_the_temporary_file,
    )
    which = [f"{__file__}::{test.__name__}" for test in tests]
    process = Path(__file__).parents[1] / "training" / "test_process.py"
    which += [
        f"{process}::test_a_signal_is_delivered_when_the_block_is_left",
        f"{process}::test_an_ignored_signal_stays_ignored",
        f"{process}::test_another_thread_defers_nothing_and_does_not_fail",
    ]
    done = subprocess.run(
        [sys.executable, "-c", DEAF, *which],
        check=False,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert "\n7 passed in " in done.stdout, done.stdout


SIGNALLED_WHILE_SAVING = """
import os, signal, sys
from numpy_rnn import safetensors
from numpy_rnn.cli.main import main
real = safetensors.write_atomically
def write_atomically(path, write):
    def half(file):
        file.write(b"half")
        file.flush()
        assert sorted(name.rpartition(".")[2] for name in os.listdir()) == ["lock", "tmp"]
        os.kill(os.getpid(), signal.SIGTERM)
        write(file)
    real(path, half)
safetensors.write_atomically = write_atomically
sys.exit(main(["recall", "--epochs", "1", "--save", "a.safetensors"]))
"""


def test_a_signal_while_saving_removes_the_temporary_file(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SIGNALLED_WHILE_SAVING]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 143
    assert done.stderr == "numpy-rnn recall: error: stopped by SIGTERM\n"
    assert list(tmp_path.iterdir()) == []


IMPORTED_IN_A_RUN = """
import sys
from numpy_rnn.cli import main
real, before = main.handle, set()
def handle(handler):  # a signal before ends the process at once
    before.update(sys.modules)
    return real(handler)
main.handle = handle
main.main(["recall", "--epochs", "1", "--save", "a.safetensors"])
assert "numpy_rnn.cli.recall" in before
print("MODULES", *sorted(name for name in set(sys.modules) - before if "numpy" in name))
"""


def test_a_run_imports_nothing_in_which_a_signal_could_get_lost(tmp_path: Path) -> None:
    command = [sys.executable, "-c", IMPORTED_IN_A_RUN]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=tmp_path)
    assert done.stdout.splitlines()[-1] == "MODULES"


def test_signals_that_are_ignored_or_handled_stay_so(capsys: pytest.CaptureFixture[str]) -> None:
    before = signal.getsignal(signal.SIGTERM), signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert main(["--version"]) == 0
        assert signal.getsignal(signal.SIGTERM) == before[0]
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before[1])
    assert capsys.readouterr().out.startswith("numpy-rnn ")


SIGNAL_IN_AN_IMPORT = """
import runpy, signal, sys
number, module = signal.Signals[sys.argv[1]], sys.argv[2]
before = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
signal.signal(number, before)  # whatever the caller of the tests does with it
class Send:
    def find_spec(self, name, path=None, target=None):
        if name == module:
            signal.raise_signal(number)
sys.meta_path.insert(0, Send())
sys.argv[1:] = ["recall", "--epochs", "1"]
runpy.run_module("numpy_rnn", run_name="__main__", alter_sys=True)
"""


@pytest.mark.parametrize(
    ("number", "module", "status", "what"),
    [
        ("SIGINT", "numpy", 130, "interrupted"),
        ("SIGINT", "numpy._core._multiarray_umath", 130, "interrupted"),
        ("SIGTERM", "numpy.random._generator", 143, "stopped by SIGTERM"),
        ("SIGHUP", "numpy_rnn.cli.main", 129, "stopped by SIGHUP"),
        ("SIGTERM", "numpy_rnn.cli.recall", 143, "stopped by SIGTERM"),
    ],
)
def test_a_signal_during_the_imports_is_one_line(
    number: str, module: str, status: int, what: str
) -> None:
    command = [sys.executable, "-c", SIGNAL_IN_AN_IMPORT, number, module]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == status
    assert (done.stdout, done.stderr) == ("", f"numpy-rnn: error: {what}\n")
