"""Programs that break Windows's rules fail under them, and the commands do not.

The whole command line is tested under them by

    python -m pytest --windows tests/cli tests/test_files.py tests/test_locks.py
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from numpy_rnn.apps.recall import load

ROOT = Path(__file__).parents[2]
FOLDERS = f"{Path(__file__).parent}{os.pathsep}{ROOT}"
ENVIRONMENT = os.environ | {"PYTHONPATH": FOLDERS, "OPENBLAS_NUM_THREADS": "1"}
WRONG = {
    "rename of an open file": "with open('a', 'w'): os.replace('a', 'b')",
    "replacement of an open file": """
open('b', 'w').close()
with open('a', 'w'):
    os.replace('b', 'a')""",
    "removal of an open file": "with open('a', 'w'): os.unlink('a')",
    "removal of a file that another process has open": """
with open('a', 'w'):
    subprocess.run([sys.executable, '-c', 'import os; os.unlink("a")'], check=True)""",
    "a read-only file": "open('a', 'w').close(); os.chmod('a', 0o444); os.unlink('a')",
    "a device": "open('nul.txt', 'w')",
    "a stream": "open('a:b', 'w')",
    "a dot at the end": "open('a.', 'w')",
    "two names in one": "open('a', 'w'); open('A', 'w')",
    "an open folder": "os.open('.', os.O_RDONLY)",
    "text mode": "os.open('a', os.O_WRONLY | os.O_CREAT)",
    "cp1252": "open('a', 'w').write(chr(0x3b1))",
    "cp1252 on a stream": "print(chr(0x3b1))",
    "fcntl": "import fcntl",
    "fork": "os.fork()",
    "SIGHUP": "signal.SIGHUP",
    "SIGKILL": "signal.SIGKILL",
    "a question to a process": "os.kill(os.getpid(), 0)",
    "a user id": "os.geteuid()",
    "a lock that can be seen": """
import msvcrt
with open('a', 'w') as file:
    msvcrt.locking(file.fileno(), 2, 1)""",
}
EVERYTHING_WRONG = """
import os, pathlib, signal, subprocess, sys, tempfile
for name, program in eval(sys.argv[1]).items():
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            exec(program)
        except Exception as error:
            print(name + ":", type(error).__name__)
        else:
            print(name + ": permitted")
        f = None
        os.chdir(os.path.dirname(folder))
        for path in pathlib.Path(folder).iterdir():
            os.chmod(path, 0o666)
assert os.name == "nt" and sys.platform == "win32"
"""


def run(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, *arguments]
    return subprocess.run(command, check=False, capture_output=True, cwd=cwd, env=ENVIRONMENT)


def test_the_rules_refuse_what_windows_refuses(tmp_path: Path) -> None:
    done = run("-c", EVERYTHING_WRONG, repr(WRONG), cwd=tmp_path)
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout.count(b"\r\n") == done.stdout.count(b"\n") == len(WRONG)
    lines = done.stdout.decode("cp1252").splitlines()
    assert [line for line in lines if line.endswith(": permitted")] == []


RESERVED = """
import sys
from numpy_rnn.cli.main import main
for name in ("con.safetensors", "LPT1.safetensors", "a:b.safetensors", "a?.safetensors"):
    assert main(["recall", "--save", name]) == 2
"""


def test_a_name_that_windows_reserves_is_refused_before_the_work(tmp_path: Path) -> None:
    done = run("-c", RESERVED, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, b"")
    line = rb".* error: --save: '.*' is a name that Windows reserves.*\r\n"
    assert re.fullmatch(line * 4, done.stderr)


SAVED_TWICE = """
import os
from numpy_rnn.cli.main import main
for epochs in ("1", "2"):
    assert main(["recall", "--epochs", epochs, "--save", "a.safetensors"]) == 0
os.chmod("a.safetensors", 0o444)
assert main(["recall", "--epochs", "3", "--save", "a.safetensors"]) == 2
"""


def test_what_is_saved_twice_is_complete_and_nothing_is_left(tmp_path: Path) -> None:
    done = run("-c", SAVED_TWICE, cwd=tmp_path)
    assert done.returncode == 0
    assert load(tmp_path / "a.safetensors")[0].epochs == 2
    assert done.stderr.endswith(b"error: --save 'a.safetensors': Permission denied\r\n")
    assert [path.name for path in tmp_path.iterdir()] == ["a.safetensors"]


TRAINED_AND_READ = """
import sys
from numpy_rnn.cli.main import main
small = ["--hidden-size", "4", "--batch-size", "4", "--window", "8", "--threads", "1"]
for command in (
    ["train", "a.txt", *small, "--epochs", "1", "--save-every", "0s", "--log", "a.jsonl"],
    ["train", "a.txt", "--resume"],
    ["inspect", "a.rnn"],
    ["sample", "a.rnn", "--length", "9"],
    ["evaluate", "a.rnn", "a.txt"],
    ["memory", "--updates", "1", "--seeds", "2", "--limit", "30", "--record", "record.safetensors"],
):
    assert main(command) == 0
"""


def test_every_command_that_writes_or_reads_a_file(tmp_path: Path) -> None:
    text = "the cat sat on the mat and on the caf\u00e9 \u03b1.\r\n" * 30
    (tmp_path / "a.txt").write_bytes(text.encode())
    done = run("-c", TRAINED_AND_READ, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, b"")
    names = sorted(path.name for path in tmp_path.rglob("*"))
    assert names == ["a.jsonl", "a.rnn", "a.txt", "checkpoint.safetensors", "record.safetensors"]
    log = (tmp_path / "a.jsonl").read_bytes()
    assert log.count(b"\r") == 0 < log.count(b"\n")


A_READER = """
import sys
with open("a.safetensors", "rb"):
    print("open", flush=True)
    sys.stdin.readline()
"""
SAVE = """
import sys, time
from numpy_rnn import files
from numpy_rnn.cli.main import main
def sleep(seconds, system=time.sleep):
    print("waits", file=sys.stderr, flush=True)
    sys.stdin.readline()
files.time.sleep = sleep
sys.exit(main(["recall", "--epochs", "1", "--save", "a.safetensors"]))
"""


def test_a_save_waits_for_a_reader(tmp_path: Path) -> None:
    pipe, python = subprocess.PIPE, [sys.executable, "-c"]
    (tmp_path / "a.safetensors").write_bytes(b"old")
    with subprocess.Popen(
        [*python, A_READER], stdin=pipe, stdout=pipe, cwd=tmp_path, env=ENVIRONMENT
    ) as reader:
        assert reader.stdout is not None
        assert reader.stdout.readline() == b"open\r\n"
        with subprocess.Popen(
            [*python, SAVE], stdin=pipe, stdout=pipe, stderr=pipe, cwd=tmp_path, env=ENVIRONMENT
        ) as writer:
            assert writer.stderr is not None
            assert writer.stderr.readline() == b"waits\r\n"
            assert (tmp_path / "a.safetensors").read_bytes() == b"old"
            reader.communicate(b"\n")
            assert reader.returncode == 0
            writer.communicate(b"\n")
        assert writer.returncode == 0
    assert load(tmp_path / "a.safetensors")[0].epochs == 1
