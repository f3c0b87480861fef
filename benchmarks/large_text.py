"""Peak memory of training on a small text and on a large one.

    python -m benchmarks.large_text [--megabytes 1000] [--steps 30]

A text is generated in a temporary folder, and a new process trains a few steps on it. The process
reports the peak of its anonymous memory, without the pages of the memory-mapped file, which the
system may reclaim. The peak should not depend on the size of the text.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

CHUNK = 1_000_000  # characters


def generate_text(path: Path, megabytes: int) -> None:
    """Write a text of this size, a million characters at a time."""
    rng = random.Random(0)  # noqa: S311 (not a secret)
    words = [
        "".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=rng.randint(2, 9))) for _ in range(999)
    ]
    with path.open("w", encoding="ascii") as file:
        for _ in range(megabytes):
            chunk = " ".join(rng.choices(words, k=CHUNK // 6))
            file.write(chunk.ljust(CHUNK, "\n")[:CHUNK])


def own_memory() -> int:
    """Return the anonymous memory of this process, in bytes."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise OSError("/proc/self/status has no RssAnon")


def measure(text: Path, folder: Path, steps: int) -> None:
    """Train, and print the time until the first step and the peak memory."""
    from numpy_rnn.apps.language_model import Settings, run  # noqa: PLC0415 (only in the measuring process)

    largest, done = own_memory(), threading.Event()

    def watch() -> None:
        nonlocal largest
        while not done.wait(0.005):
            largest = max(largest, own_memory())

    thread = threading.Thread(target=watch)
    thread.start()
    start = time.perf_counter()
    job = run.start(text, Settings(epochs=1), folder)
    ready = time.perf_counter() - start
    job.trainer.fit(steps)
    done.set()
    thread.join()
    print(f"encoded in {ready:.1f} s, peak memory {largest / 1e6:.0f} MB")


def main() -> None:
    """Print the memory for a small text and for the large one."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--megabytes", type=int, default=1000, help="size of the large text")
    parser.add_argument("--steps", type=int, default=30, help="training steps")
    parser.add_argument("--measure", nargs=2, type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        text, folder = options.measure
        measure(text, folder, options.steps)
        return
    for megabytes in (1, options.megabytes):
        with tempfile.TemporaryDirectory(dir=".") as name:
            folder = Path(name)
            generate_text(folder / "text.txt", megabytes)
            command = [sys.executable, "-m", "benchmarks.large_text", "--steps", str(options.steps)]
            command += ["--measure", str(folder / "text.txt"), str(folder)]
            print(f"{megabytes} MB of text:", end=" ", flush=True)
            subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
