"""Disturb training runs of the command line in every way, and compare the final bits and logs.

    python -m benchmarks.soak [--minutes 30] [--seed 0]

A tiny language model is trained by ``numpy-rnn train`` with a save after every step. At random
moments its process gets SIGKILL, SIGTERM or SIGINT, a second process is started on its folder, or
its disk fills up and is freed. It is then resumed, until it ends. What has to hold:

- Every process ends with the documented status and at most one line, without a traceback.
- The checkpoint can be read at every moment, and its step never goes back.
- The second process is refused while the first one runs.
- The final state and the log are those of a run that nothing disturbed. No other file is left.

The disk is a small tmpfs. If it cannot be mounted, which takes root, a limit on the size of a file
has its part, and the report says so. POSIX only.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.kill import final_state, make_text
from numpy_rnn.apps.language_model import run

SIZE = 1 << 20  # bytes of the disk
OPTIONS = (
    *("--cell", "lstm", "--hidden-size", "8", "--layers", "2", "--embedding", "4"),
    *("--dropout", "0.2", "--batch-size", "4", "--window", "8", "--validate-every", "25"),
    *("--epochs", "30", "--threads", "1"),
)
ROOT = Path(__file__).parents[1]
# Under a limit on the size of files, Python would leave the first part of a file of bytecode.
ENVIRONMENT = os.environ | {
    "PYTHONPATH": str(ROOT),
    "OPENBLAS_NUM_THREADS": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
}
ENDED = {  # by the disturbance: the status of a process that it ended, and a part of its line
    "SIGKILL": (-signal.SIGKILL, ""),
    "SIGTERM": (128 + signal.SIGTERM, "stopped by SIGTERM"),
    "SIGINT": (130, "interrupted"),
    "full disk": (1, ("No space left on device", "File too large")),
}


class Disturbed:
    """One run that is disturbed until it ends."""

    def __init__(self, text: Path, folder: Path, rng: random.Random, counts: Counter[str]) -> None:
        self.text, self.folder, self.rng, self.counts = text, folder, rng, counts
        self.log, self.checkpoint = folder / "log.jsonl", folder / run.FILE
        self.step = 0

    def command(self, *, resume: bool) -> list[str]:
        """Return the command that starts or resumes the run."""
        train = [sys.executable, "-m", "numpy_rnn", "train", str(self.text), "--save-every", "0s"]
        files = ["--checkpoint", str(self.folder), "--log", str(self.log)]
        return [*train, *files, *(["--resume"] if resume else OPTIONS)]

    def start(self, limit: int | None = None) -> subprocess.Popen[str]:
        """Start a process."""
        resume = self.checkpoint.exists()
        sizes = None if limit is None else (limit, limit)
        lower = None if sizes is None else partial(resource.setrlimit, resource.RLIMIT_FSIZE, sizes)
        return subprocess.Popen(
            self.command(resume=resume),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env=ENVIRONMENT,
            preexec_fn=lower,  # noqa: PLW1509 (this process has one thread)
        )

    def session(self, disturbance: str, disk: bool, longest: float) -> bool:
        """Run a process, disturb it, and check how it ends. Return whether the run has ended."""
        full = disturbance == "full disk"
        process = self.start(2000 if full and not disk else None)
        time.sleep(self.rng.uniform(0, longest))
        if disturbance.startswith("SIG"):
            process.send_signal(getattr(signal, disturbance))
        elif disturbance == "second process":
            self.second(process)
        filler = self.folder / "filler"
        if full and disk:
            fill(filler)
        try:
            _, errors = process.communicate(timeout=300)
        finally:
            filler.unlink(missing_ok=True)
        self.check(process.returncode, errors, disturbance)
        return process.returncode == 0

    def second(self, process: subprocess.Popen[str]) -> None:
        """Start a second process while the first one runs."""
        if not self.checkpoint.exists():
            return  # it would not be the second, if the first has not yet started
        other = subprocess.run(
            self.command(resume=True), check=False, capture_output=True, text=True, env=ENVIRONMENT
        )
        lines = other.stderr.splitlines()
        if other.returncode == 2:
            assert len(lines) == 1, other.stderr  # noqa: S101
            assert f"is in use by process {process.pid} on " in lines[0], lines[0]  # noqa: S101
            self.counts["second process refused"] += 1
        else:
            assert (other.returncode, lines) == (0, []), other.stderr  # noqa: S101
            assert process.poll() == 0, "two processes trained one run"  # noqa: S101

    def check(self, status: int, errors: str, disturbance: str) -> None:
        """Check the end of a process, and what is on the disk."""
        self.counts[disturbance] += 1
        if status == 0:
            assert errors == "", errors  # noqa: S101
        else:
            expected, what = ENDED[disturbance]
            # Python itself was starting: no file of the package is named.
            early = status == -getattr(signal, disturbance, 0)
            early |= "KeyboardInterrupt" in errors and "numpy_rnn" not in errors
            assert early or status == expected, (disturbance, status, errors)  # noqa: S101
            parts = (what,) if isinstance(what, str) else what
            assert early or any(part in errors for part in parts), errors  # noqa: S101
            assert early or errors.count("\n") <= 1, errors  # noqa: S101
            assert early or "Traceback" not in errors, errors  # noqa: S101
            self.counts[f"{disturbance} ended the process"] += 1
        if self.checkpoint.exists():
            step = run.read(self.folder).trainer.num_steps
            assert step >= self.step, f"step {step} after step {self.step}"  # noqa: S101
            self.step = step

    def result(self) -> Any:
        """Return the final state and the log without times."""
        lines = [json.loads(line) for line in self.log.read_bytes().splitlines()]
        log = [{k: v for k, v in line.items() if k != "seconds"} for line in lines]
        return final_state(self.folder), log


def fill(path: Path) -> None:
    """Write a file until the disk is full."""
    with path.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(4096)):
                pass
        except OSError:
            return


@contextmanager
def small_disk(folder: Path) -> Iterator[bool]:
    """Mount a small file system on a folder. Return whether that succeeded."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(mount, check=False, capture_output=True).returncode == 0
    except FileNotFoundError:
        mounted = False
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", str(folder)], check=True)  # noqa: S607 (in the path)


def soak(minutes: float, seed: int, work: Path) -> Counter[str]:
    """Disturb runs for a time, and return the counts of what happened.

    An AssertionError says what did not hold.
    """
    end, rng = time.monotonic() + 60 * minutes, random.Random(seed)  # noqa: S311 (not a secret)
    text, counts = make_text(work), Counter[str]()
    with small_disk(work / "whole") as disk:
        whole = Disturbed(text, work / "whole", rng, counts)
        start = time.monotonic()
        assert whole.session("nothing", disk, 0.0)  # noqa: S101
        longest = (time.monotonic() - start) / 2
        expected = whole.result()
    while time.monotonic() < end:
        with small_disk(work / f"disk-{counts['runs']}") as disk:
            counts["a limit instead of a disk"] += not disk
            folder = work / f"disk-{counts['runs']}" / "run"
            folder.mkdir()
            disturbed = Disturbed(text, folder, rng, counts)
            kinds = (*ENDED, "second process")
            while not disturbed.session(rng.choice(kinds), disk, longest):
                pass
            assert disturbed.result() == expected, "the run ended differently"  # noqa: S101
            left = sorted(path.name for path in folder.iterdir())
            assert left == [run.FILE, "log.jsonl"], left  # noqa: S101
            counts["runs"] += 1
    return counts


def main() -> None:
    """Print the counts."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=30.0, help="how long")
    parser.add_argument("--seed", type=int, default=0, help="seed of the moments")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        for name, count in sorted(soak(options.minutes, options.seed, Path(work)).items()):
            print(f"{count:6} {name}")


if __name__ == "__main__":
    main()
