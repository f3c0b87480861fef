"""Run the command line under a Windows Python in Wine, and compare with this system's results.

    python -m benchmarks.wine PYTHON NUMPY.whl

PYTHON is an unpacked "Windows embeddable package (64-bit)" of python.org, and NUMPY.whl a wheel of
NumPy for it, as `pip download --platform win_amd64 --only-binary :all: numpy` gets it. Wine itself
is a package of the distribution. What has to hold:

- Each command ends with its documented status, and an error is one line.
- A run that is stopped and resumed ends with the bits of one that is not.
- Names that Windows reserves are refused before any work.
- A file written there is read here, and the other way round, with the same output.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from benchmarks.kill import final_state
from numpy_rnn.apps.language_model import run as language_model
from numpy_rnn.cli.main import main as run_here

ROOT = Path(__file__).parents[1]
SMALL = ("--hidden-size", "4", "--embedding", "3", "--batch-size", "4", "--window", "8")
TRAIN = ("train", "a.txt", *SMALL, "--threads", "1", "--epochs", "2")
STEPS: tuple[tuple[int, tuple[str, ...]], ...] = (  # the exit status, the command
    (0, (*TRAIN, "--checkpoint", "whole")),
    (0, (*TRAIN, "--checkpoint", "parts", "--log", "parts.jsonl")),
    (2, (*TRAIN, "--checkpoint", "parts")),  # it exists: an error of one line
    (0, ("inspect", "whole")),
    (0, ("sample", "whole", "--length", "9", "--seed", "1")),
    (0, ("evaluate", "whole", "a.txt")),
    (
        0,
        (
            "memory",
            "--updates",
            "1",
            "--seeds",
            "1",
            "--limit",
            "30",
            "--record",
            "found",
        ),
    ),
    (0, ("recall", "--epochs", "2", "--save", "a.safetensors")),
    (0, ("recall", "--epochs", "2", "--save", "a.safetensors")),  # replaces the file
    (2, ("recall", "--epochs", "2", "--save", "con.safetensors")),
    (2, ("recall", "--epochs", "2", "--save", "a:b.safetensors")),
    (2, ("train", "a.txt", *SMALL, "--log", "x", "--checkpoint", "X")),  # one name on Windows
    (0, ("recall",)),
)


class Wine:
    """A Windows Python with NumPy and this package, and a folder to work in."""

    def __init__(self, python: Path, wheel: Path, folder: Path) -> None:
        self.folder = folder
        self.python = folder / "python" / "python.exe"
        shutil.copytree(python, self.python.parent)
        with zipfile.ZipFile(wheel) as file:
            file.extractall(folder / "site")
        paths = [_windows(folder / "site"), _windows(ROOT), "import site"]
        for file_of_paths in self.python.parent.glob("*._pth"):
            standard = f"{file_of_paths.stem}.zip"
            file_of_paths.write_text("\n".join([standard, ".", *paths]), encoding="utf-8")

    def call(self, *arguments: str) -> tuple[int, str, str]:
        """Run Python, and return status, output and errors."""
        done = subprocess.run(
            ["wine", str(self.python), *arguments],  # noqa: S607 (wherever it is installed)
            check=False,
            input=b"",  # Python under Wine needs pipes
            capture_output=True,
            cwd=self.folder,
            env=os.environ | {"WINEPREFIX": str(self.folder / "wine"), "WINEDEBUG": "-all"},
        )
        shown, errors = (text.decode("utf-8", "replace") for text in (done.stdout, done.stderr))
        return done.returncode, shown, errors


def _windows(path: Path) -> str:
    return "Z:" + str(path.resolve()).replace("/", "\\")


def check(wine: Wine) -> list[str]:
    """Run every step, and return what did not hold."""
    faults = []
    text = "the cat sat on the mat and on the café α.\r\n" * 30
    (wine.folder / "a.txt").write_bytes(text.encode())
    for expected, command in STEPS:
        status, out, err = wine.call("-m", "numpy_rnn", *command)
        found = status == expected and "Traceback" not in err and err.count("\n") <= 1
        print(f"{'ok  ' if found else 'FAIL'} {status} numpy-rnn {' '.join(command)}", flush=True)
        if not found:
            faults.append(f"numpy-rnn {' '.join(command)}: {status}\n{out[-500:]}{err[-1500:]}")
        if command == ("recall",) and "all 48 characters right" not in out:
            faults.append("recall: the sentence is not recalled")
    return faults + compare(wine)


def compare(wine: Wine) -> list[str]:
    """Resume a run, and exchange files. Return what did not hold."""
    faults = []
    os.chdir(wine.folder)
    whole, parts = Path("whole"), Path("parts")
    if final_state(whole) != final_state(parts):
        faults.append("two runs of one seed end with different bits")
    shutil.rmtree(parts)
    script = (
        "from numpy_rnn.cli.main import main; from numpy_rnn.training import Trainer; import sys\n"
        "step, taken = Trainer.step, []\n"
        "def stop(self):\n"
        "    taken.append(0)\n"
        "    if len(taken) > 5: raise KeyboardInterrupt\n"
        "    return step(self)\n"
        "Trainer.step = stop\n"
        "sys.exit(main(sys.argv[1:]))"
    )
    status, _, err = wine.call("-c", script, *TRAIN, "--checkpoint", "parts", "--save-every", "0s")
    if status != 130 or "Traceback" in err:
        faults.append(f"an interrupted run: {status}\n{err[-1500:]}")
    step = language_model.read(parts).trainer.num_steps
    status, _, err = wine.call(
        "-m", "numpy_rnn", "train", "a.txt", "--resume", "--checkpoint", "parts"
    )
    if status or final_state(whole) != final_state(parts):
        faults.append(f"a run resumed at step {step} ends with different bits: {status}\n{err}")
    print(f"ok   resumed at step {step}" if not faults else "FAIL", flush=True)
    faults += [
        f"here, with a file of Windows: {arguments}"
        for arguments in (["evaluate", "whole", "a.txt"], ["inspect", "parts"])
        if run_here(arguments)
    ]
    if run_here([*TRAIN, "--checkpoint", "here"]):
        faults.append("training here")
    status, _, err = wine.call("-m", "numpy_rnn", "sample", "here", "--length", "9")
    if status:
        faults.append(f"there, with a file of this system: {err}")
    return faults


def main() -> int:
    """Run the checks and return the exit status."""
    parser = argparse.ArgumentParser(description="Run the command line in Wine.")
    parser.add_argument("python", type=Path, help="folder of an embeddable Python for Windows")
    parser.add_argument("numpy", type=Path, help="wheel of NumPy for it")
    options = parser.parse_args()
    if shutil.which("wine") is None:
        print("wine is not installed: apt-get install wine64", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder:
        wine = Wine(options.python.resolve(), options.numpy.resolve(), Path(folder))
        version = (
            "import sys, numpy; print(sys.platform, sys.version.split()[0], numpy.__version__)"
        )
        print(*wine.call("-c", version)[1:])
        faults = check(wine)
    for fault in faults:
        print(f"FAULT {fault}")
    print(f"{len(faults)} faults")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
