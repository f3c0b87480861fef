"""The judge in a separate process, so that no answer can stop or damage the course."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy_rnn
from numpy_rnn.apps.learn.exercise import Exercise, load
from numpy_rnn.apps.learn.judge import Verdict, judge

MEMORY = 2 << 30  # bytes that an answer may use, where the system can limit them
MAX_PRINTED = 4_000  # characters of an answer's output that are kept
CHILD = "import sys; from numpy_rnn.apps.learn.process import main; main(*sys.argv[1:])"


def run_judge(exercise: Exercise, answer: Path, seconds: float = 20.0) -> Verdict:
    """Return the verdict on a file, also if its code does not end in time, crashes or exits.

    Its process has no input, and of its output the first characters are kept.
    """
    paths = [str(Path(numpy_rnn.__file__).parents[1]), os.environ.get("PYTHONPATH")]
    environment = {"PYTHONPATH": os.pathsep.join(filter(None, paths)), "OPENBLAS_NUM_THREADS": "1"}
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        with subprocess.Popen(  # noqa: S603 (the learner's own code)
            [sys.executable, "-P", "-c", CHILD, exercise.name, answer.resolve(), folder],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=os.environ | environment,
            start_new_session=True,  # Ctrl-C reaches the course alone
        ) as process:
            try:
                process.stdout and process.stdout.read(1)  # when it has imported what it needs
                status = process.wait(seconds)
                how = "signal" if status < 0 else "exit status"
                verdict = Verdict("ended", f"{how} {abs(status)}")
            except subprocess.TimeoutExpired:
                verdict = Verdict("timeout", f"{seconds:g} s")
            finally:  # also the processes that the answer has started
                with contextlib.suppress(OSError):
                    os.killpg(process.pid, signal.SIGKILL) if os.name == "posix" else process.kill()
        with contextlib.suppress(OSError, ValueError):  # missing or incomplete
            verdict = Verdict(*json.loads(Path(folder, "verdict.json").read_bytes()))
        printed = Path(folder, "printed.txt")
        text = printed.read_text("utf-8", "replace") if printed.exists() else ""
    return verdict._replace(printed=text)


class _Printed(io.TextIOBase):
    """Write the first characters of an answer's output to a file, so that they outlast it."""

    def __init__(self, file: Path) -> None:
        self.file, self.left = file.open("w", encoding="utf-8", errors="replace"), MAX_PRINTED

    def write(self, text: str) -> int:
        if self.left > 0:
            self.file.write(text[: self.left])
            self.file.flush()
            self.left -= len(text)
            if self.left < 0:
                self.file.write("...")
                self.file.flush()
        return len(text)


def main(name: str, answer: str, folder: str) -> None:
    """Write the verdict on an answer, and what it printed, to files in a folder."""
    with contextlib.suppress(ImportError, ValueError, OSError):  # Windows has no such limits
        import resource  # noqa: PLC0415 (it may be missing)

        _, most = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, most))
    exercise = next(exercise for exercise in load() if exercise.name == name)
    sys.path.append(str(Path(answer).parent))  # an answer may import earlier ones
    printed: Any = _Printed(Path(folder, "printed.txt"))
    os.write(1, b".")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        verdict = judge(exercise, Path(answer).read_text("utf-8-sig", "replace"), answer)
    Path(folder, "verdict.json").write_text(json.dumps(verdict), "utf-8")
    os._exit(0)  # without waiting for threads that the answer started
